"""The SDK against the real kernel: every method of both clients, models, exact numbers, restarts and drains."""

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import Field

from ontomesh.kernel.v1 import ref_pb2
from ontomesh.sdk import (
    MISSING,
    AsyncDatabase,
    AsyncDatabases,
    AsyncMesh,
    Delete,
    Mesh,
    OntologyChange,
    Replace,
    Resolution,
    Update,
    connect,
)
from ontomesh.sdk.checks import BuiltinCheck, GrpcCheck, Validator
from ontomesh.sdk.connection import Connection
from ontomesh.sdk.errors import (
    AddressRefused,
    CommitRejected,
    DocumentNotFound,
    EtagMismatch,
    ImportInvalid,
    ImportNotFound,
    InvalidSchema,
    SchemaViolation,
    StaleHead,
    StillReferenced,
    Unavailable,
    ValidatorNotFound,
    ValidatorUnavailable,
)
from ontomesh.sdk.migrations import RenameProperty
from ontomesh.sdk.models import DocumentModel, Link, hashed, lexical, ontology_of, random_key, value_hash
from ontomesh.sdk.resources import ImportProgress
from ontomesh.sdk.validators import AsyncValidators
from ontomesh_data_kernel import embedded
from tests.contract.serving import OWNER, Serving, serving
from tests.contract.stores import SERVER

pytestmark = pytest.mark.xdist_group("contract-sdk")

Flavour = Literal["async", "blocking"]
Place = Literal["served", "embedded"]


class Licence(Enum):
    FREE = "free"
    CLOSED = "closed"


class Thing(DocumentModel, abstract=True):
    """Whatever has a name."""

    name: str


class Person(Thing, key=lexical("name")):
    """Somebody."""

    age: int | None = None


class Package(Thing, key=lexical("name", "version")):
    version: str
    price: Decimal
    weight: float = 0.0
    licence: Licence
    maintainer: Link[Person] | None = None
    requires: set[Link["Package"]] = Field(default_factory=set)
    tags: set[str] = Field(default_factory=set)
    sizes: list[int] = Field(default_factory=list)
    released: datetime | None = None
    day: date | None = None
    digest: bytes = b""
    yanked: bool = False


class Note(DocumentModel, key=random_key()):
    text: str


class Digest(DocumentModel, key=hashed("text")):
    text: str


class Fact(DocumentModel, key=value_hash()):
    text: str


class Client:
    """Either client by the names of its methods, and which of them were called."""

    def __init__(self, mesh: AsyncMesh | Mesh) -> None:
        self._mesh: Any = mesh
        self._database: Any = mesh.database("catalog")
        self._others: dict[str, Any] = {"validators": mesh.validators}
        self.called: set[str] = set()

    async def __call__(self, name: str, *arguments: Any, **options: Any) -> Any:
        """The answer; of a method that gives several things, the list of them."""
        self.called.add(name)
        owner, _, method = name.rpartition(".")
        target = {"": self._database, "databases": self._mesh.databases, "mesh": self._mesh, **self._others}[owner]
        call = getattr(target, method)
        if isinstance(self._mesh, Mesh):
            return await asyncio.to_thread(self._blocking, call, arguments, options)
        made = call(*arguments, **options)
        return [each async for each in made] if isinstance(made, AsyncIterator) else await made

    @staticmethod
    def _blocking(call: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        made = call(*arguments, **options)
        return list(made) if isinstance(made, Iterator) else made


@asynccontextmanager
async def client_of(kernel: Serving, flavour: Flavour) -> AsyncIterator[Client]:
    async with opened(connect(kernel.grpc, token=kernel.token(), home=kernel.home), flavour) as client:
        yield client


@asynccontextmanager
async def client_at(place: Place, folder: Path, flavour: Flavour) -> AsyncIterator[Client]:
    """A client of a kernel that is served over gRPC, or that lives in this process."""
    if place == "embedded":
        async with opened(embedded.open(folder / "kernel.db", principal=OWNER), flavour) as client:
            yield client
        return
    async with serving(folder) as kernel, client_of(kernel, flavour) as client:
        yield client


@asynccontextmanager
async def opened(connection: Connection, flavour: Flavour) -> AsyncIterator[Client]:
    if flavour == "async":
        async with connection as mesh:
            yield Client(mesh)
        return
    blocking = await asyncio.to_thread(connection.open)
    try:
        yield Client(blocking)
    finally:
        await asyncio.to_thread(blocking.close)


def methods() -> set[str]:
    """Every method of the clients that asks the kernel."""
    owners = (("", AsyncDatabase), ("databases.", AsyncDatabases), ("validators.", AsyncValidators))
    return {
        f"{prefix}{name}"
        for prefix, owner in owners
        for name, _ in inspect.getmembers(owner, inspect.isfunction)
        if not name.startswith("_")
    } | {"mesh.health"}


async def import_and_export(ask: Client, folder: Path) -> None:
    """Documents in and out in bulk: from a file, from an array, from Python; resumed; and given up."""
    people = [{"@type": "Person", "name": f"p{number}", "age": number} for number in range(300)]
    told: list[ImportProgress] = []
    commit = await ask("import_documents", people, message="people", progress=told.append)
    assert (commit.message, commit.change_count) == ("people", 300)
    assert (told[-1].documents, told[-1].finishing) == (300, True)
    begun = await ask("begin_import", request_id="again")
    assert await ask("begin_import", request_id="again") == begun
    array = folder / "people.json"
    laid_out = json.dumps([one | {"age": 7} for one in people], indent=1)
    await asyncio.to_thread(array.write_text, laid_out, "utf-8")
    assert (await ask("import_documents", array, resume=begun.id)).change_count == 299
    assert (await ask("get_import", begun.id)).commit != ""
    given_up = await ask("begin_import")
    await ask("abort_import", given_up.id)
    with pytest.raises(ImportNotFound):
        await ask("get_import", given_up.id)
    with pytest.raises(ImportInvalid, match=r"line 2\.age"):
        await ask("import_documents", [people[0], people[1] | {"age": "old"}])
    parts = await ask("export_documents", "Person")
    lines = b"".join(part.data for part in parts).splitlines()
    assert len([one for one in map(json.loads, lines) if one["name"].startswith("p") and one.get("age") == 7]) == 300


async def manage_validators(ask: Client) -> None:
    rule = Validator("tickets", BuiltinCheck("message", {"pattern": "^[A-Z]+-"}), classes=("Note",), deadline=0.5)
    put = await ask("validators.put", rule)
    assert (put.check, put.classes, put.deadline, put.on_failure) == (rule.check, ("Note",), 0.5, "reject")
    with pytest.raises(CommitRejected) as rejected:
        await ask("put", Note(text="x"))
    assert [violation.field for violation in rejected.value.violations] == ["message"]
    assert rejected.value.metadata["validators"] == "tickets"
    await ask("put", Note(text="x"), message="ABC-1")
    changed = await ask("validators.put", replace(put, disabled=True, on_failure="allow"))
    assert changed.disabled
    assert changed.on_failure == "allow"
    with pytest.raises(EtagMismatch):
        await ask("validators.put", put)
    with pytest.raises(AddressRefused):
        await ask("validators.put", Validator("inside", GrpcCheck("10.0.0.1:443")))
    status = await ask("validators.get", "tickets")
    assert (status.validator, status.calls, status.rejections, status.failures) == (changed, 2, 1, 0)
    assert await ask("validators.list", page_size=1) == [changed]
    assert not (await ask("validators.relay_status")).enabled
    await ask("validators.delete", "tickets", etag=changed.etag)
    with pytest.raises(ValidatorNotFound):
        await ask("validators.get", "tickets")


async def test_a_validator_that_fails_is_asked_once_for_each_commit_and_stops_nothing_else(tmp_path: Path) -> None:
    async with (
        serving(tmp_path / "home", ONTOMESH_OUTBOUND_ALLOW="127.0.0.0/8") as kernel,
        connect(kernel.grpc, token=kernel.token()) as mesh,
    ):
        await mesh.databases.create("catalog")
        database = mesh.database("catalog")
        await database.apply_ontology(ontology_of(Note))
        await mesh.validators.put(Validator("away", GrpcCheck("127.0.0.1:1", plaintext=True)))
        for number in range(8):
            with pytest.raises(ValidatorUnavailable):
                await database.put(Note(text=str(number)))
        with pytest.raises(ValidatorUnavailable):
            await database.import_documents([{"@type": "Note", "text": "imported"}])
        assert (await mesh.validators.get("away")).failures == 9


@pytest.mark.parametrize("place", ["served", "embedded"])
@pytest.mark.parametrize("flavour", ["async", "blocking"])
async def test_every_method_does_what_it_says(tmp_path: Path, flavour: Flavour, place: Place) -> None:
    async with client_at(place, tmp_path, flavour) as ask:
        assert await ask("mesh.health")
        made = await ask("databases.create", "catalog", description="first")
        assert await ask("databases.get", "catalog") == made
        assert await ask("databases.list", page_size=1) == [made]
        changed = await ask("databases.update", "catalog", description="second", etag=made.etag)
        assert changed.description == "second"
        with pytest.raises(EtagMismatch):
            await ask("databases.update", "catalog", description="third", etag=made.etag)

        schema = ontology_of(Package, Note)
        applied = await ask("apply_ontology", schema, message="classes")
        ontology = await ask("ontology")
        assert ontology.digest == applied.commit.ontology_digest
        assert {each["@id"] for each in ontology.schema} == {"Thing", "Person", "Package", "Licence", "Note"}
        with pytest.raises(InvalidSchema):
            await ask("apply_ontology", [{"@type": "Class", "@id": "A", "p": "Nothing"}])

        people = [Person(name=name) for name in ("ada", "bob", "cy")]
        inserted = await ask("insert", *people, message="people", metadata={"source": "test"})
        assert inserted.ids == ("Person/ada", "Person/bob", "Person/cy")
        assert (await ask("put", {"@type": "Person", "name": "ada", "age": 36})).ids == ("Person/ada",)
        updated = await ask("update", "Person/ada", {"age": 37}, etag="")
        with pytest.raises(EtagMismatch):
            await ask("update", "Person/ada", {"age": 38}, etag=inserted.results[0].etag)
        await ask("update", "Person/bob", {"age": 1, "name": "ignored"}, mask=["age"])
        with pytest.raises(StaleHead):
            await ask("delete", "Person/cy", expected_head=inserted.commit.id)
        assert (await ask("delete", Delete("Person/cy"))).results[0].etag == ""
        ada = await ask("get", "Person/ada")
        assert (ada.data["age"], ada.etag) == (37, updated.results[0].etag)
        assert "age" not in (await ask("get", "Person/ada", ref=f"commit:{inserted.commit.id}")).data
        batch = await ask("batch_get", ["Person/bob", "Person/cy", "Person/ada"])
        assert [each.id for each in batch.documents] == ["Person/bob", "Person/ada"]
        assert batch.missing_ids == ("Person/cy",)
        assert [each.id for each in await ask("documents", "Thing", page_size=1)] == ["Person/ada", "Person/bob"]
        assert await ask("documents", "Thing", exact_type=True) == []

        of_ada = {"filter": 'name = "ada"', "order_by": "name"}
        (found,) = await ask("query", Person, model=Person, **of_ada)
        assert (found.id, found.name, found.age) == ("Person/ada", "ada", 37)
        page = await ask("query_page", "Thing", order_by="name", page_size=1, fields="name", expand=())
        assert [each.data.keys() for each in page.documents] == [{"@id", "@type", "name"}]
        rest = await ask(
            "query_page", "Thing", order_by="name", page_size=1, fields="name", page_token=page.next_page_token
        )
        assert ([each.id for each in rest.documents], rest.next_page_token) == (["Person/bob"], "")
        assert [each.id for each in await ask("stream_query", Person, limit=1, **of_ada)] == ["Person/ada"]
        assert await ask("count", "Thing", filter="age > 1") == 1
        assert (await ask("explain", "Thing", filter="age > 1")).access
        assert await ask("referrers", "Person/ada", page_size=1) == []
        assert await ask("traverse", "Person/ada", over="maintainer", max_depth=3, direction="incoming") == []

        side = await ask("create_branch", "side")
        await ask("create_branch", "spare", start="main~1")
        assert (await ask("branch", "side")).head == side.head
        assert [each.name for each in await ask("branches", page_size=1)] == ["main", "side", "spare"]
        assert [each.name for each in await ask("branches", "sp")] == ["spare"]
        await ask("delete_branch", "spare")

        note = Note(text="by all operations")
        await ask(
            "commit",
            message="all at once",
            branch="side",
            insert=[note],
            replace=[Replace({"@type": "Person", "name": "bob"}, etag="")],
            put=[Person(name="dee", age=4)],
            update=[Update("Person/ada", {"age": 40})],
            ontology=OntologyChange([Digest]),
        )
        checked = await ask("commit", insert=[Person(name="eve")], validate_only=True)
        assert (checked.commit.id, checked.ids) == ("", ("Person/eve",))
        with pytest.raises(DocumentNotFound):
            await ask("get", "Person/eve")

        differences = {each.id: each for each in await ask("diff", "main", "side", include_bodies=True, page_size=1)}
        assert {id: each.kind for id, each in differences.items() if not id.startswith("Note/")} == {
            "@schema/Digest": "added",
            "Person/ada": "changed",
            "Person/bob": "changed",
            "Person/dee": "added",
        }
        (age,) = differences["Person/bob"].properties
        assert (age.name, age.before, age.after) == ("age", 1, MISSING)
        changes = await ask("changes", "side")
        assert {each.id for each in changes} == set(differences)

        await ask("update", "Person/ada", {"age": 39})
        merge = await ask("merge", "side")
        assert (merge.outcome, merge.conflict_count) == ("conflicts", 1)
        (conflict,) = await ask("conflicts", "main", "side", page_size=1)
        assert (conflict.id, conflict.base, conflict.ours, conflict.theirs) == ("Person/ada", 37, 39, 40)
        resolution = Resolution("Person/ada", "age", value=41)
        merge = await ask("merge", "side", resolutions=[resolution], message="settled")
        assert merge.outcome == "merged"
        assert (await ask("get", "Person/ada")).data["age"] == 41
        assert (await ask("merge", "side")).outcome == "up_to_date"

        log = await ask("log", page_size=2)
        assert (log[0].id, log[0].message, len(log[0].parents)) == (merge.commit.id, "settled", 2)
        assert len(await ask("log", first_parent=True)) == len(log) - 1
        assert (await ask("show", "main")).author == OWNER
        resolved = await ask("resolve", "main~1")
        assert (resolved.commit.id, resolved.branch) == (merge.commit.parents[0], "main")
        *_, last = await ask("verify")
        assert (last.done, last.problems, last.commits) == (True, (), len(log))

        await import_and_export(ask, tmp_path)

        stricter = {"@type": "Class", "@id": "Person", "@inherits": "Thing", "age": "xsd:integer"}
        stricter["@key"] = {"@type": "Lexical", "@fields": ["name"]}  # type: ignore[assignment]
        checked_ontology = await ask("check_ontology", [stricter])
        assert [each.kind for each in checked_ontology.differences if each.property == "age"] == ["strengthened"]
        described = await ask("class_schema", "Person", "main")
        assert described.json_schema["$defs"]["Person"]["properties"]["age"] == {"type": ["integer", "null"]}
        assert described.commit == checked_ontology.commit
        renamed = await ask("migrate", RenameProperty("Person", "age", "years"), message="years")
        assert (await ask("get", "Person/ada")).data["years"]
        assert renamed.commit.message == "years"

        await manage_validators(ask)
        await ask("databases.delete", "catalog")
        assert await ask("databases.list") == []
        assert ask.called == methods()


async def test_the_raw_stubs_are_reachable_from_both_clients(tmp_path: Path) -> None:
    async with serving(tmp_path) as kernel:
        connection = connect(kernel.grpc, token=kernel.token(), home=tmp_path)
        request = ref_pb2.ResolveRefRequest(database="catalog", ref="main")
        async with connection as mesh:
            await mesh.databases.create("catalog")
            raw = await mesh.raw.refs.ResolveRef(request)

        def blocking() -> ref_pb2.ResolveRefResponse:
            with connect(kernel.grpc, token=kernel.token(), home=tmp_path) as client:
                return client.run(lambda mesh: mesh.raw.refs.ResolveRef(request))

        assert await asyncio.to_thread(blocking) == raw
        assert raw.branch == "main"


async def test_models_make_an_ontology_that_the_kernel_takes_and_come_back_as_they_went(tmp_path: Path) -> None:
    async with serving(tmp_path) as kernel, connect(kernel.grpc, token=kernel.token(), home=tmp_path) as mesh:
        await mesh.databases.create("catalog")
        catalog = mesh.database("catalog")
        await catalog.apply_ontology([Package, Note, Digest, Fact])
        ada = Person(name="ada Ümlaut/+", age=2**80)
        (ada_id,) = (await catalog.insert(ada)).ids
        package = Package(
            name="numpy",
            version="2.1",
            price=Decimal("12345678901234567890.1234567890123456789"),
            weight=0.1,
            licence=Licence.FREE,
            maintainer=Link(ada_id),
            tags={"b", "a"},
            sizes=[3, 1, 2**63],
            released=datetime(2026, 11, 20, 10, 30, 0, 123456, tzinfo=UTC),
            day=date(2026, 2, 28),
            digest=bytes(range(256)),
        )
        other = Package(name="scipy", version="1", price=Decimal("1.10"), licence=Licence.CLOSED)
        other.requires = {Link("Package/numpy+2.1")}
        assert (await catalog.insert(other, package)).ids == ("Package/scipy+1", "Package/numpy+2.1")
        read = await catalog.get("Package/numpy+2.1", model=Package)
        assert read == package.model_copy(update={"id": "Package/numpy+2.1"})
        assert (await catalog.get(ada_id, model=Thing)) == ada.model_copy(update={"id": ada_id})
        scipy = await catalog.get("Package/scipy+1", model=Package)
        assert scipy.requires == {"Package/numpy+2.1"}
        read.price += Decimal("0.0000000000000000001")
        await catalog.commit(replace=[read])
        assert (await catalog.get("Package/numpy+2.1", model=Package)).price == read.price
        with pytest.raises(StillReferenced):
            await catalog.delete("Package/numpy+2.1")
        for model in (Note(text="x"), Digest(text="x"), Fact(text="x")):
            (id,) = (await catalog.insert(model)).ids
            assert (await catalog.get(id, model=type(model))).text == "x"
        with pytest.raises(SchemaViolation) as violation:
            await catalog.insert({"@type": "Package", "name": "x", "version": "1", "price": "much"})
        assert [each.field for each in violation.value.violations] == [
            "operations[0].insert.body.price",
            "operations[0].insert.body.digest",
            "operations[0].insert.body.licence",
            "operations[0].insert.body.sizes",
            "operations[0].insert.body.weight",
            "operations[0].insert.body.yanked",
        ]


NUMBERS = (
    "0",
    "-1",
    "0.1",
    "1.10",
    "1E+3",
    "-0.0",
    "123456789012345678901234567890.123456789012345678901234567890",
    "1e-30",
)


async def test_decimals_keep_all_their_digits(tmp_path: Path) -> None:
    async with serving(tmp_path) as kernel, connect(kernel.grpc, token=kernel.token(), home=tmp_path) as mesh:
        await mesh.databases.create("catalog")
        catalog = mesh.database("catalog")
        price = {"@type": "Class", "@id": "Price", "amount": "xsd:decimal"}
        await catalog.apply_ontology([price])
        numbers = [number for number in NUMBERS if not SERVER or len(f"{Decimal(number):f}".partition(".")[2]) <= 20]
        made = await catalog.insert(*({"@type": "Price", "amount": Decimal(number)} for number in numbers))
        for number, id in zip(numbers, made.ids, strict=True):
            read = (await catalog.get(id)).data["amount"]
            assert Decimal(str(read)) == Decimal(number)


async def test_a_client_outlives_the_restart_of_its_kernel_and_repeats_writes_only_once(tmp_path: Path) -> None:
    async with serving(tmp_path) as first:
        port = first.grpc.rpartition(":")[2]
        async with connect(first.grpc, token=first.token(), home=tmp_path) as mesh:
            await mesh.databases.create("catalog")
            catalog = mesh.database("catalog")
            await catalog.apply_ontology([Person])
            before = await catalog.insert(Person(name="ada"), request_id="ada")
            first.terminate()
            assert await first.ended() == 0
            with pytest.raises(Unavailable):
                await catalog.get("Person/ada", timeout=5)
            async with serving(tmp_path, ONTOMESH_KERNEL_GRPC_PORT=port) as second:
                assert second.grpc == first.grpc
                after = await persistent(lambda: catalog.insert(Person(name="ada"), request_id="ada"))
                assert after == before
                assert (await catalog.get("Person/ada")).commit == before.commit.id
                assert len([each async for each in catalog.log()]) == 3


async def persistent(call: Any, seconds: float = 15) -> Any:
    """The outcome of a call that is made again while nobody answers."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                return await call()
            except Unavailable as away:
                await asyncio.sleep(min(away.retry_after or 0.05, 0.2))


async def test_a_stop_amid_commits_loses_none_that_was_acknowledged(tmp_path: Path) -> None:
    acknowledged: set[str] = set()
    failures: list[Unavailable] = []
    enough = asyncio.Event()

    async with serving(tmp_path) as kernel:
        async with connect(kernel.grpc, token=kernel.token(), home=tmp_path) as mesh:
            await mesh.databases.create("catalog")
            catalog = mesh.database("catalog")
            await catalog.apply_ontology([Person])

            async def commit(worker: int) -> None:
                for number in range(1_000_000):
                    try:
                        made = await catalog.insert(Person(name=f"p{worker}-{number}"))
                    except Unavailable as failure:
                        failures.append(failure)
                        return
                    acknowledged.update(made.ids)
                    if len(acknowledged) >= (40 if SERVER else 200):
                        enough.set()

            workers = [asyncio.create_task(commit(worker)) for worker in range(32)]
            await asyncio.wait_for(enough.wait(), 20)
            kernel.terminate()
            await asyncio.gather(*workers)
            assert await kernel.ended() == 0, "every call that was in flight was served"
        assert len(failures) == 32
        assert any(line["message"] == "drained" for line in kernel.logged())
    async with serving(tmp_path) as kernel, connect(kernel.grpc, token=kernel.token(), home=tmp_path) as mesh:
        catalog = mesh.database("catalog")
        kept = {each.id async for each in catalog.documents(page_size=1000)}
        assert kept == acknowledged, "a polite stop answers what it has committed"
        *_, last = [each async for each in catalog.verify()]
        assert (last.done, last.problems) == (True, ())
