"""Canonical forms of XML Schema's dates, times and durations; each function raises ValueError for a malformed one.

A moment with an offset becomes UTC, written `Z` (XML Schema 1.0, 3.2.7.2), so that equal instants have equal hashes;
one without an offset stays without. Fractions of a second lose trailing zeros. Years are 0001 to 9999.
"""

import re
from datetime import date as calendar_date
from datetime import datetime, timedelta
from decimal import Decimal

_OFFSET = r"(?P<offset>Z|[+-][0-9]{2}:[0-9]{2})?"
_DATE = r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
_TIME = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]{1,9}))?"
_DATE_TIME = re.compile(f"{_DATE}T{_TIME}{_OFFSET}")
_DATE_ONLY = re.compile(f"{_DATE}{_OFFSET}")
_TIME_ONLY = re.compile(f"{_TIME}{_OFFSET}")
_DURATION = re.compile(
    r"(?P<sign>-?)P(?=[0-9T])(?:(?P<years>[0-9]{1,9})Y)?(?:(?P<months>[0-9]{1,9})M)?(?:(?P<days>[0-9]{1,9})D)?"
    r"(?:T(?=[0-9])(?:(?P<hours>[0-9]{1,9})H)?(?:(?P<minutes>[0-9]{1,9})M)?(?:(?P<seconds>[0-9]{1,9}(?:\.[0-9]{1,9})?)S)?)?"
)
_MAX_OFFSET = timedelta(hours=14)


def _match(pattern: re.Pattern[str], text: str) -> re.Match[str]:
    match = pattern.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return match


def _offset(text: str | None) -> timedelta | None:
    if text is None:
        return None
    if text == "Z":
        return timedelta()
    hours, minutes = int(text[1:3]), int(text[4:6])
    offset = timedelta(hours=hours, minutes=minutes)
    if minutes > 59 or offset > _MAX_OFFSET:
        raise ValueError(text)
    return -offset if text[0] == "-" else offset


def _fraction(text: str | None) -> str:
    digits = (text or "").rstrip("0")
    return f".{digits}" if digits else ""


def date_time(text: str) -> str:
    """`2026-11-20T10:00:00.5+01:00` becomes `2026-11-20T09:00:00.5Z`."""
    match = _match(_DATE_TIME, text)
    moment = datetime.fromisoformat(text[:19])
    offset = _offset(match["offset"])
    if offset:
        try:
            moment -= offset
        except OverflowError:
            raise ValueError(text) from None
    return f"{moment.isoformat()}{_fraction(match['fraction'])}{'' if offset is None else 'Z'}"


def date_time_stamp(text: str) -> str:
    """As `date_time`, with the offset required."""
    canonical = date_time(text)
    if not canonical.endswith("Z"):
        raise ValueError(text)
    return canonical


def _zone(text: str | None) -> str:
    offset = _offset(text)
    if offset is None or text is None:
        return ""
    return "Z" if not offset else text


def date(text: str) -> str:
    """A day keeps its offset (moved to UTC it would be two half days); a zero one is `Z`."""
    match = _match(_DATE_ONLY, text)
    calendar_date.fromisoformat(text[:10])
    return text[:10] + _zone(match["offset"])


def time(text: str) -> str:
    """A time of the day, moved to UTC if it has an offset."""
    match = _match(_TIME_ONLY, text)
    moment = datetime.fromisoformat(f"2000-01-02T{text[:8]}")
    offset = _offset(match["offset"])
    if offset:
        moment -= offset
    return f"{moment.time().isoformat()}{_fraction(match['fraction'])}{'' if offset is None else 'Z'}"


_YEAR = re.compile(rf"(?P<part>[0-9]{{4}}){_OFFSET}")
_YEAR_MONTH = re.compile(rf"(?P<part>[0-9]{{4}}-[0-9]{{2}}){_OFFSET}")
_MONTH = re.compile(rf"--(?P<part>[0-9]{{2}}){_OFFSET}")
_MONTH_DAY = re.compile(rf"--(?P<part>[0-9]{{2}}-[0-9]{{2}}){_OFFSET}")
_DAY = re.compile(rf"---(?P<part>[0-9]{{2}}){_OFFSET}")


def _part(pattern: re.Pattern[str], text: str, completed: str) -> str:
    """`completed` makes a whole date of the part, which must exist; the year is a leap year where none is given."""
    match = _match(pattern, text)
    calendar_date.fromisoformat(completed.format(match["part"]))
    return text[: match.end("part")] + _zone(match["offset"])


def year(text: str) -> str:
    """`2026`."""
    return _part(_YEAR, text, "{}-01-01")


def year_month(text: str) -> str:
    """`2026-11`."""
    return _part(_YEAR_MONTH, text, "{}-01")


def month(text: str) -> str:
    """`--11`."""
    return _part(_MONTH, text, "2000-{}-01")


def month_day(text: str) -> str:
    """`--11-20`."""
    return _part(_MONTH_DAY, text, "2000-{}")


def day(text: str) -> str:
    """`---20`."""
    return _part(_DAY, text, "2000-01-{}")


def duration(text: str) -> str:
    """Months and seconds carried up: `P14M` becomes `P1Y2M`, `PT90S` becomes `PT1M30S`, nothing at all `PT0S`."""
    months, seconds = _months_and_seconds(text)
    return _duration(months, seconds) if months or seconds else "PT0S"


def year_month_duration(text: str) -> str:
    """A duration of years and months; none at all is `P0M`."""
    if not text.endswith(("Y", "M")) or "T" in text or "D" in text:
        raise ValueError(text)
    months, _ = _months_and_seconds(text)
    return _duration(months, Decimal()) if months else "P0M"


def day_time_duration(text: str) -> str:
    """A duration of days and less; none at all is `PT0S`."""
    match = _match(_DURATION, text)
    if match["years"] or match["months"]:
        raise ValueError(text)
    return duration(text)


def _months_and_seconds(text: str) -> tuple[int, Decimal]:
    match = _match(_DURATION, text)
    months = int(match["years"] or 0) * 12 + int(match["months"] or 0)
    whole = (int(match["days"] or 0) * 24 + int(match["hours"] or 0)) * 60 + int(match["minutes"] or 0)
    seconds = whole * 60 + Decimal(match["seconds"] or 0)
    return (-months, -seconds) if match["sign"] else (months, seconds)


def _duration(months: int, seconds: Decimal) -> str:
    sign = "-" if months < 0 or seconds < 0 else ""
    years, rest_months = divmod(abs(months), 12)
    minutes, rest_seconds = divmod(abs(seconds), 60)
    hours, rest_minutes = divmod(int(minutes), 60)
    days, rest_hours = divmod(hours, 24)
    second_text = format(rest_seconds, "f")
    if "." in second_text:
        second_text = second_text.rstrip("0").rstrip(".")
    calendar = _units((years, "Y"), (rest_months, "M"), (days, "D"))
    clock = _units((rest_hours, "H"), (rest_minutes, "M")) + (f"{second_text}S" if second_text != "0" else "")
    return f"{sign}P{calendar}{'T' if clock else ''}{clock}"


def _units(*parts: tuple[int, str]) -> str:
    return "".join(f"{number}{unit}" for number, unit in parts if number)
