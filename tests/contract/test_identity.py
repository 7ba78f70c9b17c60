"""Who may do what at both doors, who did what, and what of it is on record."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from ontomesh.sdk import connect
from ontomesh.sdk.errors import TokenExpired, TokenInvalid
from ontomesh_chassis.home import write_private
from ontomesh_chassis.keys import generate_signing_key, mint, public_jwks
from tests.contract import calls
from tests.contract.calls import Call, create_commit, insert
from tests.contract.doors import DOORS, DoorName, Doors, Refusal, Refused, doors_of
from tests.contract.serving import OWNER, Serving, serving, signing_key
from tests.contract.world import DB, SCHEMA, person

pytestmark = pytest.mark.xdist_group("contract-identity")

POLICY = """
[[rule]]
principals = ["user:ana"]
rights = ["*"]
databases = ["*"]
branches = ["*"]

[[rule]]
principals = ["user:bob"]
rights = ["read", "write"]
databases = ["cat*"]
branches = ["feature/*"]

[[rule]]
principals = ["service:*"]
rights = ["read", "write", "act"]
databases = ["catalog"]
branches = ["main"]

[[rule]]
principals = ["user:guest"]
rights = ["read"]
databases = ["*"]
branches = ["*"]
token_claims_only = true
"""
BROKEN = '[[rule]]\nprincipals = ["user:ana"]\nrights = ["fly"]\ndatabases = ["*"]\nbranches = ["*"]\n'


class Scene:
    """A kernel with a policy, two databases, and branches of two kinds."""

    def __init__(self, kernel: Serving, doors: Doors) -> None:
        self.kernel = kernel
        self.doors = doors

    async def outcome(self, door: DoorName, call: Call, token: str, headers: dict[str, str] | None = None) -> str:
        """The reason of the refusal, or `ok`."""
        try:
            await self.doors.send(door, call, token, headers)
        except Refused as refused:
            return refused.refusal.reason
        return "ok"

    async def build(self) -> None:
        for database in (DB, "cats", "dogs"):
            await self.doors.read(calls.create_database(database))
            await self.doors.read(create_commit(database, insert(person("ada")), ontology={"schema": SCHEMA}))
            for branch in ("feature/a", "feature/b", "other/a"):
                await self.doors.read(calls.create_branch(database, branch, "main"))


@pytest_asyncio.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    write_private(tmp_path / "policy.toml", POLICY)
    async with serving(tmp_path) as kernel, doors_of(kernel) as doors:
        made = Scene(kernel, doors)
        await made.build()
        yield made


async def test_keys_rotate_while_the_kernel_runs(scene: Scene) -> None:
    kernel, home = scene.kernel, scene.kernel.home
    old, new = signing_key(home), generate_signing_key()
    call = calls.get_database(DB)
    by_old, by_new = mint(old, OWNER), mint(new, OWNER)
    for door in DOORS:
        assert await scene.outcome(door, call, by_new) == "TOKEN_INVALID"
    write_private(home / "keys.json", json.dumps(public_jwks(new, old)))
    for door in DOORS:
        assert await scene.outcome(door, call, by_new) == "ok", "an unknown key is looked for at once"
        assert await scene.outcome(door, call, by_old) == "ok"
    write_private(home / "keys.json", json.dumps(public_jwks(new)))
    async with asyncio.timeout(5):
        while await scene.outcome("grpc", call, by_old) == "ok":  # noqa: ASYNC110 - the file is looked at once a second
            await asyncio.sleep(0.02)
    for door in DOORS:
        assert await scene.outcome(door, call, by_old) == "TOKEN_INVALID"
        assert await scene.outcome(door, call, by_new) == "ok"
    write_private(home / "keys.json", "{")
    assert await scene.outcome("grpc", call, by_old) == "TOKEN_INVALID", "a broken file brings no key back"
    assert await scene.outcome("grpc", call, by_new) == "ok"
    assert [line["reason"] for line in kernel.audited("keys_changed")] == [
        f"kids: {', '.join(sorted((new['kid'], old['kid'])))}",
        f"kids: {new['kid']}",
    ]
    assert len(kernel.audited("keys_rejected")) == 1


async def test_rights_hold_by_database_and_branch_pattern_at_both_doors(scene: Scene) -> None:
    bob, relay = scene.kernel.token("user:bob"), scene.kernel.token("service:relay")
    narrowed = scene.kernel.token("user:bob", ["read:catalog/feature/a"])
    guest, claiming = scene.kernel.token("user:guest"), scene.kernel.token("user:guest", ["read:dogs", "write:dogs"])
    denied = "PERMISSION_DENIED"
    for door in DOORS:

        def commit(database: str, branch: str, at: str = door) -> Call:
            return create_commit(database, insert(person(f"{at}-{len(branch)}")), branch=branch, validate_only=True)

        table = [
            (bob, commit(DB, "feature/a"), "ok"),
            (bob, commit("cats", "feature/b"), "ok"),
            (bob, commit("dogs", "feature/a"), denied),
            (bob, commit(DB, "main"), denied),
            (bob, commit(DB, "other/a"), denied),
            (bob, commit(DB, "feature"), denied),
            (bob, calls.get_document(DB, "Person/ada", "feature/a"), "ok"),
            (bob, calls.get_commit(DB, "feature/a~1"), "ok"),
            (bob, calls.get_document(DB, "Person/ada"), denied),
            (bob, calls.diff(DB, "feature/a", "feature/b"), "ok"),
            (bob, calls.diff(DB, "main", "feature/b"), denied),
            (bob, calls.merge(DB, "feature/b", "feature/a", validate_only=True), "ok"),
            (bob, calls.merge(DB, "main", "feature/a", validate_only=True), denied),
            (bob, calls.merge(DB, "feature/a", "main", validate_only=True), denied),
            (bob, calls.create_branch(DB, "other/b", "feature/a"), denied),
            (bob, calls.create_branch(DB, "feature/c", "main"), denied),
            (bob, calls.create_branch(DB, f"feature/{door}", "feature/a"), "ok"),
            (bob, calls.delete_branch(DB, f"feature/{door}"), "ok"),
            (bob, calls.create_database("cattle"), denied),
            (bob, calls.update_database(DB, "mine"), denied),
            (bob, calls.delete_database("cats"), denied),
            (narrowed, calls.get_document(DB, "Person/ada", "feature/a"), "ok"),
            (narrowed, calls.get_document(DB, "Person/ada", "feature/b"), denied),
            (narrowed, commit(DB, "feature/a"), denied),
            (relay, commit(DB, "main"), "ok"),
            (relay, commit(DB, "feature/a"), denied),
            (relay, calls.get_document("cats", "Person/ada"), denied),
            (guest, calls.get_document("dogs", "Person/ada"), denied),
            (claiming, calls.get_document("dogs", "Person/ada"), "ok"),
            (claiming, calls.get_document("cats", "Person/ada"), denied),
            (claiming, commit("dogs", "main"), denied),
        ]
        outcomes = [(await scene.outcome(door, call, token), call.method) for token, call, _ in table]
        assert outcomes == [(due, call.method) for _, call, due in table]


async def test_lists_show_only_what_may_be_read_and_a_page_token_shows_no_more(scene: Scene) -> None:
    doors, bob = scene.doors, scene.kernel.token("user:bob")

    async def names(make: Any, key: str, token: str, start: str = "") -> list[str]:
        found, page_token = [], start
        while True:
            page = await doors.read(make(page_size=1, page_token=page_token), token)
            found += [one["name"] for one in page[key]]
            page_token = page["next_page_token"]
            if not page_token:
                return found

    def branches(**rest: Any) -> Call:
        return calls.list_branches(DB, **rest)

    assert await names(calls.list_databases, "databases", bob) == [DB, "cats"]
    assert await names(branches, "branches", bob) == ["feature/a", "feature/b"]
    assert await names(calls.list_databases, "databases", scene.kernel.token("user:guest")) == []
    owners = await doors.read(calls.list_branches(DB, page_size=2))
    assert [one["name"] for one in owners["branches"]] == ["feature/a", "feature/b"]
    assert await names(branches, "branches", bob, owners["next_page_token"]) == []
    owned = await doors.read(calls.list_documents(DB, "main", page_size=1))
    assert owned["next_page_token"] == ""
    log = (await doors.read(calls.list_commits(DB, "main", page_size=1)))["next_page_token"]
    head = (await doors.read(calls.get_branch(DB, "main")))["head"]
    for door in DOORS:
        assert await scene.outcome(door, calls.list_commits(DB, "main", page_token=log), bob) == "PERMISSION_DENIED"
        assert (
            await scene.outcome(door, calls.list_commits(DB, "feature/a", page_token=log), bob) == "INVALID_PAGE_TOKEN"
        )
        assert await scene.outcome(door, calls.get_commit(DB, f"commit:{head}"), bob) == "PERMISSION_DENIED"
        assert await scene.outcome(door, calls.get_commit("dogs", f"commit:{head}"), bob) == "PERMISSION_DENIED"
        assert await scene.outcome(door, calls.get_commit("cats", f"commit:{head}"), bob) == "COMMIT_NOT_FOUND"


async def test_who_acts_for_another_stays_on_record_as_the_committer(scene: Scene) -> None:
    kernel, doors = scene.kernel, scene.doors
    relay = kernel.token("service:relay")
    expected = []
    for door in DOORS:
        by_field = create_commit(DB, insert(person(f"{door}-field")), author="user:eve")
        by_header = create_commit(DB, insert(person(f"{door}-header")))
        own = create_commit(DB, insert(person(f"{door}-own")), author="service:relay")
        await doors.send(door, by_field, relay)
        await doors.send(door, by_header, relay, {"x-ontomesh-author": "user:mallory"})
        await doors.send(door, own, relay)
        expected += ["user:eve", "user:mallory", "service:relay"]
    log = (await doors.read(calls.list_commits(DB, "main")))["commits"]
    made = [(one["author"], one["committer"]) for one in log[: len(expected)]]
    assert made == [(author, "service:relay") for author in reversed(expected)]
    records = kernel.audited("acted_for_other")
    assert [one["author"] for one in records] == [author for author in expected if author != "service:relay"]
    for one in records:
        assert (one["principal"], one["database"], one["branch"]) == ("service:relay", DB, "main")
    of_commits = [one["trace_id"] for one in reversed(log[: len(expected)]) if one["author"] != one["committer"]]
    assert [one["trace_id"] for one in records] == of_commits


async def test_the_author_of_a_merge_is_whom_it_is_made_for(scene: Scene) -> None:
    doors, relay = scene.doors, scene.kernel.token("service:relay")
    await doors.read(create_commit(DB, insert(person("new")), branch="feature/a"))
    assert await scene.outcome("grpc", calls.merge(DB, "feature/a", author="user:eve"), relay) == "PERMISSION_DENIED"
    await doors.read(calls.create_branch(DB, "line", "feature/a"))
    merged = await doors.read(calls.merge(DB, "line", author="user:eve"))
    assert (merged["commit"]["author"], merged["commit"]["committer"]) == ("user:eve", OWNER)


async def test_refused_writes_and_failed_tokens_are_audited_and_no_token_is_logged(scene: Scene) -> None:
    kernel = scene.kernel
    bob, expired = kernel.token("user:bob"), kernel.token("user:bob", expires_in=-5)
    methods = {
        "grpc": "ontomesh.kernel.v1.CommitService/CreateCommit",
        "http": "POST /v1/databases/{database}/commits",
    }
    for door in DOORS:
        before = {event: len(kernel.audited(event)) for event in ("write_refused", "token_rejected")}

        def news(event: str, since: dict[str, int] = before) -> list[dict[str, Any]]:
            return kernel.audited(event)[since[event] :]

        async def refused(
            call: Call, token: str, headers: dict[str, str] | None = None, at: DoorName = door
        ) -> Refusal:
            return await scene.doors.refused(at, call, token, headers)

        write = create_commit(DB, insert(person("x")))
        read = await refused(calls.get_document(DB, "Person/ada"), bob)
        assert read.reason == "PERMISSION_DENIED"
        assert news("write_refused") == [], "a refused read is no record"
        denied = await refused(write, bob)
        forged = await refused(
            create_commit(DB, insert(person("x")), branch="feature/a"), bob, {"x-ontomesh-author": OWNER}
        )
        admin = await refused(calls.delete_database(DB), bob)
        first, second, third = news("write_refused")
        common = {"principal": "user:bob", "database": DB}
        assert (
            first.items()
            >= {
                **common,
                "branch": "main",
                "right": "write",
                "reason": "PERMISSION_DENIED",
                "trace_id": denied.trace_id,
                "method": methods[door],
            }.items()
        )
        assert (
            second.items()
            >= {
                **common,
                "branch": "feature/a",
                "right": "act",
                "reason": "FORGED_AUTHOR",
                "author": OWNER,
                "trace_id": forged.trace_id,
            }.items()
        )
        assert third.items() >= {**common, "right": "admin", "trace_id": admin.trace_id}.items()
        for token, reason in ((expired, "TOKEN_EXPIRED"), ("", "TOKEN_MISSING"), ("garbage", "TOKEN_INVALID")):
            refusal = await refused(write, token)
            record = news("token_rejected")[-1]
            assert record["trace_id"] == refusal.trace_id
            assert record["reason"].startswith(f"{reason}: ")
        assert len(news("token_rejected")) == 3
    log = (kernel.home / "kernel.log").read_text("utf-8")
    for secret in (bob, expired, kernel.token()):
        assert secret.rpartition(".")[2] not in log


async def test_a_new_policy_holds_without_a_restart_and_an_invalid_one_is_refused(scene: Scene) -> None:
    kernel, home = scene.kernel, scene.kernel.home
    bob = kernel.token("user:bob")
    call = calls.get_document(DB, "Person/ada")

    async def becomes(outcome: str) -> None:
        async with asyncio.timeout(5):
            while await scene.outcome("grpc", call, bob) != outcome:  # noqa: ASYNC110 - looked at once a second
                await asyncio.sleep(0.02)
        assert await scene.outcome("http", call, bob) == outcome

    await becomes("PERMISSION_DENIED")
    write_private(home / "policy.toml", POLICY.replace('["feature/*"]', '["*"]'))
    await becomes("ok")
    (changed,) = kernel.audited("policy_changed")
    assert len(changed["digest"]) == 64
    write_private(home / "policy.toml", BROKEN)

    async def rejected() -> None:
        async with asyncio.timeout(5):
            while not kernel.audited("policy_rejected"):
                assert await scene.outcome("grpc", call, bob) == "ok"
                await asyncio.sleep(0.02)

    await rejected()
    assert await scene.outcome("grpc", call, bob) == "ok", "the old policy stays"
    (record,) = kernel.audited("policy_rejected")
    assert "rule 1" in record["reason"]
    assert "fly" in record["reason"]
    write_private(home / "policy.toml", POLICY)
    await becomes("PERMISSION_DENIED")


async def test_the_client_finds_a_renewed_token_in_its_file(scene: Scene) -> None:
    kernel, home = scene.kernel, scene.kernel.home
    write_private(home / "token", mint(generate_signing_key(), OWNER))
    async with connect(kernel.grpc, home=home) as mesh:
        with pytest.raises(TokenInvalid):
            await mesh.databases.get(DB)
        write_private(home / "token", kernel.token(expires_in=-5))
        with pytest.raises(TokenExpired):
            await mesh.databases.get(DB)
        write_private(home / "token", kernel.token())
        assert (await mesh.databases.get(DB)).name == DB
