"""The grammar of refs and names; see `proto/ontomesh/kernel/v1/ref.proto`."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from ontomesh_data_kernel.errors import InvalidRef, InvalidRequest

MAX_REF_BYTES = 400
MAX_BRANCH_BYTES = 200
MIN_ABBREVIATION = 8
DEFAULT_BRANCH = "main"

_DATABASE = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_COMMIT = re.compile(rf"[0-9a-f]{{{MIN_ABBREVIATION},64}}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Ref:
    """A parsed ref: either a branch or a commit (by at least eight first digits), then back in history.

    `ancestor` counts first parents; `time` (microseconds) asks for the branch as it stood then.
    """

    text: str
    branch: str = ""
    commit: str = ""
    ancestor: int = 0
    time: int | None = None

    @property
    def is_branch(self) -> bool:
        """Whether it is a branch's name and nothing more: its head."""
        return bool(self.branch) and not self.ancestor and self.time is None


@lru_cache(maxsize=4096)
def parse_ref(text: str, field: str = "ref") -> Ref:
    """Parse a ref that is not empty. Raises InvalidRef with the field's name."""
    if len(text.encode()) > MAX_REF_BYTES:
        raise InvalidRef.of(text[:40] + "…", field, f"longer than {MAX_REF_BYTES} bytes")
    name, tilde, count = text.partition("~")
    name, at, moment = name.partition("@") if not tilde else (name, "", "")
    if tilde and count and not (count.isascii() and count.isdigit() and len(count) <= 9):
        raise InvalidRef.of(text, field, "after ~ comes a number of first parents")
    ancestor = int(count or 1) if tilde else 0
    if name.startswith("commit:"):
        digits = name.removeprefix("commit:")
        if at:
            raise InvalidRef.of(text, field, "@ goes with a branch, not with a commit")
        if not _COMMIT.fullmatch(digits):
            raise InvalidRef.of(text, field, f"a commit's id has {MIN_ABBREVIATION} to 64 digits 0-9a-f")
        return Ref(text, commit=digits, ancestor=ancestor)
    if fault := branch_fault(name):
        raise InvalidRef.of(text, field, fault)
    return Ref(text, branch=name, ancestor=ancestor, time=_time(text, moment, field) if at else None)


def _time(text: str, moment: str, field: str) -> int:
    try:
        time = datetime.fromisoformat(moment)
    except ValueError:
        raise InvalidRef.of(text, field, "after @ comes an RFC 3339 time such as 2026-11-20T10:00:00Z") from None
    if time.tzinfo is None:
        raise InvalidRef.of(text, field, "the time after @ names no offset; end it with Z or +hh:mm")
    since = time - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def branch_fault(name: str) -> str:
    """Say what is wrong with a branch's name; empty if nothing is."""
    if not name:
        return "a branch's name is not empty"
    if len(name.encode()) > MAX_BRANCH_BYTES:
        return f"a branch's name has at most {MAX_BRANCH_BYTES} bytes"
    for segment in name.split("/"):
        if not _SEGMENT.fullmatch(segment) or segment.endswith((".", ".lock")):
            return (
                "a branch's name is segments of A-Z a-z 0-9 . _ - joined by single slashes; a segment begins with a "
                "letter or digit and does not end with a dot or .lock"
            )
    return ""


def check_branch(name: str, field: str = "branch") -> str:
    """Return the name of a branch. Raises InvalidRequest."""
    if fault := branch_fault(name):
        raise InvalidRequest.at(field, fault)
    return name


def check_database(name: str, field: str = "database") -> str:
    """Return the name of a database. Raises InvalidRequest."""
    if not _DATABASE.fullmatch(name):
        raise InvalidRequest.at(field, "a database's name is 1 to 63 of a-z 0-9 _ -, beginning with a letter")
    return name
