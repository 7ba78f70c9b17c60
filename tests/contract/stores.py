"""The store that the suite runs on: SQLite, or the server that ONTOMESH_TEST_TERMINUSDB_URL names."""

import hashlib
import os
from pathlib import Path

import pytest

TERMINUSDB = os.environ.get("ONTOMESH_TEST_TERMINUSDB_URL", "")

sqlite_only = pytest.mark.skipif(bool(TERMINUSDB), reason="is about the SQLite store's own file")


def store_url(path: Path) -> str:
    """The URL of the store of a path: a file there, or databases of the server with names of their own."""
    if not TERMINUSDB:
        return f"sqlite:///{path}"
    prefix = hashlib.blake2b(str(path).encode(), digest_size=6).hexdigest()
    return f"{TERMINUSDB}{'&' if '?' in TERMINUSDB else '?'}prefix={prefix}-"
