import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sdk.tests.events.gateway import Gateway
from sdk.tests.events.memory import Sub

from ontomesh.sdk import connect
from ontomesh.sdk.events import Event

BLOCKING = """
import sys, time
from ontomesh.sdk import connect

def handle(delivery):
    print("begun", flush=True)
    time.sleep(1)
    print("done", flush=True)

with connect("127.0.0.1:1", events_address=sys.argv[1]) as mesh:
    mesh.events.consume("s", handle)
"""
ASYNC = """
import asyncio, sys
from ontomesh.sdk import connect

async def handle(delivery):
    print("begun", flush=True)
    await asyncio.sleep(1)
    print("done", flush=True)

async def main():
    async with connect("127.0.0.1:1", events_address=sys.argv[1]) as mesh:
        await mesh.events.consume("s", handle)

asyncio.run(main())
"""


@pytest.mark.parametrize("script", [BLOCKING, ASYNC], ids=["blocking", "async"])
def test_ctrl_c_lets_a_handler_end_and_acknowledges(gateway: Gateway, home: Path, script: str) -> None:
    sub = given(gateway)
    with started(gateway, script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == b"done\n"
        process.wait(30)
    until(lambda: sub.consumers == [])
    assert sub.acknowledged == {1}
    assert len(sub.waiting) == 2


def test_what_a_killed_consumer_had_goes_to_another(gateway: Gateway, home: Path) -> None:
    sub = given(gateway)
    with started(gateway, ASYNC) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        process.kill()
    with started(gateway, ASYNC) as process:
        until(lambda: sub.acknowledged == {1, 2, 3})
        process.kill()


def given(gateway: Gateway) -> Sub:
    with connect("127.0.0.1:1", events_address=gateway.address) as mesh:
        mesh.events.create_subscription("s")
        mesh.events.publish(*(Event.of("a") for _ in range(3)))
    return gateway.memory.subs["s"]


def started(gateway: Gateway, script: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", script, gateway.address]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
