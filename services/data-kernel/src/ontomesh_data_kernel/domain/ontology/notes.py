"""Reading what an element says of itself: documentation in one or several languages, and metadata."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ontomesh_data_kernel.domain.canonical import encode_exactly, kind_of
from ontomesh_data_kernel.domain.ontology.hints import MAX_HINTS, near
from ontomesh_data_kernel.domain.ontology.model import MAX_HOPS, Notes
from ontomesh_data_kernel.domain.ontology.types import SCALARS, Fault
from ontomesh_data_kernel.errors import Violation

OWN_METADATA = "ontomesh"
"""The key of `@metadata` that the kernel reads; all others are the caller's."""

_TEXTS = ("@comment", "@label")
_CONTEXT_TEXTS = (*_TEXTS, "@title", "@description")
_PATHS = ("indexed", "unique", "dangling")
_OWN_KEYS = (*_PATHS, "events")


@dataclass(slots=True)
class Report:
    """Collects what is wrong with a schema; fields are places in the request.

    A schema that is stored has been checked, perhaps when documentation could be anything.
    """

    is_stored: bool = False
    violations: list[Violation] = field(default_factory=list)

    def refuse(self, place: str, description: str) -> None:
        """Note a fault."""
        self.violations.append(Violation(place, description))

    def hint(self, name: str, known: Collection[str]) -> str:
        """The end of a message about an unknown name; empty once many faults were found."""
        return near(name, known, 1) if len(self.violations) < MAX_HINTS else ""


def read_notes(value: Mapping[str, Any], place: str, report: Report) -> Notes:
    """An element's notes, as sent."""
    documentation, metadata = value.get("@documentation"), value.get("@metadata")
    if not report.is_stored:
        _check_documentation(documentation, f"{place}.@documentation", value.get("@type"), report)
    if metadata is not None and not isinstance(metadata, dict):
        report.refuse(f"{place}.@metadata", f"{kind_of(metadata)} where an object is due")
        metadata = None
    for name, note in (("@documentation", documentation), ("@metadata", metadata)):
        try:
            encode_exactly(note)
        except ValueError as error:
            report.refuse(f"{place}.{name}", f"a number in it {error}")
    return Notes(documentation, metadata)


def _check_documentation(value: object, place: str, kind: object, report: Report) -> None:
    if isinstance(value, dict):
        _check_language(value, place, kind, report)
    elif isinstance(value, list):
        known: set[object] = set()
        for index, item in enumerate(value):
            where = f"{place}[{index}]"
            if not isinstance(item, dict):
                report.refuse(where, f"{kind_of(item)} where an object in one language is due")
                continue
            _check_language(item, where, kind, report)
            language = item.get("@language")
            if language is None:
                report.refuse(f"{where}.@language", "is required in documentation of several languages")
            elif isinstance(language, str) and language in known:
                report.refuse(f"{where}.@language", f"{language!r} is documented twice")
            elif isinstance(language, str):
                known.add(language)
    elif value is not None and not isinstance(value, str):
        report.refuse(place, "is a string, an object, or an array of objects by language")


def _check_language(value: Mapping[str, Any], place: str, kind: object, report: Report) -> None:
    is_context = kind in ("@context", "Context")
    texts = _CONTEXT_TEXTS if is_context else _TEXTS
    named = "@authors" if is_context else "@values" if kind == "Enum" else "@properties"
    keys = (*texts, named, "@language")
    for key, part in value.items():
        where = f"{place}.{key}"
        if key not in keys:
            report.refuse(where, f"is not part of documentation: {', '.join(keys)}{report.hint(key, keys)}")
        elif key == "@language":
            _check_tag(part, where, report)
        elif key == "@authors":
            if not isinstance(part, list) or not all(isinstance(author, str) for author in part):
                report.refuse(where, "is an array of strings")
        elif key == named:
            _check_named(part, where, report)
        elif not isinstance(part, str):
            report.refuse(where, f"{kind_of(part)} where a string is due")


def _check_tag(value: object, place: str, report: Report) -> None:
    try:
        SCALARS["xsd:language"](value)
    except Fault as fault:
        report.refuse(place, fault.faults[0][1])


def _check_named(value: object, place: str, report: Report) -> None:
    """Check the documentation of properties or of an enum's values: a text, or an object of texts, for each."""
    if not isinstance(value, dict):
        report.refuse(place, f"{kind_of(value)} where an object of texts by name is due")
        return
    for name, text in value.items():
        if isinstance(text, dict):
            for key, part in text.items():
                if key not in _TEXTS or not isinstance(part, str):
                    report.refuse(f"{place}.{name}.{key}", "is @comment or @label, and a string")
        elif not isinstance(text, str):
            report.refuse(
                f"{place}.{name}", f"{kind_of(text)} where a string or an object of @comment and @label is due"
            )


def read_paths(metadata: Mapping[str, object] | None, place: str, report: Report) -> dict[str, tuple[str, ...]]:
    """The paths that a class's metadata declares under `ontomesh`: `indexed`, `unique`, `dangling`. Whether there are
    such properties is `paths`'s to say.
    """
    own = (metadata or {}).get(OWN_METADATA)
    where = f"{place}.@metadata.{OWN_METADATA}"
    paths: dict[str, tuple[str, ...]] = dict.fromkeys(_PATHS, ())
    if own is None:
        return paths
    if not isinstance(own, dict):
        report.refuse(where, f"{kind_of(own)} where an object of {', '.join(_OWN_KEYS)} is due")
        return paths
    for key, listed in own.items():
        if key not in _OWN_KEYS:
            report.refuse(f"{where}.{key}", f"is none of {', '.join(_OWN_KEYS)}{report.hint(key, _OWN_KEYS)}")
        elif key not in _PATHS:
            continue
        elif not isinstance(listed, list):
            report.refuse(f"{where}.{key}", f"{kind_of(listed)} where an array of paths is due")
        else:
            paths[key] = tuple(_good_paths(listed, f"{where}.{key}", report))
    return paths


def read_events(metadata: Mapping[str, object] | None, place: str, report: Report) -> bool | None:
    """Whether a class's metadata wants events of its documents; None where it says nothing."""
    own = (metadata or {}).get(OWN_METADATA)
    told = own.get("events") if isinstance(own, dict) else None
    if told is None and not (isinstance(own, dict) and "events" in own):
        return None
    if type(told) is bool:
        return told
    where = f"{place}.@metadata.{OWN_METADATA}.events"
    report.refuse(where, f"{kind_of(told)} where true or false is due: whether commits make events of its documents")
    return None


def _good_paths(listed: list[object], place: str, report: Report) -> Iterator[str]:
    for index, path in enumerate(listed):
        if not isinstance(path, str):
            report.refuse(f"{place}[{index}]", f"{kind_of(path)} where a path such as address.city is due")
        elif path in listed[:index]:
            report.refuse(f"{place}[{index}]", f"{path[:80]!r} is listed twice")
        elif path.count(".") >= MAX_HOPS:
            report.refuse(f"{place}[{index}]", f"leads through more than {MAX_HOPS} properties")
        else:
            yield path
