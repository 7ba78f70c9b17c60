"""Ids that are never given twice."""

import sqlite3


def next_id(connection: sqlite3.Connection, table: str) -> int:
    """An id that no row of the table ever bore."""
    upsert = "INSERT INTO counter (name, value) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value=value+1"
    row = connection.execute(f"{upsert} RETURNING value", (table,)).fetchone()
    return int(row[0])
