"""The embedded store: one SQLite file."""

from ontomesh_data_kernel.adapters.sqlite.store import SqliteStore, open_store

__all__ = ["SqliteStore", "open_store"]
