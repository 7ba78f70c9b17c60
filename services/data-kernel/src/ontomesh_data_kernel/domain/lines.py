"""Reading the stream of an import: pieces cut anywhere, lines, and the documents on them."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ontomesh_data_kernel.domain.canonical import parse_body
from ontomesh_data_kernel.domain.limits import MAX_BODY_BYTES
from ontomesh_data_kernel.domain.model import Fault
from ontomesh_data_kernel.domain.ontology import Ontology, Prepared
from ontomesh_data_kernel.domain.ontology.hierarchy import Hierarchy
from ontomesh_data_kernel.errors import KernelError, TooLarge

DATA_BASE = "terminusdb:///data/"
SCHEMA_BASE = "terminusdb:///schema#"
_MARK = b"terminusdb:///"
_BLANK_LINES = re.compile(rb"[ \t\r\n\v\f]*\n")
_ELEMENTS = frozenset(("Class", "Enum", "TaggedUnion", "Foreign", "@context", "Context"))


@dataclass(frozen=True, slots=True)
class Line:
    """A line, or several that are blank: the number of the last from 1 on, and where in the stream it ends."""

    number: int
    end: int
    text: bytes


class Lines:
    """Cuts a stream into lines; `offset` and `number` say how far it is cut."""

    def __init__(self, offset: int, lines: int) -> None:
        self.received = offset
        self.number = lines
        self.offset = offset
        self._buffer = bytearray()
        self._whole = 0

    @property
    def waiting_bytes(self) -> int:
        """How much there is of whole lines that were not taken yet."""
        return self._whole

    def feed(self, data: bytes, *, is_last: bool) -> None:
        """Take a piece. Raises TooLarge for a line without an end."""
        before = len(self._buffer)
        self._buffer += data
        self.received += len(data)
        if is_last:
            self._whole = len(self._buffer)
        elif (end := data.rfind(b"\n")) >= 0:
            self._whole = before + end + 1
        begun = len(self._buffer) - self._whole
        if begun > 2 * MAX_BODY_BYTES:
            number = self.number + self._buffer.count(b"\n") + 1
            line = f"line {number}"
            raise TooLarge.of(f"{line} in bytes", begun, MAX_BODY_BYTES, line)

    def batch(self, most: int, max_bytes: int) -> list[Line]:
        """Take lines out, up to `most`, or about `max_bytes`."""
        buffer, taken, at = self._buffer, list[Line](), 0
        while at < self._whole and len(taken) < most and at < max_bytes:
            blank = _BLANK_LINES.match(buffer, at, min(self._whole, at + max_bytes))
            if blank is not None:
                self.number += buffer.count(b"\n", at, blank.end())
                text, at = b"", blank.end()
            else:
                end = buffer.find(b"\n", at, self._whole)
                stop = end + 1 if end >= 0 else self._whole
                self.number += 1
                text, at = bytes(buffer[at:stop]).strip(), stop
            taken.append(Line(self.number, self.offset + at, text))
        del buffer[:at]
        self._whole -= at
        self.offset += at
        return taken


@dataclass(frozen=True, slots=True)
class Read:
    """The documents of some lines, each with its line, and what is wrong with others."""

    documents: Sequence[tuple[int, Prepared]]
    faults: Sequence[Fault]


def read_lines(lines: Sequence[Line], ontology: Ontology, draw_id: Callable[[], str]) -> Read:
    """Check the documents of lines."""
    prepare = ontology.compile().prepare
    documents: dict[str, tuple[int, Prepared]] = {}
    faults: list[Fault] = []
    for line in lines:
        if not line.text:
            continue
        try:
            body = parse_body(line.text, limit=MAX_BODY_BYTES, field="")
            if _MARK in line.text:
                body = shortened(body, ontology.hierarchy, ontology.context.base if ontology.context else DATA_BASE)
            document = prepare(body, document_id=None, random_id=draw_id)
        except KernelError as error:
            faults += _faults(line, error, ontology)
            continue
        known = documents.get(document.id)
        if known is not None:
            faults.append(twice(document.id, line.number, known[0]))
        else:
            documents[document.id] = (line.number, document)
    return Read(list(documents.values()), faults)


def twice(id: str, line: int, first: int) -> Fault:
    """A document that was on an earlier line."""
    return Fault(line, "@id", f"{id!r} comes twice: it was on line {first} already")


def _faults(line: Line, error: KernelError, ontology: Ontology) -> Iterator[Fault]:
    if b'"@type"' in line.text and any(violation.field == "@type" for violation in error.violations):
        sent = parse_body(line.text, limit=MAX_BODY_BYTES, field="").get("@type")
        if sent in _ELEMENTS and sent not in ontology.classes:
            hint = "a commit's `ontology` (`ontomesh schema apply`) takes those"
            yield Fault(line.number, "@type", f"{sent} is an element of a schema, not a document: {hint}")
            return
    if not error.violations:
        yield Fault(line.number, "", error.message)
    for violation in error.violations:
        yield Fault(line.number, violation.field, violation.description)


def shortened(body: Mapping[str, Any], hierarchy: Hierarchy, base: str) -> dict[str, Any]:
    """A document as TerminusDB exports it with full IRIs: ids, links, classes and properties without their bases.

    Only what the ontology says is a link is shortened: a string stays as it is.
    """
    named = {_without(key, SCHEMA_BASE): value for key, value in body.items()}
    if type(kind := named.get("@type")) is str:
        named["@type"] = _without(kind, SCHEMA_BASE)
    if type(id := named.get("@id")) is str:
        named["@id"] = _without(id, base, DATA_BASE)
    properties = hierarchy.properties.get(str(named.get("@type")), {})
    for name, declared in properties.items():
        if name in named and (hierarchy.is_link(declared) or hierarchy.is_embedded(declared)):
            is_link = hierarchy.is_link(declared)
            named[name] = _shortened_values(named[name], hierarchy, base, is_link=is_link)
        elif name in named and declared.range in hierarchy.enums and type(named[name]) is str:
            named[name] = _without(named[name], f"{SCHEMA_BASE}{declared.range}/")
    return named


def _shortened_values(value: object, hierarchy: Hierarchy, base: str, *, is_link: bool) -> object:
    if type(value) is list:
        return [_shortened_values(part, hierarchy, base, is_link=is_link) for part in value]
    if type(value) is str and is_link:
        return _without(value, base, DATA_BASE)
    if type(value) is dict:
        if is_link:
            return {key: _without(part, base, DATA_BASE) if type(part) is str else part for key, part in value.items()}
        return shortened(value, hierarchy, base)
    return value


def _without(text: str, *bases: str) -> str:
    for base in bases:
        if base and text.startswith(base):
            return text.removeprefix(base)
    return text
