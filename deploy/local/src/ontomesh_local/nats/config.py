"""The settings of the stack's NATS server, and the configuration file that says them to it."""

import json
import re
from pathlib import Path

from pydantic import Field, PositiveInt, field_validator

from ontomesh_chassis.settings import Port, ServiceSettings

MAX_PAYLOAD_BYTES = 8 * 1024 * 1024
"""The largest message: an event with 1 MiB of data, its attributes, and what a dead letter says besides."""

STORE_MARGIN_BYTES = 4 * 1024 * 1024 * 1024
"""What dead letters, attempts, subscriptions and types may take besides the events."""

_INTERVAL = re.compile(r"(\d+(\.\d+)?(ms|s|m|h))+")


class NatsSettings(ServiceSettings):
    """What the wrapper of the NATS server takes from its environment."""

    nats_port: Port = Field(default=4222, description="Port on 127.0.0.1; 0 takes a free one.")
    nats_sync_interval: str = Field(
        default="always",
        description="When the server syncs to the disk: always (before each acknowledgement) or an interval such as 2m.",
    )
    events_max_bytes: PositiveInt = Field(
        default=4 * 1024 * 1024 * 1024, description="Size of the event stream; the server's limit is 4 GiB above it."
    )

    @field_validator("nats_sync_interval")
    @classmethod
    def _always_or_interval(cls, value: str) -> str:
        if value != "always" and not _INTERVAL.fullmatch(value):
            raise ValueError("must be always or an interval such as 100ms, 10s or 2m")
        return value

    @property
    def config_path(self) -> Path:
        """The server's configuration file."""
        return self.home / "nats.conf"

    @property
    def token_path(self) -> Path:
        """The file with the token that the server's clients need."""
        return self.home / "nats.token"

    @property
    def store_path(self) -> Path:
        """The folder of the server's streams."""
        return self.home / "data" / "nats"


def config_text(settings: NatsSettings, host: str, port: int, token: str) -> str:
    """The server's configuration; it holds the token, so nobody else may read it."""
    always = settings.nats_sync_interval == "always"
    interval = "always" if always else json.dumps(settings.nats_sync_interval)
    return f"""\
# Written anew at each start of the stack.
server_name: "ontomesh-local"
host: {json.dumps(host)}
port: {port}
max_payload: {MAX_PAYLOAD_BYTES}
authorization {{ token: {json.dumps(token)}, timeout: 5 }}
jetstream {{
  store_dir: {json.dumps(str(settings.store_path))}
  sync_interval: {interval}
  max_memory_store: {64 * 1024 * 1024}
  max_file_store: {settings.events_max_bytes + STORE_MARGIN_BYTES}
}}
"""
