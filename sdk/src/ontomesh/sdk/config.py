"""Where a connection leads and who it is: arguments first, then the environment, then the home folder."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc

from ontomesh.sdk.errors import ConfigurationError

DEFAULT_ADDRESS = "127.0.0.1:50051"
DEFAULT_EVENTS_ADDRESS = "127.0.0.1:50053"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsConfig:
    """How to speak TLS. Each part is PEM, as bytes or as the path of a file.

    Attributes:
        ca: Authorities to trust; None for those of the system.
        certificate: The client's own certificate chain, for mTLS; needs `key`.
        key: Its private key.
        server_name: The name that the server's certificate must bear, if not that of the address.
    """

    ca: bytes | Path | None = None
    certificate: bytes | Path | None = None
    key: bytes | Path | None = None
    server_name: str = ""

    def credentials(self) -> grpc.ChannelCredentials:
        """gRPC's form of it.

        Raises:
            ConfigurationError: A file cannot be read, or there is a certificate without a key or the reverse.
        """
        if (self.certificate is None) != (self.key is None):
            raise ConfigurationError("TLS needs the certificate and the key of the client, or neither")
        return grpc.ssl_channel_credentials(_pem(self.ca), _pem(self.key), _pem(self.certificate))


def find_home(home: str | Path | None = None, environment: Mapping[str, str] | None = None) -> Path:
    """The folder of the local stack: the argument, `ONTOMESH_HOME`, `~/.ontomesh`."""
    given = home or _environment(environment).get("ONTOMESH_HOME")
    return Path(given).expanduser() if given else Path.home() / ".ontomesh"


def find_address(address: str | None, home: Path, environment: Mapping[str, str] | None = None) -> str:
    """The kernel's gRPC target: the argument, `ONTOMESH_ADDRESS`, `client.json` in the home folder, the default.

    Raises:
        ConfigurationError: `client.json` is there and cannot be understood.
    """
    return _found(address, "ONTOMESH_ADDRESS", home, "address", DEFAULT_ADDRESS, environment)


def find_events_address(address: str | None, home: Path, environment: Mapping[str, str] | None = None) -> str:
    """The event gateway's gRPC target: the argument, `ONTOMESH_EVENTS_ADDRESS`, `events` in `client.json`, the default.

    Raises:
        ConfigurationError: `client.json` is there and cannot be understood.
    """
    return _found(address, "ONTOMESH_EVENTS_ADDRESS", home, "events", DEFAULT_EVENTS_ADDRESS, environment)


def find_token(
    token: str | None, home: Path, environment: Mapping[str, str] | None = None
) -> tuple[str | None, Path | None, bool]:
    """The token, or the file that holds it and whether that file must exist.

    The argument, `ONTOMESH_TOKEN`, the file `ONTOMESH_TOKEN_FILE`, the file `token` in the home folder.
    """
    variables = _environment(environment)
    if given := token or variables.get("ONTOMESH_TOKEN"):
        return given.strip(), None, False
    if file := variables.get("ONTOMESH_TOKEN_FILE"):
        return None, Path(file).expanduser(), True
    return None, home / "token", False


def is_local(address: str) -> bool:
    """Whether what is sent to this gRPC target stays on this machine."""
    scheme, colon, rest = address.partition(":")
    if colon and scheme in ("unix", "unix-abstract"):
        return True
    if colon and scheme in ("dns", "ipv4", "ipv6", "passthrough"):
        # `dns://resolver/host` asks a resolver that may answer anything.
        authority, _, path = rest[2:].partition("/") if rest.startswith("//") else ("", "", rest)
        return not authority and bool(path) and all(_is_loopback(_host(each)) for each in path.split(","))
    return "/" not in address and _is_loopback(_host(address))


def _host(address: str) -> str:
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address if address.count(":") > 1 else address.partition(":")[0]


def _is_loopback(host: str) -> bool:
    if host.lower() in ("localhost", "::1"):
        return True
    octets = host.split(".")
    return len(octets) == 4 and octets[0] == "127" and all(octet.isdigit() for octet in octets)


def _found(
    address: str | None, variable: str, home: Path, key: str, default: str, environment: Mapping[str, str] | None
) -> str:
    if given := address or _environment(environment).get(variable):
        return given
    file = home / "client.json"
    try:
        written = json.loads(file.read_bytes())
    except FileNotFoundError:
        return default
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot read {file}: {error}") from error
    found = written.get(key, default) if isinstance(written, dict) else None
    if not isinstance(found, str):
        raise ConfigurationError(f"{file} does not name an `{key}`")
    return found


def _environment(given: Mapping[str, str] | None) -> Mapping[str, str]:
    return os.environ if given is None else given


def _pem(part: bytes | Path | None) -> bytes | None:
    if part is None or isinstance(part, bytes):
        return part
    try:
        return part.expanduser().read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read {part}: {error.strerror or error}") from error
