"""No address that a user gave leads into private networks, however it is spelled and whatever its name leads to."""

import asyncio
import socket
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from aiohttp import web

from ontomesh_chassis.outbound import AddressRefused, OutboundFilter, Unresolved, canonical_host, split_target
from ontomesh_chassis.outbound_http import OutboundClient, OutboundFailed, outbound_url

NOTHING = OutboundFilter()

PRIVATE = (
    *("127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.0.1"),
    *("169.254.169.254", "100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "192.0.2.1", "198.18.0.1"),
    *("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "203.0.113.9", "198.51.100.9", "192.88.99.1"),
    *("::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "fec0::1", "2001:db8::1", "100::1", "3fff::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::ffff:0:127.0.0.1"),
    *("2002:7f00:1::", "2002:a9fe:a9fe::1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2001::1"),
    *("fe80::1%1", "2606:4700::1111%1", "4000::1"),
)
PUBLIC = ("93.184.216.34", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2002:808:808::1")
ODD = (
    *("2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "127.0.1", "017700000001", "0X7F.0.0.1", "1.2.3"),
    *("1.2.3.4.5", "999.1.1.1", "a.0x1", "127.0.0.1 ", "127.0.0.1\n", "", ".", "a..b", "[127.0.0.1]", "[a]", "a b"),
    *("a/b", "user@host", "host:1", "-a", "a" * 64, ".".join(["a" * 50] * 6), "\N{FULLWIDTH DIGIT ONE}27.0.0.1%0"),
)


@pytest.mark.parametrize("address", PRIVATE)
async def test_addresses_that_are_not_on_the_public_internet_are_refused(address: str) -> None:
    assert NOTHING.refusal(address)
    with pytest.raises(AddressRefused):
        NOTHING.check(address, 443)
    with pytest.raises(AddressRefused):
        await NOTHING.resolve(address, 443)


@pytest.mark.parametrize("address", PUBLIC)
async def test_public_addresses_are_allowed_as_they_are(address: str) -> None:
    found = await NOTHING.resolve(address, 443)
    assert (found.addresses, found.is_named) == ((address,), False)


@pytest.mark.parametrize("host", ODD)
async def test_odd_spellings_are_refused_before_anybody_resolves_them(host: str) -> None:
    with pytest.raises(AddressRefused):
        canonical_host(host)


@pytest.mark.parametrize("host", ["localhost", "localhost.", "LOCALHOST", "a.localhost", "LocalHost."])
async def test_names_of_this_machine_are_refused(host: str) -> None:
    with pytest.raises(AddressRefused):
        NOTHING.check(host, 443)
    if "a." not in host:
        with pytest.raises(AddressRefused):
            await NOTHING.resolve(host, 443)


@pytest.mark.parametrize(
    ("host", "canonical"),
    [
        ("Example.COM.", "example.com"),
        ("b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example", "xn--bcher-kva.example"),
        ("[2606:4700:0::1111]", "2606:4700::1111"),
        ("\N{FULLWIDTH LATIN SMALL LETTER A}.example", "a.example"),
    ],
)
def test_hosts_have_one_form(host: str, canonical: str) -> None:
    assert canonical_host(host) == canonical


@pytest.mark.parametrize("target", ["host", "host:", "host:0", "host:65536", "host:+1", "::1:443", "[::1]", ":443"])
def test_a_target_has_a_host_and_a_port(target: str) -> None:
    with pytest.raises(AddressRefused):
        split_target(target)


class Resolving:
    """Answers for the system's resolver, one list after another."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    def getaddrinfo(self, host: str, port: int, **options: Any) -> list[Any]:
        self.asked += 1
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if not answer:
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return [
            (socket.AF_INET6, 0, 0, "", (one, port, 0, 0)) if ":" in one else (socket.AF_INET, 0, 0, "", (one, port))
            for one in answer
        ]


@pytest.fixture
def resolving(monkeypatch: pytest.MonkeyPatch) -> Any:
    def answer(*answers: Sequence[str]) -> Resolving:
        resolver = Resolving(*answers)
        monkeypatch.setattr(socket, "getaddrinfo", resolver.getaddrinfo)
        return resolver

    return answer


async def test_one_refused_address_among_several_refuses_the_name(resolving: Any) -> None:
    resolving(["93.184.216.34", "10.0.0.1"])
    with pytest.raises(AddressRefused):
        await NOTHING.resolve("example.com", 443)
    resolving(["93.184.216.34", "::ffff:10.0.0.1"])
    with pytest.raises(AddressRefused):
        await NOTHING.resolve("example.com", 443)


async def test_a_name_without_an_address_is_unresolved(resolving: Any) -> None:
    resolving([])
    with pytest.raises(Unresolved):
        await NOTHING.resolve("example.com", 443)


async def test_a_resolver_that_hangs_holds_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    answered, asked = threading.Event(), 0

    def resolve(host: str, port: int, **options: Any) -> list[Any]:
        nonlocal asked
        asked += host == "hanging.example"
        if host == "hanging.example":
            answered.wait(30)
        return [(socket.AF_INET, 0, 0, "", ("93.184.216.34", port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    waiting = [asyncio.create_task(NOTHING.resolve("hanging.example", 443)) for _ in range(100)]
    try:
        async with asyncio.timeout(3):
            await asyncio.sleep(0)
            assert await asyncio.to_thread(lambda: 7) == 7
            assert (await NOTHING.resolve("other.example", 443)).addresses == ("93.184.216.34",)
        assert not any(task.done() for task in waiting)
        waiting[0].cancel()
    finally:
        answered.set()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert asked == 1
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert all(not isinstance(each, BaseException) for each in outcomes[1:])


async def test_grpc_connects_to_the_checked_addresses_under_the_hosts_name(resolving: Any) -> None:
    resolving(["93.184.216.34", "93.184.216.35", "2606:4700::1111"], ["10.0.0.1"])
    found = await NOTHING.resolve("Example.com.", 8443)
    assert found.grpc_target() == "ipv4:93.184.216.34:8443,93.184.216.35:8443"
    assert (found.host, found.authority) == ("example.com", "example.com:8443")
    resolving(["2606:4700::1111"])
    found = await NOTHING.resolve("example.com", 443)
    assert found.grpc_target() == "ipv6:[2606:4700::1111]:443"


@pytest.mark.parametrize(
    ("allow", "host", "port", "addresses", "allowed"),
    [
        ("10.1.0.0/16", "10.1.2.3", 443, (), True),
        ("10.1.0.0/16", "10.2.2.3", 443, (), False),
        ("10.1.2.3", "10.1.2.3", 443, (), True),
        ("10.1.0.0/16", "::ffff:10.1.2.3", 443, (), True),
        ("::1", "[::1]", 443, (), True),
        ("fd00::/8", "inside.example", 443, ("fd00::1",), True),
        ("inside.example", "Inside.example.", 443, ("10.0.0.1",), True),
        ("inside.example:8443", "inside.example", 8443, ("10.0.0.1",), True),
        ("inside.example:8443", "inside.example", 443, ("10.0.0.1",), False),
        ("inside.example", "a.inside.example", 443, ("10.0.0.1",), False),
        ("10.0.0.0/24, inside.example", "other.example", 443, ("10.0.0.1", "10.0.1.1"), False),
        ("localhost:1", "localhost", 1, ("127.0.0.1",), True),
        ("[::1]:443", "[::1]", 443, (), True),
        ("[::1]:443", "[::1]", 80, (), False),
        ("[::1]:443", "[::1:443]", 80, (), False),
    ],
)
async def test_what_the_settings_name_is_allowed(
    resolving: Any, allow: str, host: str, port: int, addresses: tuple[str, ...], allowed: bool
) -> None:
    resolving(addresses)
    filter = OutboundFilter.parse(allow)
    if allowed:
        assert (await filter.resolve(host, port)).is_named
        filter.check(host, port)
    else:
        with pytest.raises(AddressRefused):
            await filter.resolve(host, port)


@pytest.mark.parametrize("text", ["10.0.0.0/33", "10.0.0.1/8", "a b", "0x7f.1", "host:0", "http://host"])
def test_a_list_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        OutboundFilter.parse(text)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "https://127.0.0.1/",
        "https://0177.0.0.1/",
        "https://2130706433/",
        "https://[::ffff:7f00:1]/",
        "https://\N{FULLWIDTH DIGIT ONE}27.0.0.1/",
        "https://localhost./",
        "https://user:word@example.com/",
        "https://example.com:0/",
        "https:///path",
        "file:///etc/passwd",
        "example.com",
        "https://exa mple.com/",
    ],
)
def test_urls_that_lead_elsewhere_are_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        outbound_url(NOTHING, url)


async def serving(handler: Any) -> tuple[web.AppRunner, int]:
    app = web.Application()
    app.router.add_post("/", handler)
    runner = web.AppRunner(app, shutdown_timeout=0, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, runner.addresses[0][1]


async def test_a_name_that_leads_elsewhere_by_the_time_of_connecting_is_refused(resolving: Any) -> None:
    called = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal called
        called += 1
        return web.Response(text="inside")

    runner, port = await serving(handler)
    resolver = resolving(["93.184.216.34"], ["127.0.0.1"])
    client = OutboundClient(NOTHING)
    try:
        await client.destination(f"https://rebinding.example:{port}/")
        with pytest.raises((AddressRefused, OutboundFailed)):
            await client.post(f"https://rebinding.example:{port}/", b"", {})
    finally:
        await client.close()
        await runner.cleanup()
    assert (resolver.asked, called) == (2, 0)


async def test_posts_reach_what_is_named_without_redirects_and_in_bounds() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        match request.query.get("how"):
            case "redirect":
                raise web.HTTPFound("http://127.0.0.1:1/")
            case "large":
                return web.Response(body=b"x" * 2_000)
            case "compressed":
                answer = web.Response(body=b"x" * 2_000)
                answer.enable_compression(web.ContentCoding.gzip)
                return answer
            case _:
                return web.Response(body=await request.read())

    runner, port = await serving(handler)
    client = OutboundClient(OutboundFilter.parse("127.0.0.0/8"))
    url = f"http://127.0.0.1:{port}/"
    try:
        assert await client.post(url, b"hello", {}) == b"hello"
        with pytest.raises(OutboundFailed, match="302"):
            await client.post(f"{url}?how=redirect", b"", {})
        with pytest.raises(OutboundFailed, match="larger"):
            await client.post(f"{url}?how=large", b"", {}, limit=1_000)
        assert await client.post(f"{url}?how=compressed", b"", {}, limit=1_000) != b"x" * 2_000
        with pytest.raises(AddressRefused):
            await OutboundClient(OutboundFilter()).post(url, b"", {})
    finally:
        await client.close()
        await runner.cleanup()


async def test_plain_http_goes_to_named_addresses_alone(resolving: Any) -> None:
    resolving(["93.184.216.34"])
    with pytest.raises(AddressRefused, match="https"):
        await OutboundClient(NOTHING).destination("http://example.com/")
    named = OutboundClient(OutboundFilter.parse("example.com"))
    assert (await named.destination("http://example.com/")).is_named
