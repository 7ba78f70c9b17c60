"""Log lines for people and for machines, configured once, from `main`."""

import json
import logging
import sys
import time
from typing import Any, TextIO

from ontomesh_chassis.current import peek_call
from ontomesh_chassis.settings import LogFormat, LogLevel

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "fields"}
_COLOURS = {
    "DEBUG": "\x1b[2m",
    "INFO": "\x1b[32m",
    "WARNING": "\x1b[33m",
    "ERROR": "\x1b[31m",
    "CRITICAL": "\x1b[1;31m",
}


class ServiceHandler(logging.StreamHandler[TextIO]):
    """The one handler of a service; its class tells it apart when logging is configured again."""


def configure(log_format: LogFormat = LogFormat.AUTO, level: LogLevel = LogLevel.INFO) -> None:
    """Sends every record to stderr in the given format. May be called again; the last call wins.

    Audit records are written whatever the level.
    """
    stream = sys.stderr
    human = log_format is LogFormat.HUMAN or (log_format is LogFormat.AUTO and stream.isatty())
    handler = ServiceHandler(stream)
    handler.setFormatter(HumanFormatter(colour=stream.isatty()) if human else JsonFormatter())
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, ServiceHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.value)
    logging.getLogger("ontomesh.audit").setLevel(logging.INFO)
    # uvicorn tells of its own start and stop what the server here already says.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """A record's structured fields: what came as `extra`, with the current call's trace id and principal."""
    fields: dict[str, Any] = {}
    call = peek_call()
    if call is not None:
        fields["trace_id"] = call.trace_id
        if call.principal:
            fields["principal"] = call.principal
        if call.request_id:
            fields["request_id"] = call.request_id
    fields |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
    fields |= getattr(record, "fields", {})
    return fields


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, trace_id, principal and what else there is."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        } | fields_of(record)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class HumanFormatter(logging.Formatter):
    """Time of day, level, logger, message, then `key=value` pairs; a traceback follows on lines of its own."""

    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """The record for a terminal."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        level = f"{record.levelname:<7}"
        if self._colour:
            level = f"{_COLOURS.get(record.levelname, '')}{level}\x1b[0m"
        pairs = "".join(f" {key}={_plain(value)}" for key, value in fields_of(record).items())
        line = f"{clock}.{int(record.msecs):03d} {level} {record.name}: {_escape(record.getMessage())}{pairs}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _plain(value: object) -> str:
    text = str(value)
    return text if text and text.isprintable() and " " not in text and '"' not in text else json.dumps(text)


def _escape(text: str) -> str:
    """Text of one line: what a caller sent must not forge lines or steer the terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)
