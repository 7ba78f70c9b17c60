"""Tokens, rights and authors."""

from collections.abc import Iterator

from tests.contract import calls
from tests.contract.calls import create_branch, create_commit, create_database, insert
from tests.contract.refusals.row import Make, Row, always, commit_of
from tests.contract.world import DB, forged, person


def identity() -> Iterator[Row]:
    get = calls.get_document(DB, "Person/ada")
    write = create_commit(DB, insert(person("x")))
    for name, call in {"read": get, "write": write}.items():
        yield Row(f"no token: {name}", "TOKEN_MISSING", always(call), token="")
        yield Row(f"expired: {name}", "TOKEN_EXPIRED", always(call), token="expired")
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
            yield Row(f"token {token}: {name}", "TOKEN_INVALID", always(call), token=token)
        yield Row(
            f"another scheme: {name}",
            "TOKEN_INVALID",
            always(call),
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
