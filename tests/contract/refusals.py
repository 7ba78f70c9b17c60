"""The table of bad input: what each call is refused with."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from tests.contract import calls
from tests.contract.calls import (
    Call,
    HttpCall,
    create_branch,
    create_commit,
    create_database,
    delete,
    insert,
    put,
    replace,
    update,
)
from tests.contract.doors import DOORS, DoorName
from tests.contract.world import BEING, DB, MOOD, NOTE, PERSON, World, flawed, forged, person

Make = Callable[[World], Call]
BODY = "operations[0].insert.body"


@dataclass(frozen=True)
class Row:
    """One bad call: its reason (which fixes code and HTTP status), and the fields that its violations name.

    `http_fields` where the HTTP door, which reads the request as one JSON text, must name another field.
    """

    name: str
    reason: str
    call: Make
    fields: tuple[str, ...] = ()
    http_fields: tuple[str, ...] | None = None
    token: str = "owner"
    headers: Mapping[str, str] = field(default_factory=dict)
    doors: tuple[DoorName, ...] = DOORS
    metadata: Callable[[World], Mapping[str, str]] = lambda w: {}

    def fields_at(self, door: DoorName) -> tuple[str, ...]:
        """The fields that this door names."""
        return self.fields if door == "grpc" or self.http_fields is None else self.http_fields


def commit_of(*operations: calls.Json, **rest: object) -> Make:
    """A commit on main."""
    return lambda _: create_commit(DB, *operations, **rest)


def schema_of(*elements: object, **rest: object) -> Make:
    """A change of the ontology of main."""
    return lambda _: create_commit(DB, ontology={"schema": list(elements), **rest})


def names() -> Iterator[Row]:
    for name in ("", "Catalog", "1st", "a b", "a" * 64, "café", "a/b", "catalog\n"):
        yield Row(
            f"database name {name!r:.20}", "INVALID_REQUEST", lambda _, n=name: create_database(n), ("database.name",)
        )
    for branch in (
        "",
        "a//b",
        "/a",
        "a/",
        "a b",
        ".a",
        "a.",
        "a.lock",
        "a/b.lock/c",
        "a" * 201,
        "é",
        "commit:1",
        "a~1",
        "a@b",
    ):
        yield Row(
            f"branch name {branch!r:.20}", "INVALID_REQUEST", lambda _, b=branch: create_branch(DB, b), ("branch",)
        )
    yield Row("branch of a malformed database", "INVALID_REQUEST", lambda _: create_branch("A", "b"), ("database",))
    yield Row(
        "commit to a malformed branch", "INVALID_REQUEST", commit_of(insert(person("x")), branch="a b"), ("branch",)
    )
    yield Row(
        "malformed branch in the metadata",
        "INVALID_REQUEST",
        commit_of(insert(person("x"))),
        ("branch",),
        headers={"x-ontomesh-branch": "a b"},
    )
    yield Row("get of a malformed branch", "INVALID_REQUEST", lambda _: calls.get_branch(DB, "a b"), ("branch",))
    yield Row(
        "description too long", "TOO_LARGE", lambda _: create_database("new", "x" * 4097), ("database.description",)
    )
    yield Row(
        "description with NUL", "INVALID_REQUEST", lambda _: create_database("new", "a\0b"), ("database.description",)
    )
    yield Row(
        "database exists",
        "DATABASE_ALREADY_EXISTS",
        lambda _: create_database("other"),
        metadata=lambda w: {"database": "other"},
    )
    yield Row(
        "branch exists",
        "BRANCH_ALREADY_EXISTS",
        lambda _: create_branch(DB, "ours"),
        metadata=lambda w: {"database": DB, "branch": "ours", "head": w.heads["ours"]},
    )
    yield Row(
        "main is protected",
        "BRANCH_PROTECTED",
        lambda _: calls.delete_branch(DB, "main"),
        ("branch",),
        metadata=lambda w: {"branch": "main"},
    )


def refs() -> Iterator[Row]:
    malformed = (
        "a b",
        "commit:xyz",
        "commit:1234567",
        "commit:" + "0" * 65,
        "commit:" + "AB" * 8,
        "main~x",
        "main~-1",
        "main~1~1",
        "main~1234567890",
        "main@yesterday",
        "main@2026-11-20T10:00:00",
        "commit:12345678@2026-11-20T10:00:00Z",
        "a" * 401,
        "~",
        "main\0",
    )
    for ref in malformed:
        yield Row(f"ref {ref!r:.30}", "INVALID_REF", lambda _, r=ref: calls.get_document(DB, "Person/ada", r), ("ref",))
    yield Row("malformed ref of a log", "INVALID_REF", lambda _: calls.list_commits(DB, "a b"), ("ref",))
    yield Row("malformed ref of an ontology", "INVALID_REF", lambda _: calls.get_ontology(DB, "a b"), ("ref",))
    yield Row("malformed ref to resolve", "INVALID_REF", lambda _: calls.resolve_ref(DB, "a b"), ("ref",))
    yield Row("malformed ref of a commit", "INVALID_REF", lambda _: calls.get_commit(DB, "a b"), ("ref",))
    yield Row(
        "malformed ref to get many", "INVALID_REF", lambda _: calls.batch_get(DB, ["Person/ada"], "a b"), ("ref",)
    )
    yield Row(
        "malformed ref in the metadata",
        "INVALID_REF",
        lambda _: calls.get_document(DB, "Person/ada"),
        ("ref",),
        headers={"x-ontomesh-branch": "a b"},
    )
    yield Row("malformed base", "INVALID_REF", lambda _: calls.diff(DB, "a b", "main"), ("base",))
    yield Row("malformed target", "INVALID_REF", lambda _: calls.diff(DB, "main", "a b"), ("target",))
    yield Row("malformed start", "INVALID_REF", lambda _: create_branch(DB, "new", "a b"), ("from",))
    yield Row("malformed source", "INVALID_REF", lambda _: calls.merge(DB, "a b"), ("source",))
    yield Row("malformed ours", "INVALID_REF", lambda _: calls.list_conflicts(DB, "a b", "main"), ("ours",))
    yield Row("malformed theirs", "INVALID_REF", lambda _: calls.list_conflicts(DB, "main", "a b"), ("theirs",))
    gone = {"database": DB, "branch": "gone"}
    for name, call in {
        "get": calls.get_document(DB, "Person/ada", "gone"),
        "get a branch": calls.get_branch(DB, "gone"),
        "delete a branch": calls.delete_branch(DB, "gone"),
        "commit": create_commit(DB, insert(person("x")), branch="gone"),
        "merge into": calls.merge(DB, "main", "gone"),
        "merge from": calls.merge(DB, "gone"),
        "branch from": create_branch(DB, "new", "gone"),
        "diff": calls.diff(DB, "main", "gone"),
        "list": calls.list_documents(DB, "gone"),
        "log": calls.list_commits(DB, "gone~2"),
    }.items():
        yield Row(f"unknown branch: {name}", "BRANCH_NOT_FOUND", lambda _, c=call: c, metadata=lambda w: gone)
    for name, call in {
        "get": calls.get_document("void", "Person/ada"),
        "get it": calls.get_database("void"),
        "change it": calls.update_database("void", "x"),
        "delete it": calls.delete_database("void"),
        "commit": create_commit("void", insert(person("x"))),
        "branches": calls.list_branches("void"),
        "get a branch": calls.get_branch("void", "main"),
        "make a branch": create_branch("void", "new"),
        "make an empty branch": create_branch("void", "new", empty=True),
        "delete a branch": calls.delete_branch("void", "new"),
        "merge": calls.merge("void", "main"),
        "diff": calls.diff("void", "main", "main"),
        "log": calls.list_commits("void"),
        "a commit": calls.get_commit("void", "commit:12345678"),
    }.items():
        yield Row(
            f"unknown database: {name}",
            "DATABASE_NOT_FOUND",
            lambda _, c=call: c,
            metadata=lambda w: {"database": "void"},
        )
    for ref in ("commit:" + "0" * 64, "commit:00000000", "main~100", "main@2001-01-01T00:00:00Z"):
        yield Row(
            f"unknown commit {ref:.30}",
            "COMMIT_NOT_FOUND",
            lambda _, r=ref: calls.get_commit(DB, r),
            metadata=lambda w, r=ref: {"database": DB, "ref": r},
        )
    yield Row(
        "a commit of another database",
        "COMMIT_NOT_FOUND",
        lambda w: calls.get_commit("other", f"commit:{w.stale}"),
        metadata=lambda w: {"database": "other", "ref": f"commit:{w.stale}"},
    )
    yield Row(
        "unknown document",
        "DOCUMENT_NOT_FOUND",
        lambda _: calls.get_document(DB, "Person/none"),
        ("id",),
        metadata=lambda w: {"id": "Person/none", "commit": w.heads["main"]},
    )
    yield Row(
        "document before its time",
        "DOCUMENT_NOT_FOUND",
        lambda _: calls.get_document(DB, "Person/ada", "main~"),
        ("id",),
        metadata=lambda w: {"id": "Person/ada", "commit": w.stale},
    )
    yield Row("unknown class to list", "UNKNOWN_CLASS", lambda _: calls.list_documents(DB, type="Persn"), ("type",))
    yield Row(
        "class of a later commit", "UNKNOWN_CLASS", lambda _: calls.list_documents(DB, "main~2", "Person"), ("type",)
    )


def bodies() -> Iterator[Row]:
    whole = ("body",)
    for name, body in {
        "not JSON": b'{"@type": "Person",',
        "single quotes": b"{'@type': 'Person'}",
        "two values": b'{"@type":"Person"} {}',
        "a key twice": b'{"@type":"Person","name":"x","name":"y","scores":[]}',
        "a number that JSON lacks": b'{"@type":"Person","name":"x","age":NaN,"scores":[]}',
        "an infinite number": b'{"@type":"Person","name":"x","age":-Infinity,"scores":[]}',
        "leading zeros": b'{"@type":"Person","name":"x","age":007,"scores":[]}',
        "not UTF-8": b'{"@type":"Person","name":"\xff\xfe","scores":[]}',
        "Latin-1": b'{"@type":"Person","name":"caf\xe9","scores":[]}',
        "half a surrogate pair": b'{"@type":"Person","name":"\\ud83d","scores":[]}',
        "a surrogate in UTF-8": b'{"@type":"Person","name":"\xed\xa0\xbd","scores":[]}',
        "a control character": b'{"@type":"Person","name":"a\nb","scores":[]}',
        "too deep": b'{"@type":"Person","name":"x","scores":' + b"[" * 70 + b"]" * 70 + b"}",
        "far too deep": b'{"@type":"Person","name":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        "5,000 digits": b'{"@type":"Person","name":"x","age":' + b"1" * 5_000 + b',"scores":[]}',
        "empty": b"",
    }.items():
        yield Row(f"body: {name}", "MALFORMED_BODY", commit_of(insert(body)), (BODY,), whole)
    yield Row(
        "body: a byte order mark",
        "MALFORMED_BODY",
        commit_of(insert(b'\xef\xbb\xbf{"@type":"Person"}')),
        (BODY,),
        whole,
    )
    for name, body in {"an array": b"[]", "null": b"null", "a string": b'"x"', "a number": b"1"}.items():
        yield Row(f"body: {name}", "MALFORMED_BODY", commit_of(insert(body)), (BODY,))
    yield Row(
        "patch that is no object",
        "MALFORMED_BODY",
        commit_of(update("Person/ada", b"[]")),
        ("operations[0].update.patch",),
    )
    yield Row(
        "second body malformed",
        "MALFORMED_BODY",
        commit_of(insert(person("x")), put(b"[]")),
        ("operations[1].put.body",),
    )
    yield Row(
        "body over 1 MiB",
        "TOO_LARGE",
        commit_of(insert(person("x" * (1 << 20)))),
        (BODY,),
        metadata=lambda w: {"limit": str(1 << 20)},
    )
    yield Row(
        "patch over 1 MiB",
        "TOO_LARGE",
        commit_of(update("Person/ada", {"name": "x" * (1 << 20)})),
        ("operations[0].update.patch",),
    )
    yield Row(
        "an update that outgrows 1 MiB",
        "TOO_LARGE",
        lambda _: create_commit(DB, insert({"@type": "Note", "text": "x" * (1 << 20)})),
        (BODY,),
    )
    yield Row(
        "operations over 32 MiB",
        "TOO_LARGE",
        lambda _: create_commit(DB, *[insert(person(f"{n}" * 500_000)) for n in range(10, 44)]),
        ("operations",),
        metadata=lambda w: {"limit": str(32 << 20)},
    )
    yield Row(
        "over 10,000 operations",
        "TOO_LARGE",
        lambda _: create_commit(DB, *[delete(f"Note/{n}") for n in range(10_001)]),
        ("operations",),
        metadata=lambda w: {"limit": "10000", "size": "10001"},
    )
    yield Row(
        "request over the message limit",
        "TOO_LARGE",
        lambda _: create_commit(DB, message="x" * (37 << 20)),
        metadata=lambda w: {"limit": str(36 << 20)},
    )
    yield Row(
        "schema over 1 MiB", "TOO_LARGE", schema_of(flawed(NOTE, _documentation="x" * (1 << 20))), ("ontology.schema",)
    )
    yield Row(
        "a message that is none",
        "INVALID_REQUEST",
        lambda _: Call("CommitService/CreateCommit", b"\xff\xff\xff"),
        doors=("grpc",),
    )
    yield Row(
        "a string that is not UTF-8",
        "INVALID_REQUEST",
        lambda _: Call("DatabaseService/GetDatabase", b"\x0a\x02\xff\xfe"),
        doors=("grpc",),
    )
    posts = {
        "no JSON": (b"{", "MALFORMED_BODY", "body"),
        "an array": (b"[]", "MALFORMED_BODY", "body"),
        "a member too many": (b'{"name":"new","size":3}', "INVALID_REQUEST", "size"),
        "a name that is a number": (b'{"name":7}', "INVALID_REQUEST", "name"),
        "a description that is an object": (b'{"name":"new","description":{}}', "INVALID_REQUEST", "description"),
    }
    for name, (body, reason, at) in posts.items():
        call = Call("", b"", HttpCall("POST", "/v1/databases", {}, body))
        yield Row(f"request: {name}", reason, lambda _, c=call: c, (at,), doors=("http",))
    commits = {
        "operations that are an object": (b'{"operations":{}}', "operations"),
        "an operation that is a string": (b'{"operations":["x"]}', "operations[0]"),
        "an unknown operation": (b'{"operations":[{"upsert":{}}]}', "operations[0]"),
        "two operations in one": (b'{"operations":[{"insert":{"body":{}},"put":{"body":{}}}]}', "operations[0]"),
        "a member too many": (b'{"operations":[{"insert":{"body":{},"etag":"x"}}]}', "operations[0].insert.etag"),
        "no body": (b'{"operations":[{"insert":{}}]}', "operations[0].insert.body"),
        "an id that is a number": (b'{"operations":[{"delete":{"id":7}}]}', "operations[0].delete.id"),
        "a mask of numbers": (
            b'{"operations":[{"update":{"id":"a","patch":{},"update_mask":[1]}}]}',
            "operations[0].update.update_mask[0]",
        ),
        "metadata of numbers": (b'{"operations":[],"metadata":{"a":1}}', "metadata.a"),
        "an unknown mode": (b'{"ontology":{"schema":[],"mode":"both"}}', "ontology.mode"),
        "a flag that is a string": (b'{"operations":[],"validate_only":"yes"}', "validate_only"),
    }
    for name, (body, at) in commits.items():
        call = Call("", b"", HttpCall("POST", f"/v1/databases/{DB}/commits", {}, body))
        yield Row(f"commit: {name}", "INVALID_REQUEST", lambda _, c=call: c, (at,), doors=("http",))


def documents() -> Iterator[Row]:
    def refused(name: str, reason: str, body: Mapping[str, object] | bytes, *at: str) -> Row:
        return Row(f"document: {name}", reason, commit_of(insert(body)), tuple(f"{BODY}.{part}" for part in at))

    yield refused("no class", "UNKNOWN_CLASS", {"name": "x"}, "@type")
    yield refused("unknown class", "UNKNOWN_CLASS", {"@type": "Persn", "name": "x"}, "@type")
    yield refused("abstract class", "UNKNOWN_CLASS", {"@type": "Being"}, "@type")
    yield refused("class that is a number", "UNKNOWN_CLASS", {"@type": 7}, "@type")
    yield refused("an enum as class", "UNKNOWN_CLASS", {"@type": "Mood"}, "@type")
    yield refused(
        "an id of another class", "INVALID_DOCUMENT_ID", {"@type": "Note", "@id": "Person/x", "text": ""}, "@id"
    )
    yield refused("an id with a blank", "INVALID_DOCUMENT_ID", {"@type": "Note", "@id": "Note/a b", "text": ""}, "@id")
    yield refused("an id with NUL", "INVALID_DOCUMENT_ID", {"@type": "Note", "@id": "Note/a\0", "text": ""}, "@id")
    yield refused("an id without key", "INVALID_DOCUMENT_ID", {"@type": "Note", "@id": "Note/", "text": ""}, "@id")
    yield refused(
        "an id too long", "INVALID_DOCUMENT_ID", {"@type": "Note", "@id": "Note/" + "x" * 1020, "text": ""}, "@id"
    )
    yield refused("an id that is a number", "INVALID_DOCUMENT_ID", {"@type": "Note", "@id": 7, "text": ""}, "@id")
    yield refused("not the id of its key", "INVALID_DOCUMENT_ID", person("x", **{"@id": "Person/y"}), "@id")
    yield refused("a generated id too long", "INVALID_DOCUMENT_ID", person("x" * 1020), "@id")
    yield refused("a property missing", "SCHEMA_VIOLATION", {"@type": "Note"}, "text")
    yield refused("a required null", "SCHEMA_VIOLATION", {"@type": "Note", "text": None}, "text")
    yield refused("an unknown property", "SCHEMA_VIOLATION", person("x", agee=1), "agee")
    yield refused("a string where an integer is due", "SCHEMA_VIOLATION", person("x", age="1"), "age")
    yield refused(
        "1.0 where an integer is due", "SCHEMA_VIOLATION", b'{"@type":"Person","name":"x","scores":[],"age":1.0}', "age"
    )
    yield refused(
        "1e2 where an integer is due", "SCHEMA_VIOLATION", b'{"@type":"Person","name":"x","scores":[],"age":1e2}', "age"
    )
    yield refused(
        "1e2000 where an integer is due",
        "SCHEMA_VIOLATION",
        b'{"@type":"Person","name":"x","scores":[],"age":1e2000}',
        "age",
    )
    yield refused(
        "2,000 digits",
        "SCHEMA_VIOLATION",
        b'{"@type":"Person","name":"x","scores":[],"age":' + b"1" * 2_000 + b"}",
        "age",
    )
    yield refused("a boolean where an integer is due", "SCHEMA_VIOLATION", person("x", age=True), "age")
    yield refused("a string where a list is due", "SCHEMA_VIOLATION", person("x") | {"scores": "1"}, "scores")
    yield refused("a string in a list of integers", "SCHEMA_VIOLATION", person("x") | {"scores": [1, "2"]}, "scores[1]")
    yield refused("a number in a set of strings", "SCHEMA_VIOLATION", person("x", tags=["a", 2]), "tags[1]")
    yield refused("no value of the enum", "SCHEMA_VIOLATION", person("x", mood="Calm"), "mood")
    yield refused("a link to another class", "SCHEMA_VIOLATION", person("x", friend="Note/one"), "friend")
    yield refused("a link that is no id", "SCHEMA_VIOLATION", person("x", friend="ada"), "friend")
    yield refused("a document where a link is due", "SCHEMA_VIOLATION", person("x", friend=person("y")), "friend")
    yield refused("two faults", "SCHEMA_VIOLATION", person("x", age="1", mood=1), "age", "mood")
    yield refused("a dangling link", "DANGLING_LINK", person("x", friend="Person/none"), "friend")
    yield Row(
        "update to a wrong type",
        "SCHEMA_VIOLATION",
        commit_of(update("Person/ada", {"age": "x"})),
        ("operations[0].update.patch.age",),
    )
    yield Row(
        "update of a key's property",
        "INVALID_DOCUMENT_ID",
        commit_of(update("Person/ada", {"name": "eve"})),
        ("operations[0].update.patch.@id",),
    )
    yield Row(
        "update of the class",
        "INVALID_DOCUMENT_ID",
        commit_of(update("Person/ada", {"@type": "Note", "text": "x", "name": None, "age": None, "scores": None})),
        ("operations[0].update.patch.@id",),
    )
    yield Row(
        "update that dangles",
        "DANGLING_LINK",
        commit_of(update("Person/ada", {"friend": "Person/none"})),
        ("operations[0].update.patch.friend",),
        metadata=lambda w: {"targets": "Person/none"},
    )
    yield Row(
        "link to a document deleted with it",
        "DANGLING_LINK",
        commit_of(update("Person/ada", {"friend": "Person/cy"}), delete("Person/cy")),
        ("operations[0].update.patch.friend",),
    )
    yield Row(
        "still linked to",
        "STILL_REFERENCED",
        commit_of(delete("Person/ada")),
        metadata=lambda w: {"id": "Person/ada", "referrers": "Person/bob"},
    )
    yield Row(
        "mask of a path",
        "INVALID_REQUEST",
        commit_of(update("Person/ada", {}, mask=["a.b"])),
        ("operations[0].update.update_mask",),
    )
    yield Row(
        "mask of the id",
        "INVALID_REQUEST",
        commit_of(update("Person/ada", {}, mask=["@id"])),
        ("operations[0].update.update_mask",),
    )
    yield Row(
        "mask of an unknown property",
        "SCHEMA_VIOLATION",
        commit_of(update("Person/ada", {"agee": 1}, mask=["agee"])),
        ("operations[0].update.patch.agee",),
    )


def routes() -> Iterator[Row]:
    """The HTTP door's routes of single documents, where a document is the whole body."""

    def refused(name: str, reason: str, call: HttpCall, *fields: str) -> Row:
        return Row(f"route: {name}", reason, lambda _: Call("", b"", call), fields, doors=("http",))

    place = f"/v1/databases/{DB}/documents"
    ada = f"{place}/Person/ada"
    stale = {"if-match": f'"{"0" * 64}"'}
    again = {"idempotency-key": "commit-1"}

    def post(body: object, headers: Mapping[str, str] | None = None) -> HttpCall:
        return HttpCall("POST", place, {}, calls.spliced(body), headers or {})

    yield refused("post of no JSON", "MALFORMED_BODY", post(b"{"), "body")
    yield refused("post of an array", "MALFORMED_BODY", post([]), "body")
    yield refused("post of nothing", "MALFORMED_BODY", post(b""), "body")
    yield refused("post too large", "TOO_LARGE", post(person("x" * (1 << 20))), "body")
    yield refused("post of an unknown class", "UNKNOWN_CLASS", post({"@type": "Persn"}), "@type")
    yield refused(
        "post of wrong types", "SCHEMA_VIOLATION", post(person("x", age="1", tags=["a", 1])), "age", "tags[1]"
    )
    yield refused(
        "post of 1.0", "SCHEMA_VIOLATION", post(b'{"@type":"Person","name":"x","scores":[],"age":1.0}'), "age"
    )
    yield refused("post of what exists", "DOCUMENT_ALREADY_EXISTS", post(person("ada")), "id")
    yield refused("post that dangles", "DANGLING_LINK", post(person("x", friend="Person/none")), "friend")
    yield refused("post of a used key", "REQUEST_ID_REUSED", post(person("x"), again), "request_id")
    yield refused(
        "post to no branch",
        "INVALID_REQUEST",
        HttpCall("POST", place, {"branch": "a b"}, calls.spliced(person("x"))),
        "branch",
    )
    yield refused(
        "put of another id",
        "INVALID_DOCUMENT_ID",
        HttpCall("PUT", ada, {}, calls.spliced({"@id": "Person/bob"})),
        "@id",
    )
    yield refused(
        "put of another key", "INVALID_DOCUMENT_ID", HttpCall("PUT", ada, {}, calls.spliced(person("bob"))), "@id"
    )
    yield refused(
        "put of a wrong type", "SCHEMA_VIOLATION", HttpCall("PUT", ada, {}, calls.spliced(person("ada", age=[]))), "age"
    )
    yield refused("put of the same", "EMPTY_COMMIT", HttpCall("PUT", ada, {}, calls.spliced(person("ada", age=36))))
    yield refused(
        "put over what changed", "ETAG_MISMATCH", HttpCall("PUT", ada, {}, calls.spliced(person("ada")), stale), "etag"
    )
    yield refused(
        "put over nothing",
        "DOCUMENT_NOT_FOUND",
        HttpCall("PUT", f"{place}/Person/none", {}, calls.spliced(person("none")), {"if-match": "*"}),
        "id",
    )
    yield refused(
        "put of what must not exist",
        "DOCUMENT_ALREADY_EXISTS",
        HttpCall("PUT", ada, {}, calls.spliced(person("ada")), {"if-none-match": "*"}),
        "id",
    )
    yield refused("patch of nothing", "DOCUMENT_NOT_FOUND", HttpCall("PATCH", f"{place}/Person/none", {}, b"{}"), "id")
    yield refused("patch that is no object", "MALFORMED_BODY", HttpCall("PATCH", ada, {}, b"3"), "body")
    yield refused("patch to a wrong type", "SCHEMA_VIOLATION", HttpCall("PATCH", ada, {}, b'{"age":"x"}'), "age")
    yield refused("patch of the key", "INVALID_DOCUMENT_ID", HttpCall("PATCH", ada, {}, b'{"name":"eve"}'), "@id")
    yield refused("patch of what changed", "ETAG_MISMATCH", HttpCall("PATCH", ada, {}, b'{"age":1}', stale), "etag")
    yield refused("delete of nothing", "DOCUMENT_NOT_FOUND", HttpCall("DELETE", f"{place}/Person/none"), "id")
    yield refused("delete of what is linked to", "STILL_REFERENCED", HttpCall("DELETE", ada))
    yield refused(
        "delete of what changed", "ETAG_MISMATCH", HttpCall("DELETE", f"{place}/Person/cy", headers=stale), "etag"
    )
    yield refused(
        "delete of nothing at all",
        "DOCUMENT_NOT_FOUND",
        HttpCall("DELETE", f"{place}/Person/none", headers={"if-match": "*"}),
        "id",
    )
    ontology = f"/v1/databases/{DB}/ontology"
    yield refused(
        "an ontology that is an object",
        "INVALID_SCHEMA",
        HttpCall("PATCH", ontology, {}, b'{"x":1}'),
        "ontology.schema[0].@type",
    )
    yield refused(
        "an ontology that the data break",
        "SCHEMA_VIOLATED_BY_DATA",
        HttpCall("PUT", ontology, {}, calls.spliced([BEING, PERSON, MOOD])),
        "Note/one.@type",
    )
    yield refused(
        "an ontology that moved on",
        "ETAG_MISMATCH",
        HttpCall("PUT", ontology, {}, b"[]", stale),
        "ontology.expected_digest",
    )
    yield refused("an address that is not UTF-8", "DOCUMENT_NOT_FOUND", HttpCall("GET", f"{place}/Person/%ff%fe"), "id")


def writes() -> Iterator[Row]:
    yield Row(
        "insert of what exists",
        "DOCUMENT_ALREADY_EXISTS",
        commit_of(insert(person("ada"))),
        ("operations[0].insert",),
        metadata=lambda w: {"id": "Person/ada"},
    )
    for kind, operation in {
        "replace": replace(person("none")),
        "update": update("Person/none", {"age": 1}),
        "delete": delete("Person/none"),
    }.items():
        yield Row(
            f"{kind} of what does not exist",
            "DOCUMENT_NOT_FOUND",
            commit_of(operation),
            (f"operations[0].{kind}",),
            metadata=lambda w: {"id": "Person/none", "commit": w.heads["main"]},
        )
    for kind, operation in {
        "replace": replace(person("ada"), "0" * 64),
        "update": update("Person/ada", {"age": 1}, "0" * 64),
        "delete": delete("Person/cy", "0" * 64),
    }.items():
        yield Row(f"{kind} with a stale etag", "ETAG_MISMATCH", commit_of(operation), (f"operations[0].{kind}.etag",))
    yield Row(
        "an etag of what is gone",
        "ETAG_MISMATCH",
        commit_of(delete("Person/none", "0" * 64)),
        ("operations[0].delete.etag",),
        metadata=lambda w: {"id": "Person/none", "etag": ""},
    )
    yield Row(
        "stale head",
        "STALE_HEAD",
        lambda w: create_commit(DB, insert(person("x")), expected_head=w.stale),
        ("expected_head",),
        metadata=lambda w: {"head": w.heads["main"], "expected": w.stale},
    )
    yield Row(
        "stale head of a branch to delete",
        "STALE_HEAD",
        lambda w: calls.delete_branch(DB, "ours", w.stale),
        ("expected_head",),
        metadata=lambda w: {"head": w.heads["ours"], "expected": w.stale},
    )
    yield Row(
        "stale head of a merge",
        "STALE_HEAD",
        lambda w: calls.merge(DB, "theirs", expected_head=w.stale),
        ("expected_head",),
    )
    yield Row(
        "stale head of a merge with nothing to do",
        "STALE_HEAD",
        lambda w: calls.merge(DB, "main~", expected_head=w.stale),
        ("expected_head",),
    )
    yield Row(
        "stale etag of a database to change",
        "ETAG_MISMATCH",
        lambda _: calls.update_database(DB, "x", "0"),
        ("database.etag",),
    )
    yield Row(
        "stale etag of a database to delete", "ETAG_MISMATCH", lambda _: calls.delete_database("other", "0"), ("etag",)
    )
    yield Row(
        "stale digest of the ontology",
        "ETAG_MISMATCH",
        schema_of(NOTE, expected_digest="0" * 64),
        ("ontology.expected_digest",),
    )
    yield Row(
        "a mask of a name",
        "INVALID_REQUEST",
        lambda _: calls.update_database(DB, "x", mask=["name"]),
        ("update_mask",),
        doors=("grpc",),
    )
    yield Row(
        "a document twice",
        "DUPLICATE_OPERATION",
        commit_of(put(person("x")), put(person("y")), delete("Person/x")),
        ("operations[2].delete",),
        metadata=lambda w: {"id": "Person/x"},
    )
    yield Row(
        "two inserts of one key",
        "DUPLICATE_OPERATION",
        commit_of(insert(person("x")), insert(person("x", age=1))),
        ("operations[1].insert",),
    )
    yield Row("nothing at all", "INVALID_REQUEST", commit_of(), ("operations",))
    yield Row("an operation that says nothing", "INVALID_REQUEST", commit_of({}), ("operations[0]",))
    yield Row("puts what is there", "EMPTY_COMMIT", commit_of(put(person("ada", age=36))))
    yield Row("puts the ontology that is there", "EMPTY_COMMIT", schema_of(NOTE))
    yield Row("updates to what is there", "EMPTY_COMMIT", commit_of(update("Person/ada", {"age": 36})))
    yield Row("deletes no id", "INVALID_REQUEST", commit_of(delete("")), ("operations[0].delete.id",))
    yield Row("deletes an id with NUL", "INVALID_REQUEST", commit_of(delete("Note/a\0")), ("operations[0].delete.id",))
    yield Row(
        "deletes an id too long", "TOO_LARGE", commit_of(delete("Note/" + "x" * 1020)), ("operations[0].delete.id",)
    )
    yield Row("message too long", "TOO_LARGE", commit_of(insert(person("x")), message="x" * 65_537), ("message",))
    yield Row("message with NUL", "INVALID_REQUEST", commit_of(insert(person("x")), message="a\0"), ("message",))
    yield Row("author too long", "TOO_LARGE", commit_of(insert(person("x")), author="user:" + "x" * 200), ("author",))
    yield Row(
        "author too long in the metadata",
        "TOO_LARGE",
        commit_of(insert(person("x"))),
        ("author",),
        headers={"x-ontomesh-author": "user:" + "x" * 200},
    )
    yield Row(
        "metadata of 65 entries",
        "TOO_LARGE",
        commit_of(insert(person("x")), metadata={f"k{n}": "" for n in range(65)}),
        ("metadata",),
    )
    yield Row(
        "metadata key too long", "TOO_LARGE", commit_of(insert(person("x")), metadata={"k" * 129: ""}), ("metadata",)
    )
    yield Row(
        "metadata key empty", "INVALID_REQUEST", commit_of(insert(person("x")), metadata={"": "a"}), ("metadata",)
    )
    yield Row(
        "metadata value too long",
        "TOO_LARGE",
        commit_of(insert(person("x")), metadata={"k": "v" * 4097}),
        ("metadata[k]",),
    )
    yield Row(
        "metadata value with NUL",
        "INVALID_REQUEST",
        commit_of(insert(person("x")), metadata={"k": "\0"}),
        ("metadata[k]",),
    )
    for id in ("x" * 129, "a\nb"):
        yield Row(
            f"request id {id!r:.10}", "INVALID_REQUEST", commit_of(insert(person("x")), request_id=id), ("request_id",)
        )
    again = {"request_id": "commit-1"}
    reused = {"metadata": lambda w: again}
    yield Row(
        "request id of another commit",
        "REQUEST_ID_REUSED",
        commit_of(insert(person("x")), **again),
        ("request_id",),
        metadata=lambda w: again,
    )
    yield Row(
        "request id of another branch",
        "REQUEST_ID_REUSED",
        commit_of(insert(person("x")), branch="ours", **again),
        ("request_id",),
        **reused,
    )
    yield Row(
        "request id of a commit, for a merge",
        "REQUEST_ID_REUSED",
        lambda _: calls.merge(DB, "ours", **again),
        ("request_id",),
        metadata=lambda w: again,
    )
    yield Row(
        "request id of another database",
        "REQUEST_ID_REUSED",
        lambda _: create_database("new", "", "database-1"),
        ("request_id",),
    )
    yield Row(
        "request id of another new branch",
        "REQUEST_ID_REUSED",
        lambda _: create_branch(DB, "new", "main", request_id="branch-1"),
        ("request_id",),
    )
    yield Row(
        "request id that a bad document reuses",
        "REQUEST_ID_REUSED",
        commit_of(insert({"@type": "Persn"}), **again),
        ("request_id",),
        metadata=lambda w: again,
    )
    for validate in (insert(person("ada")), insert({"@type": "Note"})):
        reason = "DOCUMENT_ALREADY_EXISTS" if validate["insert"]["body"].get("name") else "SCHEMA_VIOLATION"
        at = "operations[0].insert" if validate["insert"]["body"].get("name") else f"{BODY}.text"
        yield Row(f"only validated: {reason}", reason, commit_of(validate, validate_only=True), (at,))


def schemas() -> Iterator[Row]:
    def refused(name: str, element: object, *at: str) -> Row:
        return Row(
            f"schema: {name}", "INVALID_SCHEMA", schema_of(element), tuple(f"ontology.schema[0]{part}" for part in at)
        )

    yield refused("a string", "Person", "")
    yield refused("no @type", {"@id": "A"}, ".@type")
    yield refused("unknown @type", {"@type": "Klass", "@id": "A"}, ".@type")
    yield refused("a tagged union", {"@type": "TaggedUnion", "@id": "A"}, ".@type")
    yield refused("no name", {"@type": "Class"}, ".@id")
    yield refused("malformed name", {"@type": "Class", "@id": "a b"}, ".@id")
    yield refused("unknown scalar", {"@type": "Class", "@id": "A", "p": "xsd:strin"}, ".p")
    yield refused("unknown range", {"@type": "Class", "@id": "A", "p": "Persn"}, ".p")
    yield refused(
        "unknown family", {"@type": "Class", "@id": "A", "p": {"@type": "Bag", "@class": "Person"}}, ".p.@type"
    )
    yield refused("no range", {"@type": "Class", "@id": "A", "p": {"@type": "Set"}}, ".p.@class")
    yield refused("unknown parent", {"@type": "Class", "@id": "A", "@inherits": "Persn"}, ".@inherits")
    yield refused("an enum as parent", {"@type": "Class", "@id": "A", "@inherits": "Mood"}, ".@inherits")
    yield refused("its own parent", {"@type": "Class", "@id": "A", "@inherits": "A"}, ".@inherits")
    yield refused(
        "key of an unknown property",
        {"@type": "Class", "@id": "A", "@key": {"@type": "Lexical", "@fields": ["p"]}},
        ".@key.@fields[0]",
    )
    yield refused(
        "key without properties", {"@type": "Class", "@id": "A", "@key": {"@type": "Lexical"}}, ".@key.@fields"
    )
    yield refused("unknown key", {"@type": "Class", "@id": "A", "@key": {"@type": "Serial"}}, ".@key.@type")
    yield refused("empty enum", {"@type": "Enum", "@id": "A", "@value": []}, ".@value")
    yield refused("enum with a value twice", {"@type": "Enum", "@id": "A", "@value": ["a", "a"]}, ".@value[1]")
    yield refused("a subdocument", {"@type": "Class", "@id": "A", "@subdocument": []}, ".@subdocument")
    yield refused("two faults", {"@type": "Class", "@id": "A", "p": 1, "q": "xsd:no"}, ".p", ".q")
    yield Row("schema: a class twice", "INVALID_SCHEMA", schema_of(NOTE, NOTE), ("ontology.schema[1].@id",))
    yield Row("schema: removes what is unknown", "INVALID_SCHEMA", schema_of(remove=["Persn"]), ("ontology.remove[0]",))
    yield Row(
        "schema: removes what is linked to",
        "INVALID_SCHEMA",
        schema_of(remove=["Mood"]),
        ("ontology.@schema/Person.mood",),
    )
    yield Row(
        "schema: replaces and removes",
        "INVALID_SCHEMA",
        schema_of(BEING, mode="replace", remove=["Note"]),
        ("ontology.remove",),
    )
    yield Row(
        "schema: not JSON",
        "MALFORMED_BODY",
        lambda _: create_commit(DB, ontology={"schema": b"[{"}),
        ("ontology.schema",),
        ("body",),
    )
    yield Row(
        "schema: a key twice",
        "MALFORMED_BODY",
        lambda _: create_commit(DB, ontology={"schema": b'[{"@id":"A","@id":"B"}]'}),
        ("ontology.schema",),
        ("body",),
    )
    yield Row(
        "schema: not UTF-8",
        "MALFORMED_BODY",
        lambda _: create_commit(DB, ontology={"schema": b'[{"@id":"\xff"}]'}),
        ("ontology.schema",),
        ("body",),
    )
    broken = "SCHEMA_VIOLATED_BY_DATA"
    yield Row(
        "schema: a new required property",
        broken,
        schema_of(flawed(NOTE, lang="xsd:string")),
        ("Note/one.lang",),
        metadata=lambda w: {"violations": "1"},
    )
    yield Row("schema: a narrower type", broken, schema_of(flawed(NOTE, text="xsd:integer")), ("Note/one.text",))
    yield Row("schema: fewer values", "EMPTY_COMMIT", schema_of(MOOD))
    yield Row("schema: a class with documents goes", broken, schema_of(remove=["Note"]), ("Note/one.@type",))
    yield Row("schema: another key", broken, schema_of(flawed(NOTE, _key={"@type": "ValueHash"})), ("Note/one",))
    yield Row("schema: abstract with documents", broken, schema_of(flawed(NOTE, _abstract=[])), ("Note/one.@type",))
    yield Row(
        "schema: an optional becomes required",
        broken,
        schema_of(flawed(PERSON, age="xsd:integer")),
        ("Person/bob.age", "Person/cy.age"),
        metadata=lambda w: {"violations": "2"},
    )


def merges() -> Iterator[Row]:
    yield Row("merge: no source", "INVALID_REQUEST", lambda _: calls.merge(DB, ""), ("source",))
    yield Row("conflicts: no theirs", "INVALID_REQUEST", lambda _: calls.list_conflicts(DB, "main", ""), ("theirs",))
    yield Row("merge: unrelated", "UNRELATED_HISTORIES", lambda _: calls.merge(DB, "alone"))
    yield Row("conflicts: unrelated", "UNRELATED_HISTORIES", lambda _: calls.list_conflicts(DB, "main", "alone"))
    yield Row(
        "merge: a link to what the other deleted",
        "MERGE_VIOLATION",
        lambda _: calls.merge(DB, "linking", "removal"),
        ("Person/dee.friend",),
    )
    yield Row(
        "merge: a deletion of what the other links to",
        "MERGE_VIOLATION",
        lambda _: calls.merge(DB, "removal", "linking"),
        ("Person/cy",),
    )
    both = [{"id": "Person/ada", "property": "age", "side": "ours"}]
    yield Row(
        "merge: settles what is not in conflict",
        "UNKNOWN_CONFLICT",
        lambda _: calls.merge(DB, "theirs", "ours", [*both, {"id": "Person/bob", "side": "ours"}]),
        ("resolutions[1]",),
    )
    yield Row(
        "merge: settles a property that is not in conflict",
        "UNKNOWN_CONFLICT",
        lambda _: calls.merge(DB, "theirs", "ours", [*both, {"id": "Person/ada", "property": "name", "side": "ours"}]),
        ("resolutions[1]",),
    )
    yield Row(
        "merge: settles twice",
        "INVALID_REQUEST",
        lambda _: calls.merge(DB, "theirs", "ours", both * 2),
        ("resolutions[1]",),
    )
    yield Row(
        "merge: a resolution that says nothing",
        "INVALID_REQUEST",
        lambda _: calls.merge(DB, "theirs", "ours", [{"id": "Person/ada"}]),
        ("resolutions[0]",),
    )
    yield Row(
        "merge: a resolution of no document",
        "INVALID_REQUEST",
        lambda _: calls.merge(DB, "theirs", "ours", [{"id": "", "side": "ours"}]),
        ("resolutions[0].id",),
    )
    yield Row(
        "merge: a value that is not JSON",
        "MALFORMED_BODY",
        lambda _: calls.merge(DB, "theirs", "ours", [{"id": "Person/ada", "property": "age", "value": b"{"}]),
        ("resolutions[0].value",),
        ("body",),
    )
    yield Row(
        "merge: a value of a wrong type",
        "MERGE_VIOLATION",
        lambda _: calls.merge(DB, "theirs", "ours", [{"id": "Person/ada", "property": "age", "value": "x"}]),
        ("Person/ada.age",),
    )
    yield Row(
        "merge: 10,001 resolutions",
        "TOO_LARGE",
        lambda _: calls.merge(DB, "theirs", "ours", [{"id": f"Note/{n}", "side": "ours"} for n in range(10_001)]),
        ("resolutions",),
    )
    yield Row(
        "merge: message too long",
        "TOO_LARGE",
        lambda _: calls.merge(DB, "theirs", "ours", message="x" * 65_537),
        ("message",),
    )


def pages() -> Iterator[Row]:
    def listings(token: str, size: int = 0) -> dict[str, Call]:
        return {
            "databases": calls.list_databases(size, token),
            "branches": calls.list_branches(DB, "", size, token),
            "documents": calls.list_documents(DB, "main", "", size, token),
            "commits": calls.list_commits(DB, "main", size, token),
            "diff": calls.diff(DB, "main~", "main", size, token),
            "conflicts": calls.list_conflicts(DB, "ours", "theirs", size, token),
        }

    for name in listings(""):
        for size in (-1, 1001):
            yield Row(
                f"page size {size} of {name}",
                "INVALID_REQUEST",
                lambda _, n=name, s=size: listings("", s)[n],
                ("page_size",),
            )
        for token in ("x", "%%%", "é", "AAAA", "x" * 9_000):
            yield Row(
                f"page token {token:.4} of {name}",
                "INVALID_PAGE_TOKEN",
                lambda _, n=name, t=token: listings(t)[n],
                ("page_token",),
            )
        other = "commits" if name != "commits" else "branches"
        yield Row(
            f"page token of {other} for {name}",
            "INVALID_PAGE_TOKEN",
            lambda w, n=name, o=other: listings(w.pages[o])[n],
            ("page_token",),
        )
    invalid = "INVALID_PAGE_TOKEN"
    yield Row(
        "page token of another ref",
        invalid,
        lambda w: calls.list_documents(DB, "ours", page_token=w.pages["documents"]),
        ("page_token",),
    )
    yield Row(
        "page token of another class",
        invalid,
        lambda w: calls.list_documents(DB, "main", "Note", 0, w.pages["documents"]),
        ("page_token",),
    )
    yield Row(
        "page token of another database",
        invalid,
        lambda w: calls.list_branches("other", page_token=w.pages["branches"]),
        ("page_token",),
    )
    yield Row(
        "page token of another prefix",
        invalid,
        lambda w: calls.list_branches(DB, "o", page_token=w.pages["branches"]),
        ("page_token",),
    )
    yield Row(
        "page token that was changed",
        invalid,
        lambda w: calls.list_commits(DB, "main", page_token=w.pages["commits"][:-2] + "xx"),
        ("page_token",),
    )
    listings_of = {
        "databases": ("databases",),
        "branches": ("branches", DB, ""),
        "documents": ("documents", DB, "main", "", False),
        "commits": ("commits", DB, "main", False),
        "diff": ("diff", DB, "main~", "main", False),
        "conflicts": ("conflicts", DB, "ours", "theirs"),
    }
    for name, listing in listings_of.items():
        for text in (
            "7",
            "{}",
            "[]",
            '["a","b","c","d"]',
            "[[1],[2],[3]]",
            "[" * 3_000,
            "{",
            '["\\ud800","\\ud800","\\ud800"]',
        ):
            yield Row(
                f"forged page token {text:.20} of {name}",
                invalid,
                lambda _, n=name, g=listing, t=text: listings(forged(g, t))[n],
                ("page_token",),
            )
    yield Row(
        "forged token to a commit out of reach",
        invalid,
        lambda w: calls.list_documents(
            DB, "main", page_token=forged(listings_of["documents"], f'["{w.heads["theirs"]}",""]')
        ),
        ("page_token",),
    )
    for time in ("x", "-1", str(1 << 70)):
        yield Row(
            f"forged token of time {time}",
            invalid,
            lambda w, t=time: calls.list_commits(
                DB, "main", page_token=forged(listings_of["commits"], f'["{w.heads["main"]}","{t}",""]')
            ),
            ("page_token",),
        )
        yield Row(
            f"forged token of offset {time}",
            invalid,
            lambda w, t=time: calls.list_conflicts(
                DB,
                "ours",
                "theirs",
                page_token=forged(listings_of["conflicts"], f'["{w.heads["ours"]}","{w.heads["theirs"]}","{t}"]'),
            ),
            ("page_token",),
        )
    yield Row(
        "page size that is a word",
        "INVALID_REQUEST",
        lambda _: Call("", b"", HttpCall("GET", "/v1/databases", {"page_size": "many"})),
        ("page_size",),
        doors=("http",),
    )
    yield Row("prefix with NUL", "INVALID_REQUEST", lambda _: calls.list_branches(DB, "a\0"), ("prefix",))
    yield Row("no ids", "INVALID_REQUEST", lambda _: calls.batch_get(DB, []), ("ids",))
    yield Row(
        "1,001 ids", "INVALID_REQUEST", lambda _: calls.batch_get(DB, [f"Note/{n}" for n in range(1001)]), ("ids",)
    )
    yield Row("an empty id among them", "INVALID_REQUEST", lambda _: calls.batch_get(DB, ["Note/one", ""]), ("ids[1]",))
    yield Row("an empty id", "INVALID_REQUEST", lambda _: calls.get_document(DB, ""), ("id",), doors=("grpc",))
    yield Row("an id with NUL", "INVALID_REQUEST", lambda _: calls.get_document(DB, "Note/\0"), ("id",))
    yield Row("an id too long", "TOO_LARGE", lambda _: calls.get_document(DB, "Note/" + "x" * 1020), ("id",))


def identity() -> Iterator[Row]:
    get = calls.get_document(DB, "Person/ada")
    write = create_commit(DB, insert(person("x")))
    for name, call in {"read": get, "write": write}.items():
        yield Row(f"no token: {name}", "TOKEN_MISSING", lambda _, c=call: c, token="")
        yield Row(f"expired: {name}", "TOKEN_EXPIRED", lambda _, c=call: c, token="expired")
        for token in (
            "not yet",
            "for others",
            "unknown kind",
            "malformed name",
            "malformed right",
            "foreign key",
            "forged signature",
            "cut",
            "garbage",
            "unsigned",
            "symmetric",
        ):
            yield Row(f"token {token}: {name}", "TOKEN_INVALID", lambda _, c=call: c, token=token)
        yield Row(
            f"another scheme: {name}",
            "TOKEN_INVALID",
            lambda _, c=call: c,
            token="",
            headers={"authorization": "Basic YTpi"},
        )

    def denied(name: str, token: str, right: str, call: Make, branch: str = "", database: str = DB) -> Row:
        principal = "user:carol" if token == "without claims" else "user:bob"
        told = {"principal": principal, "right": right, "database": database} | ({"branch": branch} if branch else {})
        return Row(f"{token}: {name}", "PERMISSION_DENIED", call, token=token, metadata=lambda w: told)

    yield denied("get", "without claims", "read", lambda _: get, "main")
    yield denied("get", "nobody", "read", lambda _: get, "main")
    yield denied("commit", "reader", "write", lambda _: write, "main")
    yield denied(
        "commit by id of its own", "reader", "write", commit_of(insert(person("x")), request_id="commit-1"), "main"
    )
    yield denied("validate", "reader", "write", commit_of(insert(person("x")), validate_only=True), "main")
    yield denied("merge", "reader", "write", lambda _: calls.merge(DB, "ours"), "main")
    yield denied("make a branch", "reader", "write", lambda _: create_branch(DB, "new"), "new")
    yield denied("delete a branch", "reader", "write", lambda _: calls.delete_branch(DB, "ours"), "ours")
    yield denied(
        "another database", "reader", "read", lambda _: calls.get_document("other", "Note/one"), "main", "other"
    )
    yield denied("an unknown database", "reader", "read", lambda _: calls.get_database("void"), "", "void")
    yield denied("create a database", "reader", "admin", lambda _: create_database("new"), "", "new")
    yield denied("change a database", "editor", "admin", lambda _: calls.update_database(DB, "x"))
    yield denied("delete a database", "other admin", "admin", lambda _: calls.delete_database(DB))
    yield denied("get", "writer", "read", lambda _: get, "main")
    yield denied("get the database", "writer", "read", lambda _: calls.get_database(DB))
    yield denied("list documents", "writer", "read", lambda _: calls.list_documents(DB), "main")
    yield denied("batch get", "writer", "read", lambda _: calls.batch_get(DB, ["Person/ada"]), "main")
    yield denied("ontology", "writer", "read", lambda _: calls.get_ontology(DB), "main")
    yield denied("log", "writer", "read", lambda _: calls.list_commits(DB), "main")
    yield denied("show", "writer", "read", lambda _: calls.get_commit(DB, "main~"), "main")
    yield denied("resolve", "writer", "read", lambda _: calls.resolve_ref(DB, "main"), "main")
    yield denied("a branch", "writer", "read", lambda _: calls.get_branch(DB, "ours"), "ours")
    yield denied("branches", "writer", "read", lambda _: calls.list_branches(DB))
    yield denied(
        "merge from what it may not read", "writer", "read", lambda _: calls.merge(DB, "theirs", "ours"), "theirs"
    )
    yield denied("branch from what it may not read", "writer", "read", lambda _: create_branch(DB, "new"), "main")
    yield denied("commit to main", "feature writer", "write", lambda _: write, "main")
    yield denied(
        "commit to what only begins alike",
        "feature writer",
        "write",
        commit_of(insert(person("x")), branch="feature"),
        "feature",
    )
    yield denied("merge into main", "feature writer", "write", lambda _: calls.merge(DB, "feature/x"), "main")
    yield denied(
        "branch beside its own", "feature writer", "write", lambda _: create_branch(DB, "features"), "features"
    )
    yield denied("main", "feature reader", "read", lambda _: get, "main")
    yield denied(
        "main's past", "feature reader", "read", lambda _: calls.get_document(DB, "Person/ada", "main~1"), "main"
    )
    yield denied(
        "a commit of main by its id",
        "feature reader",
        "read",
        lambda w: calls.get_document(DB, "Person/ada", f"commit:{w.heads['main']}"),
        "main",
    )
    yield denied(
        "a commit of main by its first digits",
        "feature reader",
        "read",
        lambda w: calls.get_commit(DB, f"commit:{w.heads['main'][:12]}"),
        "main",
    )
    yield denied("diff with main", "feature reader", "read", lambda _: calls.diff(DB, "main", "feature/x"), "main")
    yield denied(
        "conflicts with main", "feature reader", "read", lambda _: calls.list_conflicts(DB, "feature/x", "main"), "main"
    )
    yield denied(
        "a page token of main",
        "feature reader",
        "read",
        lambda w: calls.list_documents(DB, "main", page_token=w.pages["documents"]),
        "main",
    )
    yield Row(
        "feature reader: a token forged to show main",
        "INVALID_PAGE_TOKEN",
        lambda w: calls.list_documents(
            DB, "feature/x", page_token=forged(("documents", DB, "feature/x", "", False), f'["{w.heads["theirs"]}",""]')
        ),
        ("page_token",),
        token="feature reader",
    )
    author = {"principal": "user:bob", "author": "user:ana"}
    forged_author = "FORGED_AUTHOR"
    yield Row(
        "forged author",
        forged_author,
        commit_of(insert(person("x")), author="user:ana"),
        ("author",),
        token="editor",
        metadata=lambda w: author,
    )
    yield Row(
        "forged author in the metadata",
        forged_author,
        lambda _: write,
        ("author",),
        token="editor",
        headers={"x-ontomesh-author": "user:ana"},
        metadata=lambda w: author,
    )
    yield Row(
        "forged author of a merge",
        forged_author,
        lambda _: calls.merge(DB, "theirs", "ours", author="user:ana"),
        ("author",),
        token="editor",
        metadata=lambda w: author,
    )
    yield Row(
        "forged author beside its own branches",
        forged_author,
        commit_of(insert(person("x")), author="user:ana"),
        ("author",),
        token="feature actor",
        metadata=lambda w: author,
    )


def rows() -> list[Row]:
    """The whole table."""
    parts = (names, refs, bodies, documents, routes, writes, schemas, merges, pages, identity)
    return [row for part in parts for row in part()]
