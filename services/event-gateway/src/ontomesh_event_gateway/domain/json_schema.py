"""JSON Schemas of events' data: compiled once, asked for each event, and explained where data do not fit."""

import json
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any

import jsonschema_rs
import orjson

from ontomesh_event_gateway.domain.model import Event
from ontomesh_event_gateway.errors import DataViolation, InvalidSchema, Violation

DRAFT = "https://json-schema.org/draft/2020-12/schema"
MAX_SCHEMA_BYTES = 256 * 1024
MAX_DEPTH = 64
MAX_VIOLATIONS = 20

# All faults are found at once, 10 us each, however few are shown: of large data only the first one is.
_FULLY_EXPLAINED_BYTES = 32 * 1024
_MAX_WORDS = 300
# Matching takes time linear in the text; what such patterns cannot say, look-around, is refused.
_PATTERNS = jsonschema_rs.RegexOptions(size_limit=1 << 20, dfa_size_limit=1 << 20)
_MASK = "the value"
_PLAIN = re.compile(r"[^\W\d][\w-]*")
_JSON_MEDIA = re.compile(r"\s*(?:application|text)/(?:json|[^\s;/]+\+json)\s*(?:;.*)?", re.IGNORECASE | re.DOTALL)


class DataSchema:
    """A compiled schema."""

    def __init__(self, validator: jsonschema_rs.Draft202012Validator) -> None:
        self._validator = validator
        self._is_valid = validator.is_valid

    def check(self, event: Event) -> None:
        """Raises DataViolation, its fields relative to the event, unless its data are JSON that fits."""
        if not self._is_valid(value := read_json(event)):
            raise _refusal(event, self._explain(value, len(event.data or b"")))

    def _explain(self, value: object, size: int) -> list[Violation]:
        if size > _FULLY_EXPLAINED_BYTES:
            try:
                self._validator.validate(value)
            except jsonschema_rs.ValidationError as fault:
                return list(islice(_violations(fault), MAX_VIOLATIONS))
        faults = (violation for fault in self._validator.iter_errors(value) for violation in _violations(fault))
        return list(islice(faults, MAX_VIOLATIONS))


def compile_text(text: bytes | str) -> DataSchema:
    """The schema of a text that a caller sent. Raises InvalidSchema, its fields relative to the schema."""
    try:
        schema = orjson.loads(text)
    except orjson.JSONDecodeError as fault:
        raise InvalidSchema.at("", f"is not JSON: {fault}") from fault
    if not isinstance(schema, dict | bool):
        raise InvalidSchema.at("", "is neither an object nor true or false")
    if _is_deeper(schema, MAX_DEPTH):
        raise InvalidSchema.at("", f"is nested deeper than {MAX_DEPTH} levels")
    named = schema.get("$schema", DRAFT) if isinstance(schema, dict) else DRAFT
    if not isinstance(named, str) or named.rstrip("#") != DRAFT:
        raise InvalidSchema.at("$schema", f"is not {DRAFT}, the one draft that is known")
    return compile_schema(schema)


def compile_schema(schema: dict[str, Any] | bool) -> DataSchema:
    """The compiled schema. Raises InvalidSchema, its fields relative to the schema."""
    try:
        return DataSchema(
            jsonschema_rs.Draft202012Validator(
                schema, validate_formats=False, pattern_options=_PATTERNS, mask=_MASK, offline=True
            )
        )
    except jsonschema_rs.ValidationError as fault:
        words = fault.message
        if "present in a registry" in words:
            words = f"refers to something outside the schema: {words}"
        elif "regex" in words:
            words = "is no regular expression, or one with look-around or back-references, or too large"
        raise InvalidSchema.at(_path(fault.instance_path), _short(words)) from fault
    except (ValueError, jsonschema_rs.ReferencingError) as fault:
        raise InvalidSchema.at("", _short(str(fault))) from fault


def read_json(event: Event) -> Any:
    """An event's data. Raises DataViolation unless they are there and JSON."""
    if event.data is None:
        raise _refusal(event, [Violation("data", "are required")])
    media = event.attributes.get("datacontenttype")
    if media is not None and media != "application/json" and not _JSON_MEDIA.fullmatch(str(media)):
        raise _refusal(event, [Violation("datacontenttype", "is not JSON's, and the type's data are JSON")])
    try:
        return orjson.loads(event.data)
    except orjson.JSONDecodeError as fault:
        try:
            return _read_exactly(event.data)
        except (ValueError, RecursionError):
            raise _refusal(event, [Violation("data", f"are not JSON: {fault}")]) from fault


def _read_exactly(data: bytes | str) -> Any:
    """JSON with numbers beyond a double's range, which documents may have. Raises ValueError, RecursionError."""
    return json.loads(data, parse_float=Decimal, parse_constant=_constant)


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _refusal(event: Event, violations: Sequence[Violation]) -> DataViolation:
    first = violations[0]
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    message = f"the data do not fit the type {event.type!r}: {first.field}: {first.description}{more}"
    return DataViolation(message, violations, {"type": event.type})


def _violations(fault: jsonschema_rs.ValidationError) -> Iterator[Violation]:
    """What a fault says, by the field that it concerns."""
    path = ["data", *fault.instance_path]
    kind = fault.kind
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.Required):
        yield Violation(_path([*path, _name(kind.property)]), "is required")
    elif isinstance(
        kind,
        jsonschema_rs.ValidationErrorKind.AdditionalProperties
        | jsonschema_rs.ValidationErrorKind.UnevaluatedProperties,
    ):
        for name in kind.unexpected:
            yield Violation(_path([*path, name]), "is not expected")
    elif isinstance(kind, jsonschema_rs.ValidationErrorKind.FalseSchema):
        yield Violation(_path(path), "is not expected")
    elif isinstance(kind, jsonschema_rs.ValidationErrorKind.AnyOf | jsonschema_rs.ValidationErrorKind.OneOfNotValid):
        yield Violation(_path(path), "fits none of the alternatives")
    else:
        yield Violation(_path(path), _short(fault.message.removeprefix(f"{_MASK} ")))


def _name(property: object) -> str:
    text = str(property)
    return text[1:-1] if text.startswith('"') and text.endswith('"') else text


def _path(parts: Sequence[str | int]) -> str:
    """`data.items[0].price`; names that are none stand in brackets and quotes."""
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        elif _PLAIN.fullmatch(part) or part.startswith(("@", "$")):
            path += f".{part}" if path else part
        else:
            path += f"[{part[:128]!r}]"
    return path


def _short(words: str) -> str:
    return words if len(words) <= _MAX_WORDS else words[: _MAX_WORDS - 3] + "..."


def _is_deeper(value: object, levels: int) -> bool:
    layer = [value]
    for _ in range(levels):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not layer:
            return False
    return any(isinstance(inner, dict | list) for inner in layer)
