import json
import logging
from collections.abc import Iterator

import pytest

from ontomesh_chassis import audit, logs
from ontomesh_chassis.call import CallContext
from ontomesh_chassis.current import adopt_trace_id, current_trace_id, enter_call
from ontomesh_chassis.settings import LogFormat, LogLevel


@pytest.fixture(autouse=True)
def _undo() -> Iterator[None]:
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    yield
    root.setLevel(before[0])
    for handler in set(root.handlers) - set(before[1]):
        root.removeHandler(handler)


async def test_a_json_line_has_the_call_and_what_else_was_said(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogFormat.JSON, LogLevel.INFO)
    call = CallContext("test.v1.Echo/Unary", {"x-request-id": "r1"})
    call.trace_id = "a" * 32
    enter_call(call)
    logging.getLogger("x").info("said %s", "this", extra={"size": 3})
    line = json.loads(capsys.readouterr().err)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "INFO",
        "logger": "x",
        "message": "said this",
        "trace_id": "a" * 32,
        "request_id": "r1",
        "size": 3,
    }


def test_configuring_again_replaces_the_format(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogFormat.JSON)
    logs.configure(LogFormat.HUMAN)
    logging.getLogger("x").warning("said")
    assert "WARNING x: said\n" in capsys.readouterr().err


def test_what_a_caller_sent_cannot_forge_a_line_or_steer_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogFormat.HUMAN)
    logging.getLogger("x").warning("a\nb\x1b[2J", extra={"name_given": "c\nd e"})
    written = capsys.readouterr().err
    assert written.count("\n") == 1
    assert "\x1b[2J" not in written
    assert '"c\\nd e"' in written


def test_audit_records_are_written_whatever_the_level(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogFormat.JSON, LogLevel.ERROR)
    logging.getLogger("x").warning("not this")
    audit.record(audit.Event.POLICY_CHANGED, digest="d", reason=None)
    (line,) = capsys.readouterr().err.splitlines()
    record = json.loads(line)
    assert (record["logger"], record["event"], record["digest"]) == ("ontomesh.audit", "policy_changed", "d")
    assert "reason" not in record


def test_an_exception_is_told_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogFormat.JSON)
    try:
        json.loads(object())  # type: ignore[arg-type]
    except TypeError:
        logging.getLogger("x").exception("failed")
    assert "TypeError" in json.loads(capsys.readouterr().err)["exception"]


async def test_work_without_a_call_has_one_trace_id_of_its_own() -> None:
    own = current_trace_id()
    assert len(own) == 32
    assert current_trace_id() == own
    adopt_trace_id("b" * 32)
    assert current_trace_id() == "b" * 32
