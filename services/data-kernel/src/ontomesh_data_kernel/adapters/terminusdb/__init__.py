"""The store port over a TerminusDB server."""

from ontomesh_data_kernel.adapters.terminusdb.opening import open_store, read_url

__all__ = ["open_store", "read_url"]
