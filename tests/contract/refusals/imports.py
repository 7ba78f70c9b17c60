"""Imports and exports."""

from collections.abc import Iterator
from typing import Any

from tests.contract import calls
from tests.contract.refusals.row import Make, Row, always, told
from tests.contract.world import DB


def imports() -> Iterator[Row]:
    def finish(name: str, **rest: Any) -> Make:
        return lambda w: calls.finish_import(DB, w.imports[name], **rest)

    yield Row("import: no such branch", "BRANCH_NOT_FOUND", always(calls.begin_import(DB, "nowhere")))
    yield Row("import: no such database", "DATABASE_NOT_FOUND", always(calls.begin_import("void")))
    yield Row("import: a branch with a blank", "INVALID_REQUEST", always(calls.begin_import(DB, "a b")), ("branch",))
    yield Row(
        "import: a request id too long",
        "INVALID_REQUEST",
        always(calls.begin_import(DB, "", "x" * 129)),
        ("request_id",),
    )
    yield Row(
        "import: a request id of another branch",
        "REQUEST_ID_REUSED",
        always(calls.begin_import(DB, "main", "import-good")),
        ("request_id",),
    )
    yield Row("import: without the right", "PERMISSION_DENIED", always(calls.begin_import(DB)), token="reader")
    lines = b'{"@type":"Person","name":"x","scores":[]}\n\n{"@type":"Person","name":"x","scores":[1.5]}\n[]\n'
    yield Row(
        "import: lines that do not fit",
        "IMPORT_INVALID",
        always(calls.begin_import(DB, body=lines)),
        ("line 3.scores[0]", "line 4"),
        doors=("http",),
        metadata=told(violations="2"),
    )
    for name, call in {
        "get": calls.get_import(DB, "none"),
        "abort": calls.abort_import(DB, "none"),
        "finish": calls.finish_import(DB, "none"),
    }.items():
        yield Row(f"import: {name} of none", "IMPORT_NOT_FOUND", always(call), metadata=told(**{"import": "none"}))
    yield Row(
        "import: get of somebody else's",
        "IMPORT_NOT_FOUND",
        lambda w: calls.get_import(DB, w.imports["good"]),
        token="editor",
    )
    yield Row(
        "import: get by an id too long", "INVALID_REQUEST", always(calls.get_import(DB, "x" * 65)), ("import_id",)
    )
    yield Row(
        "import: finish with faults", "IMPORT_INVALID", finish("faulty"), ("line 2.age",), metadata=told(violations="1")
    )
    yield Row(
        "import: finish what others changed",
        "IMPORT_CONFLICT",
        finish("conflicting"),
        ("line 1",),
        metadata=told(documents="1"),
    )
    yield Row("import: finish with a dangling link", "DANGLING_LINK", finish("dangling"), ("line 1.friend",))
    yield Row("import: finish what changes nothing", "EMPTY_COMMIT", finish("known"))
    yield Row("import: finish what is empty", "EMPTY_COMMIT", finish("empty"))
    yield Row(
        "import: finish what is not new", "DOCUMENT_ALREADY_EXISTS", finish("known", insert_only=True), ("line 1",)
    )
    yield Row("import: finish before its end", "IMPORT_OUT_OF_STEP", finish("good", expected_offset=7), ("offset",))
    yield Row("import: finish with a long message", "TOO_LARGE", finish("good", message="x" * 65_537), ("message",))
    yield Row("import: upload to none", "IMPORT_NOT_FOUND", always(calls.upload(DB, "none")), doors=("grpc",))
    yield Row(
        "import: upload without an id", "INVALID_REQUEST", always(calls.upload(DB, "")), ("import_id",), doors=("grpc",)
    )
    yield Row(
        "import: upload before the answer",
        "INVALID_REQUEST",
        lambda w: calls.upload(DB, w.imports["good"], data=b"{}"),
        ("data",),
        doors=("grpc",),
    )
    yield Row("export: no such class", "UNKNOWN_CLASS", always(calls.export_documents(DB, "Persn")), ("type",))
    yield Row("export: no such branch", "BRANCH_NOT_FOUND", always(calls.export_documents(DB, ref="nowhere")))
    yield Row("export: after a NUL", "INVALID_REQUEST", always(calls.export_documents(DB, after="a\0")), ("after",))
    yield Row("export: without the right", "PERMISSION_DENIED", always(calls.export_documents(DB)), token="nobody")
