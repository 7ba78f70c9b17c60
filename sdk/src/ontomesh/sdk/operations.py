"""What a commit or a merge is asked to do, where a dict or an id does not say it all."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ontomesh.sdk.migrations import Step
from ontomesh.sdk.resources import MISSING, Document, Missing

Body = Mapping[str, Any] | bytes | Document | object
"""A document to write: a dict, a pydantic model, a `Document`, or JSON in UTF-8."""

Side = Literal["ours", "theirs", "base"]


@dataclass(frozen=True, slots=True)
class Replace:
    """Puts `body` in the place of a document that exists, and has this etag, if one is given."""

    body: Body
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Update:
    """Changes some properties of a document.

    Without a mask, `patch` is a JSON merge patch: None removes a property, a dict is merged, anything else is set.
    With one, just the properties it names are set to what the patch holds, and removed where it holds nothing.
    """

    id: str
    patch: Mapping[str, Any] | bytes
    mask: Sequence[str] | None = None
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Delete:
    """Removes a document that nothing else links to, and that has this etag, if one is given."""

    id: str
    etag: str = ""


@dataclass(frozen=True, slots=True)
class OntologyChange:
    """Changes the ontology within a commit.

    Attributes:
        schema: Elements in the schema language as dicts, model classes, or JSON in UTF-8 (an array or NDJSON).
        mode: `upsert` keeps elements that are not named; `replace` removes them.
        remove: Names of classes and enums to remove; with `upsert` only.
        expected_digest: The digest that the branch's ontology must have, if given.
        migrations: What becomes of the documents that are there; see `ontomesh.sdk.migrations`.
    """

    schema: bytes | Iterable[Mapping[str, Any] | type] = ()
    mode: Literal["upsert", "replace"] = "upsert"
    remove: Sequence[str] = ()
    expected_digest: str = ""
    migrations: Sequence[Step | Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Resolution:
    """Settles conflicts of a document: by a side, or by a value (for the document as a whole: its body).

    With no `property` it settles all conflicts of the document.
    """

    id: str
    property: str = ""
    side: Side | None = None
    value: Any | Missing = MISSING

    def __post_init__(self) -> None:
        if (self.side is None) == (self.value is MISSING):
            raise ValueError(f"the resolution of {self.id} needs either a side or a value")
