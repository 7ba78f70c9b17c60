"""Classes as JSON Schema, held against the kernel's own validator."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ontomesh_data_kernel.domain.canonical import parse_body
from ontomesh_data_kernel.domain.limits import MAX_BODY_BYTES
from ontomesh_data_kernel.domain.ontology import parse_schema
from ontomesh_data_kernel.domain.ontology.json_scalars import EXACT_SCALARS, SCALAR_SCHEMAS
from ontomesh_data_kernel.domain.ontology.types import SCALARS
from ontomesh_data_kernel.errors import KernelError


def _optional(range_: str, family: str = "Optional", **bounds: int) -> dict[str, Any]:
    return {"@type": family, "@class": range_, **{f"@{name}": bound for name, bound in bounds.items()}}


ONTOLOGY = parse_schema(
    [
        {"@type": "Enum", "@id": "Mood", "@value": ["good", "bad"]},
        {"@type": "Class", "@id": "Place", "@subdocument": [], "city": "xsd:string", "in": _optional("Place")},
        {"@type": "Class", "@id": "Shape", "@subdocument": [], "@abstract": []},
        {"@type": "Class", "@id": "Circle", "@subdocument": [], "@inherits": "Shape", "radius": "xsd:double"},
        {
            "@type": "Class",
            "@id": "Square",
            "@subdocument": [],
            "@inherits": "Shape",
            "side": "xsd:double",
            "corners": _optional("Shape", "Set", max_cardinality=4),
        },
        {
            "@type": "TaggedUnion",
            "@id": "Answer",
            "@subdocument": [],
            "yes": "sys:Unit",
            "number": "xsd:integer",
            "many": {"@type": "Set", "@class": "xsd:string"},
        },
        {"@type": "Class", "@id": "Never", "@abstract": []},
        {"@type": "Class", "@id": "Person", "name": "xsd:string", "mood": _optional("Mood")},
        {"@type": "Class", "@id": "Ärztin", "@inherits": "Person", "beeper": "xsd:unsignedByte"},
        {
            "@type": "Class",
            "@id": "All",
            "@oneOf": [{"a": "xsd:string", "b": "xsd:boolean"}, {"c": _optional("xsd:int", "Set"), "d": "sys:JSON"}],
            "any": "sys:JSON",
            "maybe": _optional("sys:JSON"),
            "moods": _optional("Mood", "List"),
            "tags": _optional("xsd:NCName", "Set", min_cardinality=1, max_cardinality=2),
            "times": _optional("xsd:dateTime", "Set", max_cardinality=1),
            "grid": _optional("xsd:byte", "Array", dimensions=2),
            "home": "Place",
            "shape": _optional("Shape"),
            "answer": _optional("Answer"),
            "friend": _optional("Person"),
            "friends": _optional("Person", "Set"),
            "never": _optional("Never"),
        },
        {
            "@type": "Class",
            "@id": "Scalars",
            **{name.partition(":")[2]: _optional(name) for name in SCALARS},
        },
    ]
)
COMPILED = ONTOLOGY.compile()
HOLDING = {
    name: jsonschema_rs.Draft202012Validator(json.loads(ONTOLOGY.class_schema(name))) for name in ONTOLOGY.classes
}


def is_accepted(text: str) -> bool:
    try:
        body = parse_body(text.encode(), limit=MAX_BODY_BYTES)
        COMPILED.prepare(body, document_id=None, random_id=lambda: "1")
    except KernelError:
        return False
    return True


def is_valid(cls: str, text: str) -> bool:
    return HOLDING[cls].is_valid(json.loads(text))


TEXTS = st.one_of(
    st.text(max_size=5),
    st.from_regex(r"-?P[0-9YMDTHS.]{1,6}", fullmatch=True),
    st.from_regex(r"[0-9]{4}-[0-3][0-9]-[0-3][0-9](T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9])?)?Z?", fullmatch=True),
    st.sampled_from(
        ["Person/1", "Ärztin/x y", "Never/1", "good", "--02-29", "---31", "2024-02-29", "0000-01-01", "AA==", "x"]
    ),
)
NUMBERS = st.one_of(
    st.integers(-300, 300), st.integers(-(2**65), 2**65), st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.fixed_dictionaries({}, optional={"@type": st.sampled_from(["Place", "Circle", None]), "city": inner}),
    ),
    max_leaves=6,
)


def _of_range(range_: str, depth: int) -> st.SearchStrategy[Any]:
    """Values that mostly fit."""
    classes = ONTOLOGY.hierarchy.classes
    if range_ in ONTOLOGY.enums:
        return st.sampled_from(ONTOLOGY.enums[range_].values)
    if range_ == "sys:Unit":
        return st.just([])
    if range_ in classes and classes[range_].subdocument:
        concrete = sorted(ONTOLOGY.hierarchy.concrete(range_))
        return st.sampled_from(concrete).flatmap(lambda name: _objects(name, depth + 1))
    if range_ in classes:
        ids = st.sampled_from(["Person/1", "Ärztin/é", "Never/1"])
        return ids | ids.map(lambda one: {"@id": one})
    if range_ in ("xsd:string", "xsd:NCName", "xsd:dateTime"):
        return TEXTS | st.datetimes().map(lambda one: one.isoformat()[:19])
    if range_ == "xsd:boolean":
        return st.booleans()
    return VALUES if range_.startswith("sys") else NUMBERS


def _values_of(declared: Any, depth: int) -> st.SearchStrategy[Any]:
    one = _of_range(declared.range, depth)
    for _ in range(declared.dimensions if declared.family.value in ("List", "Set", "Array") else 0):
        one = st.lists(one, max_size=3)
    return one if depth > 3 else st.one_of(one, one, one, VALUES)


def _objects(name: str, depth: int = 0) -> st.SearchStrategy[dict[str, Any]]:
    declared = ONTOLOGY.hierarchy.properties[name]
    required = {one.name: _values_of(one, depth) for one in declared.values() if one.is_required}
    optional = {one.name: _values_of(one, depth) for one in declared.values() if not one.is_required}
    kept = optional if depth < 3 else {}
    is_inner = depth > 0
    types = st.sampled_from([name, name, name, None]) if is_inner else st.just(name)
    ids = st.sampled_from([f"{name}/1", f"{name}/a b", None])
    return st.fixed_dictionaries(required | {"@type": types}, optional=kept | {"@id": ids})


BASE: dict[str, Any] = {
    "@type": "All",
    "a": "x",
    "c": [1],
    "any": 1,
    "moods": [],
    "tags": ["x"],
    "home": {"city": "here"},
}


def _documents(name: str) -> st.SearchStrategy[str]:
    """Documents of a class; those of the large one with a few properties that may not fit."""
    if name != "All":
        return _objects(name).map(json.dumps)
    declared = ONTOLOGY.hierarchy.properties[name].values()
    changes = st.one_of([st.fixed_dictionaries({one.name: _values_of(one, 0)}) for one in declared])
    return st.tuples(changes, changes).map(lambda two: json.dumps(BASE | two[0] | two[1]))


@pytest.mark.parametrize("name", ["All", "Person", "Ärztin", "Scalars"])
def test_what_the_kernel_accepts_is_valid(name: str) -> None:
    seen = {True: 0, False: 0}

    @settings(max_examples=400, deadline=None)
    @given(_documents(name))
    def holds(text: str) -> None:
        accepted = is_accepted(text)
        seen[accepted] += 1
        if accepted:
            assert is_valid(name, text)

    holds()
    assert min(seen.values()) > 0


SAMPLES: dict[str, tuple[list[Any], list[Any]]] = {
    "xsd:string": (["", "a\n"], [1, ["a"], True]),
    "xsd:normalizedString": (["a  b"], ["a\tb", "a\n", 1]),
    "xsd:token": (["", "a b"], [" a", "a ", "a  b", "a\nb"]),
    "xsd:language": (["de", "en-GB"], ["", "e_n", "abcdefghi", "de\n"]),
    "xsd:Name": (["_a:b", "é-1.²", ":"], ["1a", "", "-a", "a b"]),
    "xsd:NCName": (["_a", "名前", "a.b-c", "x²"], ["a:b", "1", "", "٣a"]),
    "xsd:NMTOKEN": (["1.a:-", "٣"], ["", "a b", "a/b"]),
    "xsd:anyURI": (
        ["http://a/b?c#d", "%zz", "", "ä"],
        ["a b", "<", "a\u2003b", "a\u00a0", 'a"', "a\\b", "\u0085", "a\u001f"],
    ),
    "xsd:boolean": ([True, False], ["true", 1, 0]),
    "xsd:decimal": ([1, 1.5, "1.50", "+.5", "-1.", "007"], ["", "1e5", ".", "a", "1,5", True, " 1"]),
    "xsd:double": ([1, 1.5, -1e300], ["1", True, []]),
    "xsd:float": ([3.4e38, -3.4028234e38, 1], [3.5e38, -3.4028236e38, "1"]),
    "xsd:integer": ([0, -5, 10**30], ["1", 1.5, True]),
    "xsd:byte": ([-128, 127], [128, -129, 1.5]),
    "xsd:short": ([-(2**15), 2**15 - 1], [2**15]),
    "xsd:int": ([-(2**31), 2**31 - 1], [2**31]),
    "xsd:long": ([-(2**63), 2**63 - 1], [2**63, -(2**63) - 1]),
    "xsd:unsignedByte": ([0, 255], [256, -1]),
    "xsd:unsignedShort": ([0, 2**16 - 1], [2**16, -1]),
    "xsd:unsignedInt": ([0, 2**32 - 1], [2**32, -1]),
    "xsd:unsignedLong": ([0, 2**64 - 1], [2**64, -1]),
    "xsd:positiveInteger": ([1, 10**30], [0, -1]),
    "xsd:nonNegativeInteger": ([0, 10**30], [-1]),
    "xsd:negativeInteger": ([-1], [0, 1]),
    "xsd:nonPositiveInteger": ([0, -(10**30)], [1]),
    "xsd:base64Binary": (["", "AAAA", "AA==", "AAA="], ["A", "AA", "AA=", "A===", "AA==AA==", "AA A", "AAAA=", "é==="]),
    "xsd:hexBinary": (["", "0aFF"], ["0", "0g", "0aF"]),
    "xsd:dateTime": (
        [
            "2024-02-29T23:59:59",
            "2026-11-20T10:00:00.123456789+01:00",
            "0001-01-01T00:00:00Z",
            "2000-02-29T00:00:00-14:00",
        ],
        [
            "2023-02-29T00:00:00",
            "1900-02-29T00:00:00",
            "2026-11-31T00:00:00",
            "0000-01-01T00:00:00",
            "2026-11-20T24:00:00",
            "2026-11-20T10:60:00",
            "2026-11-20T10:00:60",
            "2026-11-20 10:00:00",
            "2026-11-20T10:00:00.",
            "2026-11-20T10:00",
            "2026-11-20T10:00:00+14:01",
            "2026-11-20T10:00:00+15:00",
            "2026-11-20T10:00:00z",
            "2026-11-20T10:00:00.1234567890",
        ],
    ),
    "xsd:dateTimeStamp": (["2026-11-20T10:00:00Z", "2026-11-20T10:00:00-00:30"], ["2026-11-20T10:00:00"]),
    "xsd:date": (
        ["2026-11-20", "2026-11-20Z", "2024-02-29+14:00"],
        ["2026-13-01", "2026-04-31", "26-01-01", "2026-1-1"],
    ),
    "xsd:time": (["10:00:00", "23:59:59.9Z"], ["24:00:00", "10:00", "10:00:00+1:00"]),
    "xsd:gYear": (["2026", "0001Z"], ["0000", "20260", "-2026"]),
    "xsd:gYearMonth": (["2026-12", "2026-01Z"], ["2026-13", "2026-00", "0000-01"]),
    "xsd:gMonth": (["--12", "--01Z"], ["--13", "--00", "12", "--1"]),
    "xsd:gMonthDay": (["--02-29", "--12-31+01:00"], ["--02-30", "--04-31", "--13-01", "--00-01"]),
    "xsd:gDay": (["---31", "---01Z"], ["---32", "---00", "--31"]),
    "xsd:duration": (
        ["P1Y", "-P1Y2M3DT4H5M6.7S", "PT0S", "P1M", "P1D", "PT1H1S", "PT1M", "P1YT1S", "P1Y2D"],
        [
            "P",
            "PT",
            "P1",
            "P1S",
            "PT1D",
            "P1M1Y",
            "P1YT",
            "+P1Y",
            "P-1Y",
            "P1.5Y",
            "PT1.S",
            "PT.5S",
            "P1234567890Y",
            "1Y",
        ],
    ),
    "xsd:yearMonthDuration": (["P1Y2M", "-P14M"], ["P1D", "PT1M", "P", "P1Y1D"]),
    "xsd:dayTimeDuration": (["P3DT4H5M6.7S", "PT90S", "-P1D"], ["P1Y", "P1M", "P1YT1S", "PT"]),
}


def _scalar_samples() -> Iterator[Any]:
    for range_, (good, bad) in SAMPLES.items():
        yield from (pytest.param(range_, value, True, id=f"{range_}-{value!r}") for value in good)
        yield from (pytest.param(range_, value, False, id=f"{range_}-not-{value!r}") for value in bad)


@pytest.mark.parametrize(("range_", "value", "fits"), list(_scalar_samples()))
def test_a_scalar_is_valid_where_the_kernel_accepts_it(range_: str, value: Any, fits: bool) -> None:
    text = json.dumps({"@type": "Scalars", range_.partition(":")[2]: value})
    assert (is_accepted(text), is_valid("Scalars", text)) == (fits, fits)


def test_every_scalar_type_has_its_schema_and_its_samples() -> None:
    assert set(SCALAR_SCHEMAS) == set(SCALARS) == set(SAMPLES)
    assert set(SCALARS) > EXACT_SCALARS


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        ({}, True),
        ({"@id": None}, True),
        ({"@id": "All/1"}, True),
        ({"@id": "Person/1"}, False),
        ({"@id": "All/a b"}, False),
        ({"@id": "All/" + "x" * 1100}, False),
        ({"@id": 1}, False),
        ({"@type": "Person"}, False),
        ({"@type": "Never"}, False),
        ({"@type": None}, False),
        ({"unknown": 1}, False),
        ({"unknown": None}, False),
        ({"a": None}, False),
        ({"a": None, "b": False}, True),
        ({"b": True}, False),
        ({"b": None}, True),
        ({"c": []}, False),
        ({"c": None, "d": []}, True),
        ({"c": [], "d": {"x": None}}, True),
        ({"d": 1}, False),
        ({"any": None}, False),
        ({"any": {"deep": [None]}}, True),
        ({"maybe": None}, True),
        ({"moods": None}, False),
        ({"moods": ["good", "good"]}, True),
        ({"moods": ["angry"]}, False),
        ({"moods": [None]}, False),
        ({"moods": "good"}, False),
        ({"tags": []}, False),
        ({"tags": None}, False),
        ({"tags": ["a", "b", "a"]}, True),
        ({"tags": ["a", "b", "c"]}, False),
        ({"times": ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00"]}, True),
        ({"grid": [[1], [2, 3]]}, True),
        ({"grid": []}, True),
        ({"grid": [1]}, False),
        ({"grid": [[None]]}, False),
        ({"grid": [[128]]}, False),
        ({"home": None}, False),
        ({"home": {}}, False),
        ({"home": {"@type": "Place", "@id": "anything", "city": ""}}, True),
        ({"home": {"@type": None, "city": ""}}, True),
        ({"home": {"@type": "Circle", "city": ""}}, False),
        ({"home": {"@id": None, "city": ""}}, False),
        ({"home": {"city": "", "in": {"city": "", "in": {"city": 1}}}}, False),
        ({"home": "Place/1"}, False),
        ({"shape": {"@type": "Circle", "radius": 1}}, True),
        ({"shape": {"radius": 1}}, False),
        ({"shape": {"@type": "Shape"}}, False),
        ({"shape": {"@type": "Circle", "side": 1}}, False),
        ({"shape": {"@type": "Square", "side": 1, "corners": [{"@type": "Circle", "radius": "x"}]}}, False),
        ({"answer": {"yes": []}}, True),
        ({"answer": {"yes": [1]}}, False),
        ({"answer": {"yes": [], "number": 1}}, False),
        ({"answer": {"yes": None, "number": 1, "many": []}}, True),
        ({"answer": {}}, False),
        ({"friend": "Ärztin/1"}, True),
        ({"friend": {"@id": "Person/1"}}, True),
        ({"friend": {"@id": "Person/1", "x": 1}}, False),
        ({"friend": {"@id": "All/1"}}, False),
        ({"friend": "Person/"}, False),
        ({"friend": "Person"}, False),
        ({"friend": "Persons/1"}, False),
        ({"friend": 'Person/"'}, False),
        ({"friend": "Person/\u2028"}, False),
        ({"friends": ["Person/1", "All/1"]}, False),
        ({"never": "Never/1"}, False),
        ({"never": None}, True),
    ],
)
def test_a_document_is_valid_where_the_kernel_accepts_it(change: dict[str, Any], fits: bool) -> None:
    text = json.dumps(BASE | change)
    assert (is_accepted(text), is_valid("All", text)) == (fits, fits)


def test_a_class_takes_documents_of_its_subclasses() -> None:
    doctor = '{"@type": "Ärztin", "name": "x", "beeper": 1}'
    assert is_valid("Person", doctor)
    assert is_valid("Ärztin", doctor)
    assert not is_valid("Ärztin", '{"@type": "Person", "name": "x"}')
    assert not is_valid("Person", '{"@type": "Ärztin", "name": "x"}')
    assert not is_valid("Person", '{"name": "x"}')
    assert not is_valid("Never", '{"@type": "Never"}')


def test_a_fault_is_found_where_it_is() -> None:
    body = BASE | {"shape": {"@type": "Square", "side": 1, "corners": [{"@type": "Circle", "radius": "x"}]}, "tags": 1}
    found = {tuple(fault.instance_path) for fault in HOLDING["All"].iter_errors(body)}
    assert found == {("shape", "corners", 0, "radius"), ("tags",)}


def test_what_json_schema_cannot_tell_is_let_through() -> None:
    base = json.dumps(BASE)
    for text in (
        base.replace('"c": [1]', '"c": [1.0]'),
        base.replace('"tags": ["x"]', '"tags": ["x"], "times": ["2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"]'),
    ):
        assert not is_accepted(text)
        assert is_valid("All", text)
