"""Names of databases and branches."""

from collections.abc import Iterator

from tests.contract import calls
from tests.contract.calls import create_branch, create_database, insert
from tests.contract.refusals.row import Row, always, commit_of
from tests.contract.world import DB, person


def names() -> Iterator[Row]:
    for name in ("", "Catalog", "1st", "a b", "a" * 64, "café", "a/b", "catalog\n"):
        yield Row(f"database name {name!r:.20}", "INVALID_REQUEST", always(create_database(name)), ("database.name",))
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
        yield Row(f"branch name {branch!r:.20}", "INVALID_REQUEST", always(create_branch(DB, branch)), ("branch",))
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
