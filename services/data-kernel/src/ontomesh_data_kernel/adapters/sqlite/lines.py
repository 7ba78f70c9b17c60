"""Lines: what belongs to a branch from its creation to its deletion, noted as that happens."""

import sqlite3

from ontomesh_data_kernel.adapters.sqlite.counters import next_id

_LINE = "SELECT id FROM line WHERE db=? AND branch=? AND ended=0"
_NEXT_PLACE = "SELECT coalesce(max(place), 0) + 1 FROM stretch WHERE line=?"


def begin_line(connection: sqlite3.Connection, db: int, branch: str) -> None:
    """Note that a branch was made."""
    values = (next_id(connection, "line"), db, branch)
    connection.execute("INSERT INTO line (id, db, branch) VALUES (?, ?, ?)", values)


def extend_line(connection: sqlite3.Connection, db: int, branch: str, lineage: int) -> None:
    """Note that a branch's commits are in a lineage from now on."""
    line = connection.execute(_LINE, (db, branch)).fetchone()[0]
    place = connection.execute(_NEXT_PLACE, (line,)).fetchone()[0]
    connection.execute("INSERT INTO stretch (line, place, lineage) VALUES (?, ?, ?)", (line, place, lineage))


def end_line(connection: sqlite3.Connection, db: int, branch: str, seq: int) -> None:
    """Note that a branch is deleted; of one without commits of its own nothing is kept."""
    line = connection.execute(_LINE, (db, branch)).fetchone()[0]
    place = connection.execute(_NEXT_PLACE, (line,)).fetchone()[0] - 1
    if place:
        connection.execute("UPDATE line SET ended=1, place=?, seq=? WHERE id=?", (place, seq, line))
    else:
        connection.execute("DELETE FROM line WHERE id=?", (line,))


def delete_line(connection: sqlite3.Connection, line: int) -> None:
    """Forget a line."""
    connection.execute("DELETE FROM stretch WHERE line=?", (line,))
    connection.execute("DELETE FROM line WHERE id=?", (line,))


def delete_lines(connection: sqlite3.Connection, db: int) -> None:
    """Forget the lines of a database that is deleted."""
    connection.execute("DELETE FROM stretch WHERE line IN (SELECT id FROM line WHERE db=?)", (db,))
    connection.execute("DELETE FROM line WHERE db=?", (db,))
