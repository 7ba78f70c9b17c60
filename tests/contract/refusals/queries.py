"""Queries, links and traversals: what is asked for, how it is written, and how far it goes."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from ontomesh.kernel.v1 import query_service_pb2
from tests.contract import calls
from tests.contract.calls import Call
from tests.contract.doors import DOORS, DoorName
from tests.contract.refusals.row import Make, Row, always, told
from tests.contract.world import DB, World, forged

Asking = Callable[..., Call]

ASKING: dict[str, Asking] = {
    "query": calls.query_documents,
    "stream": calls.stream_query,
    "count": calls.count_documents,
    "explain": calls.explain_query,
}
QUERY: tuple[object, ...] = ("query", DB, "main", "Person", False, "", "", [], [])
"""What identifies the listing of every Person on main."""

REFERRERS: tuple[object, ...] = ("referrers", DB, "main", "Person/ada", [], [])
FILTERS = {
    "an operator without a value": ("name =", 7),
    "a value without an operator": ('"ada"', 1),
    "a bare word": ("ada", 1),
    "an open parenthesis": ("(age = 1", 1),
    "an open string": ('name = "ada', 8),
    "an unknown property": ("nmae = 1", 1),
    "an unknown property through a link": ("friend.nmae = 1", 8),
    "a path into a scalar": ("name.first = 1", 6),
    "a value of the wrong type": ('age = "old"', 7),
    "a value that the enum lacks": ("mood = sad", 8),
    "a comparison of an enum": ("mood < calm", 6),
    "a link compared with no id": ("friend < ada", 8),
    "nine hops": (".".join(["friend"] * 8) + ".name = 1", 57),
    "a function": ("f(age)", 2),
    "101 terms": (" AND ".join(["age = 1"] * 101), None),
    "1,001 values": (f"age in ({', '.join(map(str, range(1001)))})", None),
}


def queries() -> Iterator[Row]:
    yield from filters()
    yield from shapes()
    yield from query_pages()
    yield from referrers()
    yield from traversals()


def filters() -> Iterator[Row]:
    for asked, make in ASKING.items():
        yield Row(f"{asked} of an unknown class", "UNKNOWN_CLASS", always(make(DB, "Persn")), ("type",))
        yield Row(
            f"{asked} with a filter that ends too early",
            "INVALID_FILTER",
            always(make(DB, "Person", "name =")),
            ("filter",),
            metadata=told(column="7"),
        )
        yield Row(f"{asked} at no branch", "BRANCH_NOT_FOUND", always(make(DB, "Person", ref="none")))
        yield Row(f"{asked} without the right", "PERMISSION_DENIED", always(make(DB, "Person")), token="writer")
    for name, (text, column) in FILTERS.items():
        metadata = told(column=str(column)) if column else told()
        yield Row(
            f"a filter with {name}",
            "INVALID_FILTER",
            always(calls.query_documents(DB, "Person", text)),
            ("filter",),
            metadata=metadata,
        )
    for name, call, field in (
        ("a filter", calls.query_documents(DB, "", "a = 1", ref="alone"), "filter"),
        ("an order", calls.query_documents(DB, "", order_by="a", ref="alone"), "order_by"),
    ):
        yield Row(f"{name} where there is no class", "INVALID_FILTER", always(call), (field,))
    long = calls.query_documents(DB, "Person", f'name = "{"x" * 8_192}"')
    yield Row("a filter of more than 8 KiB", "INVALID_FILTER", always(long), ("filter",))
    for name, order in {
        "an unknown property": "nmae",
        "a direction that is none": "name up",
        "a property twice": "name, name",
        "a set": "tags",
        "a link": "friend.name",
        "five paths": "name, age, mood, @id, @type",
    }.items():
        yield Row(
            f"an order by {name}",
            "INVALID_FILTER",
            always(calls.query_documents(DB, "Person", order_by=order)),
            ("order_by",),
        )


def shapes() -> Iterator[Row]:
    for field, faults in {
        "fields": ("nmae", "friend.name", "name.first", "", "a" * 3_000),
        "expand": ("nmae", "name", "friend.nmae", ".".join(["friend"] * 6), "friend.", ".friend"),
    }.items():
        for asked in ("query", "stream"):
            for text in faults:
                call = ASKING[asked](DB, "Person", **{field: [text]})
                # An empty one is none at the HTTP door.
                doors: tuple[DoorName, ...] = DOORS if text else ("grpc",)
                yield Row(
                    f"{asked} with {field} {text[:30]!r}",
                    "INVALID_REQUEST",
                    always(call),
                    (f"{field}[0]",),
                    doors=doors,
                )
            many = ASKING[asked](DB, "Person", **{field: ["name" if field == "fields" else "friend"] * 101})
            yield Row(f"{asked} with 101 {field}", "INVALID_REQUEST", always(many), (field,))
    for field in ("fields", "expand"):
        given: dict[str, Any] = {field: ["a"]}
        nothing = calls.query_documents(DB, "", ref="alone", **given)
        yield Row(f"{field} where there is no class", "INVALID_REQUEST", always(nothing), (f"{field}[0]",))
    yield Row(
        "a stream of fewer than no documents",
        "INVALID_REQUEST",
        always(calls.stream_query(DB, "Person", limit=-1)),
        ("limit",),
    )


def query_pages() -> Iterator[Row]:
    for size in (-1, 1001):
        for name, call in {
            "a query": calls.query_documents(DB, "Person", page_size=size),
            "referrers": calls.list_referrers(DB, "Person/ada", page_size=size),
        }.items():
            yield Row(f"page size {size} of {name}", "INVALID_REQUEST", always(call), ("page_size",))
    for asked in ("query", "stream"):
        changed: dict[str, dict[str, object]] = {
            "another filter": {"filter": "age > 1"},
            "another order": {"order_by": "name"},
            "other fields": {"fields": ["name"]},
            "other links": {"expand": ["friend"]},
            "another ref": {"ref": "ours"},
            "only the class itself": {"exact_type": True},
        }
        for name, given in changed.items():
            yield _unfit(f"{asked} with a page token of {name}", asked, "query", **given)
        yield _unfit(f"{asked} with a page token of a listing", asked, "documents")
        for text in ("x", "x\n", "é", "-1", "9" * 5_000):
            yield Row(
                f"{asked} with a forged position {text[:10]!r}",
                "INVALID_PAGE_TOKEN",
                _forged(asked, text),
                ("page_token",),
            )
        nowhere = ASKING[asked](DB, "Person", ref="main", page_token=forged(QUERY, '["main","x"]'))
        yield Row(f"{asked} with a forged commit", "INVALID_PAGE_TOKEN", always(nowhere), ("page_token",))
    others = forged(REFERRERS, '["main","x y"]')
    for text in ("x", "", " ", "Person/bob", "x" * 3_000):
        yield Row(
            f"referrers with a forged position {text[:10]!r}", "INVALID_PAGE_TOKEN", _forged_link(text), ("page_token",)
        )
    for name, call in {
        "another document": calls.list_referrers(DB, "Person/bob", ref="main", page_token=others),
        "no commit": calls.list_referrers(DB, "Person/ada", ref="main", page_token=others),
        "other properties": calls.list_referrers(
            DB, "Person/ada", ref="main", properties=["friend"], page_token=others
        ),
    }.items():
        yield Row(f"referrers with a page token of {name}", "INVALID_PAGE_TOKEN", always(call), ("page_token",))


def _unfit(name: str, asked: str, page: str, **given: object) -> Row:
    """A query with the page token of another listing."""
    rest = {"ref": "main", **given}
    return Row(
        name,
        "INVALID_PAGE_TOKEN",
        lambda w: ASKING[asked](DB, "Person", page_token=w.pages[page], **rest),
        ("page_token",),
    )


def _forged(asked: str, position: str) -> Make:
    """A query whose page token is right but for the store's own position in it."""

    def call(w: World) -> Call:
        token = forged(QUERY, json.dumps([w.heads["main"], position], ensure_ascii=False, separators=(",", ":")))
        return ASKING[asked](DB, "Person", ref="main", page_token=token)

    return call


def _forged_link(position: str) -> Make:
    """Referrers with a page token that is right but for the position in it."""

    def call(w: World) -> Call:
        token = forged(REFERRERS, json.dumps([w.heads["main"], position], separators=(",", ":")))
        return calls.list_referrers(DB, "Person/ada", ref="main", page_token=token)

    return call


def referrers() -> Iterator[Row]:
    yield Row("referrers of no id", "INVALID_REQUEST", always(calls.list_referrers(DB, "")), ("id",))
    yield Row("referrers of an id with NUL", "INVALID_REQUEST", always(calls.list_referrers(DB, "Note/\0")), ("id",))
    yield Row("referrers of a long id", "TOO_LARGE", always(calls.list_referrers(DB, "x" * 1_025)), ("id",))
    for id in ("Person/none", "Nothing/x", "none"):
        yield Row(
            f"referrers of {id}",
            "DOCUMENT_NOT_FOUND",
            always(calls.list_referrers(DB, id)),
            ("id",),
            metadata=told(id=id),
        )
    for name, given, fields, reason in (
        ("an unknown property", {"properties": ["firend"]}, ("properties[0]",), "INVALID_REQUEST"),
        ("a property that is no link", {"properties": ["friend", "name"]}, ("properties[1]",), "INVALID_REQUEST"),
        ("a property of other classes", {"properties": ["friend"], "types": ["Note"]}, ("properties[0]",), None),
        ("101 properties", {"properties": ["friend"] * 101}, ("properties",), "INVALID_REQUEST"),
        ("an unknown class", {"types": ["Persn"]}, ("types[0]",), "UNKNOWN_CLASS"),
        ("101 classes", {"types": ["Person"] * 101}, ("types",), "INVALID_REQUEST"),
    ):
        call = calls.list_referrers(DB, "Person/ada", **given)
        yield Row(f"referrers by {name}", reason or "INVALID_REQUEST", always(call), fields)
    denied = always(calls.list_referrers(DB, "Person/ada"))
    yield Row("referrers without the right", "PERMISSION_DENIED", denied, token="writer")


def traversals() -> Iterator[Row]:
    ada, over = ["Person/ada"], ["friend"]
    for name, call, fields in (
        ("from nowhere", calls.traverse(DB, [], over, 1), ("start_ids",)),
        ("from 1,001 documents", calls.traverse(DB, ada * 1_001, over, 1), ("start_ids",)),
        ("from an empty id", calls.traverse(DB, [*ada, ""], over, 1), ("start_ids[1]",)),
        ("over nothing", calls.traverse(DB, ada, [], 1), ("properties",)),
        ("over an unknown property", calls.traverse(DB, ada, ["firend"], 1), ("properties[0]",)),
        ("over a text", calls.traverse(DB, ada, ["friend", "name"], 1), ("properties[1]",)),
        ("over two links", calls.traverse(DB, ada, ["friend.friend"], 1), ("properties[0]",)),
        ("over 101 properties", calls.traverse(DB, ada, over * 101, 1), ("properties",)),
        ("without a depth", calls.traverse(DB, ada, over, 0), ("max_depth",)),
        ("101 links deep", calls.traverse(DB, ada, over, 101), ("max_depth",)),
        ("to fewer than no documents", calls.traverse(DB, ada, over, 1, limit=-1), ("limit",)),
        ("to 100,001 documents", calls.traverse(DB, ada, over, 1, limit=100_001), ("limit",)),
    ):
        yield Row(f"a traversal {name}", "INVALID_REQUEST", always(call), fields)
    missing = calls.traverse(DB, [*ada, "Person/none"], over, 1)
    yield Row("a traversal from no document", "DOCUMENT_NOT_FOUND", always(missing), ("start_ids[1]",))
    denied = always(calls.traverse(DB, ada, over, 1))
    yield Row("a traversal without the right", "PERMISSION_DENIED", denied, token="writer")
    strange = calls.traverse(DB, ada, over, 1)
    assert isinstance(strange.request, query_service_pb2.TraverseRequest)
    strange.request.direction = 7  # type: ignore[assignment] # what it must not be
    yield Row("a traversal in no direction", "INVALID_REQUEST", always(strange), ("direction",), doors=("grpc",))
