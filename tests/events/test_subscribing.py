"""Plain streams: in order, from where they are told, as fast as their reader, and only what the caller may see."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from ontomesh.events.v1 import subscription_pb2
from tests.events.groups import calling, event, published
from tests.events.serving import Nats, ServingGateway

ALL = subscription_pb2.StartPoint(all=True)
pytestmark = pytest.mark.timeout(120)


async def read(stream: Any, count: int) -> list[tuple[str, int]]:
    """The next events as (id, sequence)."""
    found: list[tuple[str, int]] = []
    async with asyncio.timeout(30):
        while len(found) < count:
            response = await stream.read()
            found += [(one.event.id, one.sequence) for one in response.events]
    return found


async def test_a_stream_is_in_order_and_goes_on_with_what_is_new(gateway: ServingGateway) -> None:
    async with calling(gateway) as caller:
        sequences = await caller.publish(*[event(number) for number in range(700)])
        async with caller.subscribed(start=ALL) as stream:
            assert await read(stream, 700) == [(str(at), sequence) for at, sequence in enumerate(sequences)]
            (new,) = await caller.publish(event("new"))
            assert await read(stream, 1) == [("new", new)]
        async with caller.subscribed(start=subscription_pb2.StartPoint(sequence=sequences[-1])) as stream:
            assert [id_ for id_, _ in await read(stream, 2)] == ["699", "new"]


async def test_a_filter_narrows_a_stream(gateway: ServingGateway) -> None:
    async with calling(gateway) as caller:
        wanted = subscription_pb2.Filter(types=["test.b*"], subjects=["x*"])
        async with caller.subscribed(start=ALL, filter=wanted) as stream:
            await caller.publish(
                event(1, type_="test.a", subject="x"),
                event(2, type_="test.b", subject="y"),
                event(3, type_="test.bb", subject="xy"),
            )
            assert [id_ for id_, _ in await read(stream, 1)] == ["3"]


async def test_a_slow_reader_holds_up_only_itself(gateway: ServingGateway) -> None:
    async with calling(gateway) as caller, calling(gateway) as other:
        big = "x" * 100_000
        async with caller.subscribed(start=ALL) as slow, other.subscribed(start=ALL) as quick:
            memory = []
            for start in range(0, 900, 50):
                made = [event(number) for number in range(start, start + 50)]
                for one in made:
                    one.text_data = f'"{big}"'
                await other.publish(*made)
                assert len(await read(quick, 50)) == 50
                memory.append(_resident(gateway))
            # 45 MB more in the second half: they wait at the broker, not in the gateway.
            assert memory[-1] - memory[len(memory) // 2 - 1] < 25_000
            assert [id_ for id_, _ in await read(slow, 900)] == [str(number) for number in range(900)]


async def test_a_stream_goes_on_by_itself_after_a_restart_of_the_broker(nats: Nats, gateway: ServingGateway) -> None:
    async with calling(gateway) as caller, caller.subscribed(start=ALL) as stream:
        await caller.publish(event("before"))
        assert [id_ for id_, _ in await read(stream, 1)] == ["before"]
        nats.kill()
        await nats.start()
        await published(caller, "after")
        assert [id_ for id_, _ in await read(stream, 1)] == ["after"]


def _resident(gateway: ServingGateway) -> int:
    """The gateway's memory in kB."""
    status = Path(f"/proc/{gateway.process.pid}/status").read_text("ascii")
    return int(status.partition("VmRSS:")[2].split()[0])
