"""The relay beside what is unusually large or many: nothing of it stands in the way of the rest."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest

from ontomesh_data_kernel.adapters.events import GatewayPublisher
from ontomesh_data_kernel.domain import backlog, relaying
from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.domain.model import KernelEvent
from ontomesh_data_kernel.domain.ontologies import OntologyCache
from ontomesh_data_kernel.ports import Outcome, PublishingFailed
from tests.contract.fake_gateway import FakeGateway, fake_gateway, text
from tests.contract.inprocess import ANA, DB, commit, kernel_on, new_database
from tests.contract.lines import NOTE, note
from tests.contract.stores import StoreInUse

pytestmark = [pytest.mark.usefixtures("store"), pytest.mark.live, pytest.mark.sqlite]

GATEWAYS_ATTRIBUTE_BYTES = 16 << 10


@pytest.fixture
async def gateway() -> AsyncIterator[FakeGateway]:
    async with fake_gateway() as gateway:
        gateway.refuses = lambda event: (
            sum(len(one.ce_string.encode()) for one in event.attributes.values()) > GATEWAYS_ATTRIBUTE_BYTES
        )
        yield gateway


@pytest.fixture
async def kernel(store: StoreInUse, tmp_path: Path, gateway: FakeGateway) -> AsyncIterator[Kernel]:
    (tmp_path / "relay.token").write_text("secret")
    async with AsyncExitStack() as resources:
        kernel = kernel_on(await store.open(tmp_path / "kernel.db"))
        resources.push_async_callback(kernel.close)
        kernel.start_relay(GatewayPublisher(gateway.address, tmp_path / "relay.token"), lambda lag: None)
        yield kernel


async def test_a_change_of_very_many_paths_is_told_by_some_of_them(kernel: Kernel, gateway: FakeGateway) -> None:
    leaves = {f"p{number}": {"@type": "Optional", "@class": "xsd:integer"} for number in range(10_000)}
    long = "long" * 30
    subs = [
        {"@type": "Class", "@id": f"S{depth}", "@subdocument": [], "@key": {"@type": "Random"}, long: f"S{depth + 1}"}
        for depth in range(40)
    ]
    last = {"@type": "Class", "@id": "S40", "@subdocument": [], "@key": {"@type": "Random"}, **leaves}
    await new_database(kernel, NOTE | {"sub": {"@type": "Optional", "@class": "S0"}}, *subs, last)

    def deep(value: int) -> dict[str, object]:
        inner: dict[str, object] = {"@type": "S40", **dict.fromkeys(leaves, value)}
        for depth in reversed(range(40)):
            inner = {"@type": f"S{depth}", long: inner}
        return inner

    await commit(kernel, note("a", sub=deep(1)))
    await commit(kernel, note("a", sub=deep(2)))
    made = await commit(kernel, note("after"))
    await gateway.until(lambda: bool(gateway.stored) and text(gateway.stored[-1], "commit") == made.commit.id, 40)
    told = orjson.loads(gateway.stored[-2].binary_data)
    assert told["changed_omitted"] is True
    assert told["changed"][0].startswith(f"sub.{long}.{long}.")
    assert len(gateway.stored[-2].binary_data) < 192 << 10


async def test_what_many_lines_hold_in_memory_is_bounded_while_the_gateway_is_away(
    kernel: Kernel, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "_HELD_BYTES", 40_000, raising=False)
    monkeypatch.setattr(relaying, "_LONGEST_PAUSE", 0.01)
    gateway.away = True
    await new_database(kernel, NOTE)
    text_ = "x" * 1_000
    for number in range(20):
        await kernel.branches.create(ANA, DB, f"b{number}", "main", False, "")
    for number in range(40):
        await asyncio.gather(
            *(commit(kernel, note(f"n{number}", text=text_), branch=f"b{branch}") for branch in range(20))
        )
    relay: Any = kernel.relay
    held = []
    failures = relay.status().failures
    async with asyncio.timeout(30):
        while relay.status().failures < failures + 40:
            lines = relay._backlog._behind.values()
            held.append(sum(len(one.change.body or b"") for line in lines for one in line.waiting if one.change))
            await asyncio.sleep(0.001)
    assert 0 < max(held) < 150_000
    gateway.away = False
    await gateway.until(lambda: len(gateway.stored) == 801)
    for number in range(20):
        told = [text(one, "subject") for one in gateway.stored if text(one, "branch") == f"b{number}"]
        assert told == [f"Note/n{each}" for each in range(40)]


async def test_nothing_is_sent_any_more_when_the_time_for_it_ran_out_meanwhile(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    (tmp_path / "relay.token").write_text("secret")
    publisher = GatewayPublisher(gateway.address, tmp_path / "relay.token")
    event = KernelEvent("i", "t", "/s", "s", 0, b"{}", "c")
    assert await publisher.publish([event], 5.0) == ([Outcome.STORED], "")
    asyncio.get_running_loop().call_soon(time.sleep, 0.3)
    with pytest.raises(PublishingFailed):
        await publisher.publish([event] * 20, 0.2)
    await publisher.publish([event], 5.0)
    assert [len(request.events) for request in gateway.requests] == [1, 1]
    await publisher.close()


class _Failing:
    """Publishes nothing, and gives another reason each time."""

    def __init__(self) -> None:
        self.failures = 0

    async def publish(self, events: Sequence[KernelEvent], seconds: float) -> tuple[Sequence[Outcome], str]:
        self.failures += 1
        raise PublishingFailed(f"failure {self.failures}")

    async def close(self) -> None:
        pass


async def test_the_log_tells_of_an_outage_now_and_then_however_its_reasons_change(
    store: StoreInUse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(relaying, "_LONGEST_PAUSE", 0.01)
    kernel = kernel_on(await store.open(tmp_path / "other.db"))
    failing = _Failing()
    relay = kernel.start_relay(failing, lambda lag: None)
    await new_database(kernel, NOTE)
    async with asyncio.timeout(20):
        while failing.failures < 20:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.01)
    assert relay.status().last_error.startswith("failure ")
    await kernel.close()
    assert sum("cannot go on" in record.message for record in caplog.records) == 1


async def test_the_cursors_of_a_deleted_database_go_together(
    store: StoreInUse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "_FORGET_SECONDS", 0.0)
    opened = await store.open(tmp_path / "other.db")
    kernel = kernel_on(opened)
    lines = backlog.Backlog(opened, OntologyCache(opened), lambda: 0)
    await new_database(kernel, NOTE)
    for number in range(20):
        await kernel.branches.create(ANA, DB, f"b{number}", "main", False, "")
    await asyncio.gather(*(commit(kernel, note("a"), branch=f"b{number}") for number in range(20)))
    await lines.load()
    while lines.behind:
        for due in await lines.batch():
            lines.passed(due)
        lines.settle()
    await lines.keep()
    assert len(await opened.state.list(backlog.CURSORS)) == 21
    await kernel.databases.delete(ANA, DB, "")
    under_way = most = 0
    swap = opened.state.swap

    async def counted(key: str, expected: int, value: bytes | None) -> int | None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await swap(key, expected, value)
        finally:
            under_way -= 1

    monkeypatch.setattr(opened.state, "swap", counted)
    await lines.scan()
    assert await opened.state.list(backlog.CURSORS) == []
    assert most == 21
    await kernel.close()
