"""The bearer token of a connection: given once, or read from a file whenever that changes."""

from pathlib import Path

from ontomesh.sdk.errors import ConfigurationError


class Credentials:
    """Gives the token for the next call.

    A file is read at the first call and again when it changes, so that a token can be renewed under a running
    client. A token never leaves the machine in the clear unless `may_send` allows it.
    """

    __slots__ = ("_address", "_file", "_may_send", "_must_exist", "_stamp", "_token")

    def __init__(self, address: str, *, token: str | None, file: Path | None, must_exist: bool, may_send: bool) -> None:
        self._address = address
        self._token = token
        self._file = file
        self._must_exist = must_exist
        self._may_send = may_send
        self._stamp: tuple[int, int, int] | None = None

    def token(self) -> str | None:
        """The token, or None if there is none.

        Raises:
            ConfigurationError: The token's file cannot be read, or the token would travel in the clear.
        """
        if self._file is not None:
            self._refresh(self._file)
        if self._token is not None and not self._may_send:
            raise ConfigurationError(
                f"refusing to send the token to {self._address} in the clear: "
                "use TLS, or say `insecure_token=True` if the way there is safe"
            )
        return self._token

    def reread(self) -> str | None:
        """The token as its file holds it now, even if the file looks unchanged."""
        self._stamp = None
        return self.token()

    def _refresh(self, file: Path) -> None:
        try:
            status = file.stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if stamp == self._stamp:
                return
            self._token = file.read_text("utf-8").strip() or None
            self._stamp = stamp
        except FileNotFoundError:
            if self._must_exist:
                raise ConfigurationError(f"the token's file {file} does not exist") from None
            self._token = self._stamp = None
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"cannot read the token's file {file}: {error}") from error
