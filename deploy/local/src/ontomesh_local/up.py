"""`ontomesh up` and `ontomesh down`."""

import asyncio
import shlex
import sysconfig
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from ontomesh.sdk.errors import OntomeshError
from ontomesh_chassis.startup import EXIT_PORT_TAKEN, StartupError
from ontomesh_local import tour
from ontomesh_local.child import NotReady
from ontomesh_local.config import StackSettings
from ontomesh_local.contents import Contents, contents
from ontomesh_local.home import AlreadyRunning, Home
from ontomesh_local.screen import Screen
from ontomesh_local.services import KERNEL
from ontomesh_local.stack import Interrupted, PortsUnusable, Stack
from ontomesh_local.steps import Tour
from ontomesh_local.stopping import StopRequests
from ontomesh_local.supervisor import GaveUp

EXIT_OK = 0
EXIT_FAILED = 1
DOWN_SECONDS = 60.0
DOWN_POLL_SECONDS = 0.1

_CLIENT_SETTINGS = (
    "ONTOMESH_ADDRESS",
    "ONTOMESH_EVENTS_ADDRESS",
    "ONTOMESH_TOKEN",
    "ONTOMESH_TOKEN_FILE",
    "ONTOMESH_BRANCH",
    "ONTOMESH_AUTHOR",
)
"""What would lead a tour's commands to another place."""


async def up(settings: StackSettings, environment: Mapping[str, str], screen: Screen) -> int:
    """Runs the stack until it is asked to stop (exit code 0) or cannot go on (another); does the tour if it is new."""
    stack = Stack.of(settings, environment, screen)
    try:
        first = stack.home.prepare()
        with StopRequests() as stop, stack.home.held():
            if first:
                screen.line(f"made keys, a policy and your token in {settings.home}")
            return await _run(stack, stop)
    except AlreadyRunning as found:
        screen.already_running(settings.home, found.stack)
    except PortsUnusable as found:
        screen.refused(found.ports)
        return EXIT_PORT_TAKEN
    except StartupError as fault:
        screen.error(str(fault))
        return fault.exit_code
    return EXIT_FAILED


async def _run(stack: Stack, stop: StopRequests) -> int:
    screen = stack.screen
    try:
        async with stack.running(stop) as supervisor:
            data = {service.name: service.data for service in stack.services}
            screen.addresses(stack.started.values(), data, {name: stack.home.log(name) for name in data})
            watching = asyncio.ensure_future(supervisor.watch())
            showing = asyncio.ensure_future(_show(stack))
            try:
                # Watching never ends well, so this returns because somebody asked.
                await stop.unless_asked(asyncio.gather(watching, showing))
                screen.line()
                screen.line("stopping; once more stops at once")
            finally:
                for task in (watching, showing):
                    task.cancel()
                await asyncio.gather(watching, showing, return_exceptions=True)
    except (NotReady, GaveUp) as fault:
        screen.error(str(fault))
        screen.log_end(fault.last_lines, stack.home.log(fault.service))
        return EXIT_FAILED
    except Interrupted:
        pass
    screen.line("stopped")
    return EXIT_OK


async def _show(stack: Stack) -> None:
    """Does the tour the first time, later tells what there is, and then how to end all this."""
    screen, home = stack.screen, stack.home
    found = await _contents(stack)
    if found is not None:
        if any(item.database == tour.DATABASE for item in found) or home.tour_marker.exists():
            screen.line(("Your data is still here:" if found else "No databases yet.", "bold"))
            for item in found:
                screen.line(f"  {item}")
            screen.line("To see the tour again, on a stack of its own: make demo (or: ontomesh demo)")
        else:
            await show_tour(stack, repeatable=True)
    screen.line()
    screen.line(("The stack is running; Ctrl-C stops it.", "bold"))


async def show_tour(stack: Stack, *, repeatable: bool) -> bool:
    """Does the main job and shows each step; whether each showed what it should."""
    screen, home = stack.screen, stack.home
    environment = {name: value for name, value in stack.environment.items() if name not in _CLIENT_SETTINGS}
    binaries = sysconfig.get_path("scripts")
    environment["PATH"] = f"{binaries}:{environment.get('PATH', '')}".rstrip(":")
    environment |= {"ONTOMESH_DATABASE": tour.DATABASE, "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}
    environment.pop("FORCE_COLOR", None)
    screen.line(("A tour on real data: the Python distributions installed in this environment.", "bold"))
    if repeatable:
        _explain_how_to_repeat(screen, home, binaries)
    home.tour.mkdir(mode=0o700, exist_ok=True)
    well = await Tour(screen, home.tour, environment).run(tour.steps())
    if well:
        home.tour_marker.touch(mode=0o600)
    return well


def _explain_how_to_repeat(screen: Screen, home: Home, binaries: str) -> None:
    screen.line("Every command is shown as it is run. To try one yourself, first type this in another terminal:")
    screen.line()
    activate = Path(binaries) / "activate"
    if activate.exists():
        screen.line((f"  source {shlex.quote(str(activate))}", "cyan"))
    screen.line((f"  export ONTOMESH_HOME={shlex.quote(str(home.path))} ONTOMESH_DATABASE={tour.DATABASE}", "cyan"))
    screen.line((f"  cd {shlex.quote(str(home.tour))}", "cyan"))


async def _contents(stack: Stack) -> list[Contents] | None:
    try:
        return await contents(stack.started[KERNEL].ready.grpc, stack.home.path)
    except OntomeshError as fault:
        stack.screen.error(f"cannot tell what the kernel holds: {fault}")
        return None


def down(settings: StackSettings, screen: Screen) -> int:
    """Stops the stack of the home folder, wherever it was started; 0 also if there is none."""
    try:
        stack = Home(settings.home).running()
    except StartupError as fault:
        screen.error(str(fault))
        return fault.exit_code
    process = stack.process() if stack else None
    if stack is None or process is None:
        screen.line(f"no stack runs in {settings.home}")
        return EXIT_OK
    try:
        process.terminate()
        ended = _ends(process)
    except psutil.NoSuchProcess:
        ended = True
    except psutil.AccessDenied:
        screen.error(f"the stack in {settings.home} (process {stack.pid}) is not yours to stop")
        return EXIT_FAILED
    if not ended:
        screen.error(f"the stack (process {stack.pid}) has not ended within {DOWN_SECONDS:g} s")
        return EXIT_FAILED
    screen.line(f"stopped the stack in {settings.home} (process {stack.pid})")
    return EXIT_OK


def _ends(process: psutil.Process) -> bool:
    """Whether the process ends in time. One that its parent has not buried yet has ended, too."""
    deadline = time.monotonic() + DOWN_SECONDS
    while time.monotonic() < deadline:
        try:
            process.wait(DOWN_POLL_SECONDS)
            return True
        except psutil.TimeoutExpired:
            if process.status() == psutil.STATUS_ZOMBIE:
                return True
    return False
