import asyncio
import os
import signal
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from ontomesh_local.backoff import CrashLog
from ontomesh_local.child import NotReady
from ontomesh_local.services import Port, Service
from ontomesh_local.supervisor import GaveUp, Running, Supervisor

STAND_IN = Path(__file__).with_name("stand_in.py")
SECONDS = 30


class Told:
    """Notes what the supervisor says, and wakes who waits for it."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.ports: list[str] = []
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def ready(self, running: Running) -> None:
        self.ports.append(running.ready.grpc)
        self._note(f"{running.service.name} ready")

    def crashed(self, service: Service, how: str, *, log: Path, attempt: int, attempts: int, delay: float) -> None:
        self._note(f"{service.name} {how}, attempt {attempt} of {attempts} in {delay:g} s, see {log.name}")

    def restarted(self, running: Running) -> None:
        self.ports.append(running.ready.grpc)
        self._note(f"{running.service.name} back")

    def stopped(self, service: Service, how: str) -> None:
        self._note(f"{service.name} stopped: {how}")

    async def until(self, event: str, times: int = 1) -> None:
        async with asyncio.timeout(SECONDS), self._changed:
            await self._changed.wait_for(lambda: self.events.count(event) >= times)

    def _note(self, event: str) -> None:
        self.events.append(event)
        task = asyncio.get_running_loop().create_task(self._wake())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def stand_in(name: str, mode: str, *, start_seconds: float = SECONDS, stop_seconds: float = SECONDS) -> Service:
    return Service(
        name,
        name,
        (sys.executable, str(STAND_IN), mode),
        (Port("gRPC", 0, "STAND_IN_PORT"),),
        start_seconds=start_seconds,
        stop_seconds=stop_seconds,
    )


def quick() -> CrashLog:
    return CrashLog(first_delay=0.01)


def supervise(told: Told, folder: Path, *services: Service, crash_log: Callable[[], CrashLog] = quick) -> Supervisor:
    environment = {"PATH": os.environ["PATH"]}
    return Supervisor(
        services,
        environment=environment,
        log_file=lambda name: folder / f"{name}.log",
        observer=told,
        crash_log=crash_log,
    )


@asynccontextmanager
async def watched(supervisor: Supervisor) -> AsyncIterator[asyncio.Future[None]]:
    await supervisor.start()
    watching = asyncio.ensure_future(supervisor.watch())
    try:
        yield watching
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await supervisor.stop()


async def test_services_start_in_order_and_stop_in_reverse(tmp_path: Path) -> None:
    told = Told()
    supervisor = supervise(told, tmp_path, stand_in("one", "serve"), stand_in("two", "serve"))
    async with watched(supervisor):
        processes = [psutil.Process(running.pid) for running in supervisor.running.values()]
        assert len({os.getsid(process.pid) for process in processes} - {os.getsid(0)}) == 2
    assert told.events == [
        "one ready",
        "two ready",
        "two stopped: ended with exit code 0",
        "one stopped: ended with exit code 0",
    ]
    assert not any(process.is_running() for process in processes)


async def test_a_killed_service_comes_back_at_the_same_address(tmp_path: Path) -> None:
    told = Told()
    supervisor = supervise(told, tmp_path, stand_in("one", "serve"))
    async with watched(supervisor):
        os.kill(supervisor.running["one"].pid, signal.SIGKILL)
        await told.until("one back")
        address = supervisor.running["one"].ready.http
        status = await asyncio.to_thread(lambda: urllib.request.urlopen(f"{address}/readyz").status)
        assert status == 200
    assert "one was ended by SIGKILL, attempt 1 of 4 in 0.01 s, see one.log" in told.events
    assert told.ports[0] == told.ports[1]


async def test_a_service_that_keeps_crashing_is_given_up_loudly(tmp_path: Path) -> None:
    told = Told()
    supervisor = supervise(told, tmp_path, stand_in("one", "serve"), stand_in("two", "serve"))
    async with watched(supervisor) as watching:
        for attempt in range(1, 6):
            os.kill(supervisor.running["one"].pid, signal.SIGKILL)
            if attempt < 5:
                await told.until("one back", attempt)
        with pytest.raises(GaveUp, match="the one crashed 5 times within 60 s; the last time it was ended by SIGKILL"):
            async with asyncio.timeout(SECONDS):
                await watching
    assert told.events[-1] == "two stopped: ended with exit code 0"


async def test_a_service_that_ends_at_once_is_refused_with_its_last_words(tmp_path: Path) -> None:
    supervisor = supervise(Told(), tmp_path, stand_in("one", "serve"), stand_in("two", "refuse"))
    with pytest.raises(NotReady, match="the two ended with exit code 7 before it was ready") as refused:
        await supervisor.start()
    assert refused.value.last_lines == ["stand-in begins: refuse", "no such luck"]
    await supervisor.stop()


async def test_a_service_that_is_never_ready_is_stopped_at_its_limit(tmp_path: Path) -> None:
    supervisor = supervise(Told(), tmp_path, stand_in("one", "silent", start_seconds=0.5))
    with pytest.raises(NotReady, match=r"the one was not ready within 0\.5 s"):
        await supervisor.start()
    assert [process for process in psutil.Process().children() if str(STAND_IN) in process.cmdline()] == []


async def test_a_service_that_closes_its_ready_pipe_is_not_waited_for(tmp_path: Path) -> None:
    supervisor = supervise(Told(), tmp_path, stand_in("one", "dull"))
    with pytest.raises(NotReady, match="the one closed its ready pipe without a word"):
        await supervisor.start()


async def test_a_service_that_ignores_a_polite_end_is_killed(tmp_path: Path) -> None:
    told = Told()
    async with watched(supervise(told, tmp_path, stand_in("one", "stubborn", stop_seconds=0.2))):
        pass
    assert told.events[-1] == "one stopped: was ended by SIGKILL"


async def test_a_restart_that_is_waited_for_can_be_given_up_by_stopping(tmp_path: Path) -> None:
    told = Told()
    slow = supervise(told, tmp_path, stand_in("one", "serve"), crash_log=lambda: CrashLog(first_delay=3600))
    async with watched(slow):
        os.kill(slow.running["one"].pid, signal.SIGKILL)
        await told.until("one was ended by SIGKILL, attempt 1 of 4 in 3600 s, see one.log")
    assert told.events[-1].startswith("one was ended by SIGKILL")


async def test_a_log_tells_only_of_the_run_that_failed(tmp_path: Path) -> None:
    (tmp_path / "one.log").write_text("of an earlier run\n")
    supervisor = supervise(Told(), tmp_path, stand_in("one", "refuse"))
    with pytest.raises(NotReady) as refused:
        await supervisor.start()
    assert refused.value.last_lines[0] == "stand-in begins: refuse"
    assert (tmp_path / "one.log").read_text().startswith("of an earlier run\n")
