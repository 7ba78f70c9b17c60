"""The embedded store: one SQLite file."""

from ontomesh_data_kernel.adapters.sqlite.connection import UnknownFormat
from ontomesh_data_kernel.adapters.sqlite.store import SqliteStore, open_store

__all__ = ["SqliteStore", "UnknownFormat", "open_store"]
