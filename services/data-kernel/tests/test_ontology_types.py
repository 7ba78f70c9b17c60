from decimal import Decimal
from typing import Any

import pytest

from ontomesh_data_kernel.domain.canonical import encode
from ontomesh_data_kernel.domain.ontology.types import SCALARS, Fault

GOOD: list[tuple[str, Any, str]] = [
    ("string", "", '""'),
    ("boolean", True, "true"),
    ("byte", -128, "-128"),
    ("short", 32767, "32767"),
    ("int", -(2**31), "-2147483648"),
    ("long", 2**63 - 1, "9223372036854775807"),
    ("unsignedByte", 255, "255"),
    ("unsignedShort", 65535, "65535"),
    ("unsignedInt", 2**32 - 1, "4294967295"),
    ("unsignedLong", 2**64 - 1, "18446744073709551615"),
    ("positiveInteger", 10**30, "1" + "0" * 30),
    ("nonPositiveInteger", 0, "0"),
    ("negativeInteger", -1, "-1"),
    ("decimal", 10**999, "1" + "0" * 999),
    ("normalizedString", " a  b ", '" a  b "'),
    ("token", "a b", '"a b"'),
    ("token", "", '""'),
    ("language", "en-GB", '"en-GB"'),
    ("Name", "a:b.c-d", '"a:b.c-d"'),
    ("NCName", "_a", '"_a"'),
    ("NMTOKEN", "1.2", '"1.2"'),
    ("anyURI", "https://example.org/é?q=1#x", '"https://example.org/é?q=1#x"'),
    ("base64Binary", "aGk=", '"aGk="'),
    ("base64Binary", "", '""'),
    ("hexBinary", "0aFf", '"0AFF"'),
    ("dateTime", "0001-01-01T00:00:00", '"0001-01-01T00:00:00"'),
    ("dateTime", "2026-01-01T00:30:00+01:00", '"2025-12-31T23:30:00Z"'),
    ("dateTimeStamp", "2026-01-01T00:00:00.120Z", '"2026-01-01T00:00:00.12Z"'),
    ("date", "2024-02-29", '"2024-02-29"'),
    ("date", "2024-02-29+00:00", '"2024-02-29Z"'),
    ("date", "2024-02-29-05:00", '"2024-02-29-05:00"'),
    ("time", "23:59:59.9", '"23:59:59.9"'),
    ("time", "00:30:00+01:00", '"23:30:00Z"'),
    ("gYear", "2026", '"2026"'),
    ("gYearMonth", "2026-11Z", '"2026-11Z"'),
    ("gMonth", "--11", '"--11"'),
    ("gMonthDay", "--02-29", '"--02-29"'),
    ("gDay", "---31", '"---31"'),
    ("duration", "P14M", '"P1Y2M"'),
    ("duration", "-P1DT36H90.50S", '"-P2DT12H1M30.5S"'),
    ("duration", "PT0S", '"PT0S"'),
    ("duration", "P0Y", '"PT0S"'),
    ("yearMonthDuration", "P12M", '"P1Y"'),
    ("yearMonthDuration", "P0M", '"P0M"'),
    ("dayTimeDuration", "PT24H", '"P1D"'),
    ("dayTimeDuration", "P0D", '"PT0S"'),
]

BAD: list[tuple[str, Any]] = [
    ("boolean", "true"),
    ("boolean", 1),
    ("integer", Decimal("1.0")),
    ("integer", "1"),
    ("integer", True),
    ("integer", 10**1000),
    ("byte", 128),
    ("byte", -129),
    ("unsignedLong", 2**64),
    ("unsignedLong", -1),
    ("positiveInteger", 0),
    ("negativeInteger", 0),
    ("decimal", True),
    ("decimal", "1e3"),
    ("decimal", "."),
    ("decimal", ""),
    ("decimal", "١"),
    ("decimal", Decimal("1e1000")),
    ("decimal", "9" * 1_001),
    ("double", "1.0"),
    ("double", Decimal("1e400")),
    ("double", 10**400),
    ("double", True),
    ("float", Decimal("3.5e38")),
    ("normalizedString", "a\tb"),
    ("token", " a"),
    ("token", "a  b"),
    ("token", "a\n"),
    ("language", "english-"),
    ("Name", "1a"),
    ("NCName", "a:b"),
    ("NMTOKEN", "a b"),
    ("anyURI", "a b"),
    ("anyURI", "a\n"),
    ("base64Binary", "aGk"),
    ("base64Binary", "a Gk="),
    ("base64Binary", "é"),
    ("hexBinary", "0"),
    ("hexBinary", "0g"),
    ("dateTime", "2026-11-20"),
    ("dateTime", "2026-11-20 10:00:00"),
    ("dateTime", "2026-02-29T00:00:00"),
    ("dateTime", "2026-11-20T24:00:00"),
    ("dateTime", "2026-11-20T10:00:60Z"),
    ("dateTime", "2026-11-20T10:00:00+15:00"),
    ("dateTime", "2026-11-20T10:00:00+01:60"),
    ("dateTime", "0001-01-01T00:00:00+01:00"),
    ("dateTime", "0000-01-01T00:00:00"),
    ("dateTime", "2026-11-20T10:00:00\n"),
    ("dateTime", "2026-11-20T10:00:00.Z"),
    ("dateTime", 0),
    ("dateTimeStamp", "2026-11-20T10:00:00"),
    ("date", "2026-02-30"),
    ("date", "20261120"),
    ("time", "24:00:00"),
    ("gYear", "26"),
    ("gYear", "0000"),
    ("gYearMonth", "2026-13"),
    ("gMonth", "--00"),
    ("gMonthDay", "--02-30"),
    ("gDay", "---32"),
    ("duration", "P"),
    ("duration", "PT"),
    ("duration", "P1"),
    ("duration", "1Y"),
    ("duration", "P1H"),
    ("yearMonthDuration", "P1D"),
    ("yearMonthDuration", "PT1M"),
    ("yearMonthDuration", "P"),
    ("dayTimeDuration", "P1Y"),
]


@pytest.mark.parametrize(("name", "value", "canonical"), GOOD, ids=str)
def test_a_good_value_has_one_canonical_form(name: str, value: Any, canonical: str) -> None:
    assert encode(SCALARS[f"xsd:{name}"](value)).decode() == canonical


@pytest.mark.parametrize(("name", "value"), BAD, ids=lambda value: str(value)[:30])
def test_a_bad_value_is_refused_in_few_words(name: str, value: Any) -> None:
    with pytest.raises(Fault) as caught:
        SCALARS[f"xsd:{name}"](value)
    ((path, description),) = caught.value.faults
    assert path == ""
    assert 0 < len(description) < 160


@pytest.mark.parametrize("name", SCALARS)
@pytest.mark.parametrize("value", [None, [], {}])
def test_no_type_takes_what_is_no_scalar(name: str, value: Any) -> None:
    with pytest.raises(Fault):
        SCALARS[name](value)


@pytest.mark.parametrize("name", sorted({name for name, *_ in GOOD}))
def test_a_canonical_string_is_its_own_canonical_form(name: str) -> None:
    check = SCALARS[f"xsd:{name}"]
    for type_, value, _ in GOOD:
        if type_ == name and isinstance(value, str):
            assert check(check(value)) == check(value)
