"""`ontomesh demo`: the main job on a stack of its own, which leaves nothing behind."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ontomesh_chassis.startup import StartupError
from ontomesh_local.child import NotReady
from ontomesh_local.config import StackSettings
from ontomesh_local.screen import Screen
from ontomesh_local.stack import Interrupted, Stack
from ontomesh_local.stopping import StopRequests
from ontomesh_local.up import EXIT_FAILED, EXIT_OK, show_tour

EXIT_INTERRUPTED = 130
_PREFIX = "ONTOMESH_"
_KEPT = ("ONTOMESH_LOG_LEVEL",)
"""Of the user's own settings, what may reach the demo's stack: nothing that names data, keys or addresses."""


async def demo(environment: Mapping[str, str], screen: Screen) -> int:
    """Does the tour on free ports and in a folder that is removed; 0 only if every step showed what it should."""
    folder = Path(tempfile.mkdtemp(prefix="ontomesh-demo-"))
    try:
        # Built, not loaded: the user's settings are for the user's own stack.
        settings = StackSettings.model_construct(
            home=folder / "home",
            nats_port=0,
            events_grpc_port=0,
            events_http_port=0,
            kernel_grpc_port=0,
            kernel_http_port=0,
        )
        clean = {name: value for name, value in environment.items() if not name.startswith(_PREFIX) or name in _KEPT}
        clean |= {"ONTOMESH_DRAIN_SECONDS": "2"}
        with StopRequests() as stop:
            return await _run(Stack.of(settings, clean, screen), stop)
    except StartupError as fault:
        screen.error(str(fault))
        return fault.exit_code
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _run(stack: Stack, stop: StopRequests) -> int:
    outcome: list[bool] = []

    async def tour() -> None:
        outcome.append(await show_tour(stack, repeatable=False))

    stack.home.prepare()
    try:
        with stack.home.held():
            async with stack.running(stop):
                for item in stack.started.values():
                    places = " and ".join(place for place in (item.ready.address, item.ready.http) if place)
                    stack.screen.line(f"the {item.service.title} serves at {places}, just for this")
                finished = await stop.unless_asked(tour())
    except NotReady as fault:
        stack.screen.error(str(fault))
        stack.screen.log_end(fault.last_lines, stack.home.log(fault.service))
        return EXIT_FAILED
    except Interrupted:
        finished = False
    if not finished:
        return EXIT_INTERRUPTED
    return EXIT_OK if outcome == [True] else EXIT_FAILED
