"""The elements of an ontology, as its schema language names them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

SCHEMA_PREFIX = "@schema/"
CONTEXT_ID = SCHEMA_PREFIX + "@context"
MAX_NAME = 128
"""Characters of the name of a class, enum or property."""


class Family(Enum):
    """How many values a property holds, and in which order."""

    REQUIRED = "Required"
    OPTIONAL = "Optional"
    LIST = "List"
    SET = "Set"


class KeyKind(Enum):
    """How a class's documents get their ids."""

    RANDOM = "Random"
    LEXICAL = "Lexical"
    HASH = "Hash"
    VALUE_HASH = "ValueHash"


@dataclass(frozen=True, slots=True)
class Property:
    """A property: its values are scalars (`range` begins with `xsd:`), of an enum, or links to a class."""

    name: str
    family: Family
    range: str

    @property
    def is_scalar(self) -> bool:
        """Whether the values are of an xsd type."""
        return self.range.startswith("xsd:")

    @property
    def is_required(self) -> bool:
        """Whether a document without the property is refused; a List may be empty but not absent."""
        return self.family in (Family.REQUIRED, Family.LIST)


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
    """A class as declared: `properties` are its own, without those it inherits."""

    name: str
    parents: tuple[str, ...] = ()
    abstract: bool = False
    key: Key | None = None
    properties: Mapping[str, Property] = field(default_factory=dict)
    notes: Notes = Notes()

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
    value: dict[str, object] = {"@type": "Class", "@id": element.name, **extra}
    if element.parents:
        value["@inherits"] = element.parents[0] if len(element.parents) == 1 else list(element.parents)
    if element.abstract:
        value["@abstract"] = []
    if element.key is not None:
        value["@key"] = {"@type": element.key.kind.value}
        if element.key.fields:
            value["@key"] = {"@type": element.key.kind.value, "@fields": list(element.key.fields)}
    for name, declared in element.properties.items():
        required = declared.family is Family.REQUIRED
        value[name] = declared.range if required else {"@type": declared.family.value, "@class": declared.range}
    return value
