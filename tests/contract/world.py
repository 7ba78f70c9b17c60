"""What the table of refusals is asked against: a database with a history, branches that conflict, page tokens, tokens."""

import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import jwt

from ontomesh.kernel.v1 import import_service_pb2
from ontomesh_chassis.keys import generate_signing_key, mint
from tests.contract import calls
from tests.contract.calls import Call, insert, update
from tests.contract.doors import Doors
from tests.contract.serving import OWNER, Serving, signing_key

DB = "catalog"

NEEDS = {"ONTOMESH_OUTBOUND_ALLOW": "127.0.0.0/8"}
"""The settings of a kernel that the world is built on: a validator of it is away, on loopback."""

PERSON: dict[str, Any] = {
    "@type": "Class",
    "@id": "Person",
    "@key": {"@type": "Lexical", "@fields": ["name"]},
    "name": "xsd:string",
    "age": {"@type": "Optional", "@class": "xsd:integer"},
    "mood": {"@type": "Optional", "@class": "Mood"},
    "friend": {"@type": "Optional", "@class": "Person"},
    "tags": {"@type": "Set", "@class": "xsd:string"},
    "scores": {"@type": "List", "@class": "xsd:integer"},
}
BEING: dict[str, Any] = {"@type": "Class", "@id": "Being", "@abstract": []}
NOTE: dict[str, Any] = {"@type": "Class", "@id": "Note", "@key": {"@type": "Random"}, "text": "xsd:string"}
MOOD: dict[str, Any] = {"@type": "Enum", "@id": "Mood", "@value": ["calm", "wild"]}
SCHEMA = [BEING, PERSON, NOTE, MOOD]


def person(name: str, **rest: Any) -> dict[str, Any]:
    """A document of the class Person."""
    return {"@type": "Person", "name": name, "scores": [], **rest}


def flawed(element: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """An element of the schema with other members; underscores at the front stand for @."""
    return element | {name.replace("_", "@", 1) if name[0] == "_" else name: part for name, part in changed.items()}


@dataclass
class World:
    """Ids, etags and tokens that rows need."""

    heads: dict[str, str] = field(default_factory=dict)
    ontology_digest: str = ""
    tokens: dict[str, str] = field(default_factory=dict)
    pages: dict[str, str] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)

    @property
    def stale(self) -> str:
        """The head that `main` had before its last commit."""
        return self.heads["main before"]


async def build(kernel: Serving, doors: Doors) -> World:
    """Make the databases, their histories and the tokens."""
    world = World(tokens=_tokens(kernel))

    async def commit(*operations: calls.Json, branch: str = "main", **rest: Any) -> str:
        made = await doors.read(calls.create_commit(DB, *operations, branch=branch, **rest))
        return str(made["commit"]["id"])

    await doors.read(calls.create_database(DB, "Under test", "database-1"))
    await doors.read(calls.create_database("other"))
    world.heads["main before"] = await commit(ontology={"schema": SCHEMA})
    note = {"@type": "Note", "@id": "Note/one", "text": "hello"}
    people = [insert(person("ada", age=36)), insert(person("bob", friend="Person/ada")), insert(person("cy"))]
    await commit(*people, insert(note), request_id="commit-1", message="people")
    await doors.read(calls.create_branch(DB, "feature/x", "main", request_id="branch-1"))
    for branch in ("ours", "theirs", "removal", "linking"):
        await doors.read(calls.create_branch(DB, branch, "main"))
    await doors.read(calls.create_branch(DB, "alone", empty=True))
    await commit(update("Person/ada", {"age": 40}), branch="ours")
    await commit(update("Person/ada", {"age": 41}), branch="theirs")
    await commit(calls.delete("Person/cy"), branch="removal")
    await commit(insert(person("dee", friend="Person/cy")), branch="linking")
    for found in (await doors.read(calls.list_branches(DB)))["branches"]:
        world.heads[found["name"]] = found["head"]
    world.ontology_digest = (await doors.read(calls.get_ontology(DB)))["digest"]
    await _judged(doors)
    world.pages = await _pages(doors)
    world.imports = await _imports(doors)
    await commit(update("Person/ada", {"age": 50}), branch="feature/x")
    return world


async def _judged(doors: Doors) -> None:
    """Two branches that validators see: of the one, they object to much; of the other, theirs is away."""
    for name in ("strict", "silent"):
        await doors.read(calls.create_branch(DB, f"judged/{name}", "main"))
    strict, silent = ({"databases": [DB], "branches": [f"judged/{name}"]} for name in ("strict", "silent"))
    ticket = {"rule": "message", "parameters": {"pattern": "^[A-Z]+-[0-9]+"}}
    age = {"rule": "immutable", "parameters": {"properties": "age"}}
    await doors.read(calls.put_validator("strict", builtin=ticket, match=strict))
    await doors.read(calls.put_validator("grown", builtin=age, match={**strict, "classes": ["Person"]}))
    away = {"target": "127.0.0.1:1", "plaintext": True}
    await doors.read(calls.put_validator("silent", grpc=away, match=silent))


async def _imports(doors: Doors) -> dict[str, str]:
    """Imports to `feature/x` that cannot be finished, or not so, once Person/ada was changed there."""
    streams = {
        "empty": b"",
        "faulty": _lines(person("x"), person("y", age="old")),
        "conflicting": _lines(person("ada", age=7)),
        "dangling": _lines(person("x", friend="Person/nobody")),
        "known": _lines(person("bob", friend="Person/ada")),
        "good": _lines(person("x")),
    }
    ids = {}
    for name, stream in streams.items():
        answer = import_service_pb2.BeginImportResponse
        begun = await doors.ask(calls.begin_import(DB, "feature/x", f"import-{name}"), answer)
        ids[name] = begun.state.id
        await doors.upload(DB, begun.state.id, stream)
    return ids


def _lines(*documents: calls.Json) -> bytes:
    return b"".join(json.dumps(document).encode() + b"\n" for document in documents)


async def _pages(doors: Doors) -> dict[str, str]:
    first: dict[str, Call] = {
        "databases": calls.list_databases(page_size=1),
        "branches": calls.list_branches(DB, page_size=1),
        "documents": calls.list_documents(DB, "main", page_size=1),
        "documents of theirs": calls.list_documents(DB, "theirs", page_size=1),
        "commits": calls.list_commits(DB, "main", page_size=1),
        "diff": calls.diff(DB, "main~", "main", page_size=1),
        "query": calls.query_documents(DB, "Person", ref="main", page_size=1),
    }
    return {name: (await doors.read(call))["next_page_token"] for name, call in first.items()}


def forged(listing: tuple[object, ...], text: str) -> str:
    """A page token with a position of our own and a check that is right, which anybody who reads the source can make."""
    asked = json.dumps([*listing, text], ensure_ascii=False).encode()
    return urlsafe_b64encode(f"{blake2b(asked, digest_size=8).hexdigest()}{text}".encode()).decode().rstrip("=")


def _tokens(kernel: Serving) -> dict[str, str]:
    key = signing_key(kernel.home)
    stranger = generate_signing_key()
    by_rights = {
        "reader": ["read:catalog"],
        "writer": ["write:catalog"],
        "feature reader": ["read:catalog/feature/*"],
        "feature writer": ["read:catalog", "write:catalog/feature/*"],
        "editor": ["read:catalog", "write:catalog"],
        "feature actor": ["read:catalog", "write:catalog", "act:catalog/feature/*"],
        "other admin": ["read", "write", "admin:other*"],
        "nobody": [],
    }
    tokens = {name: kernel.token("user:bob", rights) for name, rights in by_rights.items()}
    return tokens | {
        "": "",
        "owner": kernel.token(),
        "without claims": kernel.token("user:carol"),
        "expired": kernel.token(expires_in=-10),
        "not yet": kernel.token(nbf=4_000_000_000),
        "for others": kernel.token(aud="elsewhere"),
        "unknown kind": kernel.token("robot:ana"),
        "malformed name": kernel.token("user:a b"),
        "malformed right": kernel.token("user:bob", ["fly:catalog"]),
        "foreign key": mint(stranger, OWNER),
        "forged signature": mint(stranger | {"kid": key["kid"]}, OWNER),
        "cut": kernel.token()[:-20],
        "garbage": "garbage",
        "unsigned": jwt.encode({"sub": "ana", "kind": "user", "aud": "ontomesh", "exp": 4_000_000_000}, "", "none"),
        "symmetric": jwt.encode(
            {"sub": "ana", "kind": "user", "aud": "ontomesh", "exp": 4_000_000_000},
            key["x"] * 2,
            "HS256",
            headers={"kid": key["kid"]},
        ),
    }
