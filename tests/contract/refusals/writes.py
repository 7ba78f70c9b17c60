"""Commits that come too late, twice, or say nothing."""

from collections.abc import Iterator

from tests.contract import calls
from tests.contract.calls import create_branch, create_commit, create_database, delete, insert, put, replace, update
from tests.contract.refusals.row import BODY, Row, commit_of, schema_of, told
from tests.contract.world import DB, NOTE, person


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
    yield Row(
        "request id of another commit",
        "REQUEST_ID_REUSED",
        commit_of(insert(person("x")), **again),
        ("request_id",),
        metadata=told(**again),
    )
    yield Row(
        "request id of another branch",
        "REQUEST_ID_REUSED",
        commit_of(insert(person("x")), branch="ours", request_id="commit-1"),
        ("request_id",),
        metadata=told(**again),
    )
    yield Row(
        "request id of a commit, for a merge",
        "REQUEST_ID_REUSED",
        lambda _: calls.merge(DB, "ours", request_id="commit-1"),
        ("request_id",),
        metadata=told(**again),
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
        metadata=told(**again),
    )
    for validate in (insert(person("ada")), insert({"@type": "Note"})):
        reason = "DOCUMENT_ALREADY_EXISTS" if validate["insert"]["body"].get("name") else "SCHEMA_VIOLATION"
        at = "operations[0].insert" if validate["insert"]["body"].get("name") else f"{BODY}.text"
        yield Row(f"only validated: {reason}", reason, commit_of(validate, validate_only=True), (at,))
