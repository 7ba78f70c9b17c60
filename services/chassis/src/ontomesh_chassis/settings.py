"""The settings that every service reads from its environment."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

from pydantic import AliasChoices, Field, NonNegativeFloat, PositiveInt, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ontomesh_chassis.startup import EXIT_CONFIG

Port = Annotated[int, Field(ge=0, le=65535)]
Descriptor = Annotated[int, Field(ge=0)]


class LogFormat(StrEnum):
    """How log lines are written."""

    AUTO = "auto"
    HUMAN = "human"
    JSON = "json"


class LogLevel(StrEnum):
    """The least severe level that is logged; audit records are always written."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class ServiceSettings(BaseSettings):
    """What every service takes from its environment, under the prefix `ONTOMESH_`.

    A service subclasses this and adds its own fields. Read it with `load`, once, in `main`.
    """

    model_config = SettingsConfigDict(
        env_prefix="ONTOMESH_", env_ignore_empty=True, extra="ignore", frozen=True, populate_by_name=True
    )

    host: str = Field(default="127.0.0.1", description="Address both doors bind to.")
    grpc_port: Port = Field(default=0, description="Port of the gRPC door; 0 takes a free one.")
    http_port: Port = Field(default=0, description="Port of the HTTP door; 0 takes a free one.")
    home: Path = Field(
        default=Path("~/.ontomesh"), description="Folder of keys, policy, token and data.", validate_default=True
    )

    log_format: LogFormat = Field(
        default=LogFormat.AUTO, description="auto (human on a terminal, else json), human or json."
    )
    log_level: LogLevel = Field(default=LogLevel.INFO, description="DEBUG, INFO, WARNING or ERROR.")
    slow_call_ms: PositiveInt = Field(default=1000, description="Calls longer than this many milliseconds are logged.")

    auth_keys_file: Path | None = Field(
        default=None, description="Public keys (JWKS or one JWK); default HOME/keys.json."
    )
    auth_jwks_url: str | None = Field(default=None, description="URL of a JWKS; https unless it is on loopback.")
    auth_audience: str = Field(default="ontomesh", min_length=1, description="The `aud` that a token must name.")
    auth_issuer: str | None = Field(default=None, description="The `iss` that a token must name; any when unset.")
    policy_file: Path | None = Field(default=None, description="Who may do what (TOML); default HOME/policy.toml.")

    otlp_endpoint: str | None = Field(
        default=None,
        validation_alias=AliasChoices("ONTOMESH_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        description="OTLP/gRPC endpoint for spans, such as http://127.0.0.1:4317; no spans when unset.",
    )
    trace_sample_ratio: float = Field(
        default=1.0, ge=0, le=1, description="Share of traces begun here that are sampled."
    )

    tls_cert_file: Path | None = Field(default=None, description="Certificate chain (PEM); turns TLS on at both doors.")
    tls_key_file: Path | None = Field(default=None, description="Private key of the certificate (PEM).")
    tls_client_ca_file: Path | None = Field(
        default=None, description="CA (PEM) that gRPC clients' certificates must come from."
    )

    max_message_bytes: PositiveInt = Field(default=64 * 1024 * 1024, description="Largest request or answer, in bytes.")
    drain_seconds: NonNegativeFloat = Field(default=10.0, description="Longest wait for calls in flight when stopping.")
    lifeline_fd: Descriptor | None = Field(default=None, description="Pipe whose end of file means: drain and stop.")
    ready_fd: Descriptor | None = Field(
        default=None, description="Descriptor that gets one JSON line once both doors serve."
    )

    @field_validator("home", "auth_keys_file", "policy_file", "tls_cert_file", "tls_key_file", "tls_client_ca_file")
    @classmethod
    def _expand_home(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser()

    @field_validator("otlp_endpoint")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @property
    def keys_path(self) -> Path:
        """The file with the public keys that tokens are checked against."""
        return self.auth_keys_file or self.home / "keys.json"

    @property
    def policy_path(self) -> Path:
        """The policy file."""
        return self.policy_file or self.home / "policy.toml"


SettingsT = TypeVar("SettingsT", bound=ServiceSettings)


def variable(settings: type[ServiceSettings], field: str) -> str:
    """The environment variable that sets a field, such as `ONTOMESH_GRPC_PORT`."""
    info = settings.model_fields.get(field)
    if info is not None and isinstance(info.validation_alias, str):
        return info.validation_alias
    return f"{settings.model_config.get('env_prefix', '')}{field}".upper()


def load(settings: type[SettingsT]) -> SettingsT:
    """The settings from the environment; ends the process with code 2 where one is invalid.

    Each fault is a line on stderr that begins with the environment variable's name.
    """
    try:
        return settings()
    except ValidationError as invalid:
        refuse(settings, invalid)


def refuse(settings: type[ServiceSettings], invalid: ValidationError) -> NoReturn:
    """Ends the process with code 2 and a line on stderr for each invalid setting."""
    for fault in invalid.errors(include_url=False):
        place = [str(part) for part in fault["loc"]]
        name = variable(settings, place[0]) if place and place[0] in settings.model_fields else ".".join(place)
        is_secret = "Secret" in repr(settings.model_fields.get(place[0] if place else ""))
        got = "" if is_secret else f" (got {fault['input']!r})"
        sys.stderr.write(f"error: {name or 'settings'}: {fault['msg']}{got}\n")
    sys.exit(EXIT_CONFIG)
