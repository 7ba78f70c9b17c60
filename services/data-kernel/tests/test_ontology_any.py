"""Any schema, and any document that fits it or does not."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ontomesh_data_kernel.domain.canonical import parse_body
from ontomesh_data_kernel.domain.ontology import Compiled, Ontology, Prepared, parse_schema
from ontomesh_data_kernel.errors import SchemaViolation

SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "xsd:string": st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
    "xsd:integer": st.integers(-(10**30), 10**30),
    "xsd:decimal": st.decimals(-(10**9), 10**9, places=3).map(str),
    "xsd:double": st.floats(allow_nan=False, allow_infinity=False),
    "xsd:boolean": st.booleans(),
    "xsd:date": st.dates().map(lambda day: day.isoformat()),
    "sys:Unit": st.just([]),
    "sys:JSON": st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text("ab@"),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab@", max_size=3), inner, max_size=2),
        max_leaves=4,
    ).filter(lambda value: value is not None),
}
FAMILIES = ("", "Optional", "List", "Set", "Array", "Cardinality")


@st.composite
def schemas(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Classes `C0`... that link to each other, and hold subdocuments `S0`... which hold those that come after."""
    enums = [{"@type": "Enum", "@id": "Mood", "@value": ["good", "bad", "so so"]}]
    subdocuments = [f"S{index}" for index in range(draw(st.integers(0, 3)))]
    classes = [f"C{index}" for index in range(draw(st.integers(1, 2)))]
    elements: list[dict[str, Any]] = list(enums)
    for name in [*subdocuments, *classes]:
        later = subdocuments[subdocuments.index(name) + 1 :] if name in subdocuments else subdocuments
        ranges = st.sampled_from([*SCALARS, "Mood", *classes, *later])
        element: dict[str, Any] = {"@type": draw(st.sampled_from(["Class", "Class", "TaggedUnion"])), "@id": name}
        if name in subdocuments:
            element["@subdocument"] = []
        alternatives = st.sampled_from(("", "Optional", "Set", "Array"))
        tagged = element["@type"] == "TaggedUnion"
        for number in range(draw(st.integers(1 if tagged else 0, 3))):
            families = alternatives if tagged else st.sampled_from(FAMILIES)
            element[f"p{number}"] = draw(declarations(ranges, families))
        if not tagged and draw(st.booleans()):
            groups = draw(st.integers(1, 2))
            element["@oneOf"] = [
                {f"g{group}{number}": draw(declarations(ranges, alternatives)) for number in range(2)}
                for group in range(groups)
            ]
        indexed = [
            key
            for key, value in element.items()
            if key.startswith("p")
            and (value if isinstance(value, str) else value["@class"]).startswith(("xsd:", "Mood"))
        ]
        if indexed and name in classes and draw(st.booleans()):
            element["@metadata"] = {"ontomesh": {"indexed": indexed}}
        elements.append(element)
    return elements


@st.composite
def declarations(draw: st.DrawFn, ranges: st.SearchStrategy[str], families: st.SearchStrategy[str]) -> Any:
    family, range_ = draw(families), draw(ranges)
    if not family:
        return range_
    value: dict[str, Any] = {"@type": family, "@class": range_}
    if family == "Cardinality":
        value["@min_cardinality"] = draw(st.integers(0, 1))
        value["@max_cardinality"] = draw(st.integers(1, 3))
    if family == "Array":
        value["@dimensions"] = draw(st.integers(1, 2))
    return value


class Documents:
    """Draws documents that fit an ontology."""

    def __init__(self, ontology: Ontology, draw: st.DrawFn) -> None:
        self._hierarchy = ontology.hierarchy
        self._draw = draw

    def of(self, name: str) -> dict[str, Any]:
        """A document or subdocument of a class."""
        properties = self._hierarchy.properties[name]
        chosen = {self._draw(st.sampled_from(sorted(group))) for group in self._hierarchy.groups[name]}
        grouped = frozenset().union(*self._hierarchy.groups[name])
        document: dict[str, Any] = {"@type": name}
        for key, declared in properties.items():
            wanted = key in chosen or (key not in grouped and (declared.is_required or self._draw(st.booleans())))
            if wanted:
                document[key] = self._values(declared, at_least=max(declared.minimum, int(key in chosen)))
        return document

    def _values(self, declared: Any, at_least: int) -> Any:
        family = declared.family.value
        if family in ("Required", "Optional"):
            return self._value(declared.range)
        if family == "Array":
            return self._array(declared.range, declared.dimensions)
        most = 1 if at_least else self._draw(st.integers(0, 2))
        if declared.maximum is not None:
            most = min(most, declared.maximum)
        return [self._value(declared.range) for _ in range(most)]

    def _array(self, range_: str, dimensions: int) -> list[Any]:
        count = self._draw(st.integers(0, 2))
        if dimensions == 1:
            return [self._value(range_) for _ in range(count)]
        return [self._array(range_, dimensions - 1) for _ in range(count)]

    def _value(self, range_: str) -> Any:
        if range_ in SCALARS:
            return self._draw(SCALARS[range_])
        if range_ in self._hierarchy.enums:
            return self._draw(st.sampled_from(self._hierarchy.enums[range_].values))
        if self._hierarchy.classes[range_].subdocument:
            return self.of(range_)
        return f"{range_}/{self._draw(st.integers(0, 3))}"


@st.composite
def fitting(draw: st.DrawFn) -> tuple[Ontology, dict[str, Any]]:
    ontology = parse_schema(draw(schemas()))
    classes = sorted(name for name, cls in ontology.classes.items() if not cls.subdocument)
    return ontology, Documents(ontology, draw).of(draw(st.sampled_from(classes)))


def prepared(compiled: Compiled, document: dict[str, Any] | bytes) -> Prepared:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return compiled.prepare(parse_body(text, limit=1 << 20), document_id=None, random_id=lambda: "drawn")


@settings(max_examples=200)
@given(fitting())
def test_a_document_that_fits_has_one_canonical_form(drawn: tuple[Ontology, dict[str, Any]]) -> None:
    ontology, document = drawn
    compiled = ontology.compile()
    first = prepared(compiled, document)
    again = prepared(compiled, first.body)
    assert (again.body, again.links, again.values) == (first.body, first.links, first.values)
    assert compiled.index(first.body) == (first.links, first.values)
    survived = Ontology.from_documents(ontology.element_bodies())
    assert survived == ontology
    assert prepared(survived.compile(), first.body) == again


@settings(max_examples=200)
@given(fitting(), st.data())
def test_a_document_that_does_not_fit_is_refused_where_it_does_not(
    drawn: tuple[Ontology, dict[str, Any]], data: st.DataObject
) -> None:
    ontology, document = drawn
    compiled = ontology.compile()
    cls = document["@type"]
    properties = ontology.hierarchy.properties[cls]
    grouped = frozenset().union(*ontology.hierarchy.groups[cls])
    name = data.draw(st.sampled_from(["zzz", *sorted(properties)]))
    declared = properties.get(name)
    if declared is not None and (declared.is_required or name in grouped) and data.draw(st.booleans()):
        had = document.pop(name, None)
        missing = declared.is_required or had is not None
    else:
        document[name] = {"@type": "Nothing", "zzz": 1}
        missing = (
            declared is None or declared.range != "sys:JSON" or declared.family.value not in ("Required", "Optional")
        )
    if not missing:
        return
    with pytest.raises(SchemaViolation) as refused:
        prepared(compiled, document)
    group = next((group for group in ontology.hierarchy.groups[cls] if name in group), frozenset((name,)))
    assert any(violation.field.split(".")[0] in group for violation in refused.value.violations)
