"""The NATS server as a service: ready, private, and never left behind."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from ontomesh_local.child import Child, NotReady, Ready
from ontomesh_local.config import StackSettings
from ontomesh_local.free_ports import free_port
from ontomesh_local.services import LOOPBACK, Port, Service, services

SECONDS = 30


def nats_service(home: Path, port: int) -> Service:
    return services(StackSettings(home=home, store="", nats_port=port))[0]


def environment(home: Path, port: int, **settings: str) -> dict[str, str]:
    own = {"ONTOMESH_HOME": str(home), "ONTOMESH_NATS_PORT": str(port), "ONTOMESH_LOG_FORMAT": "human"}
    return {"PATH": os.environ["PATH"], **own, **settings}


@asynccontextmanager
async def running(home: Path, port: int, **settings: str) -> AsyncIterator[tuple[Child, Ready]]:
    child = await Child.start(nats_service(home, port), environment(home, port, **settings), home.parent / "nats.log")
    try:
        yield child, await child.ready()
    finally:
        await child.kill()


def server_of(child: Child) -> psutil.Process:
    (server,) = psutil.Process(child.pid).children()
    assert server.name() == "nats-server"
    return server


async def hello(port: int) -> dict[str, object]:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    verb, _, text = (await reader.readline()).partition(b" ")
    writer.close()
    assert verb == b"INFO"
    told: dict[str, object] = json.loads(text)
    return told


async def answer(port: int, token: str) -> str:
    """What the server says to a client that shows a token and asks whether somebody is there."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    await reader.readline()
    writer.write(f"CONNECT {json.dumps({'auth_token': token, 'verbose': False})}\r\nPING\r\n".encode())
    line = await asyncio.wait_for(reader.readline(), SECONDS)
    writer.close()
    return line.decode().strip()


async def test_it_is_ready_once_it_serves_streams_to_those_with_its_token(tmp_path: Path) -> None:
    home, port = tmp_path / "home", free_port(LOOPBACK)
    async with running(home, port) as (child, ready):
        assert ready == Ready(nats=f"nats://{LOOPBACK}:{port}")
        told = await hello(port)
        assert told["jetstream"]
        assert told["auth_required"]
        assert await answer(port, (home / "nats.token").read_text().strip()) == "PONG"
        assert "Authorization Violation" in await answer(port, "guessed")
        listening = {found.laddr.ip for found in server_of(child).net_connections() if found.status == "LISTEN"}
        assert listening == {LOOPBACK}
        assert await child.stop() == 0
    assert (home / "data" / "nats" / "jetstream").is_dir()


async def test_nobody_else_can_read_its_configuration_token_and_data(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with running(home, 0) as (child, _ready):
        for path in [home / "nats.conf", home / "nats.token", *home.joinpath("data").rglob("*")]:
            assert path.stat().st_mode & 0o077 == 0, path
        assert await child.stop() == 0


async def test_it_keeps_its_token_and_takes_the_sync_interval_that_is_set(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with running(home, 0):
        token = (home / "nats.token").read_text()
        assert "sync_interval: always" in (home / "nats.conf").read_text()
    async with running(home, 0, ONTOMESH_NATS_SYNC_INTERVAL="10s"):
        assert (home / "nats.token").read_text() == token
        assert 'sync_interval: "10s"' in (home / "nats.conf").read_text()


async def test_an_interval_that_makes_no_sense_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="exit code 2") as refused:
        async with running(tmp_path / "home", 0, ONTOMESH_NATS_SYNC_INTERVAL="sometimes"):
            pass
    assert "ONTOMESH_NATS_SYNC_INTERVAL" in refused.value.last_lines[0]


async def test_a_taken_port_is_refused_though_its_holder_might_answer(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(NotReady, match="exit code 3") as refused:
            async with running(tmp_path / "home", port):
                pass
    said = refused.value.last_lines[-1]
    assert f"error: {LOOPBACK}:{port}, which the NATS server wants for NATS, is taken by process {os.getpid()}" in said
    assert "choose another with ONTOMESH_NATS_PORT" in said


async def test_a_server_that_dies_takes_its_wrapper_along(tmp_path: Path) -> None:
    async with running(tmp_path / "home", 0) as (child, _ready):
        server_of(child).kill()
        assert await asyncio.wait_for(child.wait(), SECONDS) == signal.SIGKILL
    assert any("nats-server ended by itself (signal 9)" in line for line in child.last_lines())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a child that its parent died")
async def test_a_wrapper_that_is_killed_takes_its_server_along(tmp_path: Path) -> None:
    async with running(tmp_path / "home", 0) as (child, _ready):
        server = server_of(child)
        os.kill(child.pid, signal.SIGKILL)
        await child.wait()
        await asyncio.to_thread(server.wait, SECONDS)


async def test_the_end_of_the_lifeline_ends_both_politely(tmp_path: Path) -> None:
    async with running(tmp_path / "home", 0) as (child, _ready):
        server = server_of(child)
        os.close(child._lifeline)
        child._lifeline = -1
        assert await asyncio.wait_for(child.wait(), SECONDS) == 0
        assert not server.is_running()
    assert any("the parent is gone: stopping" in line for line in child.last_lines())


async def test_a_server_that_does_not_end_in_time_is_killed(tmp_path: Path) -> None:
    async with running(tmp_path / "home", 0, ONTOMESH_DRAIN_SECONDS="0.2") as (child, _ready):
        server = server_of(child)
        server.suspend()
        assert await child.stop() == 1
        assert not server.is_running()


async def test_it_starts_again_at_the_port_that_it_got(tmp_path: Path) -> None:
    service = nats_service(tmp_path / "home", 0)
    assert service.ports == (Port("NATS", 0, "ONTOMESH_NATS_PORT"),)
    async with running(tmp_path / "home", 0) as (_child, ready):
        port = int(ready.nats.rpartition(":")[2])
    async with running(tmp_path / "home", port) as (_child, again):
        assert again == ready
        assert replace(again, nats="") == Ready()
