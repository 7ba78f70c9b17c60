"""Which addresses that users gave may be called: the guard against requests into private networks (SSRF).

A host is resolved once, every address that it leads to is checked, and the connection is made to one of those
addresses: what the name leads to a moment later changes nothing.
"""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

IpAddress = IPv4Address | IPv6Address
IpNetwork = IPv4Network | IPv6Network

_REFUSED = tuple(
    ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        *("::/128", "::1/128", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16"),
        *("fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
        # Azure's platform services answer at a public address.
        "168.63.129.16/32",
    )
)
_GLOBAL = IPv6Network("2000::/3")
# Addresses that stand for one of IPv4: how many bits follow that one.
_EMBEDDING = {
    IPv6Network("::/96"): 0,
    IPv6Network("::ffff:0:0/96"): 0,
    IPv6Network("::ffff:0:0:0/96"): 0,
    IPv6Network("64:ff9b::/96"): 0,
    IPv6Network("2002::/16"): 80,
}
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))*", re.ASCII)
MAX_HOST = 253
RESOLVE_SECONDS = 5.0
MAX_LOOKUPS = 64


_Found = Sequence[Any] | Exception
_Lookups = dict[tuple[asyncio.AbstractEventLoop, str, int], "asyncio.Future[_Found]"]


class AddressRefused(Exception):
    """The address may not be called; the message says why."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Unresolved(Exception):
    """The host leads to no address now."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where to connect to: addresses of which each may be called, and the host for TLS and authority.

    `is_named` if the settings name the host or all of the addresses, which then may do without TLS.
    """

    host: str
    port: int
    addresses: tuple[str, ...]
    is_named: bool

    def grpc_target(self) -> str:
        """The gRPC target that connects to the addresses and asks no resolver."""
        family = 6 if ":" in self.addresses[0] else 4
        alike = [one for one in self.addresses if (":" in one) == (family == 6)]
        places = (f"[{one}]:{self.port}" if family == 6 else f"{one}:{self.port}" for one in alike)
        return f"ipv{family}:{','.join(places)}"

    @property
    def authority(self) -> str:
        """The host and port as a caller names them."""
        return _place(self.host, self.port)


@dataclass(frozen=True, slots=True)
class OutboundFilter:
    """Refuses what is not on the public internet, unless it is named: by `networks`, or by `hosts` (`name` or
    `name:port`).
    """

    networks: tuple[IpNetwork, ...] = ()
    hosts: frozenset[str] = field(default_factory=frozenset)
    _lookups: _Lookups = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def parse(cls, text: str) -> OutboundFilter:
        """The filter of a comma-separated list of CIDRs, addresses and host[:port] names. Raises ValueError."""
        networks: list[IpNetwork] = []
        hosts: list[str] = []
        for entry in filter(None, (part.strip() for part in text.split(","))):
            try:
                networks.append(ip_network(entry.strip("[]")))
                continue
            except ValueError:
                if "/" in entry:
                    raise ValueError(f"{entry!r} is no network: an address and a prefix, such as 10.1.0.0/16") from None
            try:
                host, port = split_target(entry) if _has_port(entry) else (canonical_host(entry), 0)
            except AddressRefused as error:
                raise ValueError(error.message) from None
            hosts.append(_place(host, port) if port else host)
        return cls(tuple(networks), frozenset(hosts))

    def names_host(self, host: str, port: int) -> bool:
        """Whether the settings name the host, which is canonical, or the host with its port."""
        return host in self.hosts or _place(host, port) in self.hosts

    def names_address(self, address: IpAddress) -> bool:
        """Whether the address lies in one of the networks that the settings name."""
        return any(address in network for network in self.networks)

    def refusal(self, address: str) -> str:
        """Why an address may not be called; empty if it may. Raises ValueError for what is no address."""
        if "%" in address:
            return "has a scope"
        found = ip_address(address)
        return "" if self.names_address(_plain(found)) else _refusal(found)

    async def resolve(self, host: str, port: int) -> Destination:
        """The addresses to connect to. Raises AddressRefused if any may not be called, Unresolved."""
        name = canonical_host(host)
        is_named = self.names_host(name, port)
        addresses = await _addresses(name, port, self._lookups)
        if not is_named:
            for address in addresses:
                if why := self.refusal(address):
                    raise AddressRefused(f"{host!r} leads to {address}, which {why}")
            is_named = all(self.names_address(_plain(ip_address(address))) for address in addresses)
        return Destination(name, port, tuple(addresses), is_named)

    def check(self, host: str, port: int) -> None:
        """Refuse what can be refused without asking a resolver. Raises AddressRefused."""
        name = canonical_host(host)
        if self.names_host(name, port):
            return
        if _is_address(name):
            if why := self.refusal(name):
                raise AddressRefused(f"{host!r} {why}")
        elif name == "localhost" or name.endswith(".localhost"):
            raise AddressRefused(f"{host!r} is this machine")


def split_target(target: str) -> tuple[str, int]:
    """The canonical host and the port of `host:port`. Raises AddressRefused."""
    host, colon, port = target.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65_536):
        raise AddressRefused(f"{target!r} is no host:port")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise AddressRefused(f"{target!r} is no host:port: an IPv6 address stands in brackets")
    return canonical_host(host), int(port)


def canonical_host(host: str) -> str:
    """A host as it is compared: lower case, without a dot at its end; addresses in their usual form.

    Raises AddressRefused for what is neither a name nor an address as it is usually written: resolvers read numbers
    such as `0x7f.1` and `2130706433` as addresses, each in its own way.
    """
    name = host.lower().removesuffix(".")
    if name.startswith("[") and name.endswith("]"):
        name = name[1:-1]
        if ":" not in name:
            raise AddressRefused(f"{host!r} is no IPv6 address")
    if _is_address(name):
        return str(ip_address(name))
    if not name.isascii():
        try:
            name = name.encode("idna").decode()
        except UnicodeError:
            raise AddressRefused(f"{host!r} is no host name") from None
    if len(name) > MAX_HOST or not _NAME.fullmatch(name):
        raise AddressRefused(f"{host!r} is no host name")
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        raise AddressRefused(f"{host!r} is no address as it is usually written")
    return name


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _has_port(entry: str) -> bool:
    return "]:" in entry if entry.startswith("[") else ":" in entry


def _plain(address: IpAddress) -> IpAddress:
    """The IPv4 address that a mapped one is, which the system connects to; any other as it is."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _refusal(address: IpAddress) -> str:
    if any(address in network for network in _REFUSED):
        return "is not on the public internet"
    if isinstance(address, IPv6Address):
        for network, following in _EMBEDDING.items():
            if address in network:
                inner = IPv4Address((int(address) >> following) & 0xFFFFFFFF)
                why = _refusal(inner)
                return f"stands for {inner}, which {why}" if why else ""
        if address not in _GLOBAL:
            return "is not on the public internet"
    return "is not on the public internet" if address.is_private else ""


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _addresses(host: str, port: int, lookups: _Lookups) -> Sequence[str]:
    if _is_address(host):
        return (host,)
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            found = await asyncio.shield(_lookup(host, port, lookups))
    except TimeoutError:
        raise Unresolved(f"{host} leads to no address: no answer in time") from None
    if isinstance(found, Exception):
        raise Unresolved(f"{host} leads to no address: {found}")
    addresses = list(dict.fromkeys(_with_scope(*info[4]) for info in found))
    if not addresses:
        raise Unresolved(f"{host} leads to no address")
    return addresses


def _lookup(host: str, port: int, lookups: _Lookups) -> asyncio.Future[_Found]:
    """The system resolver's answer, one for all who ask meanwhile.

    Each lookup has a thread of its own: a resolver that hangs must not hold the threads that everything else runs in.
    """
    loop = asyncio.get_running_loop()
    key = (loop, host, port)
    if key in lookups:
        return lookups[key]
    if len(lookups) >= MAX_LOOKUPS:
        raise Unresolved(f"{host} leads to no address: {MAX_LOOKUPS} other names have no answer yet")
    future: asyncio.Future[_Found] = loop.create_future()

    def settle(found: _Found) -> None:
        del lookups[key]
        if not future.done():
            future.set_result(found)

    def work() -> None:
        found: _Found
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        except (OSError, UnicodeError) as error:
            found = error
        with suppress(RuntimeError):  # the loop has ended by now
            loop.call_soon_threadsafe(settle, found)

    lookups[key] = future
    try:
        threading.Thread(target=work, daemon=True, name="resolver").start()
    except RuntimeError as error:
        settle(error)
    return future


def _with_scope(address: object, port: object, flow: object = 0, scope: object = 0) -> str:
    """An address as the system names it, with the scope that IPv6 has beside it."""
    return f"{address}%{scope}" if scope and "%" not in str(address) else str(address)
