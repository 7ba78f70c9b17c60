"""The settings of the local stack."""

from pydantic import Field, PositiveFloat

from ontomesh_chassis.settings import Port, ServiceSettings


class StackSettings(ServiceSettings):
    """What `ontomesh up` takes from the environment: the services' own settings, and a port for each of their doors."""

    nats_port: Port = Field(default=4222, description="Port of the NATS server, on 127.0.0.1; 0 takes a free one.")
    nats_sync_interval: str = Field(
        default="always", description="When NATS syncs: always (before each acknowledgement) or an interval such as 2m."
    )
    events_grpc_port: Port = Field(
        default=50053, description="Port of the event gateway's gRPC door; 0 takes a free one."
    )
    events_http_port: Port = Field(
        default=8053, description="Port of the event gateway's HTTP door; 0 takes a free one."
    )
    kernel_grpc_port: Port = Field(
        default=50051, description="Port of the data kernel's gRPC door; 0 takes a free one."
    )
    kernel_http_port: Port = Field(default=8051, description="Port of the data kernel's HTTP door; 0 takes a free one.")
    store: str | None = Field(
        None, description="URL of the data kernel's store; default sqlite in HOME/data/kernel.db."
    )
    start_seconds: PositiveFloat = Field(default=60.0, description="Longest wait for a service to become ready.")
