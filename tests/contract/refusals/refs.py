"""Refs, and what they name that is not there."""

from collections.abc import Iterator

from tests.contract import calls
from tests.contract.calls import create_branch, create_commit, insert
from tests.contract.refusals.row import Row, always, told
from tests.contract.world import DB, person


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
        yield Row(f"ref {ref!r:.30}", "INVALID_REF", always(calls.get_document(DB, "Person/ada", ref)), ("ref",))
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
        yield Row(f"unknown branch: {name}", "BRANCH_NOT_FOUND", always(call), metadata=told(**gone))
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
            always(call),
            metadata=lambda w: {"database": "void"},
        )
    for ref in ("commit:" + "0" * 64, "commit:00000000", "main~100", "main@2001-01-01T00:00:00Z"):
        yield Row(
            f"unknown commit {ref:.30}",
            "COMMIT_NOT_FOUND",
            always(calls.get_commit(DB, ref)),
            metadata=told(database=DB, ref=ref),
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
