"""The scalar types as JSON Schema: patterns and bounds that take what `types` takes, as near as JSON Schema comes.

Patterns keep to what ECMA-262 and common engines share: no look-around, and Unicode by properties. What no pattern tells
is a moment that its offset moves out of the years 1 to 9999, and a number of more digits than the kernel keeps.
"""

from collections.abc import Mapping
from typing import Any

JsonSchema = Mapping[str, Any]

NO_SPACE = r"\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""Control characters and white space, within a character class."""
NOT_IN_URIS = rf"""{NO_SPACE}<>"{{}}|\\^`"""

_START = r"\p{L}\p{Nl}\p{No}_"
_WORD = r"\p{L}\p{N}_"

_YEAR = r"(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
_LEAP_YEAR = (
    r"(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"  # by fours, and by 400s
)
_MONTH = r"(?:0[1-9]|1[0-2])"
_DAY = r"(?:0[1-9]|[12][0-9]|3[01])"
_MONTH_DAY = (
    r"(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_DATE = rf"(?:{_YEAR}-{_MONTH_DAY}|{_LEAP_YEAR}-02-29)"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?"
_OFFSET = r"(?:Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9]|[+-]14:00)"

_N = r"[0-9]{1,9}"
_YEARS_MONTHS = rf"(?:{_N}Y(?:{_N}M)?|{_N}M)"
_SECONDS = rf"{_N}(?:\.{_N})?S"
_CLOCK = rf"T(?:{_N}H(?:{_N}M)?(?:{_SECONDS})?|{_N}M(?:{_SECONDS})?|{_SECONDS})"
_DAYS_CLOCK = rf"(?:{_N}D(?:{_CLOCK})?|{_CLOCK})"
_DURATION = rf"(?:{_YEARS_MONTHS}(?:{_DAYS_CLOCK})?|{_DAYS_CLOCK})"

_SINGLE_BEYOND = float(2**128 - 2**103)
"""The least double that is no finite single-precision number once rounded."""


def _text(pattern: str, **more: str) -> JsonSchema:
    return {"type": "string", "pattern": f"^(?:{pattern})$", **more}


def _integer(low: int | None = None, high: int | None = None) -> JsonSchema:
    bounds = {"minimum": low, "maximum": high}
    return {"type": "integer", **{name: bound for name, bound in bounds.items() if bound is not None}}


def _dated(part: str) -> JsonSchema:
    return _text(f"{part}{_OFFSET}?")


SCALAR_SCHEMAS: Mapping[str, JsonSchema] = {
    "xsd:string": {"type": "string"},
    "xsd:normalizedString": _text(r"[^\t\n\r]*"),
    "xsd:token": _text(r"(?:[^\t\n\r ]+(?: [^\t\n\r ]+)*)?"),
    "xsd:language": _text(r"[a-zA-Z]{1,8}(?:-[a-zA-Z0-9]{1,8})*"),
    "xsd:Name": _text(rf"[{_START}:][{_WORD}.:\-]*"),
    "xsd:NCName": _text(rf"[{_START}][{_WORD}.\-]*"),
    "xsd:NMTOKEN": _text(rf"[{_WORD}.:\-]+"),
    "xsd:anyURI": _text(rf"[^{NOT_IN_URIS}]*"),
    "xsd:boolean": {"type": "boolean"},
    "xsd:decimal": {
        "type": ["number", "string"],
        "pattern": r"^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)$",
    },
    "xsd:double": {"type": "number"},
    "xsd:float": {"type": "number", "exclusiveMinimum": -_SINGLE_BEYOND, "exclusiveMaximum": _SINGLE_BEYOND},
    "xsd:integer": _integer(),
    "xsd:byte": _integer(-(2**7), 2**7 - 1),
    "xsd:short": _integer(-(2**15), 2**15 - 1),
    "xsd:int": _integer(-(2**31), 2**31 - 1),
    "xsd:long": _integer(-(2**63), 2**63 - 1),
    "xsd:unsignedByte": _integer(0, 2**8 - 1),
    "xsd:unsignedShort": _integer(0, 2**16 - 1),
    "xsd:unsignedInt": _integer(0, 2**32 - 1),
    "xsd:unsignedLong": _integer(0, 2**64 - 1),
    "xsd:positiveInteger": _integer(1),
    "xsd:nonNegativeInteger": _integer(0),
    "xsd:negativeInteger": _integer(None, -1),
    "xsd:nonPositiveInteger": _integer(None, 0),
    "xsd:base64Binary": _text(
        r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", contentEncoding="base64"
    ),
    "xsd:hexBinary": _text(r"(?:[0-9A-Fa-f]{2})*", contentEncoding="base16"),
    "xsd:dateTime": _dated(f"{_DATE}T{_TIME}"),
    "xsd:dateTimeStamp": _text(f"{_DATE}T{_TIME}{_OFFSET}", format="date-time"),
    "xsd:date": _dated(_DATE),
    "xsd:time": _dated(_TIME),
    "xsd:gYear": _dated(_YEAR),
    "xsd:gYearMonth": _dated(f"{_YEAR}-{_MONTH}"),
    "xsd:gMonth": _dated(f"--{_MONTH}"),
    "xsd:gMonthDay": _dated(f"--(?:{_MONTH_DAY}|02-29)"),
    "xsd:gDay": _dated(f"---{_DAY}"),
    "xsd:duration": _text(f"-?P{_DURATION}"),
    "xsd:yearMonthDuration": _text(f"-?P{_YEARS_MONTHS}"),
    "xsd:dayTimeDuration": _text(f"-?P{_DAYS_CLOCK}"),
}
"""The schema of each scalar type, by its name in a schema."""

EXACT_SCALARS = frozenset(
    name
    for name, schema in SCALAR_SCHEMAS.items()
    if schema["type"] in ("boolean", "integer")
    or name in ("xsd:string", "xsd:normalizedString", "xsd:token", "xsd:language", "xsd:Name", "xsd:NCName")
    or name in ("xsd:NMTOKEN", "xsd:anyURI")
)
"""The types of which different JSON values are different values."""
