"""The gateway's settings."""

from pathlib import Path

from pydantic import Field, PositiveInt, SecretStr, field_validator

from ontomesh_chassis.settings import Port, ServiceSettings

DAY = 24 * 3600
_SCHEMES = ("nats://", "tls://")


class GatewaySettings(ServiceSettings):
    """What the event gateway takes from its environment."""

    grpc_port: Port = Field(
        default=50053,
        validation_alias="ONTOMESH_EVENTS_GRPC_PORT",
        description="Port of the gRPC door; 0 takes a free one.",
    )
    http_port: Port = Field(
        default=8053,
        validation_alias="ONTOMESH_EVENTS_HTTP_PORT",
        description="Port of the HTTP door; 0 takes a free one.",
    )
    nats_url: str = Field(
        default="nats://127.0.0.1:4222", description="NATS servers, with commas between: nats://host:port or tls://..."
    )
    nats_token: SecretStr = Field(default=SecretStr(""), description="Token for NATS; better in a file.")
    nats_token_file: Path | None = Field(
        default=None, description="File that holds the token for NATS, instead of nats_token."
    )
    nats_replicas: int = Field(default=1, ge=1, le=5, description="On how many NATS servers each stream lies: 1 or 3.")
    nats_sync_interval: str = Field(
        default="",
        description="When the NATS servers sync to their disks, for those who ask the gateway: NATS itself does not tell.",
    )
    events_max_age_seconds: PositiveInt = Field(default=7 * DAY, description="How long events are kept, in seconds.")
    events_max_bytes: int = Field(
        default=4 << 30, ge=1 << 16, description="The most that the event stream takes; then publishing is refused."
    )
    events_dedup_seconds: PositiveInt = Field(
        default=120, description="How long an event's source and id are remembered, in seconds."
    )
    events_strict_types: bool = Field(default=False, description="Refuses events whose type is not registered.")
    spool: Path | None = Field(
        default=None, description="Folder for events while NATS is away; default HOME/data/spool."
    )
    spool_max_bytes: int = Field(default=256 << 20, ge=1 << 16, description="The most that the spool takes, in bytes.")
    kernel_address: str = Field(
        default="", description="gRPC address of the kernel whose classes types may name; none when empty."
    )
    service_token_file: Path | None = Field(
        default=None, description="The gateway's own token for the kernel; default HOME/gateway.token."
    )

    @field_validator("nats_url")
    @classmethod
    def _known_scheme(cls, value: str) -> str:
        if not all(one.strip().startswith(_SCHEMES) for one in value.split(",")):
            raise ValueError("must be nats://host:port or tls://host:port, with commas between several")
        return value

    @field_validator("nats_token_file", "spool", "service_token_file")
    @classmethod
    def _expand(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser()

    @property
    def nats_servers(self) -> list[str]:
        """The URLs of the NATS servers."""
        return [one.strip() for one in self.nats_url.split(",")]

    def read_nats_token(self) -> str:
        """The token for NATS, empty if there is none. Raises OSError."""
        if self.nats_token_file is not None:
            return self.nats_token_file.read_text("utf-8").strip()
        return self.nats_token.get_secret_value()

    @property
    def spool_path(self) -> Path:
        """The spool's folder."""
        return self.spool or self.home / "data" / "spool"

    @property
    def service_token_path(self) -> Path:
        """The file with the gateway's own token."""
        return self.service_token_file or self.home / "gateway.token"
