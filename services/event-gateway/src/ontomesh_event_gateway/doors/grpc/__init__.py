"""The gRPC door."""

from ontomesh_event_gateway.doors.grpc.services import grpc_services

__all__ = ["grpc_services"]
