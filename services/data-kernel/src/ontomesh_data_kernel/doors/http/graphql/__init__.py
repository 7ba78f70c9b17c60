"""The read-only GraphQL door, generated from the ontology at the ref asked for."""

from ontomesh_data_kernel.doors.http.graphql.routes import graphql_routes

__all__ = ["graphql_routes"]
