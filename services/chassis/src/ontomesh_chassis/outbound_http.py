"""HTTP to addresses that users gave: to checked addresses alone, without redirects, proxies or cookies, in bounds."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from ontomesh_chassis.outbound import AddressRefused, Destination, OutboundFilter, Unresolved, canonical_host

MAX_ANSWER_BYTES = 1 << 20


class OutboundFailed(Exception):
    """The call failed, or its answer is none; the message says how and never holds the answer's text."""


class _Resolver(AbstractResolver):
    """Resolves through the filter, each time a connection is made."""

    def __init__(self, filter: OutboundFilter) -> None:
        self._filter = filter

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        try:
            destination = await self._filter.resolve(host, port)
        except Unresolved as error:
            raise OSError(str(error)) from None
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in destination.addresses
        ]

    async def close(self) -> None:
        """Nothing to end."""


def outbound_url(filter: OutboundFilter, text: str) -> URL:
    """A URL that may be called as far as can be told without a resolver. Raises AddressRefused."""
    try:
        url = URL(text)
        host, port = url.host or "", url.port or 0
    except ValueError as error:
        raise AddressRefused(f"{text!r} is no URL: {error}") from None
    if url.scheme not in ("https", "http") or not host or not port:
        raise AddressRefused(f"{text!r} is no https URL")
    if url.user is not None or url.password is not None:
        raise AddressRefused("a URL holds no user and no password")
    filter.check(host, port)
    # The connection goes to the host as it is checked: other spellings mean one thing here and another there.
    return url.with_host(canonical_host(host)).with_fragment(None)


class OutboundClient:
    """Sends requests to URLs that users gave. Made and closed on a running event loop."""

    def __init__(self, filter: OutboundFilter) -> None:
        self._filter = filter
        self._session: aiohttp.ClientSession | None = None

    async def destination(self, url: str) -> Destination:
        """Where a URL leads. Raises AddressRefused for http to what the settings do not name, Unresolved."""
        parsed = outbound_url(self._filter, url)
        assert parsed.host is not None
        assert parsed.port is not None
        found = await self._filter.resolve(parsed.host, parsed.port)
        if parsed.scheme != "https" and not found.is_named:
            raise AddressRefused(f"{url!r} is not https")
        return found

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], *, limit: int = MAX_ANSWER_BYTES) -> bytes:
        """The body of the answer, which must be 200. Raises AddressRefused, OutboundFailed; the caller sets a time limit."""
        parsed = outbound_url(self._filter, url)
        if parsed.scheme != "https":
            await self._checked(url)
        try:
            async with self._opened().post(parsed, data=body, headers=headers, allow_redirects=False) as answer:
                if answer.status != 200:
                    raise OutboundFailed(f"it answered {answer.status}")
                return await _bounded(answer, limit)
        except aiohttp.ClientError as error:
            raise OutboundFailed(f"{type(error).__name__}: {error}") from error

    async def _checked(self, url: str) -> None:
        try:
            await self.destination(url)
        except Unresolved as error:
            raise OutboundFailed(str(error)) from None

    async def close(self) -> None:
        """End its connections."""
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            options: dict[str, Any] = {"auto_decompress": False, "trust_env": False}
            connector = aiohttp.TCPConnector(resolver=_Resolver(self._filter), use_dns_cache=False, limit=0)
            jar = aiohttp.DummyCookieJar()
            timeout = aiohttp.ClientTimeout(total=None)
            headers = {"accept-encoding": "identity", "user-agent": "ontomesh"}
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=jar, timeout=timeout, headers=headers, **options
            )
        return self._session


async def _bounded(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    """The body, as long as it keeps within the limit."""
    parts: list[bytes] = []
    size = 0
    async for part in answer.content.iter_chunked(1 << 16):
        size += len(part)
        if size > limit:
            raise OutboundFailed(f"its answer is larger than {limit:,} bytes")
        parts.append(part)
    return b"".join(parts)
