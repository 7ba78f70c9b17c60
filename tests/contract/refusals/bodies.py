"""Bodies that cannot be read or are too large, and requests of the wrong shape."""

from collections.abc import Iterator

from tests.contract.calls import (
    Call,
    HttpCall,
    create_commit,
    delete,
    insert,
    put,
    update,
)
from tests.contract.refusals.row import BODY, Row, always, commit_of, schema_of
from tests.contract.world import DB, NOTE, flawed, person


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
        yield Row(f"request: {name}", reason, always(call), (at,), doors=("http",))
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
        yield Row(f"commit: {name}", "INVALID_REQUEST", always(call), (at,), doors=("http",))
