"""Where the public keys come from: a watched file, a JWKS URL, or both."""

from __future__ import annotations

import asyncio
import http.client
import ipaddress
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from ontomesh_chassis import audit
from ontomesh_chassis.keyset import KeySet, KeySetError, parse_keys
from ontomesh_chassis.startup import ConfigError
from ontomesh_chassis.watched_file import WatchedFile

logger = logging.getLogger(__name__)

MAX_JWKS_BYTES = 1024 * 1024
FETCH_TIMEOUT_SECONDS = 5.0
MIN_REFETCH_SECONDS = 10.0
MAX_AGE_SECONDS = 300.0


class KeySource(Protocol):
    """Keys that may change while the service runs."""

    @property
    def keys(self) -> KeySet:
        """The keys as last read; a new object whenever they changed."""

    def poll(self) -> None:
        """Takes up changes that cost next to nothing to notice. Called with every call; never waits."""

    async def refresh(self) -> None:
        """Looks for new keys now, because a token named an unknown one. Never raises."""


class KeyFile:
    """The keys of a file; a file that became invalid is refused loudly and the old keys stay.

    Raises ConfigError at construction where the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._file = WatchedFile(path)
        try:
            self.keys = parse_keys(self._file.read())
        except (OSError, KeySetError) as fault:
            words = fault.strerror if isinstance(fault, OSError) else str(fault)
            raise ConfigError(f"key file {path}: {words} (set by ONTOMESH_AUTH_KEYS_FILE)") from fault

    def poll(self) -> None:
        """Reads the file again if it changed; looks at most once a second."""
        if self._file.changed():
            self._reload()

    async def refresh(self) -> None:
        """Reads the file again if it changed, now."""
        if self._file.changed(force=True):
            self._reload()

    def _reload(self) -> None:
        try:
            keys = parse_keys(self._file.read())
        except (OSError, KeySetError) as fault:
            logger.error("the key file %s was refused, the old keys stay: %s", self._file.path, fault)
            audit.record(audit.Event.KEYS_REJECTED, reason=str(fault))
            return
        self.keys = keys
        audit.record(audit.Event.KEYS_CHANGED, reason=f"kids: {', '.join(sorted(keys))}")


class KeyUrl:
    """The keys of a JWKS URL: fetched when a token names an unknown one and when they are five minutes old.

    Fetches are at least ten seconds apart, so that forged tokens cannot make this service flood the key server.
    Keys that were fetched once are kept while the key server is away.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        _check_url(url)
        self.keys = KeySet()
        self._text = b""
        self._url = url
        self._clock = clock
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    def poll(self) -> None:
        """Fetches in the background once the keys are five minutes old."""
        if self._clock() - self._fetched_at > MAX_AGE_SECONDS:
            self._begin()

    async def refresh(self) -> None:
        """Waits for a fetch, begun now unless one is under way; returns at once if one began within ten seconds."""
        self._begin()
        if self._fetching is not None:
            # Shielded: a caller that gives up must not take the fetch from the others.
            await asyncio.shield(self._fetching)

    def _begin(self) -> None:
        now = self._clock()
        if self._fetching is not None or now - self._tried_at < MIN_REFETCH_SECONDS:
            return
        self._tried_at = now
        self._fetching = asyncio.get_running_loop().create_task(self._load())
        self._fetching.add_done_callback(self._end)

    def _end(self, _task: asyncio.Task[None]) -> None:
        self._fetching = None

    async def _load(self) -> None:
        try:
            text = await asyncio.to_thread(_download, self._url)
            keys = parse_keys(text)
        except (OSError, http.client.HTTPException, KeySetError) as fault:
            logger.warning("the keys at %s could not be fetched, known ones stay: %s", self._url, fault)
            return
        self._fetched_at = self._clock()
        if text != self._text:
            self._text = text
            self.keys = keys
            audit.record(audit.Event.KEYS_CHANGED, reason=f"kids: {', '.join(sorted(keys))}")


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(f"ONTOMESH_AUTH_JWKS_URL: {url!r} is not an http(s) URL")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ConfigError(f"ONTOMESH_AUTH_JWKS_URL: {url!r} must be https: only loopback may go without")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its own name."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: they could lead from https to http, or to a host that was not meant."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _download(url: str) -> bytes:
    opener = urllib.request.build_opener(_NoRedirect)
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 - the scheme was checked
    with opener.open(request, timeout=FETCH_TIMEOUT_SECONDS) as response:
        text: bytes = response.read(MAX_JWKS_BYTES + 1)
    if len(text) > MAX_JWKS_BYTES:
        raise KeySetError(f"larger than {MAX_JWKS_BYTES} bytes")
    return text
