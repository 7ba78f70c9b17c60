"""Validators of every kind see just what is stored, refuse what they object to, and cost nobody else anything."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from ontomesh.sdk.validation import Objection, Proposal
from ontomesh_chassis.outbound import OutboundFilter
from ontomesh_data_kernel.adapters.validators import ValidatorChecks, ValidatorMetrics
from ontomesh_data_kernel.adapters.validators.python import PythonChecks
from ontomesh_data_kernel.domain.caller import Caller
from ontomesh_data_kernel.domain.importing import Piece
from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.domain.model import (
    CommitRequest,
    Delete,
    FinishRequest,
    Insert,
    MergeRequest,
    OntologyEdit,
    Put,
    Update,
)
from ontomesh_data_kernel.domain.steps import RenameProperty
from ontomesh_data_kernel.domain.validators.model import (
    BuiltinCheck,
    FailurePolicy,
    GrpcCheck,
    HttpsCheck,
    Match,
    PythonCheck,
    Validator,
)
from ontomesh_data_kernel.domain.validators.registry import Registry
from ontomesh_data_kernel.errors import (
    AddressRefused,
    CommitRejected,
    EtagMismatch,
    InvalidRequest,
    PermissionDenied,
    SchemaViolation,
    StoreUnavailable,
    ValidatorNotFound,
    ValidatorUnavailable,
)
from ontomesh_data_kernel.ports import StateEntry
from tests.contract.inprocess import ANA, DB, Only, body, commit, documents, head, new_database, schema_edit
from tests.contract.stores import store_in_use
from tests.contract.validating import (
    Function,
    Hanging,
    as_json,
    find_in,
    grpc_validator,
    http_validator,
    objecting,
    open_validating,
    put,
    put_function,
    took,
    until,
)

pytestmark = [pytest.mark.usefixtures("store"), pytest.mark.sqlite]

THING = {
    "@type": "Class",
    "@id": "Thing",
    "@key": {"@type": "Lexical", "@fields": ["name"]},
    "name": "xsd:string",
    "note": {"@type": "Optional", "@class": "xsd:string"},
    "address": {"@type": "Optional", "@class": "Address"},
}
TOOL = {"@type": "Class", "@id": "Tool", "@inherits": "Thing", "@key": {"@type": "Lexical", "@fields": ["name"]}}
NOTE = {"@type": "Class", "@id": "Note", "@key": {"@type": "Lexical", "@fields": ["text"]}, "text": "xsd:string"}
ADDRESS = {
    "@type": "Class",
    "@id": "Address",
    "@subdocument": [],
    "@key": {"@type": "Random"},
    "city": {"@type": "Optional", "@class": "xsd:string"},
    "street": {"@type": "Optional", "@class": "xsd:string"},
}
SCHEMA = (ADDRESS, THING, TOOL, NOTE)
SHORT = 200_000
"""A deadline that tests wait out, in microseconds."""


def thing(name: str, cls: str = "Thing", **rest: Any) -> bytes:
    return body({"@type": cls, "name": name, **rest})


@pytest.fixture
def shown() -> Function:
    """The function `shown`, which objects to nothing unless a test says otherwise."""
    return Function()


@pytest.fixture
async def kernel(tmp_path: Path, shown: Function) -> AsyncIterator[Kernel]:
    hanging = Hanging()
    opened = await open_validating(tmp_path / "kernel.db", shown=shown, hanging=hanging)
    await new_database(opened, *SCHEMA)
    yield opened
    hanging.released.set()
    await opened.close()


async def refused(kernel: Kernel, *operations: Any, **rest: Any) -> CommitRejected:
    with pytest.raises(CommitRejected) as caught:
        await commit(kernel, *operations, **rest)
    return caught.value


def fields(error: CommitRejected) -> list[str]:
    return [violation.field for violation in error.violations]


async def test_a_validator_is_shown_what_the_commit_would_change(kernel: Kernel, shown: Function) -> None:
    await commit(kernel, Insert(thing("a", address={"@type": "Address", "city": "Rome"})), Insert(thing("gone")))
    before = await head(kernel)
    await put_function(kernel, "shown")
    made = await commit(
        kernel,
        Update("Thing/a", b'{"note":"n","address":{"street":"Via"}}'),
        Insert(thing("new", "Tool")),
        Delete("Thing/gone"),
        message="all at once",
        metadata={"ticket": "1"},
    )
    (proposal,) = shown.proposals
    changes = {change.id: change for change in proposal.changes}
    assert set(changes) == {"Thing/a", "Tool/new", "Thing/gone"}
    assert changes["Thing/a"].paths == ("address.street", "note")
    assert (changes["Thing/a"].before or {})["address"]["city"] == "Rome"
    assert (changes["Thing/a"].after or {})["note"] == "n"
    assert (changes["Tool/new"].before, changes["Tool/new"].classes) == (None, ("Tool", "Thing"))
    assert (changes["Thing/gone"].after, changes["Thing/gone"].paths) == (None, ())
    assert (proposal.validator, proposal.database, proposal.branch, proposal.head) == ("shown", DB, "main", before)
    assert (proposal.author, proposal.committer, proposal.message) == ("user:ana", "user:ana", "all at once")
    assert (dict(proposal.metadata), proposal.is_merge) == ({"ticket": "1"}, False)
    assert made.commit.parents == (before,)


async def test_objections_refuse_the_commit_by_document_and_property_in_order(kernel: Kernel, shown: Function) -> None:
    shown.answer = objecting("is too new", "note")
    await put_function(kernel, "shown", order=2)
    await put(kernel, "b-message", BuiltinCheck("message", {"pattern": r"^[A-Z]+-\d+"}), order=1)
    await put(kernel, "a-metadata", BuiltinCheck("metadata", {"keys": "ticket, reviewer"}), order=1)
    error = await refused(kernel, Insert(thing("a")), metadata={"ticket": "1"})
    assert fields(error) == ["metadata[reviewer]", "message", "Thing/a.note"]
    assert error.violations[2].description == "shown: is too new"
    assert error.metadata == {"validators": "a-metadata,b-message,shown"}
    assert await documents(kernel) == {}
    shown.answer = lambda proposal: None
    await commit(kernel, Insert(thing("a")), metadata={"ticket": "1", "reviewer": "bo"}, message="ABC-1 fine")


async def test_at_most_a_hundred_objections_are_told(kernel: Kernel, shown: Function) -> None:
    shown.answer = objecting()
    await put_function(kernel, "shown")
    error = await refused(kernel, *(Insert(thing(f"t{number:03}")) for number in range(150)))
    assert len(error.violations) == 100


@pytest.mark.parametrize(
    ("match", "seen"),
    [
        (Match(), ["Note/n", "Thing/t", "Tool/u"]),
        (Match(databases=("other",)), None),
        (Match(databases=("d*",), branches=("m*n",)), ["Note/n", "Thing/t", "Tool/u"]),
        (Match(branches=("release/*",)), None),
        (Match(classes=("Thing",)), ["Thing/t", "Tool/u"]),
        (Match(classes=("Tool", "Note")), ["Note/n", "Tool/u"]),
        (Match(classes=("Nothing",)), None),
        (Match(classes=("@schema",)), None),
        (Match(paths=("note",)), ["Thing/t"]),
        (Match(paths=("address.city",)), ["Tool/u"]),
        (Match(paths=("address",)), ["Tool/u"]),
        (Match(paths=("address.street",)), None),
        (Match(classes=("Note",), paths=("name",)), None),
    ],
)
async def test_a_validator_sees_what_matches_and_no_commit_without(
    kernel: Kernel, shown: Function, match: Match, seen: list[str] | None
) -> None:
    await put_function(kernel, "shown", match)
    city = {"@type": "Address", "city": "Rome"}
    await commit(
        kernel,
        Insert(thing("t", note="n")),
        Insert(thing("u", "Tool", address=city)),
        Insert(body({"@type": "Note", "text": "n"})),
    )
    assert [sorted(each) for each in shown.seen] == ([seen] if seen else [])


async def test_a_disabled_validator_is_not_asked(kernel: Kernel, shown: Function) -> None:
    await put_function(kernel, "shown", disabled=True)
    await commit(kernel, Insert(thing("a")))
    assert shown.proposals == []


@pytest.mark.parametrize(
    ("rule", "parameters", "operations", "field"),
    [
        ("no_deletes", {}, [Delete("Thing/a")], "Thing/a"),
        ("no_deletes", {}, [Put(thing("a", note="x"))], ""),
        ("append_only", {}, [Put(thing("a", note="x"))], "Thing/a"),
        ("append_only", {}, [Insert(thing("b"))], ""),
        ("immutable", {"properties": "note"}, [Put(thing("a", note="x"))], "Thing/a.note"),
        ("immutable", {"properties": "note"}, [Update("Thing/a", b'{"note":null}')], "Thing/a.note"),
        ("immutable", {"properties": "address"}, [Put(thing("a", note="x"))], ""),
        ("max_changes", {"count": "1"}, [Insert(thing("b")), Insert(thing("c"))], "commit"),
        ("max_changes", {"count": "2"}, [Insert(thing("b")), Insert(thing("c"))], ""),
    ],
)
async def test_the_kernels_own_rules(
    kernel: Kernel, rule: str, parameters: dict[str, str], operations: list[Any], field: str
) -> None:
    await commit(kernel, Insert(thing("a", note="first")))
    await put(kernel, "rule", BuiltinCheck(rule, parameters))
    if field:
        assert fields(await refused(kernel, *operations)) == [field]
    else:
        await commit(kernel, *operations)


async def test_what_the_ontology_refuses_is_not_judged(kernel: Kernel, shown: Function) -> None:
    await put_function(kernel, "shown")
    with pytest.raises(SchemaViolation):
        await commit(kernel, Insert(body({"@type": "Thing", "name": 1})))
    assert shown.proposals == []


async def test_a_trial_is_judged_and_an_answer_from_memory_is_not(kernel: Kernel, shown: Function) -> None:
    await put_function(kernel, "shown")
    request = CommitRequest(DB, "main", (Insert(thing("a")),), request_id="once")
    made = await kernel.commits.create(ANA, request)
    assert len(shown.proposals) == 1
    shown.answer = objecting()
    assert await kernel.commits.create(ANA, request) == made
    assert len(shown.proposals) == 1
    await refused(kernel, Insert(thing("b")), validate_only=True)


async def test_changes_of_the_ontology_are_shown_to_who_names_them(kernel: Kernel, shown: Function) -> None:
    await put_function(kernel, "shown", Match(classes=("@schema",)))
    await commit(kernel, ontology=schema_edit({"@type": "Class", "@id": "Extra"}))
    assert shown.seen == [["@schema/Extra"]]
    assert shown.proposals[0].changes[0].classes == ("@schema",)


async def test_a_migration_is_judged_by_every_document_that_it_rewrites(kernel: Kernel, shown: Function) -> None:
    await commit(kernel, *(Insert(thing(f"t{number}", note="x")) for number in range(3)))
    await put_function(kernel, "shown", Match(classes=("Thing",)))
    shown.answer = objecting()
    edit = OntologyEdit(b"", migrations=(RenameProperty("Thing", "note", "remark"),))
    error = await refused(kernel, ontology=edit)
    assert fields(error) == ["Thing/t0", "Thing/t1", "Thing/t2"]
    assert shown.proposals[0].changes[0].paths == ("note", "remark")
    shown.answer = lambda proposal: ()
    await commit(kernel, ontology=edit)
    assert (await documents(kernel))["Thing/t0"]["remark"] == "x"


async def test_a_merge_is_judged_by_what_it_brings(kernel: Kernel, shown: Function) -> None:
    await commit(kernel, Insert(thing("a")))
    await kernel.branches.create(ANA, DB, "side", "main", False, "")
    await commit(kernel, Put(thing("a", note="side")), Insert(thing("b")), branch="side")
    await commit(kernel, Insert(thing("c")))
    await put_function(kernel, "shown", Match(branches=("main",)))
    shown.answer = objecting()
    with pytest.raises(CommitRejected) as caught:
        await kernel.merges.merge(ANA, MergeRequest(DB, "main", "side"))
    assert fields(caught.value) == ["Thing/a", "Thing/b"]
    assert shown.proposals[0].is_merge
    shown.answer = lambda proposal: ()
    merged = await kernel.merges.merge(ANA, MergeRequest(DB, "main", "side"))
    assert merged.commit is not None


async def imported(kernel: Kernel, *lines: bytes, **rest: Any) -> Any:
    one = await kernel.imports.begin(ANA, DB, "main", "")

    async def pieces() -> AsyncIterator[Piece]:
        yield Piece(0, b"\n".join(lines), is_last=True)

    async for _ in kernel.imports.upload(ANA, DB, one.id, pieces()):
        pass
    return await kernel.imports.finish(ANA, FinishRequest(DB, one.id, **rest))


async def test_an_import_is_judged_page_by_page_and_by_what_differs_alone(kernel: Kernel, shown: Function) -> None:
    await commit(kernel, Insert(thing("t0000")), Insert(thing("t0001", note="old")))
    await put_function(kernel, "shown")
    lines = [thing(f"t{number:04}") for number in range(1_200)]
    await imported(kernel, *lines)
    assert shown.all_seen == [f"Thing/t{number:04}" for number in range(1, 1_200)]
    assert len({proposal.attempt_id for proposal in shown.proposals}) == 1
    first = shown.proposals[0].changes[0]
    assert (first.before or {})["note"] == "old"
    assert first.paths == ("note",)


async def test_an_import_is_refused_by_any_page_and_counted_over_all_of_them(kernel: Kernel, shown: Function) -> None:
    await put_function(kernel, "shown", Match(classes=("Tool",)))
    shown.answer = objecting()
    lines = [thing(f"t{number:04}") for number in range(700)]
    with pytest.raises(CommitRejected) as caught:
        await imported(kernel, *lines, thing("x", "Tool"))
    assert fields(caught.value) == ["Tool/x"]
    await kernel.validators.delete(ANA, "shown", "")
    await put(kernel, "few", BuiltinCheck("max_changes", {"count": "600"}))
    with pytest.raises(CommitRejected):
        await imported(kernel, *lines)
    await imported(kernel, *lines[:600])


async def test_a_large_commit_is_shown_in_pieces_of_one_attempt(kernel: Kernel, shown: Function) -> None:
    await put_function(kernel, "shown")
    await commit(kernel, *(Insert(thing(f"t{number:04}")) for number in range(2_300)))
    assert [len(each) for each in shown.seen] == [1_000, 1_000, 300]
    assert len({proposal.attempt_id for proposal in shown.proposals}) == 1
    shown.proposals.clear()
    await commit(kernel, *(Insert(thing(f"big{number}", note="x" * 900_000)) for number in range(5)))
    assert [len(each) for each in shown.seen] == [3, 2]


async def test_a_verdict_holds_for_just_what_was_judged(kernel: Kernel, shown: Function) -> None:
    await commit(kernel, Insert(thing("a")), Insert(thing("b")))
    await put_function(kernel, "shown", Match(branches=("main",)))
    loop, changed = asyncio.get_running_loop(), False

    def meddle(proposal: Proposal) -> list[Objection]:
        nonlocal changed
        if not changed and any(change.id == "Thing/a" for change in proposal.changes):
            changed = True
            other = commit(kernel, Update("Thing/a", b'{"note":"by another"}'))
            asyncio.run_coroutine_threadsafe(other, loop).result(10)
        return []

    shown.answer = meddle
    await commit(kernel, Update("Thing/a", b'{"address":{"@type":"Address","city":"Rome"}}'))
    mine = [proposal for proposal in shown.proposals if "address.city" in proposal.changes[0].paths]
    assert [(each.changes[0].before or {}).get("note") for each in mine] == [None, "by another"]
    assert mine[1].head != mine[0].head
    assert mine[1].attempt_id == mine[0].attempt_id


async def test_a_verdict_is_reused_when_others_change_other_documents(kernel: Kernel, shown: Function) -> None:
    await commit(kernel, Insert(thing("a")), Insert(thing("b")))
    await put_function(kernel, "shown")
    loop = asyncio.get_running_loop()

    def meddle(proposal: Proposal) -> list[Objection]:
        if proposal.changes[0].id == "Thing/a":
            other = commit(kernel, Update("Thing/b", b'{"note":"by another"}'))
            asyncio.run_coroutine_threadsafe(other, loop).result(10)
        return []

    shown.answer = meddle
    await commit(kernel, Update("Thing/a", b'{"note":"mine"}'))
    assert sorted(shown.all_seen) == ["Thing/a", "Thing/b"]


async def test_documents_that_always_change_meanwhile_end_the_attempts(kernel: Kernel, shown: Function) -> None:
    await commit(kernel, Insert(thing("a")))
    await put_function(kernel, "shown")
    loop, number = asyncio.get_running_loop(), 0

    def meddle(proposal: Proposal) -> list[Objection]:
        nonlocal number
        if proposal.message == "mine":
            number += 1
            other = commit(kernel, Put(thing("a", note=str(number))), message="other")
            asyncio.run_coroutine_threadsafe(other, loop).result(10)
        return []

    shown.answer = meddle
    with pytest.raises(StoreUnavailable):
        await commit(kernel, Update("Thing/a", b'{"address":{"@type":"Address","city":"Rome"}}'), message="mine")
    assert "address" not in (await documents(kernel))["Thing/a"]


async def test_a_merge_is_judged_again_when_others_change_its_documents(kernel: Kernel, shown: Function) -> None:
    await commit(kernel, Insert(thing("a")))
    await kernel.branches.create(ANA, DB, "side", "main", False, "")
    await commit(kernel, Update("Thing/a", b'{"note":"side"}'), branch="side")
    await put_function(kernel, "shown", Match(branches=("main",)))
    loop, moved = asyncio.get_running_loop(), False

    def meddle(proposal: Proposal) -> list[Objection]:
        nonlocal moved
        if not moved:
            moved = True
            other = commit(kernel, Update("Thing/a", b'{"address":{"@type":"Address","city":"Rome"}}'))
            asyncio.run_coroutine_threadsafe(other, loop).result(10)
        return []

    shown.answer = meddle
    await kernel.merges.merge(ANA, MergeRequest(DB, "main", "side"))
    (merged,) = [each for each in shown.proposals[1:] if each.is_merge]
    assert (merged.changes[0].before or {})["address"]["city"] == "Rome"


async def test_an_import_is_judged_again_when_others_change_its_documents(kernel: Kernel, shown: Function) -> None:
    await commit(kernel, Insert(thing("a", note="first")))
    await put_function(kernel, "shown")
    loop, moved = asyncio.get_running_loop(), False

    def meddle(proposal: Proposal) -> list[Objection]:
        nonlocal moved
        if not moved:
            moved = True
            other = commit(kernel, Update("Thing/a", b'{"note":"by another"}'), message="other")
            asyncio.run_coroutine_threadsafe(other, loop).result(10)
        return []

    shown.answer = meddle
    await imported(kernel, thing("a"), thing("z"), overwrite=True, message="mine")
    mine = [proposal for proposal in shown.proposals if proposal.message == "mine"]
    assert [(each.changes[0].before or {})["note"] for each in mine] == ["first", "by another"]
    assert "note" not in (await documents(kernel))["Thing/a"]


class Failing:
    """Answers of all the wrong kinds."""

    @staticmethod
    def raising(proposal: Proposal) -> None:
        raise RuntimeError("out of order")

    @staticmethod
    def exiting(proposal: Proposal) -> None:
        raise SystemExit(3)

    @staticmethod
    def garbage(proposal: Proposal) -> Any:
        return ["no objection"]

    @staticmethod
    def number(proposal: Proposal) -> Any:
        return 7

    @staticmethod
    async def broken(proposal: Proposal) -> None:
        raise ValueError("async and out of order")


@pytest.mark.parametrize("name", ["raising", "exiting", "garbage", "number", "broken"])
async def test_a_failing_function_fails_the_commit_by_its_policy(tmp_path: Path, name: str) -> None:
    kernel = await open_validating(tmp_path / "kernel.db", **{name: getattr(Failing, name)})
    await new_database(kernel, *SCHEMA)
    await put_function(kernel, name)
    with pytest.raises(ValidatorUnavailable) as caught:
        await commit(kernel, Insert(thing("a")))
    assert caught.value.metadata == {"validator": name, "cause": "error"}
    await put_function(kernel, name, failure_policy=FailurePolicy.ALLOW)
    await commit(kernel, Insert(thing("a")))
    _, standing = await kernel.validators.get(ANA, name)
    assert (standing.calls, standing.failures) == (0, 2)
    await kernel.close()


async def test_an_async_function_is_awaited_and_may_yield(tmp_path: Path) -> None:
    async def listing(proposal: Proposal) -> list[Objection]:
        await asyncio.sleep(0)
        return [Objection("no", proposal.changes[0].id)]

    async def yielding(proposal: Proposal) -> AsyncIterator[Objection]:
        yield Objection("no", proposal.changes[0].id, proposal.parameters["path"])

    kernel = await open_validating(tmp_path / "kernel.db", listing=listing, yielding=yielding)
    await new_database(kernel, *SCHEMA)
    await put_function(kernel, "listing")
    await put(kernel, "yielding", PythonCheck("yielding", {"path": "note"}))
    assert fields(await refused(kernel, Insert(thing("a")))) == ["Thing/a", "Thing/a.note"]
    await kernel.close()


async def test_a_function_that_hangs_costs_its_commit_its_deadline_and_four_threads_at_most(tmp_path: Path) -> None:
    hanging = Hanging()
    kernel = await open_validating(tmp_path / "kernel.db", hanging=hanging)
    await new_database(kernel, *SCHEMA)
    await put_function(kernel, "hanging", Match(classes=("Tool",)), deadline=SHORT)
    began = time.monotonic()
    outcomes = await asyncio.gather(
        *(commit(kernel, Insert(thing(f"t{number}", "Tool"))) for number in range(50)), return_exceptions=True
    )
    assert all(isinstance(each, ValidatorUnavailable) for each in outcomes)
    assert took(began) < 3
    assert hanging.calls == 4
    with pytest.raises(ValidatorUnavailable):
        await commit(kernel, Insert(thing("more", "Tool")))
    assert hanging.calls == 4
    hanging.released.set()
    await until(lambda: goes(kernel, Insert(thing("late", "Tool"))))
    await kernel.close()


async def goes(kernel: Kernel, *operations: Any) -> bool:
    try:
        await commit(kernel, *operations)
    except ValidatorUnavailable:
        return False
    return True


async def test_commits_beside_hanging_ones_keep_their_latency(kernel: Kernel) -> None:
    async def rate(name: str) -> list[float]:
        seconds = []
        for number in range(60):
            began = time.monotonic()
            await commit(kernel, Put(body({"@type": "Note", "text": f"{name}{number}"})))
            seconds.append(took(began))
        return sorted(seconds)

    alone = await rate("alone")
    await put_function(kernel, "hanging", Match(classes=("Tool",)), deadline=2_000_000)
    hung = [asyncio.create_task(commit(kernel, Insert(thing(f"t{number}", "Tool")))) for number in range(50)]
    began = time.monotonic()
    beside = await rate("beside")
    assert took(began) < 2, "it was measured while the others hang"
    assert not any(each.done() for each in hung)
    assert beside[30] < 3 * alone[30] + 0.01
    assert beside[-1] < 0.5
    outcomes = await asyncio.gather(*hung, return_exceptions=True)
    assert all(isinstance(each, ValidatorUnavailable) for each in outcomes)


async def test_all_validators_are_asked_at_once(tmp_path: Path) -> None:
    together = asyncio.Barrier(5)
    loop = asyncio.get_running_loop()

    def meet(proposal: Proposal) -> None:
        asyncio.run_coroutine_threadsafe(together.wait(), loop).result(10)

    kernel = await open_validating(tmp_path / "kernel.db", meet=meet)
    await new_database(kernel, *SCHEMA)
    for number in range(5):
        await put(kernel, f"v{number}", PythonCheck("meet"), deadline=5_000_000)
    await commit(kernel, Insert(thing("a")))
    await kernel.close()


async def test_a_service_judges_by_grpc_over_one_connection(kernel: Kernel) -> None:
    judge = Function(objecting("by grpc", "note"))
    async with grpc_validator(judge) as target:
        await put(kernel, "remote", GrpcCheck(target, plaintext=True))
        assert fields(await refused(kernel, Insert(thing("a", note="x")))) == ["Thing/a.note"]
        judge.answer = lambda proposal: ()
        await commit(kernel, Insert(thing("a", note="x")))
        await commit(kernel, *(Insert(thing(f"t{number:04}", note="y" * 2_000)) for number in range(2_500)))
    sizes = [len(each) for each in judge.seen[2:]]
    assert sum(sizes) == 2_500
    assert max(sizes) <= 1_000
    assert judge.proposals[1].changes[0].after == {"@id": "Thing/a", "@type": "Thing", "name": "a", "note": "x"}
    _, standing = await kernel.validators.get(ANA, "remote")
    assert (standing.calls, standing.rejections, standing.failures) == (3, 1, 0)


async def test_an_endpoint_judges_by_json(kernel: Kernel) -> None:
    asked: list[dict[str, Any]] = []
    verdict: dict[str, Any] = {"violations": [{"id": "Thing/a", "path": "name", "description": "by http"}]}

    async def answer(request: web.Request) -> web.Response:
        asked.append(await request.json())
        assert request.headers["traceparent"].split("-")[1]
        return as_json(verdict)

    async with http_validator(answer) as url:
        await put(kernel, "endpoint", HttpsCheck(url))
        error = await refused(kernel, Insert(thing("a")))
        assert (fields(error), error.violations[0].description) == (["Thing/a.name"], "endpoint: by http")
        verdict.clear()
        await commit(kernel, Insert(thing("a")))
    assert asked[1]["database"] == DB
    (change,) = asked[1]["changes"]
    assert orjson.loads(base64.b64decode(change["after"]))["name"] == "a"
    assert change["classes"] == ["Thing"]


async def redirecting(request: web.Request) -> web.StreamResponse:
    raise web.HTTPTemporaryRedirect("/elsewhere")


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" " * 65_536)


async def in_other_words(request: web.Request) -> web.StreamResponse:
    return as_json({"valid": False, "error": "not so"})


async def no_json(request: web.Request) -> web.StreamResponse:
    return web.Response(text="<html>fine</html>")


async def sleeping(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60)
    return as_json({})


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (redirecting, "error"),
        (endless, "error"),
        (in_other_words, "error"),
        (no_json, "error"),
        (sleeping, "deadline"),
    ],
)
async def test_an_answer_that_is_none_never_lets_a_commit_pass(kernel: Kernel, answer: Any, cause: str) -> None:
    async with http_validator(answer) as url:
        await put(kernel, "endpoint", HttpsCheck(url), deadline=1_000_000)
        with pytest.raises(ValidatorUnavailable) as caught:
            await commit(kernel, Insert(thing("a")))
    assert caught.value.metadata == {"validator": "endpoint", "cause": cause}
    assert await documents(kernel) == {}


async def test_the_circuit_opens_after_failures_and_closes_when_the_service_is_back(kernel: Kernel) -> None:
    judge = Function()
    async with grpc_validator(judge) as target:
        await put(kernel, "remote", GrpcCheck(target, plaintext=True))
        await commit(kernel, Insert(thing("first")))
    port = int(target.rpartition(":")[2])
    causes = []
    for number in range(8):
        with pytest.raises(ValidatorUnavailable) as caught:
            await commit(kernel, Insert(thing(f"t{number}")))
        causes.append(caught.value.metadata["cause"])
    assert causes[0] == "error"
    assert causes[-1] == "circuit_open"
    assert (await kernel.validators.get(ANA, "remote"))[1].circuit_open
    async with grpc_validator(judge, port):
        await until(lambda: goes(kernel, Insert(thing("back"))), 20)
    assert not (await kernel.validators.get(ANA, "remote"))[1].circuit_open


async def test_objections_count_more_than_the_failure_of_another(kernel: Kernel, shown: Function) -> None:
    shown.answer = objecting()
    await put_function(kernel, "shown")
    await put_function(kernel, "hanging", deadline=SHORT, order=-1)
    await refused(kernel, Insert(thing("a")))


async def test_another_kernel_knows_a_validator_within_two_seconds(tmp_path: Path, kernel: Kernel) -> None:
    shown = Function(objecting())
    other = await open_validating(tmp_path / "kernel.db", shown=shown)
    await commit(other, Insert(thing("before")))
    began = time.monotonic()
    await put_function(kernel, "shown", Match(classes=("Tool",)))
    number = 0
    while await goes_unjudged(other, f"t{number}"):
        number += 1
        assert took(began) < 2.1
        await asyncio.sleep(0.02)
    await kernel.validators.delete(ANA, "shown", "")
    await until(lambda: goes_unjudged(other, "again"), 2.2)
    await other.close()


async def goes_unjudged(kernel: Kernel, name: str) -> bool:
    try:
        await commit(kernel, Insert(thing(name, "Tool")))
    except CommitRejected:
        return False
    return True


async def test_validators_are_put_found_listed_and_deleted(kernel: Kernel) -> None:
    check = BuiltinCheck("no_deletes")
    first = await put(kernel, "b", check, description="keeps all", order=1)
    await put(kernel, "c", check, order=-5)
    await put(kernel, "a", check, order=1)
    assert (await kernel.validators.get(ANA, "b"))[0] == first
    page = await kernel.validators.list(ANA, 2, "")
    assert [one.name for one in page.validators] == ["c", "a"]
    rest = await kernel.validators.list(ANA, 2, page.next_page_token)
    assert ([one.name for one in rest.validators], rest.next_page_token) == (["b"], "")
    changed = await put(kernel, "b", check, disabled=True, etag=first.etag)
    assert (changed.create_time, changed.disabled) == (first.create_time, True)
    assert changed.etag != first.etag
    with pytest.raises(EtagMismatch):
        await put(kernel, "b", check, etag=first.etag)
    with pytest.raises(EtagMismatch):
        await put(kernel, "new", check, etag=first.etag)
    with pytest.raises(EtagMismatch):
        await kernel.validators.delete(ANA, "b", first.etag)
    await kernel.validators.delete(ANA, "b", changed.etag)
    with pytest.raises(ValidatorNotFound):
        await kernel.validators.get(ANA, "b")
    with pytest.raises(ValidatorNotFound):
        await kernel.validators.delete(ANA, "b", "")


async def test_a_validator_needs_admin_on_every_database_that_it_matches(kernel: Kernel) -> None:
    def who(*databases: str) -> Caller:
        def rule(right: str, database: str, branch: str | None) -> bool:
            return right in ("admin", "write") and any(
                database.startswith(name[:-1]) if name.endswith("*") else database == name for name in databases
            )

        return Caller("user:bo", "0" * 32, Only(rule))

    check = BuiltinCheck("no_deletes")
    bo = who("team-*")
    covered: list[tuple[str, ...]] = [("team-a",), ("team-a", "team-*"), ("team-*-x",)]
    for databases in covered:
        await kernel.validators.put(bo, Validator("v", check, match=Match(databases)))
    beyond: list[tuple[str, ...]] = [(), ("*",), ("tea*",), ("team-a", "d"), ("*team-*",)]
    for databases in beyond:
        with pytest.raises(PermissionDenied):
            await kernel.validators.put(bo, Validator("v", check, match=Match(databases)))
    await put(kernel, "all", check)
    with pytest.raises(PermissionDenied):
        await kernel.validators.put(bo, Validator("all", check, match=Match(("team-a",))))
    with pytest.raises(PermissionDenied):
        await kernel.validators.delete(bo, "all", "")
    nobody = Caller("user:no", "0" * 32, Only(lambda right, database, branch: right == "read"))
    with pytest.raises(PermissionDenied):
        await kernel.validators.get(nobody, "all")
    with pytest.raises(PermissionDenied):
        await kernel.validators.list(nobody, 0, "")


@pytest.mark.parametrize(
    "check",
    [
        GrpcCheck("10.0.0.1:443"),
        GrpcCheck("localhost:443"),
        GrpcCheck("[::1]:443"),
        GrpcCheck("169.254.169.254:80", plaintext=True),
        GrpcCheck("0x7f.1:443"),
        GrpcCheck("host"),
        HttpsCheck("http://93.184.216.34/check"),
        HttpsCheck("https://10.0.0.1/check"),
        HttpsCheck("https://[::ffff:10.0.0.1]/check"),
        HttpsCheck("ftp://93.184.216.34/check"),
        HttpsCheck("https://me:secret@93.184.216.34/"),
    ],
)
async def test_addresses_within_private_networks_are_refused(tmp_path: Path, check: GrpcCheck | HttpsCheck) -> None:
    kernel = await open_validating(tmp_path / "kernel.db", allow="")
    with pytest.raises(AddressRefused):
        await put(kernel, "remote", check)
    await kernel.close()


async def test_an_address_that_is_no_longer_allowed_fails_the_commit(tmp_path: Path) -> None:
    first = await open_validating(tmp_path / "kernel.db")
    await new_database(first, *SCHEMA)
    judge = Function()
    async with grpc_validator(judge) as target:
        await put(first, "remote", GrpcCheck(target, plaintext=True))
        await first.close()
        strict = await open_validating(tmp_path / "kernel.db", allow="")
        with pytest.raises(ValidatorUnavailable):
            await commit(strict, Insert(thing("a")))
        await strict.close()
    assert judge.proposals == []


@pytest.mark.parametrize(
    ("validator", "field"),
    [
        (Validator("", BuiltinCheck("no_deletes")), "validator.name"),
        (Validator("a b", BuiltinCheck("no_deletes")), "validator.name"),
        (Validator("v", BuiltinCheck("none")), "validator.builtin.rule"),
        (Validator("v", BuiltinCheck("message")), "validator.builtin.parameters[pattern]"),
        (Validator("v", BuiltinCheck("message", {"pattern": "("})), "validator.builtin.parameters[pattern]"),
        (Validator("v", BuiltinCheck("message", {"pattern": "(?=a)"})), "validator.builtin.parameters[pattern]"),
        (Validator("v", BuiltinCheck("max_changes", {"count": "-1"})), "validator.builtin.parameters[count]"),
        (Validator("v", BuiltinCheck("no_deletes", {"x": "1"})), "validator.builtin.parameters[x]"),
        (Validator("v", PythonCheck("nothing")), "validator.python.entry_point"),
        (Validator("v", GrpcCheck("")), "validator.grpc.target"),
        (Validator("v", BuiltinCheck("no_deletes"), deadline=999), "validator.deadline"),
        (Validator("v", BuiltinCheck("no_deletes"), deadline=30_000_001), "validator.deadline"),
        (Validator("v", BuiltinCheck("no_deletes"), match=Match(("a b",))), "validator.match.databases[0]"),
        (Validator("v", BuiltinCheck("no_deletes"), match=Match(paths=("a..b",))), "validator.match.paths[0]"),
        (Validator("v", BuiltinCheck("no_deletes"), match=Match(classes=("A/b",))), "validator.match.classes[0]"),
    ],
)
async def test_a_malformed_validator_is_refused_by_its_field(kernel: Kernel, validator: Validator, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await kernel.validators.put(ANA, validator)
    assert [violation.field for violation in caught.value.violations] == [field]


class CountingState:
    """An empty state that counts how often it is listed."""

    def __init__(self) -> None:
        self.asked = 0

    async def get(self, key: str) -> tuple[bytes, int] | None:
        raise AssertionError("commits ask for the list alone")

    async def swap(self, key: str, expected: int, value: bytes | None) -> int | None:
        raise AssertionError("commits change nothing of it")

    async def list(self, prefix: str) -> list[StateEntry]:
        self.asked += 1
        return []


async def test_commits_that_no_validator_sees_cost_a_small_read_beside_them_a_second() -> None:
    state, now = CountingState(), 100.0
    registry = Registry(state, clock=lambda: now)
    for _ in range(100):
        assert await registry.matching(DB, "main") == ()
    assert state.asked == 1
    now = 101.5
    for _ in range(100):
        assert await registry.matching(DB, "main") == ()
    assert state.asked == 1, "a copy that is fresh enough is renewed beside the commits"
    await until(lambda: state.asked == 2)
    now = 104.0
    await asyncio.gather(*(registry.matching(DB, "main") for _ in range(100)))
    assert state.asked == 3, "one that is too old is renewed once for all of them"
    await registry.close()


async def test_each_validator_is_counted(tmp_path: Path, shown: Function) -> None:
    collected = CollectorRegistry()
    functions = PythonChecks(find_in({"shown": shown, "hanging": Hanging()}))
    checks = ValidatorChecks(OutboundFilter(), ValidatorMetrics(collected), functions)
    store = await store_in_use().open(tmp_path / "kernel.db")
    kernel = Kernel(store, store_in_use().clock, store_in_use().random_id, checks)
    await new_database(kernel, *SCHEMA)
    await put_function(kernel, "shown")
    await commit(kernel, Insert(thing("a")))
    await commit(kernel, Insert(thing("b")))
    shown.answer = objecting()
    await refused(kernel, Insert(thing("c")))
    shown.answer = Failing.raising
    for number in range(6):
        with pytest.raises(ValidatorUnavailable):
            await commit(kernel, Insert(thing(f"d{number}")))
    told = {"validator": "shown"}

    def value(name: str, **labels: str) -> float | None:
        return collected.get_sample_value(f"ontomesh_validator_{name}", told | labels)

    assert (value("calls_total"), value("rejections_total"), value("circuit_open")) == (3.0, 1.0, 1.0)
    assert value("failures_total", cause="error") == 5.0
    assert value("failures_total", cause="circuit_open") == 1.0
    assert value("seconds_count") == 9.0
    await kernel.close()
