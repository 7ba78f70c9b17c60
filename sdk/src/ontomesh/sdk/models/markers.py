"""What `Annotated` says of a property beyond its Python type."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Xsd:
    """Names a property's type where Python has no type of its own: `Annotated[str, Xsd("xsd:anyURI")]`."""

    name: str


@dataclass(frozen=True, slots=True)
class Indexed:
    """Queries find documents by this property's value: `Annotated[str, Indexed()]`."""


@dataclass(frozen=True, slots=True)
class Unique:
    """No two documents of the class and its subclasses have the same value."""


@dataclass(frozen=True, slots=True)
class Dangling:
    """A link that may lead to a document that does not exist."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """A document has exactly one of the properties of the group; each may be None in Python."""

    group: str = ""
