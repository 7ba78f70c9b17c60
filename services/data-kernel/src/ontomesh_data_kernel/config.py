"""The kernel's settings."""

from pathlib import Path

from pydantic import Field, field_validator

from ontomesh_chassis.settings import Port, ServiceSettings

_SQLITE = "sqlite:///"


class KernelSettings(ServiceSettings):
    """What the data kernel takes from its environment."""

    grpc_port: Port = Field(
        default=50051,
        validation_alias="ONTOMESH_KERNEL_GRPC_PORT",
        description="Port of the gRPC door; 0 takes a free one.",
    )
    http_port: Port = Field(
        default=8051,
        validation_alias="ONTOMESH_KERNEL_HTTP_PORT",
        description="Port of the HTTP door; 0 takes a free one.",
    )
    store: str = Field(
        default="",
        description="URL of the store: sqlite:///relative/path or sqlite:////absolute/path; "
        "default HOME/data/kernel.db.",
    )

    @field_validator("store")
    @classmethod
    def _known_scheme(cls, value: str) -> str:
        if value and (not value.startswith(_SQLITE) or value == _SQLITE):
            raise ValueError("must be sqlite:///path; no other store is known")
        return value

    @property
    def store_path(self) -> Path:
        """The file of the SQLite store."""
        if self.store:
            return Path(self.store.removeprefix(_SQLITE)).expanduser()
        return self.home / "data" / "kernel.db"
