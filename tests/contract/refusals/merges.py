"""Merges."""

from collections.abc import Iterator

from tests.contract import calls
from tests.contract.refusals.row import Row
from tests.contract.world import DB


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
