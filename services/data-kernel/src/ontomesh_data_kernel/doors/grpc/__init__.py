"""The gRPC door."""

from ontomesh_data_kernel.doors.grpc.services import grpc_services

__all__ = ["grpc_services"]
