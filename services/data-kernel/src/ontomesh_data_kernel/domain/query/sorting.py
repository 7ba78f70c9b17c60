"""Sort keys: bytes whose order is the order of the values they stand for.

A key is made of a canonical value as `types.SCALARS` returns it, or of the same value parsed back from a stored body
(an integer, Decimal, float, string or boolean); both give the same key. Keys of one kind compare with each other only:

- Numbers of all types share one encoding, exact for any number of digits, so that 1, 1.0 and 1e0 have one key.
- Strings, enum values and ids compare by code points. Their keys are cut to MAX_STRING_BYTES of UTF-8: what differs
  only beyond has equal keys, so that whoever looks up by key checks the value.
- Moments are instants, those without an offset in UTC. Days, months and years stand for their first moment, those
  that recur for the one in the leap year 2000.
- Durations compare by length, a month having 2,629,746 seconds (a twelfth of a Gregorian year).
"""

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal

import orjson

MAX_STRING_BYTES = 256
SECONDS_OF_MONTH = 2_629_746

_MINUTES_OF_DAY = 24 * 60
_EXPONENT_BIAS = 0x8000
_ZERO = b"\x02"
# A digit becomes a nibble above the one that ends the number, or for a negative number one below.
_POSITIVE = str.maketrans("0123456789", "123456789a")
_NEGATIVE = str.maketrans("0123456789", "edcba98765")

_INTEGERS = frozenset(
    f"xsd:{name}"
    for name in (
        *("integer", "byte", "short", "int", "long"),
        *("unsignedByte", "unsignedShort", "unsignedInt", "unsignedLong"),
        *("positiveInteger", "nonNegativeInteger", "negativeInteger", "nonPositiveInteger"),
    )
)
_MOMENTS = frozenset(("xsd:dateTime", "xsd:dateTimeStamp", "xsd:time"))
_DURATIONS = frozenset(("xsd:duration", "xsd:yearMonthDuration", "xsd:dayTimeDuration"))
_DAYS = {
    "xsd:date": (slice(0, 10), "{}"),
    "xsd:gYear": (slice(0, 4), "{}-01-01"),
    "xsd:gYearMonth": (slice(0, 7), "{}-01"),
    "xsd:gMonth": (slice(1, 4), "2000{}-01"),
    "xsd:gMonthDay": (slice(1, 7), "2000{}"),
    "xsd:gDay": (slice(2, 5), "2000-01{}"),
}
"""The part of each type's canonical form that its template completes to a date."""

NUMBER_TYPES = _INTEGERS | {"xsd:decimal", "xsd:double", "xsd:float"}
"""Types whose values are JSON numbers; all compare with each other."""

STRING_TYPES = frozenset(
    f"xsd:{name}" for name in ("string", "normalizedString", "token", "language", "Name", "NCName", "NMTOKEN", "anyURI")
)
"""Types that have prefixes, and whose order is that of code points."""

ORDERED_TYPES = NUMBER_TYPES | STRING_TYPES | _MOMENTS | _DURATIONS | _DAYS.keys()
"""Types that compare by < and >."""

EXACT_TYPES = frozenset(
    f"xsd:{name}"
    for name in ("decimal", "integer", "positiveInteger", "nonNegativeInteger", "negativeInteger", "nonPositiveInteger")
)
"""Types whose values a parser that makes doubles of what exceeds 64 bits may change."""


def sort_key(type: str, canonical: object) -> bytes:
    """The key of a value of a type of `SCALARS`, or of `enum`, `link`, `@id` and `@type`."""
    return KEYS[type](canonical)


def _string(canonical: object) -> bytes:
    # A character has at least one byte, so that the rest need not be encoded.
    return str(canonical)[:MAX_STRING_BYTES].encode()[:MAX_STRING_BYTES]


def _boolean(canonical: object) -> bytes:
    return b"\x01" if canonical else b"\x00"


def number_text(canonical: object) -> str:
    """The digits of a number in any of its forms."""
    return orjson.dumps(canonical).decode() if type(canonical) is orjson.Fragment else str(canonical)


def _number(canonical: object) -> bytes:
    text = number_text(canonical)
    is_negative = text.startswith("-")
    mantissa, _, shift = text.lstrip("-").lower().partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return _ZERO
    # The number is 0.<digits> times ten to the exponent.
    exponent = len(digits) - len(fraction) + int(shift or 0)
    digits = digits.rstrip("0")
    ending = "00" if len(digits) % 2 == 0 else "0"
    if is_negative:
        packed = bytes.fromhex(digits.translate(_NEGATIVE) + ending.replace("0", "f"))
        return b"\x01" + (_EXPONENT_BIAS - exponent).to_bytes(2, "big") + packed
    packed = bytes.fromhex(digits.translate(_POSITIVE) + ending)
    return b"\x03" + (_EXPONENT_BIAS + exponent).to_bytes(2, "big") + packed


def _moment(canonical: object) -> bytes:
    # The canonical form is in UTC if it has an offset at all, and of fixed width but for the fraction at its end.
    return str(canonical).removesuffix("Z").encode()


def _day(part: slice, completed: str) -> Callable[[object], bytes]:
    def key(canonical: object) -> bytes:
        text = str(canonical)
        offset = text[part.stop :]
        minutes = date.fromisoformat(completed.format(text[part])).toordinal() * _MINUTES_OF_DAY
        if len(offset) == len("+01:00"):
            ahead = int(offset[1:3]) * 60 + int(offset[4:])
            minutes -= ahead if offset[0] == "+" else -ahead
        return minutes.to_bytes(5, "big")

    return key


# Unlike what may be written, the canonical form has carried its parts up, beyond nine digits.
_DURATION = re.compile(
    r"(-?)P(?:([0-9]+)Y)?(?:([0-9]+)M)?(?:([0-9]+)D)?(?:T(?:([0-9]+)H)?(?:([0-9]+)M)?(?:([0-9.]+)S)?)?"
)


def _duration(canonical: object) -> bytes:
    match = _DURATION.fullmatch(str(canonical))
    if match is None:
        raise ValueError(canonical)
    sign, *parts = match.groups()
    years, months, days, hours, minutes = (int(part or 0) for part in parts[:-1])
    whole = (years * 12 + months) * SECONDS_OF_MONTH + ((days * 24 + hours) * 60 + minutes) * 60
    # At most 17 digits before the point and 9 after it: within what Decimal adds exactly.
    seconds = whole + Decimal(parts[-1] or 0)
    return _number(format(-seconds if sign else seconds, "f"))


KEYS: dict[str, Callable[[object], bytes]] = {
    **dict.fromkeys(STRING_TYPES, _string),
    **dict.fromkeys(("xsd:base64Binary", "xsd:hexBinary", "enum", "link", "@id", "@type"), _string),
    **dict.fromkeys(NUMBER_TYPES, _number),
    **dict.fromkeys(_MOMENTS, _moment),
    **dict.fromkeys(_DURATIONS, _duration),
    **{name: _day(part, completed) for name, (part, completed) in _DAYS.items()},
    "xsd:boolean": _boolean,
}
"""The maker of keys of each type that `sort_key` takes."""
