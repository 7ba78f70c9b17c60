"""The store port over a TerminusDB server."""

from ontomesh_data_kernel.adapters.terminusdb.opening import open_store, read_url, store_exists

__all__ = ["open_store", "read_url", "store_exists"]
