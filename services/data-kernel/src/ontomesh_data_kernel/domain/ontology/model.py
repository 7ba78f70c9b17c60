"""The elements of an ontology, as its schema language names them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

SCHEMA_PREFIX = "@schema/"
CONTEXT_ID = SCHEMA_PREFIX + "@context"
MAX_NAME = 128
"""Characters of the name of a class, enum or property."""
MAX_HOPS = 8
"""Properties of a dotted path, the last one included."""
JSON = "sys:JSON"
"""The type of any JSON value."""
UNIT = "sys:Unit"
"""The type of the one value `[]`, for an alternative of a TaggedUnion that says no more than its name."""


class Family(Enum):
    """How many values a property holds, and in which order."""

    REQUIRED = "Required"
    OPTIONAL = "Optional"
    LIST = "List"
    SET = "Set"
    ARRAY = "Array"


class KeyKind(Enum):
    """How a class's documents get their ids."""

    RANDOM = "Random"
    LEXICAL = "Lexical"
    HASH = "Hash"
    VALUE_HASH = "ValueHash"


@dataclass(frozen=True, slots=True)
class Property:
    """A property: its values are scalars (`range` begins with `xsd:`), any JSON (`sys:JSON`), the unit (`sys:Unit`), of
    an enum, links to a class, or subdocuments of one.

    `minimum` and `maximum` bound how many values a Set has; `dimensions` says how deep an Array nests.
    """

    name: str
    family: Family
    range: str
    minimum: int = 0
    maximum: int | None = None
    dimensions: int = 1

    @property
    def is_scalar(self) -> bool:
        """Whether the values are of an xsd type."""
        return self.range.startswith("xsd:")

    @property
    def is_required(self) -> bool:
        """Whether a document without the property is refused; a List may be empty but not absent."""
        return self.family in (Family.REQUIRED, Family.LIST) or self.minimum > 0


@dataclass(frozen=True, slots=True)
class Key:
    """The rule that makes ids; a class without one has Random."""

    kind: KeyKind = KeyKind.RANDOM
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Notes:
    """What an element says of itself; kept as sent, without effect on documents."""

    documentation: object = None
    metadata: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class ClassDef:
    """A class as declared: `properties` are its own, without those it inherits.

    `one_of` holds groups of further properties (Optional as far as a property tells); a document has exactly one of
    each group. A TaggedUnion (`tagged`) is a class whose properties are one such group. `indexed` and `unique` are
    dotted paths to scalars and enum values, through subdocuments; `dangling` names links that may point nowhere;
    `events` says whether commits tell of its documents, None being as the parents say. Those four are declared in
    `@metadata` under `ontomesh`, and inherited.
    """

    name: str
    parents: tuple[str, ...] = ()
    abstract: bool = False
    key: Key | None = None
    properties: Mapping[str, Property] = field(default_factory=dict)
    notes: Notes = Notes()
    subdocument: bool = False
    unfoldable: bool = False
    tagged: bool = False
    one_of: tuple[Mapping[str, Property], ...] = ()
    indexed: tuple[str, ...] = ()
    unique: tuple[str, ...] = ()
    dangling: tuple[str, ...] = ()
    events: bool | None = None

    @property
    def effective_key(self) -> Key:
        """The key, or the default. Keys are not inherited."""
        return self.key or Key()


@dataclass(frozen=True, slots=True)
class EnumDef:
    """An enum and its values, in the order declared."""

    name: str
    values: tuple[str, ...]
    notes: Notes = Notes()


@dataclass(frozen=True, slots=True)
class Context:
    """What the ontology's names expand to where they leave as IRIs."""

    base: str
    schema: str
    prefixes: Mapping[str, str] = field(default_factory=dict)
    notes: Notes = Notes()


Element = ClassDef | EnumDef | Context


def element_id(element: Element) -> str:
    """The id of the reserved document that an element is stored as."""
    return CONTEXT_ID if isinstance(element, Context) else SCHEMA_PREFIX + element.name


def element_json(element: Element) -> dict[str, object]:
    """An element in the schema language."""
    notes = {"@documentation": element.notes.documentation, "@metadata": element.notes.metadata}
    extra = {name: note for name, note in notes.items() if note is not None}
    if isinstance(element, Context):
        return {"@type": "@context", "@base": element.base, "@schema": element.schema, **element.prefixes, **extra}
    if isinstance(element, EnumDef):
        return {"@type": "Enum", "@id": element.name, "@value": list(element.values), **extra}
    value: dict[str, object] = {"@type": "TaggedUnion" if element.tagged else "Class", "@id": element.name, **extra}
    if element.parents:
        value["@inherits"] = element.parents[0] if len(element.parents) == 1 else list(element.parents)
    flags = {"@abstract": element.abstract, "@subdocument": element.subdocument, "@unfoldable": element.unfoldable}
    value |= {name: [] for name, is_set in flags.items() if is_set}
    if element.key is not None:
        value["@key"] = {"@type": element.key.kind.value}
        if element.key.fields:
            value["@key"] = {"@type": element.key.kind.value, "@fields": list(element.key.fields)}
    value |= {name: _declaration(declared) for name, declared in element.properties.items()}
    groups = [{name: _alternative(one) for name, one in group.items()} for group in element.one_of]
    if element.tagged:
        value |= groups[0]
    elif groups:
        value["@oneOf"] = groups[0] if len(groups) == 1 else groups
    return value


def _declaration(declared: Property) -> object:
    if declared.family is Family.REQUIRED:
        return declared.range
    value: dict[str, object] = {"@type": declared.family.value, "@class": declared.range}
    if declared.minimum == declared.maximum:
        value["@cardinality"] = declared.minimum
    else:
        bounds = {"@min_cardinality": declared.minimum or None, "@max_cardinality": declared.maximum}
        value |= {name: bound for name, bound in bounds.items() if bound is not None}
    if declared.dimensions != 1:
        value["@dimensions"] = declared.dimensions
    return value


def _alternative(declared: Property) -> object:
    return declared.range if declared.family is Family.OPTIONAL else _declaration(declared)
