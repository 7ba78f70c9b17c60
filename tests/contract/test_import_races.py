"""Imports beside others: two at once, branches that move, ontologies that change, and what stands in their streams."""

import asyncio
import os
import socket
import sqlite3
import sys
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from ontomesh.sdk import connect
from ontomesh_data_kernel.adapters.sqlite.store import open_store
from ontomesh_data_kernel.domain.copying import copy_database, plan_copy
from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.domain.model import Delete, Insert, MergeRequest, Put
from ontomesh_data_kernel.errors import (
    DanglingLink,
    DocumentAlreadyExists,
    ImportConflict,
    ImportInvalid,
    ImportOutOfStep,
)
from tests.contract.inprocess import (
    ANA,
    DB,
    body,
    commit,
    documents,
    head,
    kernel_on,
    new_database,
    open_kernel,
    schema_edit,
)
from tests.contract.serving import serving, until
from tests.contract.stores import StoreInUse
from tests.contract.test_imports import LEAF, NODE, begin, finish, imported, lines, log, node, upload, verified

pytestmark = pytest.mark.sqlite


@pytest.fixture
async def kernel(store: StoreInUse, tmp_path: Path) -> AsyncIterator[Kernel]:
    kernel = await open_kernel(tmp_path / "kernel.db")
    await new_database(kernel, NODE, LEAF)
    yield kernel
    await kernel.close()


class TestOthersMeanwhile:
    async def test_imports_that_began_at_one_commit_end_one_after_another(self, kernel: Kernel) -> None:
        begun = [await begin(kernel) for _ in range(3)]
        for number, one in enumerate(begun):
            await upload(kernel, one, lines(node(f"n{number}")))
        made = [await finish(kernel, one) for one in begun]
        assert (await log(kernel))[:3] == [one.id for one in reversed(made)]
        assert set(await documents(kernel)) == {"Node/n0", "Node/n1", "Node/n2"}
        await commit(kernel, Put(body(node("n0", value=1))))
        assert (await kernel.refs.resolve(ANA, DB, "main~2")).commit.id == made[1].id
        await verified(kernel)

    async def test_what_was_the_same_and_was_changed_back_is_seen(self, kernel: Kernel) -> None:
        await commit(kernel, Insert(body(node("a", value=0))))
        one = await begin(kernel)
        await upload(kernel, one, lines(node("a", value=1), node("b", to=["Node/missing"])))
        await commit(kernel, Put(body(node("a", value=1))))
        with pytest.raises(DanglingLink):
            await finish(kernel, one)
        with pytest.raises(DocumentAlreadyExists) as refused:
            await finish(kernel, one, insert_only=True)
        assert [violation.field for violation in refused.value.violations] == ["line 1"]
        await commit(kernel, Put(body(node("a", value=0))), Insert(body(node("missing"))))
        with pytest.raises(ImportConflict):
            await finish(kernel, one)
        assert (await finish(kernel, one, overwrite=True)).change_count == 2
        assert (await documents(kernel))["Node/a"]["value"] == 1
        await verified(kernel)

    async def test_what_was_the_same_is_checked_under_another_ontology_when_it_comes_back(self, kernel: Kernel) -> None:
        await commit(kernel, Insert(body(node("a"))))
        one = await begin(kernel)
        await upload(kernel, one, lines(node("a"), node("b", value=2, to=["Node/missing"])))
        with pytest.raises(DanglingLink):
            await finish(kernel, one)
        await commit(kernel, Delete("Node/a"))
        await commit(kernel, ontology=schema_edit(NODE | {"value": "xsd:integer"}))
        await commit(kernel, Insert(body(node("a", value=1))), Insert(body(node("missing", value=2))))
        with pytest.raises(ImportInvalid) as refused:
            await finish(kernel, one, overwrite=True)
        assert [violation.field for violation in refused.value.violations] == ["line 1.value"]
        await commit(kernel, ontology=schema_edit(NODE))
        assert (await finish(kernel, one, overwrite=True)).change_count == 2
        assert "value" not in (await documents(kernel))["Node/a"]
        await verified(kernel)

    async def test_two_calls_that_finish_it_give_one_commit(self, kernel: Kernel) -> None:
        await commit(kernel, *(Insert(body(node(f"n{number}"))) for number in range(0, 900, 2)))
        one = await begin(kernel)
        await upload(kernel, one, lines(*(node(f"n{number}") for number in range(900))))
        made = await asyncio.gather(*(finish(kernel, one) for _ in range(3)))
        assert len({one.id for one in made}) == 1
        await verified(kernel)

    async def test_broken_off_while_it_was_checked_again_it_ends_without_another_upload(self, kernel: Kernel) -> None:
        one = await begin(kernel)
        data = lines(node("a"))
        await upload(kernel, one, data)
        await commit(kernel, ontology=schema_edit(NODE | {"value": "xsd:integer"}))
        with pytest.raises(ImportInvalid):
            await finish(kernel, one)
        state = await kernel.imports.get(ANA, DB, one.id)
        assert len(state.ontologies) == 2
        await commit(kernel, ontology=schema_edit(NODE))
        assert (await upload(kernel, state, b"")).offset == len(data)
        with pytest.raises(ImportOutOfStep):
            await upload(kernel, state, lines(node("b")))
        assert (await finish(kernel, one, expected_offset=len(data))).change_count == 1

    async def test_a_branch_made_anew_meanwhile_takes_it(self, kernel: Kernel) -> None:
        await commit(kernel, Insert(body(node("old"))))
        await kernel.branches.create(ANA, DB, "side", "main", False, "")
        one = await begin(kernel, "side")
        await upload(kernel, one, lines(node("a", to=["Node/old"])))
        await kernel.branches.delete(ANA, DB, "side", "")
        await kernel.branches.create(ANA, DB, "side", "main~1", False, "")
        with pytest.raises(DanglingLink):
            await finish(kernel, one)
        await kernel.branches.delete(ANA, DB, "side", "")
        await imported(kernel, node("more"))
        await kernel.branches.create(ANA, DB, "side", "main", False, "")
        made = await finish(kernel, one)
        assert made.parents == (await head(kernel),)
        assert set(await documents(kernel, "side")) == {"Node/old", "Node/more", "Node/a"}
        await verified(kernel, "side")


class TestTwoKernels:
    async def test_another_kernel_over_the_file_sees_the_same(
        self, kernel: Kernel, store: StoreInUse, tmp_path: Path
    ) -> None:
        other = kernel_on(await open_store(tmp_path / "kernel.db", store.clock))
        await commit(kernel, Insert(body(node("old"))))
        one = await begin(kernel)
        await upload(kernel, one, lines(*(node(f"n{number}", to=["Node/old"]) for number in range(300))))
        await other.branches.create(ANA, DB, "before", "main", False, "")
        await commit(other, Put(body(node("old", value=1))))
        assert await log(other) == await log(kernel)
        made = await finish(other, one)
        assert await finish(kernel, one) == made
        await kernel.branches.create(ANA, DB, "after", "main", False, "")
        await commit(other, Delete("Node/n7"), branch="after")
        await commit(kernel, Put(body(node("n8", value=8))))
        await commit(other, Insert(body(node("z"))), branch="before")
        merged = await other.merges.merge(ANA, MergeRequest(DB, "main", "after"))
        assert merged.commit is not None
        again = await kernel.merges.merge(ANA, MergeRequest(DB, "before", "main"))
        assert again.commit is not None
        for ref in ("main", "after", "before"):
            assert await documents(other, ref) == await documents(kernel, ref)
            assert await log(other, ref) == await log(kernel, ref)
            for reader in (kernel, other):
                await verified(reader, ref)
        assert len(await documents(kernel, "before")) == 301
        await other.close()


class TestCopy:
    async def test_a_copy_of_imports_has_the_same_commits(
        self, kernel: Kernel, store: StoreInUse, tmp_path: Path
    ) -> None:
        await commit(kernel, Insert(body(node("old"))))
        both = [await begin(kernel) for _ in range(2)]
        for number, one in enumerate(both):
            names = range(number * 700, number * 700 + 700)
            await upload(kernel, one, lines(*(node(f"n{name}", to=["Node/old"], mail=f"m{name}") for name in names)))
        await finish(kernel, both[0])
        await kernel.branches.create(ANA, DB, "side", "main", False, "")
        await commit(kernel, Put(body(node("n1", value=1))))
        await finish(kernel, both[1])
        await imported(kernel, node("n5", value=5), node("s"), branch="side")
        await commit(kernel, Delete("Node/n3"), branch="side")
        await kernel.merges.merge(ANA, MergeRequest(DB, "main", "side"))
        await kernel.branches.create(ANA, DB, "early", "main~1", False, "")
        source = await open_store(tmp_path / "kernel.db", store.clock)
        target = await open_store(tmp_path / "copy.db", store.clock)
        done = await copy_database(source, target, await plan_copy(source, target, DB), lambda _: None)
        assert not done.problems
        await imported(kernel, node("later"), node("n9", value=9))
        done = await copy_database(source, target, await plan_copy(source, target, DB), lambda _: None)
        assert (done.commits, list(done.problems)) == (1, [])
        copied = kernel_on(target)
        for ref in ("main", "side", "early"):
            assert await log(copied, ref) == await log(kernel, ref)
            assert await documents(copied, ref) == await documents(kernel, ref)
            await verified(copied, ref)
        await source.close()
        await target.close()


class TestStream:
    async def test_blank_lines_take_no_memory(self, kernel: Kernel) -> None:
        one = await begin(kernel)
        data = b"\n" * (4 << 20) + lines(node("a"))
        tracemalloc.start()
        state = await upload(kernel, one, data, piece=1 << 20)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (state.lines, state.offset, state.documents) == ((4 << 20) + 1, len(data), 1)
        assert peak < 32 << 20

    async def test_line_ends_of_windows_are_taken_and_a_byte_order_mark_is_named(self, kernel: Kernel) -> None:
        one = await begin(kernel)
        data = b"\xef\xbb\xbf" + lines(node("a"), node("b")).replace(b"\n", b"\r\n") + b"\r\n"
        state = await upload(kernel, one, data, piece=2)
        assert (state.documents, state.lines) == (1, 3)
        assert [(fault.line, "byte order mark" in fault.description) for fault in state.faults] == [(1, True)]


PART: dict[str, Any] = {
    "@type": "Class",
    "@id": "Part",
    "@key": {"@type": "Random"},
    "name": "xsd:string",
    "text": {"@type": "Optional", "@class": "xsd:string"},
}


def part(number: int) -> dict[str, Any]:
    return {"@type": "Part", "name": f"p{number:06}", "text": "x" * 1_000}


class TestServed:
    async def test_http_calls_of_one_request_id_leave_each_other_alone(self, tmp_path: Path) -> None:
        data = lines(*(part(number) for number in range(6_000)))
        begun = "SELECT count(*) FROM import WHERE dropped=0 AND request=?"

        async def chunks(key: str, end: int) -> AsyncIterator[bytes]:
            for start in range(0, len(data), 1 << 16):
                if start > end:
                    await until(lambda: store.execute(begun, (key,)).fetchone()[0] == 1)
                    raise ConnectionError
                yield data[start : start + (1 << 16)]
                await asyncio.sleep(0)

        async with serving(tmp_path) as kernel:
            headers = {"authorization": f"Bearer {kernel.token()}"}
            async with httpx.AsyncClient(base_url=f"{kernel.http}/v1", headers=headers, timeout=60) as http:
                await http.post("/databases", json={"name": DB})
                await http.post(f"/databases/{DB}/commits", json={"ontology": {"schema": [PART]}})

                async def post(key: str, end: int = len(data)) -> int:
                    path, key_header = f"/databases/{DB}/imports", {"Idempotency-Key": key} if key else {}
                    return (await http.post(path, content=chunks(key, end), headers=key_header)).status_code

                store = sqlite3.connect(tmp_path / "data" / "kernel.db")
                for key in ("", "nightly"):
                    with pytest.raises(ConnectionError):
                        await post(key, 3 << 20)
                kept = "SELECT request FROM import WHERE dropped=0"
                await until(lambda: store.execute(kept).fetchall() == [("nightly",)])
                store.close()
                # What is left of the call that broke off may yet come before all of them.
                while 201 not in (answers := await asyncio.gather(*(post("nightly") for _ in range(3)))):
                    assert set(answers) == {409}
                assert await post("nightly") == 201
                told = await http.get(f"/databases/{DB}/export")
                assert len(told.content.splitlines()) == 6_000

    async def test_a_source_that_fails_ends_the_import_with_its_error(self, tmp_path: Path) -> None:
        def failing() -> Iterator[dict[str, Any]]:
            yield part(1)
            raise KeyError("mine")

        endless, broken = tmp_path / "endless.json", tmp_path / "broken.json"
        endless.write_bytes(b'[{"@type":"' + b"x" * (4 << 20))
        broken.write_bytes(b'[{"@type":"Part","name":"p"}, {"@type"')
        async with serving(tmp_path) as kernel, connect(kernel.grpc, home=tmp_path) as mesh:
            await mesh.databases.create(DB)
            database = mesh.database(DB)
            await database.apply_ontology([PART])
            for source, error in (
                (failing(), KeyError),
                (tmp_path / "none.ndjson", FileNotFoundError),
                (endless, ValueError),
                (broken, ValueError),
            ):
                with pytest.raises(error):
                    await asyncio.wait_for(database.import_documents(source), 20)

    async def test_a_source_is_read_on_where_the_connection_broke(self, tmp_path: Path) -> None:
        settings = {"ONTOMESH_KERNEL_GRPC_PORT": str(free_port()), "ONTOMESH_LOG_LEVEL": "ERROR"}
        async with AsyncExitStack() as stack:
            kernel = await stack.enter_async_context(serving(tmp_path, **settings))
            mesh = await stack.enter_async_context(connect(kernel.grpc, home=tmp_path))
            await mesh.databases.create(DB)
            database = mesh.database(DB)
            await database.apply_ontology([PART])

            async def slow() -> AsyncIterator[dict[str, Any]]:
                for number in range(2_000):
                    yield part(number)
                    if number == 1_000:
                        kernel.process.kill()
                        await kernel.process.wait()
                        await asyncio.sleep(0.3)
                        await stack.enter_async_context(serving(tmp_path, **settings))

            assert (await database.import_documents(slow())).change_count == 2_000

    async def test_an_export_goes_on_when_the_kernel_is_back(self, tmp_path: Path) -> None:
        settings = {"ONTOMESH_KERNEL_GRPC_PORT": str(free_port()), "ONTOMESH_LOG_LEVEL": "ERROR"}
        names: list[str] = []
        async with AsyncExitStack() as stack:
            kernel = await stack.enter_async_context(serving(tmp_path, **settings))
            mesh = await stack.enter_async_context(connect(kernel.grpc, home=tmp_path))
            await mesh.databases.create(DB)
            database = mesh.database(DB)
            await database.apply_ontology([PART])
            await database.import_documents([part(number) for number in range(20_000)])
            restarted: asyncio.Task[Any] | None = None
            async for piece in database.export_documents("Part"):
                names += [orjson.loads(line)["name"] for line in piece.data.splitlines()]
                if len(names) > 2_000 and restarted is None:
                    kernel.process.kill()
                    await kernel.process.wait()
                    restarted = asyncio.create_task(stack.enter_async_context(serving(tmp_path, **settings)))
            assert restarted is not None
            await restarted
        assert sorted(names) == [part(number)["name"] for number in range(20_000)]

    async def test_the_same_command_goes_on_after_it_was_killed(self, tmp_path: Path) -> None:
        source, target = tmp_path / "parts.ndjson", tmp_path / "out.ndjson"
        source.write_bytes(lines(*(part(number) for number in range(20_000))))
        async with serving(tmp_path) as kernel, connect(kernel.grpc, home=tmp_path) as mesh:
            await mesh.databases.create(DB)
            await mesh.database(DB).apply_ontology([PART])
            clean = {name: value for name, value in os.environ.items() if not name.startswith("ONTOMESH_")}
            settings = {"ONTOMESH_HOME": str(tmp_path), "ONTOMESH_ADDRESS": kernel.grpc, "ONTOMESH_DATABASE": DB}

            async def start(*arguments: str) -> asyncio.subprocess.Process:
                command = (str(Path(sys.executable).with_name("ontomesh")), *arguments)
                pipe = asyncio.subprocess.PIPE
                return await asyncio.create_subprocess_exec(
                    *command, env={**clean, **settings, "NO_COLOR": "1"}, stdout=pipe, stderr=pipe
                )

            store = sqlite3.connect(tmp_path / "data" / "kernel.db")
            begun = await start("import", str(source), "-m", "All of it")
            await until(lambda: store.execute("SELECT count(*) FROM staged").fetchone()[0] > 2_000, 30)
            begun.kill()
            await begun.wait()
            store.close()
            told, noted = await (await start("import", str(source), "-m", "All of it")).communicate()
            head = (await mesh.database(DB).show()).id
            assert told.decode() == f"[main {head[:12]}] All of it\n 20,000 documents changed\n"
            assert noted.startswith(b"note: going on after ")

            begun = await start("export", "-o", str(target))
            await until(Path(f"{target}.partial.json").exists, 30)
            begun.kill()
            await begun.wait()
            assert not target.exists()
            other = await start("export", "Part", "-o", str(target), "--resume")
            assert b"is of another export" in (await other.communicate())[1]
            resumed = await start("export", "-o", str(target), "--resume")
            assert (await resumed.communicate())[0].startswith(b"20,000 documents exported")
            names = sorted(orjson.loads(line)["name"] for line in target.read_bytes().splitlines())
            assert names == [part(number)["name"] for number in range(20_000)]
            assert await asyncio.to_thread(lambda: [one.name for one in tmp_path.glob("out*")]) == ["out.ndjson"]


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port
