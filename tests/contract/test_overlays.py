"""What lineages changed, in memory, while one thread reads it and another fills it."""

import itertools
import sqlite3
import sys
from collections.abc import Callable, Mapping
from functools import partial
from types import FrameType
from typing import Any

import pytest

from ontomesh_data_kernel.adapters.sqlite import overlay
from ontomesh_data_kernel.adapters.sqlite.overlay import Overlays, View

pytestmark = pytest.mark.sqlite


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> sqlite3.Connection:
    """A lineage whose second commit changes more documents than are remembered."""
    monkeypatch.setattr(overlay, "MAX_ROWS", 2)
    filled = sqlite3.connect(":memory:")
    filled.executescript(
        "CREATE TABLE doc (lineage, doc, seq); CREATE INDEX doc_log ON doc (lineage, seq, doc);"
        "CREATE TABLE commits (lineage, seq); INSERT INTO commits VALUES (1, 1), (1, 2);"
        "INSERT INTO doc VALUES (1, 10, 1), (1, 11, 2), (1, 12, 2), (1, 13, 2);"
    )
    return filled


def get_interrupted(overlays: Overlays, after: int, meanwhile: Callable[[], object]) -> tuple[Any, bool]:
    """What `get` of the first commit returns, if something happens after so many instructions; whether it did."""
    passed = 0

    def trace(frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        nonlocal passed
        if frame.f_code is not Overlays.get.__code__:
            return None
        frame.f_trace_opcodes = True
        passed += event == "opcode"
        if passed > after:
            sys.settrace(None)
            meanwhile()
            return None
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        return overlays.get(1, 1), passed > after
    finally:
        sys.settrace(before)


def test_a_lineage_that_grows_too_large_meanwhile_is_given_whole_or_not_at_all(connection: sqlite3.Connection) -> None:
    for after in itertools.count():
        overlays = Overlays()
        assert overlays.extend(connection, 1, 1, 9) == {10: 1}
        found, interrupted = get_interrupted(overlays, after, partial(overlays.extend, connection, 1, 2, 9))
        assert found is None or found[10] == 1
        if not interrupted:
            assert after
            break
    connection.close()


def test_a_view_is_made_of_changes_that_grow_meanwhile(connection: sqlite3.Connection) -> None:
    class First(int):
        """The seq of a first version, at which another thread takes its turn."""

        def __le__(self, other: int) -> bool:
            changes[len(changes)] = 3
            return int(self) <= other

    changes: dict[int, int] = {node: First(1) for node in range(9)}

    def known(_: sqlite3.Connection, lineage: int, seq: int) -> Mapping[int, int]:
        return changes

    view = View(connection, [(2, 1), (1, 2)], known)
    assert [view.is_hidden(1, node) for node in (0, 8, 9)] == [True, True, False]
    connection.close()
