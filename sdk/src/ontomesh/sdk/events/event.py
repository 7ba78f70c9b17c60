"""An event: what is published and what is received."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from ontomesh.sdk.decoding import decode
from ontomesh.sdk.encoding import encode

Attribute = str | int | bool | bytes | datetime
"""The value of an extension attribute."""

JSON = "application/json"
TEXT = "text/plain"

DOCUMENT_EVENT = "ontomesh.document."
"""What the types of kernel events of documents begin with; the class follows."""


@dataclass(frozen=True)
class Event:
    """A CloudEvent. `Event.of` makes one; `id` and `source` together name it, and delivery is at least once.

    Attributes:
        id: Unique among the events of its source.
        source: Where it happened, a URI reference; empty for the source of the connection that publishes it.
        type: Its kind, such as `orders.placed`.
        subject: What in the source it is about; empty if that was not said.
        time: When it happened; None if that was not said.
        content_type: What the body is, such as `application/json`; empty if that was not said.
        body: The data as they travel: bytes, or text; None if there are none.
        attributes: Extension attributes by name.
    """

    id: str
    source: str
    type: str
    subject: str = ""
    time: datetime | None = None
    content_type: str = ""
    body: bytes | str | None = field(default=None, repr=False)
    attributes: Mapping[str, Attribute] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        type: str,
        data: object = None,
        *,
        source: str = "",
        id: str = "",
        subject: str = "",
        time: datetime | None = None,
        content_type: str = "",
        attributes: Mapping[str, Attribute] | None = None,
    ) -> "Event":
        """A new event, with a random id unless one is given, of now unless a time is given.

        Give the same `id` to what may be published twice, such as the key of its cause: within the gateway's
        deduplication window the second is a duplicate.

        Args:
            type: Its kind, such as `orders.placed`.
            data: Bytes as they are, a str as text, and everything else as JSON: what `encode` knows. None for no data.
            source: Where it happened; else the connection's.
            id: Its id; else a random one.
            subject: What it is about.
            time: When it happened, with its time zone.
            content_type: What the data are; else JSON, text, or nothing for bytes.
            attributes: Extension attributes: names of 1 to 20 lower-case letters and digits. `partitionkey` names what
                is kept in order.

        Raises:
            TypeError: The data are not JSON.
        """
        body, kind = _body_of(data)
        return cls(
            id=id or str(uuid.uuid4()),
            source=source,
            type=type,
            subject=subject,
            time=time or datetime.now(UTC),
            content_type=content_type or kind,
            body=body,
            attributes=dict(attributes or {}),
        )

    @cached_property
    def data(self) -> Any:
        """The data: JSON's value, where integers and decimals keep all their digits, text as str, all else as bytes.

        Raises:
            ValueError: They are said to be JSON and are not.
        """
        body = self.body
        if body is None:
            return None
        # A text without a content type is JSON: so CloudEvents has it.
        if is_json(self.content_type) or (isinstance(body, str) and not self.content_type):
            return decode(body.encode() if isinstance(body, str) else body)
        if isinstance(body, bytes) and self.content_type.startswith("text/"):
            return body.decode()
        return body

    # What kernel events have; empty in others.

    @property
    def database(self) -> str:
        """The database that a kernel event is of."""
        return self._text("database")

    @property
    def branch(self) -> str:
        """The branch that a kernel event is of."""
        return self._text("branch")

    @property
    def commit(self) -> str:
        """The commit that a kernel event is of."""
        return self._text("commit")

    @property
    def author(self) -> str:
        """Who made the commit."""
        return self._text("author")

    @property
    def operation(self) -> str:
        """What happened to the document: `insert`, `replace` or `delete`."""
        return self._text("operation")

    @property
    def document_class(self) -> str:
        """The class of the document that a kernel event is about."""
        return self._text("class")

    @property
    def ancestors(self) -> tuple[str, ...]:
        """The classes that the document's class inherited from at that commit."""
        return tuple(self._text("ancestors").split())

    @property
    def changed(self) -> tuple[str, ...]:
        """The paths of the properties that the commit changed in the document."""
        changed = self._change.get("changed")
        return tuple(changed) if isinstance(changed, list) else ()

    @property
    def document(self) -> dict[str, Any] | None:
        """The document after the commit; None where it is deleted, or too large to travel with the event."""
        document = self._change.get("document")
        return document if isinstance(document, dict) else None

    @property
    def _change(self) -> Mapping[str, Any]:
        data = self.data if self.commit else None
        return data if isinstance(data, dict) else {}

    def _text(self, name: str) -> str:
        value = self.attributes.get(name, "")
        return value if isinstance(value, str) else ""


def is_json(content_type: str) -> bool:
    """Whether a content type is JSON, such as `application/json; charset=utf-8` or `application/geo+json`."""
    if content_type == JSON:
        return True
    kind = content_type.partition(";")[0].strip().lower()
    return kind in (JSON, "text/json") or kind.endswith("+json")


def _body_of(data: object) -> tuple[bytes | str | None, str]:
    if data is None:
        return None, ""
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data), ""
    if isinstance(data, str):
        return data, TEXT
    return encode(data), JSON
