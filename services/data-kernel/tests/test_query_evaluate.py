"""Evaluation against a deliberately naive one: of Python values, path by path, without any of the kernel's forms."""

import json
import operator
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ontomesh_data_kernel.domain.canonical import parse_body
from ontomesh_data_kernel.domain.ontology import parse_schema
from ontomesh_data_kernel.domain.query.evaluate import Evaluator, linked, matches
from ontomesh_data_kernel.domain.query.language import compile_query, render
from ontomesh_data_kernel.domain.query.paths import Paths
from ontomesh_data_kernel.domain.query.picking import pick
from ontomesh_data_kernel.domain.query.shaping import resolve_fields
from ontomesh_data_kernel.domain.query.tree import Query

LIBRARY = parse_schema(json.loads(Path(__file__).with_name("vectors").joinpath("library.json").read_bytes()))
PACKAGES = [*(f"Package/{key}" for key in "abc"), "Plugin/d"]
PEOPLE = ["Person/p", "Person/q"]
COUNTRIES = ["Country/x", "Country/y"]

Document = dict[str, Any]
World = Mapping[str, Document]
"""Documents by id as they are written; what a link names may be missing, as a dangling link's target is."""


def optional(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


def moment(minutes: int) -> str:
    zone = timezone(timedelta(minutes=minutes % 7 * 60))
    return datetime.fromtimestamp(minutes * 60, zone).isoformat()


DECIMALS = st.sampled_from(["0.1", "0.10000000000000000555", "1", "1.0", "-2.5", "100"]).map(Decimal)
INTEGERS = st.sampled_from([-1, 0, 1, 2, 10**20, 10**20 + 1])
DOUBLES = st.sampled_from(["0.1", "1.0", "1e+22", "-3.5", "0.30000000000000004"]).map(Decimal)
SINGLES = st.sampled_from(["0.1", "16777216.0", "3.4028235e38"]).map(Decimal)
STRINGS = st.sampled_from(["", "a", "ab", "b", "a*", '"', "\\", "é", "\U0001f600", "x" * 300, "x" * 300 + "y"])
MOMENTS = st.integers(1, 40).map(moment)
DURATIONS = st.sampled_from(["P1M", "P30D", "P31D", "PT0S", "-P1Y"])
LICENCES = st.sampled_from(["MIT", "BSD", "GPL"])

PLACES = st.fixed_dictionaries(
    {"@type": st.just("Place"), "city": STRINGS}, optional={"country": st.sampled_from(COUNTRIES)}
)
PACKAGE = st.fixed_dictionaries(
    {"name": STRINGS, "scores": st.lists(INTEGERS, max_size=2), "grid": st.just([[Decimal("0.1")], [Decimal("1.0")]])},
    optional={
        "version": DECIMALS,
        "downloads": st.integers(-2, 2),
        "ratio": DOUBLES,
        "single": SINGLES,
        "released": MOMENTS,
        "support": DURATIONS,
        "free": st.booleans(),
        "licence": LICENCES,
        "tags": st.lists(STRINGS, max_size=2),
        "requires": st.lists(st.sampled_from(PACKAGES), max_size=3),
        "author": st.sampled_from(PEOPLE),
        "made": PLACES,
        "sold": st.lists(PLACES, max_size=2),
    },
)
PERSON = st.fixed_dictionaries({"name": STRINGS}, optional={"home": PLACES, "version": STRINGS})
COUNTRY = st.fixed_dictionaries({"name": STRINGS}, optional={"area": DECIMALS})
WORLDS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(PACKAGES, PACKAGE),
        **dict.fromkeys(PEOPLE, PERSON),
        **dict.fromkeys(COUNTRIES, COUNTRY),
    },
)

# Ends of paths: what they compare with, and whether they are ordered.
PACKAGE_ENDS: dict[str, tuple[st.SearchStrategy[Any], str]] = {
    "name": (STRINGS, "string"),
    "tags": (STRINGS, "string"),
    "version": (DECIMALS, "number"),
    "scores": (INTEGERS, "number"),
    "downloads": (st.integers(-2, 2), "number"),
    "ratio": (DOUBLES, "number"),
    "single": (SINGLES, "number"),
    "grid": (DOUBLES, "number"),
    "released": (MOMENTS, "moment"),
    "support": (DURATIONS, "duration"),
    "free": (st.booleans(), "equal"),
    "licence": (LICENCES, "equal"),
    "requires": (st.sampled_from(PACKAGES), "equal"),
    "author": (st.sampled_from(PEOPLE), "equal"),
    "made.city": (STRINGS, "string"),
    "sold.city": (STRINGS, "string"),
    "made.country": (st.sampled_from(COUNTRIES), "equal"),
    "sold.country.area": (DECIMALS, "number"),
    "author.name": (STRINGS, "string"),
    "author.home.country.name": (STRINGS, "string"),
    "@type": (st.sampled_from(["Package", "Plugin"]), "equal"),
    "@id": (st.sampled_from(PACKAGES), "equal"),
}

Naive = Callable[[str, World], bool]
Asked = tuple[str, Naive]
"""A filter as written, and what it means for a document of a world."""


def meaning(kind: str, value: Any) -> Any:
    if kind == "moment":
        return datetime.fromisoformat(value)
    if kind == "duration":
        return {"P1M": 2_629_746, "P30D": 2_592_000, "P31D": 2_678_400, "PT0S": 0, "-P1Y": -31_556_952}[value]
    return value


def written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\{each}" if each in '\\"*' else each for each in value) + '"'
    return str(value)


def reached(id: str, world: World, path: str) -> list[Any]:
    values: list[Any] = [{"@id": id, "@type": id.partition("/")[0], **world[id]}]
    for name in path.split("."):
        found: list[Any] = []
        for value in values:
            if isinstance(value, str) and name == "@type":
                found.append(value.partition("/")[0])
                continue
            part = (world.get(value, {}) if isinstance(value, str) else value).get(name)
            pending = [part] if part is not None else []
            while pending:
                one = pending.pop()
                pending.extend(one) if isinstance(one, list) else found.append(one)
        values = found
    return values


@st.composite
def restrictions(draw: st.DrawFn) -> Asked:
    path = draw(st.sampled_from(sorted(PACKAGE_ENDS)))
    values, kind = PACKAGE_ENDS[path]
    way = "" if path == "@id" else draw(st.sampled_from(["", "", "requires.", "requires.requires."]))
    path = way + path
    operators = ["=", "!=", ":", "in", ":*", *([] if kind == "equal" else ["<", "<=", ">", ">="])]
    sign = draw(st.sampled_from([*operators, "prefix"] if kind == "string" else operators))
    if sign == ":*":
        return f"{path}:*", lambda id, world: bool(reached(id, world, path))
    if sign == "in":
        listed = draw(st.lists(values, min_size=1, max_size=3))
        wanted = [meaning(kind, value) for value in listed]
        text = f"{path} in ({', '.join(written(value) for value in listed)})"
        return text, lambda id, world: any(meaning(kind, value) in wanted for value in reached(id, world, path))
    value = draw(values)
    if sign == "prefix":
        text = f'{path} = {written(value)[:-1]}*"'
        return text, lambda id, world: any(each.startswith(value) for each in reached(id, world, path))
    compare = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}.get(sign, operator.eq)
    right = meaning(kind, value)

    def holds(id: str, world: World) -> bool:
        some = any(compare(meaning(kind, left), right) for left in reached(id, world, path))
        return some != (sign == "!=")

    return f"{path} {sign} {written(value)}", holds


def combined(inner: st.SearchStrategy[Asked]) -> st.SearchStrategy[Asked]:
    def both(pair: tuple[Asked, Asked]) -> Asked:
        (left, is_left), (right, is_right) = pair
        return f"({left}) AND ({right})", lambda id, world: is_left(id, world) and is_right(id, world)

    def either(pair: tuple[Asked, Asked]) -> Asked:
        (left, is_left), (right, is_right) = pair
        return f"({left}) OR ({right})", lambda id, world: is_left(id, world) or is_right(id, world)

    def neither(asked: Asked) -> Asked:
        text, holds = asked
        return f"NOT ({text})", lambda id, world: not holds(id, world)

    pairs = st.tuples(inner, inner)
    return pairs.map(both) | pairs.map(either) | inner.map(neither)


FILTERS = st.recursive(restrictions(), combined, max_leaves=4)


def stored(world: World) -> dict[str, bytes]:
    """Every document as the kernel stores it."""
    bodies = {}
    for id, document in world.items():
        text = json.dumps({"@type": id.partition("/")[0], **document}, default=lambda number: f"@@{number}@@")
        body = text.replace('"@@', "").replace('@@"', "").encode()
        prepared = LIBRARY.compile().prepare(
            parse_body(body, limit=1 << 20), document_id=id, random_id=lambda: "unused"
        )
        bodies[id] = prepared.body
    return bodies


@settings(max_examples=200, deadline=None)
@given(WORLDS, FILTERS)
def test_documents_match_as_a_naive_evaluator_says(world: World, asked: Asked) -> None:
    text, holds = asked
    query = compile_query(LIBRARY, "Package", False, text, "")
    assert query.where is not None
    again = compile_query(LIBRARY, "Package", False, render(query.where), "")
    bodies = stored(world)
    ids = [id for id in PACKAGES if id in world]
    expected = [holds(id, world) for id in ids]
    for each in (query, again):
        evaluator = Evaluator(each)
        documents = [evaluator.parse(bodies[id]) for id in ids]
        verdicts, missing = evaluator.examine(documents)
        rounds = 0
        while missing:
            rounds += 1
            assert evaluator.follows_links
            assert rounds <= 5
            evaluator.learn({id: bodies.get(id) for id in missing})
            verdicts, missing = evaluator.examine(documents)
        assert verdicts == expected
        assert each.where is not None
        assert [matches(each.where, bodies[id], bodies.get) for id in ids] == expected


ORDERS = {
    "name": "string",
    "version": "number",
    "downloads": "number",
    "ratio": "number",
    "released": "moment",
    "support": "duration",
    "free": "equal",
    "licence": "equal",
    "made.city": "string",
    "@id": "equal",
    "made.@type": "equal",
}


@settings(max_examples=100, deadline=None)
@given(
    st.lists(PACKAGE, min_size=2, max_size=6),
    st.lists(
        st.tuples(st.sampled_from(sorted(ORDERS)), st.booleans()), min_size=1, max_size=3, unique_by=lambda o: o[0]
    ),
)
def test_documents_order_with_those_without_a_value_last(
    packages: list[Document], order: list[tuple[str, bool]]
) -> None:
    world = {f"Package/{number}": package for number, package in enumerate(packages)}
    text = ", ".join(f"{path}{' desc' if descending else ''}" for path, descending in order)
    evaluator = Evaluator(compile_query(LIBRARY, "Package", False, "", text))
    bodies = stored(world)

    def compared(left: str, right: str) -> int:
        for path, descending in order:
            mine, other = (
                [meaning(ORDERS[path], cut(value)) for value in reached(id, world, path)] for id in (left, right)
            )
            if not mine or not other:
                if mine or other:
                    return -1 if mine else 1
            elif mine != other:
                return (1 if descending else -1) if mine < other else (-1 if descending else 1)
        return 0

    keys = {id: evaluator.order_key(evaluator.parse(body)) for id, body in bodies.items()}
    for left in keys:
        for right in keys:
            assert (keys[left] > keys[right]) - (keys[left] < keys[right]) == compared(left, right)


def cut(value: Any) -> Any:
    """Strings order by their first 256 bytes; the long ones here are ASCII."""
    return value[:256] if isinstance(value, str) else value


def test_strings_that_differ_beyond_their_keys_still_differ_in_filters() -> None:
    world = {"Package/a": {"name": "x" * 300, "scores": [], "grid": []}}
    bodies = stored(world)
    for text, verdict in (("x" * 300, True), ("x" * 300 + "y", False), ("x" * 299, False)):
        where = compile_query(LIBRARY, "Package", False, f'name = "{text}"', "").where
        assert where is not None
        assert matches(where, bodies["Package/a"], bodies.get) == verdict
    where = compile_query(LIBRARY, "Package", False, f'name < "{"x" * 300}y"', "").where
    assert where is not None
    assert matches(where, bodies["Package/a"], bodies.get)


def test_a_document_that_decides_by_itself_asks_for_no_other() -> None:
    query = compile_query(LIBRARY, "Package", False, 'requires.name = "b" AND downloads = 1', "")
    evaluator = Evaluator(query)
    documents = [
        {"@id": "Package/a", "@type": "Package", "downloads": downloads, "requires": [f"Package/{downloads}"]}
        for downloads in (0, 1)
    ]
    assert evaluator.examine(documents) == ([False, None], frozenset({"Package/1"}))
    evaluator.learn({"Package/1": b'{"@id":"Package/1","@type":"Package","name":"b"}'})
    assert evaluator.examine(documents) == ([False, True], frozenset())


def test_a_missing_document_satisfies_no_comparison_and_every_negation() -> None:
    document = b'{"@id":"Package/a","@type":"Package","requires":["Package/gone"]}'
    for text, verdict in (("requires.name = a", False), ("requires.name != a", True), ("requires.name:*", False)):
        where = compile_query(LIBRARY, "Package", False, text, "").where
        assert where is not None
        assert matches(where, document, lambda id: None) == verdict


def test_presence_of_json_and_subdocuments_needs_no_value_to_compare() -> None:
    document = b'{"@id":"Package/a","@type":"Package","extra":{"a":[]},"sold":[{"@type":"Place","city":"c"}]}'
    for text, verdict in (("extra:*", True), ("sold:*", True), ("made:*", False), ("requires:*", False)):
        where = compile_query(LIBRARY, "Package", False, text, "").where
        assert where is not None
        assert matches(where, document, lambda id: None) == verdict


def test_links_are_read_through_subdocuments_each_once() -> None:
    document = {"sold": [{"country": "Country/x"}, {"city": "c"}, {"country": "Country/x"}], "author": "Person/p"}
    assert linked(document, ("sold", "country")) == ["Country/x"]
    assert linked(document, ("author",)) == ["Person/p"]
    assert linked(document, ("made", "country")) == []


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        (["name"], ["name"]),
        (["version", "ratio", "scores", "@id"], ["ratio", "scores", "version"]),
        (["sold.city", "made"], ["made", "sold"]),
        (["extra"], []),
    ],
)
def test_picked_fields_are_canonical_to_the_last_digit(fields: list[str], kept: list[str]) -> None:
    place = {"@type": "Place", "city": "é\n", "country": "Country/x"}
    world = {
        "Package/a": {
            "name": '"\u2028',
            "version": Decimal("0.10000000000000000000000000000000055"),
            "ratio": Decimal("1e+22"),
            "scores": [10**30, 0, 2**64 - 1, -(2**63)],
            "grid": [],
            "made": place,
            "sold": [place],
        }
    }
    body = stored(world)["Package/a"]
    resolved = resolve_fields(Paths(LIBRARY, ("Package",)), fields)
    assert resolved is not None
    picked = pick(body, resolved)
    whole = json.loads(body, parse_float=str, parse_int=str)
    expected = {name: whole[name] for name in ("@id", "@type", *kept)}
    for part in expected.get("sold", ()):
        del part["country"]
    assert json.loads(picked, parse_float=str, parse_int=str) == expected
    assert list(orjson.loads(picked)) == sorted(expected)
    everything = resolve_fields(Paths(LIBRARY, ("Package",)), list(world["Package/a"]))
    assert everything is not None
    assert pick(body, everything) == body


def test_a_query_without_a_filter_matches_all_and_misses_nothing() -> None:
    evaluator = Evaluator(Query(("Package",)))
    assert not evaluator.follows_links
    assert evaluator.examine([{"@id": "Package/a"}]) == ([True], frozenset())
    assert evaluator.order_key({"@id": "Package/a"}) == b""
