"""Opening the file: its format, its pragmas, and what SQLite's errors mean to the kernel."""

import sqlite3
import time
from importlib import resources
from pathlib import Path

from ontomesh_data_kernel.errors import KernelError, StoreFull, StoreUnavailable

APPLICATION_ID = 0x4F4E544F
FORMAT = 3
_UPGRADABLE = (1, 2)
BUSY_MS = 5_000
_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_TOOBIG}


class UnknownFormat(Exception):
    """The file is no Ontomesh store, or one of another format."""


def connect(path: Path) -> sqlite3.Connection:
    """Open a connection that may wander between threads, one at a time, in autocommit mode. Raises UnknownFormat."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    try:
        connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        connection.execute("PRAGMA cache_size=-8000")
        connection.execute("PRAGMA temp_store=MEMORY")
    except sqlite3.DatabaseError as error:
        connection.close()
        if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
            raise UnknownFormat(f"{path} is no SQLite database") from None
        raise
    return connection


def connect_writer(path: Path) -> sqlite3.Connection:
    """Open the connection that writes, creating the file if need be: a commit returns once the log is synced.

    A file of an older format is upgraded in place, in one transaction; versions that know only that format do not open
    it any more. Raises UnknownFormat for a file that this version does not know, without touching it.
    """
    connection = connect(path)
    try:
        _check_format(connection, path)
        if _use_log(connection) != "wal":
            raise UnknownFormat(f"{path}: the file system does not support SQLite's write-ahead log")
        connection.execute("PRAGMA synchronous=FULL")
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            _create(connection)
        _upgrade(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_format(connection: sqlite3.Connection, path: Path) -> None:
    # One snapshot: another process may be creating the store meanwhile.
    connection.execute("BEGIN")
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    connection.execute("COMMIT")
    if (application, version, tables) == (0, 0, 0):
        return
    if application == APPLICATION_ID:
        if version == FORMAT or version in _UPGRADABLE:
            return
        raise UnknownFormat(f"{path} has store format {version}; this version knows formats up to {FORMAT}")
    raise UnknownFormat(f"{path} is a SQLite database, but no Ontomesh store")


def _use_log(connection: sqlite3.Connection) -> str:
    """Switch to the write-ahead log and return the mode in force."""
    deadline = time.monotonic() + BUSY_MS / 1_000
    while True:
        try:
            mode: str = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            # SQLite does not wait here, however long its timeout, for another process that opens the new file too.
            if not is_busy(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return mode


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            _run_script(connection, "schema.sql")
            _run_script(connection, "imports.sql")
            _run_script(connection, "lines.sql")
            _run_script(connection, "state.sql")
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version={FORMAT}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _upgrade(connection: sqlite3.Connection) -> None:
    """Bring an older file to this format; of several processes that open it at once, one does."""
    if connection.execute("PRAGMA user_version").fetchone()[0] == FORMAT:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version < 2:
            connection.execute("ALTER TABLE lineage ADD COLUMN first_seq INTEGER NOT NULL DEFAULT 0")
            _run_script(connection, "imports.sql")
        if version < 3:
            _run_script(connection, "lines.sql")
            _run_script(connection, "lines_upgrade.sql")
            _run_script(connection, "state.sql")
            connection.execute(f"PRAGMA user_version={FORMAT}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _run_script(connection: sqlite3.Connection, name: str) -> None:
    script = resources.files(__package__).joinpath(name).read_text("utf-8")
    for statement in script.split(";\n"):
        if statement.strip():
            connection.execute(statement)


def refusal(error: sqlite3.Error) -> KernelError:
    """Say what an error of SQLite means to a caller."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _FULL:
        return StoreFull("the store has no room left; nothing was written")
    return StoreUnavailable(f"the store did not answer ({getattr(error, 'sqlite_errorname', 'SQLite error')})")


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another process holds the lock."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
