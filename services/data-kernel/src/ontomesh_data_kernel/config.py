"""The kernel's settings."""

from pathlib import Path

from pydantic import Field, SecretStr, field_validator

from ontomesh_chassis.outbound import OutboundFilter
from ontomesh_chassis.settings import Port, ServiceSettings

_SQLITE = "sqlite:///"
_SCHEMES = (_SQLITE, "terminusdb://")


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
        description="URL of the store: sqlite:///relative/path, sqlite:////absolute/path or "
        "terminusdb://user@host:port/organization[?tls=on&ca=FILE&prefix=NAME&seconds=20]; "
        "default HOME/data/kernel.db.",
    )
    store_password: SecretStr = Field(
        default=SecretStr(""), description="Password of the store, where its URL has none; better in a file."
    )
    store_password_file: Path | None = Field(
        default=None, description="File that holds the store's password, instead of store_password."
    )

    events_address: str = Field(
        default="",
        description="gRPC target of the event gateway that commits are relayed to; no relay when unset.",
    )
    relay_token_file: Path | None = Field(
        default=None, description="File with the token of the relay; default HOME/relay.token."
    )
    outbound_allow: str = Field(
        default="",
        description="Addresses within private networks that users' validators may be at: networks and host[:port] "
        "names, comma-separated.",
    )

    @field_validator("outbound_allow")
    @classmethod
    def _known_addresses(cls, value: str) -> str:
        OutboundFilter.parse(value)
        return value

    @field_validator("store")
    @classmethod
    def _known_scheme(cls, value: str) -> str:
        if value and (not value.startswith(_SCHEMES) or value == _SQLITE):
            raise ValueError(
                "must be sqlite:///path or terminusdb://user@host:port/organization; no other store is known"
            )
        return value

    @property
    def relay_token_path(self) -> Path:
        """The file with the relay's token."""
        return self.relay_token_file or self.home / "relay.token"

    @property
    def store_url(self) -> str:
        """The store's URL; by default a file of the home folder."""
        return self.store or f"{_SQLITE}{(self.home / 'data' / 'kernel.db').absolute()}"

    def read_store_password(self) -> str:
        """The store's password, empty if there is none. Raises OSError."""
        if self.store_password_file is not None:
            return self.store_password_file.read_text("utf-8").strip()
        return self.store_password.get_secret_value()
