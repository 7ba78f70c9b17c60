"""From a value of one type to the same value of another, where there is one."""

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation

from ontomesh_data_kernel.domain.canonical import MAX_DIGITS, encode, encode_exactly, kind_of
from ontomesh_data_kernel.domain.ontology.types import SCALARS, Fault, shown, wrong

TEXTS = frozenset(
    f"xsd:{name}" for name in ("string", "normalizedString", "token", "language", "Name", "NCName", "NMTOKEN", "anyURI")
)
"""The types whose values are strings of any meaning."""
_INTEGERS = frozenset(name for name in SCALARS if name.lower().endswith(("integer", "int", "long", "short", "byte")))
_NUMBERS = _INTEGERS | {"xsd:decimal", "xsd:double", "xsd:float"}
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}
_OFFSET = re.compile(r"(?:Z|[+-][0-9]{2}:[0-9]{2})$")

Cast = Callable[[object], object]
"""A value of a stored body, as one to be checked anew. Raises Fault."""


def scalar_cast(old: str, new: str) -> Cast | None:
    """How values of one scalar type become those of another; None if none ever does."""
    check = SCALARS[new]
    change = _change(old, new)
    if change is None:
        return None
    is_rounding = old in _NUMBERS and new in ("xsd:double", "xsd:float")

    def cast(value: object) -> object:
        changed = change(value)
        try:
            canonical = check(changed)
        except Fault as fault:
            raise wrong(f"cannot become {new}: {fault.faults[0][1]}") from None
        if is_rounding and Decimal(encode(canonical).decode()) != changed:
            raise wrong(f"cannot become {new}: {shown(changed)} would be rounded")
        return changed

    return cast


def _change(old: str, new: str) -> Cast | None:
    if old == new or (old in TEXTS and new not in _NUMBERS and new != "xsd:boolean"):
        return lambda value: value
    if new in TEXTS:
        return _text
    if new in _NUMBERS:
        if old in TEXTS:
            return _from_text(_integer_text if new in _INTEGERS else _number_text)
        if old == "xsd:boolean":
            return lambda value: 1 if value is True else 0
        if old in _NUMBERS:
            return _integral if new in _INTEGERS else _number
        return None
    if new == "xsd:boolean":
        if old in TEXTS:
            return _from_text(_truth)
        return _truth_of_number if old in _NUMBERS else None
    return _TEMPORAL.get((_family_of_time(old), _family_of_time(new)))


def _text(value: object) -> object:
    return value if type(value) is str else encode_exactly(value).decode()


def _from_text(read: Callable[[str], object]) -> Cast:
    def cast(value: object) -> object:
        if type(value) is not str:
            raise wrong(f"{kind_of(value)} where a string was due")
        return read(value)

    return cast


def _number_text(text: str) -> object:
    if not _NUMBER.fullmatch(text) or len(text) > 2 * MAX_DIGITS:
        raise wrong(f"{shown(text)} is no number")
    try:
        return Decimal(text)
    except InvalidOperation:
        raise wrong(f"{shown(text)} is no number") from None


def _integer_text(text: str) -> object:
    return _integral(_number_text(text))


def _integral(value: object) -> object:
    if type(value) is int:
        return value
    if type(value) is not Decimal or abs(value.adjusted()) >= MAX_DIGITS or value != value.to_integral_value():
        raise wrong(f"{shown(value)} is no integer")
    return int(value)


def _number(value: object) -> object:
    if type(value) is int or type(value) is Decimal:
        return value
    raise wrong(f"{kind_of(value)} where a number was due")


def _truth(text: str) -> object:
    if text not in _TRUTHS:
        raise wrong(f"{shown(text)} is none of true, false, 1 and 0")
    return _TRUTHS[text]


def _truth_of_number(value: object) -> object:
    if value == 0 or value == 1:
        return value == 1
    raise wrong(f"{shown(value)} is neither 0 nor 1")


def _family_of_time(name: str) -> str:
    return {"xsd:dateTimeStamp": "xsd:dateTime", "xsd:yearMonthDuration": "xsd:duration"}.get(
        name, "xsd:duration" if name == "xsd:dayTimeDuration" else name
    )


def _same(value: object) -> object:
    return value


def _date_of(value: object) -> object:
    date, _, time = str(value).partition("T")
    offset = _OFFSET.search(time)
    return date + (offset[0] if offset else "")


def _time_of(value: object) -> object:
    return str(value).partition("T")[2]


def _midnight(value: object) -> object:
    text = str(value)
    offset = _OFFSET.search(text)
    day = text[: offset.start()] if offset else text
    return f"{day}T00:00:00{offset[0] if offset else 'Z'}"


def _front(parts: int) -> Cast:
    """The first parts of a date: its year, or its year and month."""

    def cast(value: object) -> object:
        text = str(value).partition("T")[0]
        sign = "-" if text.startswith("-") else ""
        return sign + "-".join(_OFFSET.sub("", text).removeprefix("-").split("-")[:parts])

    return cast


_TEMPORAL: dict[tuple[str, str], Cast] = {
    ("xsd:dateTime", "xsd:dateTime"): _same,
    ("xsd:duration", "xsd:duration"): _same,
    ("xsd:dateTime", "xsd:date"): _date_of,
    ("xsd:dateTime", "xsd:time"): _time_of,
    ("xsd:date", "xsd:dateTime"): _midnight,
    ("xsd:date", "xsd:gYear"): _front(1),
    ("xsd:date", "xsd:gYearMonth"): _front(2),
    ("xsd:dateTime", "xsd:gYear"): _front(1),
    ("xsd:dateTime", "xsd:gYearMonth"): _front(2),
    ("xsd:base64Binary", "xsd:base64Binary"): _same,
}
