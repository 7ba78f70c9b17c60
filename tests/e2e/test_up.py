import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from ontomesh.sdk import connect
from ontomesh_local import tour

pytestmark = pytest.mark.timeout(180)

ONTOMESH = [sys.executable, "-m", "ontomesh.cli.main"]
SECONDS = 60
RUNNING = "The stack is running; Ctrl-C stops it."
TITLES = {"nats": "NATS server", "event-gateway": "event gateway", "data-kernel": "data kernel"}
PORTS = {
    "ONTOMESH_NATS_PORT": "NATS server",
    "ONTOMESH_EVENTS_GRPC_PORT": "event gateway",
    "ONTOMESH_EVENTS_HTTP_PORT": "event gateway",
    "ONTOMESH_KERNEL_GRPC_PORT": "data kernel",
    "ONTOMESH_KERNEL_HTTP_PORT": "data kernel",
}


class Up:
    """A running `ontomesh up`, its output as it comes, and its kernel."""

    def __init__(self, process: subprocess.Popen[str], home: Path) -> None:
        self.process = process
        self.home = home
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def wait_for(self, text: str, *, after: int = 0) -> str:
        """The first line behind the `after` first ones that holds the text."""
        with self._changed:
            self._changed.wait_for(lambda: self._find(text, after) is not None or self._ended, SECONDS)
            found = self._find(text, after)
        assert found is not None, f"no {text!r} in:\n{self.output}"
        return found

    def wait(self) -> int:
        """The exit code, once everything was read."""
        code = self.process.wait(SECONDS)
        self._reader.join(SECONDS)
        return code

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    @property
    def kernel(self) -> psutil.Process:
        return self.service("data-kernel")

    def service(self, name: str) -> psutil.Process:
        """A service's process."""
        services = json.loads((self.home / "stack.json").read_text())["services"]
        return psutil.Process(next(service["pid"] for service in services if service["name"] == name))

    def whole(self) -> list[psutil.Process]:
        """Every process of the stack, whatever its services started included."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def serves(self) -> bool:
        """Whether kernel and gateway answer where client.json says."""
        client = json.loads((self.home / "client.json").read_text())
        ready = True
        for door in ("http", "events_http"):
            with urllib.request.urlopen(f"{client[door]}/readyz", timeout=10) as answer:
                ready &= answer.status == 200
        token = (self.home / "token").read_text().strip()
        with connect(client["address"], token=token) as mesh:
            return ready and mesh.health()

    def close(self) -> None:
        self.process.kill()
        self.process.wait(SECONDS)
        self._reader.join(SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _find(self, text: str, after: int) -> str | None:
        return next((line for line in self.lines[after:] if text in line), None)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder whose stack has shown its tour already."""
    folder = tmp_path / "home"
    (folder / "tour").mkdir(parents=True, mode=0o700)
    (folder / "tour" / "done").touch()
    return folder


def environment(home: Path, **settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ONTOMESH_")}
    ports = dict.fromkeys(PORTS, "0")
    return kept | ports | {"HOME": str(home.parent), "ONTOMESH_HOME": str(home)} | settings


@contextmanager
def up(home: Path, **settings: str) -> Iterator[Up]:
    process = subprocess.Popen(
        [*ONTOMESH, "up"],
        env=environment(home, **settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    running = Up(process, home)
    try:
        yield running
    finally:
        running.close()
        assert wait_until_none_is_left(home) == []


def ontomesh(home: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*ONTOMESH, *arguments],
        env=environment(home, **settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run; who ended and is not buried yet does not."""
    found = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def left(home: Path) -> list[str]:
    """The processes that belong to the home folder, by what they were started with."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("ONTOMESH_HOME") == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(f"{process.pid} {process.cmdline()}")
        except psutil.Error:
            continue
    return found


def wait_until_none_is_left(home: Path) -> list[str]:
    deadline = time.monotonic() + SECONDS
    while found := left(home):
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    return found


def test_the_first_up_in_an_empty_home_does_the_tour_and_the_second_finds_its_data(tmp_path: Path) -> None:
    home = tmp_path / "a home" / ".ontomesh"
    steps = len(tour.steps())
    with up(home) as first:
        first.wait_for(f"{steps}/{steps}  ")
        first.wait_for(RUNNING)
        assert first.serves()
        assert f"source {Path(sys.executable).with_name('activate')}" in first.output
        assert f"export ONTOMESH_HOME='{home}' ONTOMESH_DATABASE=packages" in first.output
        repeated = ontomesh(home, "get", tour.SUBJECT, "--json")
        assert json.loads(repeated.stdout)["version"] == tour.TRIAL
        first.process.send_signal(signal.SIGINT)
        assert first.wait() == 0
    with up(home) as second:
        second.wait_for(RUNNING)
        counted = second.wait_for("packages: ")
        assert re.fullmatch(r"  packages: \d+ documents in 7 commits on main", counted)
        second.wait_for("make demo")
        assert f"1/{steps}" not in second.output
        second.process.terminate()
        assert second.wait() == 0


def test_up_prints_a_table_of_addresses_and_only_the_owner_can_read_its_secrets(home: Path) -> None:
    with up(home) as stack:
        stack.wait_for(RUNNING)
        client = json.loads((home / "client.json").read_text())
        row = stack.wait_for(client["address"])
        assert re.match(rf"data kernel +{client['address']} +{client['http']} +{stack.kernel.pid} ", row)
        gateway = stack.wait_for(client["events"])
        assert re.match(rf"event gateway +{client['events']} +{client['events_http']} +\d+ ", gateway)
        assert re.match(r"NATS server +nats://127\.0\.0\.1:\d+ +\d+ ", stack.wait_for("nats://"))
        for door in (client["http"], client["events_http"]):
            for address in (f"{door}/docs", f"{door}/metrics"):
                stack.wait_for(address)
                with urllib.request.urlopen(address, timeout=10) as answer:
                    assert answer.status == 200
        for path in (home / "data" / "kernel.db", home / "data" / "nats", *(home.glob("logs/*.log"))):
            stack.wait_for(str(path))
            assert path.exists()
        for path in [home, *home.rglob("*")]:
            assert path.name == "done" or path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_whole_terminal_stops_everything_in_order(home: Path, number: signal.Signals) -> None:
    with up(home) as stack:
        stack.wait_for(RUNNING)
        processes = stack.whole()
        assert "nats-server" in {process.name() for process in processes}
        # As a terminal does: to every process of the foreground group.
        os.killpg(stack.process.pid, number)
        assert stack.wait() == 0
        ends = [f"  the {title} ended with exit code 0" for title in reversed(TITLES.values())]
        assert stack.lines[-4:] == [*ends, "stopped"]
        assert alive(processes) == []
        assert not (home / "stack.json").exists()


@pytest.mark.parametrize("name", TITLES)
def test_a_killed_service_is_started_again_at_its_address_and_said_so(home: Path, name: str) -> None:
    with up(home) as stack:
        stack.wait_for(RUNNING)
        client = (home / "client.json").read_text()
        killed = stack.service(name)
        started = killed.children()
        killed.kill()
        said = stack.wait_for(f"the {TITLES[name]} was ended by SIGKILL")
        assert "starting it again in 0.5 s (attempt 1 of 4)" in said
        stack.wait_for(f"its log is {home / 'logs' / name}.log")
        stack.wait_for(f"the {TITLES[name]} is ready again")
        assert stack.service(name).pid != killed.pid
        assert alive(started) == []
        assert (home / "client.json").read_text() == client
        assert stack.serves()


def test_a_nats_server_that_dies_alone_is_started_again(home: Path) -> None:
    with up(home) as stack:
        stack.wait_for(RUNNING)
        (server,) = stack.service("nats").children()
        server.kill()
        stack.wait_for("the NATS server ended with exit code 9")
        stack.wait_for("the NATS server is ready again")
        assert [process.name() for process in stack.service("nats").children()] == ["nats-server"]
        assert stack.serves()


def test_a_kernel_that_keeps_dying_is_given_up_with_exit_code_1(home: Path) -> None:
    with up(home) as stack:
        stack.wait_for(RUNNING)
        for attempt in range(1, 6):
            read = len(stack.lines)
            stack.kernel.kill()
            if attempt < 5:
                stack.wait_for(f"(attempt {attempt} of 4)", after=read)
                stack.wait_for("is ready again", after=read)
        stack.wait_for("error: the data kernel crashed 5 times within 60 s; the last time it was ended by SIGKILL")
        stack.wait_for(f"the last lines of {home / 'logs' / 'data-kernel.log'}:")
        assert stack.wait() == 1


def test_every_service_ends_by_itself_when_the_supervisor_is_killed(home: Path) -> None:
    with up(home) as stack:
        stack.wait_for(RUNNING)
        processes = stack.whole()
        assert "nats-server" in {process.name() for process in processes}
        stack.process.kill()
        psutil.wait_procs(processes, SECONDS)
        assert alive(processes) == []
    with up(home) as again:
        again.wait_for(RUNNING)
        assert again.serves()


def test_a_second_up_names_the_first_and_its_addresses(home: Path) -> None:
    with up(home) as stack:
        stack.wait_for(RUNNING)
        refused = ontomesh(home, "up")
        assert refused.returncode == 1
        assert f"error: a stack already runs in {home} (process {stack.process.pid})" in refused.stderr
        client = json.loads((home / "client.json").read_text())
        assert f"data-kernel  {client['address']}, {client['http']}" in refused.stderr
        assert stack.serves()


def test_down_stops_a_stack_from_another_terminal_and_may_be_repeated(home: Path) -> None:
    with up(home) as stack:
        stack.wait_for(RUNNING)
        stopped = ontomesh(home, "down")
        assert (stopped.returncode, stopped.stdout) == (
            0,
            f"stopped the stack in {home} (process {stack.process.pid})\n",
        )
        assert stack.wait() == 0
    again = ontomesh(home, "down")
    assert (again.returncode, again.stdout) == (0, f"no stack runs in {home}\n")


@pytest.mark.parametrize("setting", PORTS)
def test_a_taken_port_is_told_with_its_holder_and_setting_before_anything_starts(home: Path, setting: str) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        refused = ontomesh(home, "up", **{setting: str(port)})
    assert refused.returncode == 3
    assert f"error: 127.0.0.1:{port}, which the {PORTS[setting]} wants for " in refused.stderr
    assert f"is taken by process {os.getpid()} (user " in refused.stderr
    assert f"{setting}=<port>" in refused.stderr
    assert refused.stdout.splitlines() == [f"made keys, a policy and your token in {home}"]
    assert list((home / "logs").iterdir()) == []


def test_a_kernel_that_cannot_start_shows_the_end_of_its_log(home: Path) -> None:
    (home / "data").mkdir()
    (home / "data" / "kernel.db").write_bytes(b"this is no database, but something else entirely" * 100)
    refused = ontomesh(home, "up")
    assert refused.returncode == 1
    assert "error: the data kernel ended with exit code 2 before it was ready" in refused.stderr
    assert f"the last lines of {home / 'logs' / 'data-kernel.log'}:" in refused.stderr
    assert "  | error: ONTOMESH_STORE: " in refused.stderr


def test_a_home_that_cannot_be_written_to_is_named_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = ontomesh(tmp_path / "file" / "home", "up")
    assert refused.returncode == 2
    assert f"error: cannot prepare {tmp_path / 'file' / 'home'}: Not a directory" in refused.stderr
    assert "ONTOMESH_HOME names another folder" in refused.stderr


def test_an_invalid_setting_is_named(home: Path) -> None:
    refused = ontomesh(home, "up", ONTOMESH_KERNEL_GRPC_PORT="many")
    assert refused.returncode == 2
    assert "ONTOMESH_KERNEL_GRPC_PORT" in refused.stderr
