"""The relay: every commit's events, in order per branch, at least once, whatever fails."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from ontomesh_data_kernel.adapters.events import GatewayPublisher
from ontomesh_data_kernel.adapters.opening import OpenStore
from ontomesh_data_kernel.domain import leasing, relaying
from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.domain.model import Delete, Put
from ontomesh_data_kernel.domain.relaying import Relay
from ontomesh_data_kernel.errors import StoreUnavailable
from tests.contract.fake_gateway import CloudEvent, FakeGateway, fake_gateway, text
from tests.contract.inprocess import ANA, DB, body, commit, examples, kernel_on, new_database, schema_edit
from tests.contract.lines import NOTE, Known, imported, note, read_line
from tests.contract.stores import StoreInUse

pytestmark = [pytest.mark.usefixtures("store"), pytest.mark.live]


@dataclass
class Relaying:
    """A kernel with its relay."""

    publisher: Callable[[], GatewayPublisher]
    store: OpenStore
    kernel: Kernel
    relay: Relay

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(0.01)

    async def caught_up(self) -> None:
        """Wait until all that is committed by now is relayed."""
        heads = {line.id: line.head for line in await self.store.outbox.lines() if not line.is_ended}
        async with asyncio.timeout(30):
            while True:
                kept = {
                    one.key.removeprefix("relay/cursor/"): one.value.decode()
                    for one in await self.store.state.list("relay/cursor/")
                }
                lines = {line.id for line in await self.store.outbox.lines()}
                if kept.keys() == lines and all(kept.get(id) == head for id, head in heads.items()):
                    return
                await asyncio.sleep(0.02)


@dataclass
class Scene:
    """A gateway, and kernels over one store that relay to it."""

    gateway: FakeGateway
    start: Callable[[], Awaitable[Relaying]]


@pytest.fixture
async def scene(store: StoreInUse, tmp_path: Path) -> AsyncIterator[Scene]:
    (tmp_path / "relay.token").write_text("secret")
    async with AsyncExitStack() as resources:
        gateway = await resources.enter_async_context(fake_gateway())

        def publisher() -> GatewayPublisher:
            return GatewayPublisher(gateway.address, tmp_path / "relay.token")

        async def start() -> Relaying:
            opened = await store.open(tmp_path / "kernel.db")
            kernel = kernel_on(opened)
            resources.push_async_callback(kernel.close)
            relay = kernel.start_relay(publisher(), lambda lag: None)
            return Relaying(publisher, opened, kernel, relay)

        yield Scene(gateway, start)


@asynccontextmanager
async def quick_lease(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    for name, value in (("LASTS", 1.5), ("_MARGIN", 0.3)):
        monkeypatch.setattr(leasing, name, value)
    monkeypatch.setattr(relaying, "RENEW", 0.3)
    yield


def data(event: CloudEvent) -> Any:
    return orjson.loads(event.binary_data)


async def test_each_change_becomes_an_event(scene: Scene) -> None:
    here = await scene.start()
    kernel, gateway = here.kernel, scene.gateway
    special = {"@type": "Class", "@id": "Special", "@inherits": "Note", "@key": NOTE["@key"]}
    silent = NOTE | {"@id": "Silent", "@metadata": {"ontomesh": {"events": False}}}
    await new_database(kernel, NOTE, special, silent)
    made = await commit(
        kernel,
        note("a", text="x", count=1),
        Put(body({"@type": "Special", "name": "s"})),
        Put(body({"@type": "Silent", "name": "quiet"})),
    )
    changed = await commit(kernel, note("a", text="y" * 70_000, count=1), note("b"))
    gone = await commit(kernel, Delete("Note/b"))
    await gateway.until(lambda: len(gateway.stored) >= 8)
    await here.caught_up()
    schema, documents = gateway.stored[:3], gateway.stored[3:]
    assert {(one.type, text(one, "subject"), text(one, "operation")) for one in schema} == {
        ("ontomesh.ontology.changed", f"@schema/{name}", "insert") for name in ("Note", "Special", "Silent")
    }
    by_key = {(text(one, "commit"), text(one, "subject")): one for one in documents}
    assert len(documents) == 5
    first = by_key[made.commit.id, "Note/a"]
    assert first.id == f"{DB}/main/{made.commit.id}/Note/a"
    assert (first.type, first.source) == ("ontomesh.document.Note", f"/databases/{DB}/branches/main")
    assert first.attributes["time"].ce_timestamp.ToMicroseconds() == made.commit.time
    known = {name: text(first, name) for name in first.attributes if name != "time"}
    trace = f"00-{made.commit.trace_id}-{made.commit.id[:16]}-00"
    assert known == {
        "database": DB,
        "branch": "main",
        "class": "Note",
        "operation": "insert",
        "commit": made.commit.id,
        "author": "user:ana",
        "partitionkey": f"{DB}/main",
        "subject": "Note/a",
        "datacontenttype": "application/json",
        "traceparent": trace,
    }
    assert data(first) == {
        "id": "Note/a",
        "class": "Note",
        "operation": "insert",
        "changed": ["count", "name", "text"],
        "commit": made.commit.id,
        "etag": made.results[0].etag,
        "document": {"@id": "Note/a", "@type": "Note", "name": "a", "text": "x", "count": 1},
    }
    assert text(by_key[made.commit.id, "Special/s"], "ancestors") == "Note"
    large = data(by_key[changed.commit.id, "Note/a"])
    assert (large["changed"], large["operation"]) == (["text"], "replace")
    assert large["document_omitted"] is True
    assert "document" not in large
    removed = data(by_key[gone.commit.id, "Note/b"])
    assert removed == {
        "id": "Note/b",
        "class": "Note",
        "operation": "delete",
        "changed": ["name"],
        "commit": gone.commit.id,
        "etag": None,
    }
    assert all(one["authorization"] == "Bearer secret" for one in gateway.metadata)


async def test_a_class_that_goes_with_its_documents_is_told_with_its_ancestors(scene: Scene) -> None:
    here = await scene.start()
    special = {"@type": "Class", "@id": "Special", "@inherits": "Note", "@key": NOTE["@key"]}
    await new_database(here.kernel, NOTE, special)
    await commit(here.kernel, Put(body({"@type": "Special", "name": "s"})))
    made = await commit(here.kernel, Delete("Special/s"), ontology=schema_edit(remove=("Special",)))
    await here.caught_up()
    last = [event for event in scene.gateway.stored if text(event, "commit") == made.commit.id]
    assert sorted((text(one, "subject"), text(one, "operation")) for one in last) == [
        ("@schema/Special", "delete"),
        ("Special/s", "delete"),
    ]
    assert text(next(one for one in last if one.type.endswith(".Special")), "ancestors") == "Note"


async def test_an_import_comes_once_with_all_its_documents(scene: Scene) -> None:
    here = await scene.start()
    await new_database(here.kernel, NOTE)
    count = 3_000 if here.store.staging is not None else 300
    await commit(here.kernel, note("before"))
    made = await imported(here.kernel, *({"@type": "Note", "name": f"n{number}"} for number in range(count)))
    after = (await commit(here.kernel, note("after"))).commit.id
    await here.caught_up()
    ids = [text(one, "subject") for one in scene.gateway.stored if text(one, "commit") == made]
    assert sorted(ids) == sorted(f"Note/n{number}" for number in range(count))
    assert scene.gateway.commits_of("main")[-2:] == [made, after]
    assert scene.gateway.doubles == 0


async def test_what_is_refused_for_good_is_passed_and_what_fails_for_now_is_repeated_in_order(scene: Scene) -> None:
    gateway = scene.gateway
    gateway.refuses = lambda event: text(event, "subject") == "Note/n3"
    failing = {"Note/n5": 2, "Note/n6": 1}

    def fails(event: CloudEvent) -> bool:
        subject = text(event, "subject")
        failing[subject] = failing.get(subject, 0) - 1
        return failing[subject] >= 0

    gateway.fails = fails
    here = await scene.start()
    await new_database(here.kernel, NOTE)
    made = [(await commit(here.kernel, note(f"n{number}"))).commit.id for number in range(9)]
    await here.caught_up()
    assert gateway.commits_of("main")[1:] == [id for number, id in enumerate(made) if number != 3]
    assert [text(one, "subject") for one in gateway.dead] == ["Note/n3"]
    assert here.relay.status().dead_letters == 1
    assert here.relay.status().last_error == ""


async def test_commits_do_not_wait_for_a_gateway_that_is_away_or_hangs(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relaying, "_PUBLISH_SECONDS", 0.3)
    monkeypatch.setattr(relaying, "_LONGEST_PAUSE", 0.3)
    gateway = scene.gateway
    gateway.away = True
    here = await scene.start()
    await new_database(here.kernel, NOTE)
    await here.until(lambda: "away" in here.relay.status().last_error)
    status = here.relay.status()
    assert (status.leading, status.branches_behind, status.events) == (True, 1, 0)
    assert status.oldest_waiting is not None
    gateway.away, gateway.hangs = False, True
    async with asyncio.timeout(20):
        made = [(await commit(here.kernel, note(f"n{number}"))).commit.id for number in range(5)]
    await here.until(lambda: here.relay.status().failures > 2)
    gateway.hangs, gateway.answers_late = False, 1
    await here.caught_up()
    assert gateway.commits_of("main")[1:] == made
    assert gateway.doubles > 0
    status = here.relay.status()
    assert (status.branches_behind, status.oldest_waiting, status.last_error) == (0, None, "")


async def test_every_branch_has_its_turn(scene: Scene) -> None:
    gateway = scene.gateway
    gateway.away = True
    here = await scene.start()
    await new_database(here.kernel, NOTE)
    for name in ("side", "other"):
        await here.kernel.branches.create(ANA, DB, name, "main", False, "")
    await imported(here.kernel, *({"@type": "Note", "name": f"n{number}"} for number in range(600)))
    for branch in ("side", "other"):
        await commit(here.kernel, note("late"), branch=branch)
    gateway.away = False
    await here.caught_up()
    (first,) = [index for index, one in enumerate(gateway.stored) if text(one, "branch") == "side"]
    assert first < 300
    assert len(gateway.stored) == 603


async def test_a_branch_that_is_deleted_is_relayed_to_its_end_and_forgotten(scene: Scene) -> None:
    gateway = scene.gateway
    here = await scene.start()
    await new_database(here.kernel, NOTE)
    await here.caught_up()
    gateway.away = True
    await here.kernel.branches.create(ANA, DB, "side", "main", False, "")
    made = [(await commit(here.kernel, note(f"n{number}"), branch="side")).commit.id for number in range(3)]
    await here.kernel.branches.delete(ANA, DB, "side", "")
    await here.kernel.branches.create(ANA, DB, "side", f"commit:{made[-1]}", False, "")
    again = (await commit(here.kernel, note("again"), branch="side")).commit.id
    gateway.away = False
    await here.caught_up()
    assert set(gateway.commits_of("side")) == {*made, again}
    assert [id for id in gateway.commits_of("side") if id != again] == made
    assert len(await here.store.outbox.lines()) == len(await here.store.state.list("relay/cursor/")) == 2


async def test_of_two_kernels_one_relays_and_the_other_takes_over_at_once_when_it_stops(scene: Scene) -> None:
    gateway = scene.gateway
    one = await scene.start()
    await new_database(one.kernel, NOTE)
    await one.until(lambda: one.relay.status().leading)
    two = await scene.start()
    await commit(two.kernel, note("a"))
    await one.caught_up()
    assert not two.relay.status().leading
    await one.relay.close()
    assert not one.relay.status().leading
    await two.until(lambda: two.relay.status().leading)
    made = (await commit(one.kernel, note("b"))).commit.id
    await two.caught_up()
    assert gateway.commits_of("main")[-1] == made
    assert gateway.doubles == 0


@pytest.mark.sqlite
async def test_one_that_is_cut_off_stops_before_another_begins(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    async with quick_lease(monkeypatch):
        one = await scene.start()
        await new_database(one.kernel, NOTE)
        await one.until(lambda: one.relay.status().leading)
        two = await scene.start()
        lease: Any = one.relay

        async def refused() -> bool:
            raise StoreUnavailable("cut off")

        lease._lease.renew = refused
        led = []
        async with asyncio.timeout(20):
            while not two.relay.status().leading:
                led.append(one.relay.status().leading)
                assert not (one.relay.status().leading and two.relay.status().leading)
                await asyncio.sleep(0.005)
        assert led[0]
        made = (await commit(one.kernel, note("b"))).commit.id
        await two.caught_up()
        assert scene.gateway.commits_of("main")[-1] == made


async def test_the_events_of_any_history_are_those_of_the_naive_model(scene: Scene) -> None:
    drawn, gateway = random.Random(7), scene.gateway
    here = await scene.start()
    await new_database(here.kernel, NOTE)
    known = Known(here.kernel, drawn)
    (line,) = await here.store.outbox.lines()
    known.began("main", *(await read_line(here.store.outbox, line)).commits)
    for step in range(examples(250, 30)):
        gateway.away = drawn.random() < 0.1
        gateway.answers_late = drawn.random() < 0.1
        if step % 40 == 39:
            await here.relay.close()
            here.relay = here.kernel.start_relay(here.publisher(), lambda lag: None)
        await known.step()
    gateway.away, gateway.answers_late = False, 0
    await here.caught_up()
    order = {text(one, "commit"): index for index, one in reversed(list(enumerate(gateway.stored)))}
    for _, commits in known.lines:
        told = [order[id] for id in commits if id in order]
        assert told == sorted(told)
    expected = set()
    for branch, commits in known.lines:
        for id in commits:
            diff = await here.kernel.diffs.diff(ANA, DB, "", f"commit:{id}", False, 1_000, "")
            expected |= {f"{DB}/{branch}/{id}/{one.id}" for one in diff.documents}
    assert {one.id for one in gateway.stored} == expected
