"""Every value of every scalar type comes back as it was written, byte for byte, or is refused by a store that would not
keep it.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ontomesh_data_kernel.domain.canonical import document_hash, parse_body
from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.domain.model import Insert
from ontomesh_data_kernel.domain.ontology import parse_schema
from ontomesh_data_kernel.domain.ontology.types import SCALARS
from ontomesh_data_kernel.errors import UnsupportedByStore
from tests.contract.inprocess import ANA, DB, body, commit, documents, new_database, open_kernel, schema_edit
from tests.contract.stores import StoreInUse

pytestmark = pytest.mark.usefixtures("store")

TEXTS = ["", "a", "1.10", "2026-01-01", " led and trailed ", 'é €\u2028 😀 "\\/\n\t\r\b\f\x01\x1f\x7f\x85\ufeff\uffff']
VALUES: dict[str, list[object]] = {
    "string": list(TEXTS),
    "normalizedString": ["a  b", ""],
    "token": ["a b", ""],
    "language": ["en-GB"],
    "Name": ["a:b"],
    "NCName": ["a-b"],
    "NMTOKEN": ["1.b"],
    "anyURI": ["http://x.org/y?z#q", "a/b", ""],
    "boolean": [True, False],
    "decimal": [0, 1, -3, 1.5, "1.10", "0.1", "9" * 40, "123456789012345678901234567890.12345678901234567890"],
    "double": [0, 1.0, -2.5, 0.1, 1e22, 1e300, 5e-324, 123456789012345680],
    "float": [1.0, 0.1, 3.4e38],
    "integer": [0, -1, 2**63, 2**64, 10**40, -(10**40)],
    "byte": [-128, 127],
    "short": [-(2**15)],
    "int": [2**31 - 1],
    "long": [-(2**63), 2**63 - 1],
    "unsignedByte": [255],
    "unsignedShort": [65535],
    "unsignedInt": [2**32 - 1],
    "unsignedLong": [2**64 - 1],
    "positiveInteger": [1, 2**70],
    "nonNegativeInteger": [0],
    "negativeInteger": [-1],
    "nonPositiveInteger": [0],
    "base64Binary": ["aGVsbG8=", ""],
    "hexBinary": ["0AFF", ""],
    "dateTime": [
        "2026-11-20T10:00:00Z",
        "2026-11-20T10:00:00.123456Z",
        "2026-11-20T10:00:00+05:30",
        "1969-01-01T00:00:00.5Z",
    ],
    "dateTimeStamp": ["2026-11-20T10:00:00+01:00", "2026-11-20T10:00:00Z"],
    "date": ["2026-11-20", "2026-11-20Z", "2026-11-20+01:00"],
    "time": ["10:00:00", "10:00:00.5", "10:00:00Z", "10:00:00+01:00"],
    "gYear": ["2026", "2026Z"],
    "gYearMonth": ["2026-11"],
    "gMonth": ["--11"],
    "gMonthDay": ["--11-20"],
    "gDay": ["---20"],
    "duration": ["P1Y2M3DT4H5M6.7S", "PT0S", "-P1D", "P400D"],
    "yearMonthDuration": ["P1Y2M", "-P3M"],
    "dayTimeDuration": ["P3DT4H5M6.7S", "-PT1S"],
}
SCHEMA: list[dict[str, Any]] = [
    {
        "@type": "Class",
        "@id": f"A{name}",
        "one": {"@type": "Optional", "@class": f"xsd:{name}"},
        "list": {"@type": "List", "@class": f"xsd:{name}"},
        "set": {"@type": "Set", "@class": f"xsd:{name}"},
    }
    for name in VALUES
]
ODD_IDS = ["ä€", "a%20b", "a+b", "x/y/z", "a?b#c", "a:b", "it's", "(a)", "a@b", "a$b=c&d", "http:%2F%2Fx"]


@pytest.fixture
async def kernel(tmp_path: Path) -> AsyncIterator[Kernel]:
    opened = await open_kernel(tmp_path / "kernel.db")
    await new_database(opened, *SCHEMA)
    yield opened
    await opened.close()


def sent(document: dict[str, Any]) -> bytes:
    """A document as JSON, whatever its integers' size."""
    return json.dumps(document, ensure_ascii=False).encode()


def test_every_scalar_type_is_tried() -> None:
    assert {f"xsd:{name}" for name in VALUES} == SCALARS.keys()


async def test_every_value_comes_back_as_it_was_written(kernel: Kernel) -> None:
    written = [
        {"@type": f"A{name}", "@id": f"A{name}/{index}", "one": value, "list": [*values, value], "set": values}
        for name, values in VALUES.items()
        for index, value in enumerate(values)
    ] + [{"@type": "Astring", "@id": "Astring/none", "list": []}]
    made = await commit(kernel, *(Insert(sent(document)) for document in written))
    prepare = parse_schema(SCHEMA).compile().prepare
    batch = await kernel.documents.batch_get(ANA, DB, "main", [result.id for result in made.results])
    for document, result, found in zip(written, made.results, batch.documents, strict=True):
        prepared = prepare(parse_body(sent(document), limit=1 << 20), document_id=None, random_id=str)
        assert found.body == prepared.body
        assert found.etag == result.etag == document_hash(prepared.body).hex()


async def test_ids_of_any_form_are_found_again_and_linked_to(kernel: Kernel) -> None:
    link = {"@type": "Class", "@id": "Link", "to": "Astring"}
    await commit(kernel, ontology=schema_edit(link))
    for index, name in enumerate(ODD_IDS):
        id = "Astring/" + name
        await commit(
            kernel,
            Insert(body({"@type": "Astring", "@id": id, "list": []})),
            Insert(body({"@type": "Link", "@id": f"Link/{index}", "to": id})),
        )
    found = await documents(kernel, type="Link")
    assert {one["to"] for one in found.values()} <= (await documents(kernel, type="Astring")).keys()
    assert len(found) == len(ODD_IDS)


@pytest.mark.parametrize(
    ("cls", "value"), [("decimal", "0." + "1" * 21), ("dateTime", "2026-11-20T10:00:00")], ids=["digits", "no offset"]
)
async def test_what_terminusdb_would_not_keep_is_refused_there_and_kept_elsewhere(
    kernel: Kernel, store: StoreInUse, cls: str, value: str
) -> None:
    insert = Insert(body({"@type": f"A{cls}", "@id": f"A{cls}/x", "one": value, "list": []}))
    if store.kind == "sqlite":
        await commit(kernel, insert)
        return
    with pytest.raises(UnsupportedByStore) as refused:
        await commit(kernel, insert)
    assert [violation.field for violation in refused.value.violations] == [f"A{cls}/x.one"]
    assert await documents(kernel) == {}
