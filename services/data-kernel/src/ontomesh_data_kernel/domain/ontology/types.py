"""The scalar types: for each a function that checks a JSON value and returns its canonical form.

Names and lexical forms are those of XML Schema 1.1 part 2. Every value has one canonical form, so that equal values
have equal hashes.
"""

import re
import struct
from base64 import b64decode, b64encode
from collections.abc import Callable
from decimal import Decimal

from ontomesh_data_kernel.domain.canonical import decimal_fragment, double_fragment, encode, integer_value, kind_of
from ontomesh_data_kernel.domain.ontology import temporal

Check = Callable[[object], object]
"""Returns a value's canonical form as `canonical.encode` takes it, or raises Fault."""


class Fault(Exception):
    """What is wrong with a value: (path within the value, description) pairs."""

    def __init__(self, *faults: tuple[str, str]) -> None:
        super().__init__(faults)
        self.faults = faults


def wrong(description: str) -> Fault:
    """A fault of the value itself."""
    return Fault(("", description))


def shown(value: object) -> str:
    """A value as a message quotes it: short, and never its whole text."""
    if type(value) is str:
        return repr(value) if len(value) <= 40 else repr(value[:37] + "...")
    if type(value) in (bool, list, dict) or value is None:
        return kind_of(value)
    text = str(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _string(value: object) -> object:
    if type(value) is str:
        return value
    raise wrong(f"{kind_of(value)} where a string is due")


def _boolean(value: object) -> object:
    if type(value) is bool:
        return value
    raise wrong(f"{kind_of(value)} where true or false is due")


def _integer(value: object) -> object:
    if type(value) is not int:
        raise wrong(f"{kind_of(value)} where an integer is due")
    try:
        return integer_value(value)
    except ValueError as error:
        raise wrong(str(error)) from None


def _integer_between(low: int | None, high: int | None) -> Check:
    due = f"at least {low}" if high is None else f"at most {high}" if low is None else f"{low} to {high}"

    def check(value: object) -> object:
        if type(value) is int and (low is None or value >= low) and (high is None or value <= high):
            return _integer(value)
        raise wrong(f"{shown(value)} where an integer of {due} is due")

    return check


_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")


def _decimal(value: object) -> object:
    if type(value) is int:
        return _integer(value)
    if type(value) is str and _DECIMAL.fullmatch(value):
        value = Decimal(value)
    if type(value) is not Decimal:
        raise wrong(f"{shown(value)} where a decimal is due, as a number or as its digits in a string")
    try:
        return decimal_fragment(value)
    except ValueError as error:
        raise wrong(str(error)) from None


def _finite(value: object) -> float:
    if type(value) is int or type(value) is Decimal:
        try:
            number = float(value)
        except OverflowError:
            number = float("inf")
        if number in (float("inf"), float("-inf")):
            raise wrong("is beyond the range of a double")
        return number
    raise wrong(f"{kind_of(value)} where a number is due")


def _double(value: object) -> object:
    return double_fragment(_finite(value))


def _float(value: object) -> object:
    single = _single(_finite(value))
    if single is None:
        raise wrong("is beyond the range of a single-precision float")
    # The fewest digits that read back as the same single: its exact double would show digits nobody wrote.
    texts = (f"{single:.{precision}g}" for precision in range(1, 10))
    return double_fragment(next(float(text) for text in texts if _single(float(text)) == single))


def _single(number: float) -> float | None:
    """The nearest single-precision number; None if that is infinite."""
    try:
        rounded: float = struct.unpack("<f", struct.pack("<f", number))[0]
    except OverflowError:
        return None
    return rounded


def _matching(pattern: str, due: str) -> Check:
    matches = re.compile(pattern).fullmatch

    def check(value: object) -> object:
        if type(value) is str and matches(value):
            return value
        raise wrong(f"{shown(value)} where {due} is due")

    return check


_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


def _base64(value: object) -> object:
    # `b64decode` takes padding after whole groups.
    if type(value) is str and _BASE64.fullmatch(value):
        return b64encode(b64decode(value)).decode()
    raise wrong(f"{shown(value)} where base64 without white space is due")


_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})*")


def _hex(value: object) -> object:
    if type(value) is str and _HEX.fullmatch(value):
        return value.upper()
    raise wrong(f"{shown(value)} where pairs of hexadecimal digits are due")


def _temporal(canonical: Callable[[str], str], due: str) -> Check:
    def check(value: object) -> object:
        if type(value) is str:
            try:
                return canonical(value)
            except ValueError:
                pass
        raise wrong(f"{shown(value)} where {due} is due")

    return check


_NAME_START = r"[^\W\d]"
_URI = r"""[^\x00-\x20\x7f-\x9f\s<>"{}|\\^`]*"""

SCALARS: dict[str, Check] = {
    "xsd:string": _string,
    "xsd:normalizedString": _matching(r"[^\t\n\r]*", "a string without tabs and line ends"),
    "xsd:token": _matching(
        r"(?:[^\t\n\r ]+(?: [^\t\n\r ]+)*)?", "a string without tabs, line ends, outer or double spaces"
    ),
    "xsd:language": _matching(r"[a-zA-Z]{1,8}(?:-[a-zA-Z0-9]{1,8})*", "a language tag such as en-GB"),
    "xsd:Name": _matching(rf"(?:{_NAME_START}|:)[\w.:-]*", "an XML name"),
    "xsd:NCName": _matching(rf"{_NAME_START}[\w.-]*", "an XML name without colons"),
    "xsd:NMTOKEN": _matching(r"[\w.:-]+", "an XML name token"),
    "xsd:anyURI": _matching(_URI, "a URI"),
    "xsd:boolean": _boolean,
    "xsd:decimal": _decimal,
    "xsd:double": _double,
    "xsd:float": _float,
    "xsd:integer": _integer,
    "xsd:byte": _integer_between(-(2**7), 2**7 - 1),
    "xsd:short": _integer_between(-(2**15), 2**15 - 1),
    "xsd:int": _integer_between(-(2**31), 2**31 - 1),
    "xsd:long": _integer_between(-(2**63), 2**63 - 1),
    "xsd:unsignedByte": _integer_between(0, 2**8 - 1),
    "xsd:unsignedShort": _integer_between(0, 2**16 - 1),
    "xsd:unsignedInt": _integer_between(0, 2**32 - 1),
    "xsd:unsignedLong": _integer_between(0, 2**64 - 1),
    "xsd:positiveInteger": _integer_between(1, None),
    "xsd:nonNegativeInteger": _integer_between(0, None),
    "xsd:negativeInteger": _integer_between(None, -1),
    "xsd:nonPositiveInteger": _integer_between(None, 0),
    "xsd:base64Binary": _base64,
    "xsd:hexBinary": _hex,
    "xsd:dateTime": _temporal(temporal.date_time, "a date and time such as 2026-11-20T10:00:00Z"),
    "xsd:dateTimeStamp": _temporal(
        temporal.date_time_stamp, "a date and time with its offset such as 2026-11-20T10:00:00+01:00"
    ),
    "xsd:date": _temporal(temporal.date, "a date such as 2026-11-20"),
    "xsd:time": _temporal(temporal.time, "a time such as 10:00:00"),
    "xsd:gYear": _temporal(temporal.year, "a year such as 2026"),
    "xsd:gYearMonth": _temporal(temporal.year_month, "a month of a year such as 2026-11"),
    "xsd:gMonth": _temporal(temporal.month, "a month such as --11"),
    "xsd:gMonthDay": _temporal(temporal.month_day, "a day of the year such as --11-20"),
    "xsd:gDay": _temporal(temporal.day, "a day of the month such as ---20"),
    "xsd:duration": _temporal(temporal.duration, "a duration such as P1Y2M3DT4H5M6.7S"),
    "xsd:yearMonthDuration": _temporal(temporal.year_month_duration, "a duration such as P1Y2M"),
    "xsd:dayTimeDuration": _temporal(temporal.day_time_duration, "a duration such as P3DT4H5M6.7S"),
}
"""The check of each scalar type, by its name in a schema."""


def key_text(value: object) -> str:
    """A canonical scalar as it stands in a generated id: a string's characters, anything else as in JSON."""
    return value if type(value) is str else encode(value).decode()
