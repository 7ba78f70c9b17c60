"""From a store's URL to a store: `terminusdb://user[:password]@host[:port]/organization[?option=value...]`."""

import logging
from collections.abc import Callable
from urllib.parse import parse_qsl, unquote, urlsplit

from ontomesh_data_kernel.adapters.terminusdb.client import Client, Refused, Server
from ontomesh_data_kernel.adapters.terminusdb.records import Records
from ontomesh_data_kernel.adapters.terminusdb.store import TerminusStore
from ontomesh_data_kernel.domain.identity import system_clock
from ontomesh_data_kernel.errors import StoreUnavailable

logger = logging.getLogger(__name__)

SCHEME = "terminusdb"
DEFAULT_PORT = 6363
_OPTIONS = frozenset(("tls", "ca", "prefix", "seconds"))


def read_url(url: str, password: str = "") -> Server:
    """The server that a URL names; `password` serves where the URL has none. Raises ValueError.

    Options: `tls=on` speaks HTTPS, `ca` is a file of certificates to trust, `prefix` begins the names of the
    databases that are this kernel's, `seconds` bounds a request of little work (20).
    """
    parts = urlsplit(url)
    organization = unquote(parts.path.strip("/"))
    if parts.scheme != SCHEME or not parts.hostname or not organization or "/" in organization:
        raise ValueError("must be terminusdb://user[:password]@host[:port]/organization")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(options.keys() - _OPTIONS):
        raise ValueError(f"has an unknown option {unknown[0]!r}; known are {', '.join(sorted(_OPTIONS))}")
    if options.get("tls", "off") not in ("on", "off"):
        raise ValueError("tls is on or off")
    try:
        seconds = float(options.get("seconds", "20"))
    except ValueError:
        raise ValueError("seconds is a number") from None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Server(
        url=f"{'https' if options.get('tls') == 'on' else 'http'}://{host}:{parts.port or DEFAULT_PORT}",
        organization=organization,
        user=unquote(parts.username or "admin"),
        password=unquote(parts.password or "") or password,
        prefix=options.get("prefix", ""),
        seconds=seconds,
        certificate=options.get("ca", ""),
    )


async def store_exists(server: Server) -> bool:
    """Whether a kernel ever opened a store on the server. Raises StoreUnavailable."""
    client = Client(server)
    try:
        return await Records(client).exist()
    except Refused as error:
        raise StoreUnavailable(f"TerminusDB failed: {error}") from error
    finally:
        await client.close()


async def open_store(server: Server, clock: Callable[[], int] = system_clock) -> TerminusStore:
    """Open the store on a server, which need not be there yet; call it on the loop that will use it."""
    if server.url.startswith("http:") and not _is_loopback(server.url):
        logger.warning("the password goes to %s in the clear; tls=on keeps it secret", server.url)
    return TerminusStore(Client(server), clock)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host == "localhost" or host == "::1" or host.startswith("127.")
