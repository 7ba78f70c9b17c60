"""Ontomesh: typed, versioned documents shared by services over gRPC."""

__version__ = "0.1.0"
