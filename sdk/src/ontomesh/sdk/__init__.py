"""The client of Ontomesh: `connect`, and the values that calls take and give.

    from ontomesh.sdk import connect

    with connect() as mesh:                 # or: async with connect() as mesh
        catalog = mesh.database("catalog")
        package = catalog.get("Package/numpy")
        print(package.data["version"])

Models live in `ontomesh.sdk.models`, events in `ontomesh.sdk.events` and errors in `ontomesh.sdk.errors`.
"""

from ontomesh.sdk._blocking import Mesh, SyncDatabase, SyncDatabases, SyncEvents
from ontomesh.sdk.config import TlsConfig
from ontomesh.sdk.connection import Connection, connect
from ontomesh.sdk.database import AsyncDatabase
from ontomesh.sdk.databases import AsyncDatabases
from ontomesh.sdk.errors import OntomeshError
from ontomesh.sdk.events.client import AsyncEvents
from ontomesh.sdk.mesh import AsyncMesh
from ontomesh.sdk.operations import Delete, OntologyChange, Replace, Resolution, Update
from ontomesh.sdk.resources import MISSING, Document

__all__ = [
    "MISSING",
    "AsyncDatabase",
    "AsyncDatabases",
    "AsyncEvents",
    "AsyncMesh",
    "Connection",
    "Delete",
    "Document",
    "Mesh",
    "OntologyChange",
    "OntomeshError",
    "Replace",
    "Resolution",
    "SyncDatabase",
    "SyncDatabases",
    "SyncEvents",
    "TlsConfig",
    "Update",
    "connect",
]
