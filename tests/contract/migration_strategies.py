"""Ontologies with their documents to begin with, and values, filters and steps of migrations that mostly fit them."""

from collections.abc import Iterator
from decimal import Decimal
from json import loads
from typing import Any

import hypothesis.strategies as st
import orjson

from ontomesh_data_kernel.domain.steps import (
    CastProperty,
    DeleteClass,
    DeleteProperty,
    MoveProperty,
    OnError,
    RenameClass,
    RenameProperty,
    SetDefault,
    Step,
)
from tests.contract.naive_migrations import may_become
from tests.contract.naive_ontologies import (
    SCALARS,
    Document,
    Schema,
    Snapshot,
    above,
    below,
    declared_as,
    family,
    indexed,
    is_class,
    is_embedded,
    is_many,
    own,
    properties,
    range_of,
    with_index,
)
from tests.contract.naive_queries import (
    COMPARISONS,
    Filter,
    among,
    beginning,
    both,
    compared,
    either,
    negated,
    present,
)

TEXTS = ("a", "ab", "b", "7", "-3", "2.5", "true", "1", "0", "fine")
FAMILIES = ("Required", "Optional", "Optional", "Set", "List")
NEW = ("alpha", "beta", "gamma")
NEW_CLASSES = ("Anew", "Again")
KINDS: tuple[type[Step], ...] = (
    *(RenameClass, RenameProperty, RenameProperty, SetDefault, CastProperty, CastProperty, CastProperty),
    *(MoveProperty, MoveProperty, MoveProperty, DeleteProperty, DeleteClass),
)


def many(range_: str, kind: str = "Set") -> Document:
    return {"@type": kind, "@class": range_}


def optional(range_: str) -> Document:
    return many(range_, "Optional")


BEGINNING: Schema = {
    "Kind": {"@type": "Enum", "@id": "Kind", "@value": ["dull", "fine"]},
    "Place": {
        "@type": "Class",
        "@id": "Place",
        "@subdocument": [],
        "@key": {"@type": "Random"},
        "city": optional("xsd:string"),
        "near": optional("Thing"),
    },
    "Thing": with_index(
        {
            "@type": "Class",
            "@id": "Thing",
            "name": "xsd:string",
            "size": optional("xsd:integer"),
            "tags": many("xsd:string"),
            "kind": optional("Kind"),
            "place": optional("Place"),
            "owner": optional("Thing"),
            "friends": many("Thing"),
        },
        ["name", "place.city", "size", "tags"],
    ),
    "Special": {"@type": "Class", "@id": "Special", "@inherits": "Thing", "price": optional("xsd:decimal")},
    "Other": with_index(
        {
            "@type": "Class",
            "@id": "Other",
            "flag": optional("xsd:boolean"),
            "of": optional("Special"),
            "spots": many("Place", "List"),
        },
        ["spots.city"],
    ),
}

_NEAR = {"@type": "Place", "city": "ab", "near": "Thing/b"}
SEEDS: tuple[Document, ...] = (
    {"@type": "Thing", "@id": "Thing/a", "name": "a", "size": 1, "tags": ["7", "a"], "owner": "Special/a"},
    {"@type": "Thing", "@id": "Thing/b", "name": "7", "kind": "fine", "place": _NEAR, "friends": ["Thing/a"]},
    {"@type": "Special", "@id": "Special/a", "name": "fine", "size": 0, "price": 7, "owner": "Thing/a"},
    {"@type": "Special", "@id": "Special/b", "name": "2.5", "tags": ["b"], "friends": ["Special/a", "Thing/b"]},
    {"@type": "Other", "@id": "Other/a", "flag": True, "of": "Special/b", "spots": [_NEAR, {"@type": "Place"}]},
    {"@type": "Other", "@id": "Other/b", "spots": []},
)


def sent(document: Document) -> bytes:
    return orjson.dumps(document, default=str)


def received(body: bytes) -> Document:
    value: Document = loads(body, parse_float=Decimal)
    return value


def roots(schema: Schema) -> list[str]:
    return [name for name in schema if is_class(schema, name) and not is_embedded(schema, name)]


def value_of(schema: Schema, documents: Snapshot, declared: Any, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values that fit a declaration; nothing where none does."""
    range_ = range_of(declared)
    if is_many(declared):
        one = value_of(schema, documents, declared_as("Required", range_), depth)
        return st.just([]) if one.is_empty else st.lists(one, max_size=2)
    if range_ in SCALARS:
        return {
            "xsd:string": st.sampled_from(TEXTS),
            "xsd:integer": st.integers(-1, 3),
            "xsd:decimal": st.sampled_from((Decimal("2.5"), Decimal("-0.25"), 7)),
            "xsd:boolean": st.booleans(),
        }[range_]
    if is_embedded(schema, range_):
        return st.nothing() if depth > 1 else object_of(schema, documents, range_, depth + 1)
    if is_class(schema, range_):
        ids = [id for id in documents if id.partition("/")[0] in below(schema, range_)]
        return st.sampled_from(ids) if ids else st.nothing()
    return st.sampled_from(schema[range_]["@value"])


def object_of(schema: Schema, documents: Snapshot, cls: str, depth: int = 0) -> st.SearchStrategy[Document]:
    """Objects of a class that fit it, if any can."""
    due: dict[str, st.SearchStrategy[Any]] = {}
    more: dict[str, st.SearchStrategy[Any]] = {}
    for name, declared in properties(schema, cls).items():
        values = value_of(schema, documents, declared, depth)
        if family(declared) in ("Required", "List"):
            due[name] = values
        elif not values.is_empty:
            more[name] = values
    if any(values.is_empty for values in due.values()):
        return st.nothing()
    return st.fixed_dictionaries({"@type": st.just(cls), **due}, optional=more)


def paths(schema: Schema, cls: str, hops: int = 3) -> Iterator[tuple[str, Any]]:
    """(path, last declaration) of what filters may ask of a class."""
    for name, declared in properties(schema, cls).items():
        inner = range_of(declared)
        if not is_embedded(schema, inner):
            yield name, declared
        if is_class(schema, inner) and hops > 1:
            yield from ((f"{name}.{rest}", last) for rest, last in paths(schema, inner, hops - 1))


def order_paths(schema: Schema, cls: str, way: str = "") -> Iterator[tuple[str, str]]:
    """(path, type) of what a class may be ordered by."""
    for name, declared in properties(schema, cls).items():
        inner = range_of(declared)
        if is_embedded(schema, inner) and not is_many(declared) and way.count(".") < 2:
            yield from order_paths(schema, inner, f"{way}{name}.")
        elif not is_many(declared) and not is_class(schema, inner):
            yield f"{way}{name}", inner if inner in SCALARS else "enum"


def is_within(schema: Schema, cls: str, path: str) -> bool:
    """Whether a path stays within a document of the class."""
    first, _, rest = path.partition(".")
    inner = range_of(properties(schema, cls)[first])
    return not rest or (is_embedded(schema, inner) and is_within(schema, inner, rest))


def is_served(schema: Schema, cls: str, path: str) -> bool:
    """Whether a path ends in an index, perhaps behind links."""
    if any(path in indexed(schema, one) for one in above(schema, cls)):
        return True
    first, _, rest = path.partition(".")
    inner = range_of(properties(schema, cls)[first])
    return bool(rest) and is_class(schema, inner) and is_served(schema, inner, rest)


@st.composite
def atoms(draw: st.DrawFn, schema: Schema, documents: Snapshot, cls: str) -> Filter:
    able = list(paths(schema, cls))
    served = [(path, declared) for path, declared in able if is_served(schema, cls, path)]
    prefer: bool = draw(st.booleans())
    path, declared = draw(st.sampled_from(served if served and prefer else able))
    range_ = range_of(declared)
    values = value_of(schema, documents, declared_as("Required", range_))
    form = draw(st.sampled_from(("compare", "compare", "compare", "in", "present", "prefix")))
    if values.is_empty or form == "present":
        return present(path)
    if form == "prefix" and range_ == "xsd:string":
        return beginning(path, draw(st.sampled_from(("", "a", "2"))))
    if form == "in":
        return among(path, draw(st.lists(values, min_size=1, max_size=3, unique=True)))
    ordered = range_ in SCALARS and range_ != "xsd:boolean"
    return compared(path, draw(st.sampled_from((*COMPARISONS, "!=") if ordered else ("=", "!="))), draw(values))


@st.composite
def filters(draw: st.DrawFn, schema: Schema, documents: Snapshot, cls: str) -> Filter:
    """Up to three atoms, joined and negated in some way."""
    found = draw(atoms(schema, documents, cls))
    for join in draw(st.lists(st.sampled_from((both, either, None)), max_size=3)):
        found = negated(found) if join is None else join(found, draw(atoms(schema, documents, cls)))
    return found


@st.composite
def steps(draw: st.DrawFn, schema: Schema, documents: Snapshot) -> Step:
    """A step that an ontology mostly allows."""
    classes = [name for name in schema if is_class(schema, name)]
    owners = [name for name in classes if own(schema, name)]
    kind = draw(st.sampled_from(KINDS))
    if kind is RenameClass or not owners:
        return RenameClass(draw(st.sampled_from(list(schema))), draw(st.sampled_from((*NEW_CLASSES, "Place"))))
    if kind is DeleteClass:
        return DeleteClass(draw(st.sampled_from(list(schema))), draw(st.sampled_from((True, True, False))))
    cls = draw(st.sampled_from(owners))
    name = draw(st.sampled_from(list(own(schema, cls))))
    declared = schema[cls][name]
    if kind is RenameProperty:
        return RenameProperty(cls, name, draw(st.sampled_from((*NEW, "city"))))
    if kind is DeleteProperty:
        return DeleteProperty(cls, name)
    if kind is SetDefault:
        values = value_of(schema, documents, declared)
        return SetDefault(cls, name, b'"odd"' if values.is_empty else sent(draw(values)))
    if kind is CastProperty:
        likely = [one for one in (*SCALARS, *schema) if may_become(schema, range_of(declared), one)]
        range_ = draw(st.sampled_from((*likely, *likely, "", *SCALARS, *schema)))
        kept = draw(st.sampled_from(("", "", *FAMILIES))) or ("" if range_ else draw(st.sampled_from(FAMILIES)))
        on_error = draw(st.sampled_from((*[OnError.REFUSE] * 2, *OnError)))
        new = declared_as(kept or family(declared), range_ or range_of(declared))
        values = value_of(schema, documents, new)
        if values.is_empty or on_error is not OnError.DEFAULT:
            return CastProperty(
                cls, name, range_, kept, on_error if on_error is not OnError.DEFAULT else OnError.REFUSE
            )
        return CastProperty(cls, name, range_, kept, on_error, sent(draw(values)))
    kin = [one for one in classes if one != cls and (one in below(schema, cls) or cls in below(schema, one))]
    prefer: bool = draw(st.booleans())
    if kin and prefer:
        return MoveProperty(cls, name, to_type=draw(st.sampled_from(kin)))
    held = {
        one: range_of(value)
        for one, value in properties(schema, cls).items()
        if is_embedded(schema, range_of(value)) and not is_many(value)
    }
    ways = ["", *(f"{one}." for one in held)]
    way = draw(st.sampled_from(ways))
    inner = list(own(schema, held[way[:-1]])) if way else []
    path = way + draw(st.sampled_from(inner)) if inner else name
    to = draw(st.sampled_from(ways))
    there = properties(schema, held[to[:-1]] if to else cls)
    alike = [one for one in there if there[one] == declared and f"{to}{one}" != path]
    prefer = draw(st.booleans())
    if alike and path == name and prefer:
        return MoveProperty(cls, path, to + draw(st.sampled_from(alike)))
    same = path.split(".")[-1]
    return MoveProperty(cls, path, to + draw(st.sampled_from(NEW if to == way else (same, same, *NEW))))
