import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from services.chassis.tests.running import signing_key, until

from ontomesh_chassis import key_sources
from ontomesh_chassis.errors import TokenExpired, TokenInvalid, TokenMissing, Unauthenticated
from ontomesh_chassis.key_sources import KeyUrl
from ontomesh_chassis.keys import generate_signing_key, mint, public_jwks
from ontomesh_chassis.keyset import KeySetError, parse_keys
from ontomesh_chassis.policy_file import PolicyFile
from ontomesh_chassis.settings import ServiceSettings
from ontomesh_chassis.startup import ConfigError
from ontomesh_chassis.tokens import Authenticator, open_authenticator


@pytest.fixture
def auth(settings: ServiceSettings) -> Authenticator:
    return open_authenticator(settings)


@pytest.fixture
def key(home: Path) -> dict[str, str]:
    return signing_key(home)


async def refusal(auth: Authenticator, authorization: str | None) -> Unauthenticated:
    with pytest.raises(Unauthenticated) as refused:
        await auth.authenticate(authorization)
    return refused.value


async def test_a_good_token_names_its_principal(auth: Authenticator, key: dict[str, str]) -> None:
    ana = await auth.authenticate(f"Bearer {mint(key, 'user:ana')}")
    assert (ana.principal, ana.kind, ana.name, ana.claim) == ("user:ana", "user", "ana", None)
    relay = await auth.authenticate(f"bearer {mint(key, 'service:relay', ['read:catalog'])}")
    assert relay.principal == "service:relay"
    assert relay.allows("read", "catalog", "main")
    assert not relay.allows("write", "catalog", "main")
    assert not relay.allows("read", "other", "main")


async def test_a_token_without_a_kind_is_a_users(auth: Authenticator, key: dict[str, str]) -> None:
    claims = {"sub": "ana", "exp": 4_000_000_000, "aud": ["other", "ontomesh"]}
    token = jwt.encode(claims, jwt.PyJWK(key, algorithm="EdDSA").key, algorithm="EdDSA", headers={"kid": key["kid"]})
    assert (await auth.authenticate(f"Bearer {token}")).principal == "user:ana"


@pytest.mark.parametrize("header", [None, ""])
async def test_a_call_without_a_token_is_refused(auth: Authenticator, header: str | None) -> None:
    assert isinstance(await refusal(auth, header), TokenMissing)


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", "Basic YTpi", "Bearer x", "Bearer a.b.c", "Bearer \u20ac", "Bearer " + "a" * 9000]
)
async def test_a_malformed_header_is_refused(auth: Authenticator, header: str) -> None:
    assert isinstance(await refusal(auth, header), TokenInvalid)


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"aud": "other"}, "audience"),
        ({"aud": None}, "aud"),
        ({"exp": None}, "exp"),
        ({"exp": "soon"}, "malformed"),
        ({"sub": None}, "sub"),
        ({"sub": 7}, "malformed"),
        ({"sub": ""}, "sub"),
        ({"sub": "a b"}, "sub"),
        ({"sub": "a" * 129}, "sub"),
        ({"sub": "ana\n"}, "sub"),
        ({"kind": "admin"}, "kind"),
        ({"kind": 1}, "kind"),
        ({"nbf": 4_000_000_000}, "not valid yet"),
        ({"rights": "read"}, "rights"),
        ({"rights": [1]}, "rights"),
        ({"rights": ["delete"]}, "unknown right 'delete'"),
        ({"rights": ["read"] * 257}, "rights"),
    ],
)
async def test_bad_claims_are_refused(
    auth: Authenticator, key: dict[str, str], claims: dict[str, Any], words: str
) -> None:
    refused = await refusal(auth, f"Bearer {mint(key, 'user:ana', **claims)}")
    assert isinstance(refused, TokenInvalid)
    assert words in refused.message


async def test_an_expired_token_is_told_apart(auth: Authenticator, key: dict[str, str]) -> None:
    assert isinstance(await refusal(auth, f"Bearer {mint(key, 'user:ana', expires_in=-1)}"), TokenExpired)


async def test_a_remembered_token_is_refused_once_it_expires(auth: Authenticator, key: dict[str, str]) -> None:
    header = f"Bearer {mint(key, 'user:ana', expires_in=2)}"
    identity = await auth.authenticate(header)
    assert auth.recall(header) is identity
    await until(lambda: auth.recall(header) is None)
    assert isinstance(await refusal(auth, header), TokenExpired)


async def test_signatures_of_other_keys_and_algorithms_are_refused(auth: Authenticator, key: dict[str, str]) -> None:
    body, signed = {"sub": "ana", "exp": 4_000_000_000, "aud": "ontomesh"}, {"kid": key["kid"]}
    forged = {**generate_signing_key(), "kid": key["kid"]}
    assert "signature" in (await refusal(auth, f"Bearer {mint(forged, 'user:ana')}")).message
    assert "not known" in (await refusal(auth, f"Bearer {mint(generate_signing_key(), 'user:ana')}")).message
    unsigned = jwt.encode(body, "", algorithm="none", headers=signed)
    assert "algorithm" in (await refusal(auth, f"Bearer {unsigned}")).message
    symmetric = jwt.encode(body, key["x"] * 2, algorithm="HS256", headers=signed)
    assert "algorithm" in (await refusal(auth, f"Bearer {symmetric}")).message
    private = jwt.PyJWK(key, algorithm="EdDSA").key
    nameless = jwt.encode(body, private, algorithm="EdDSA")
    assert "kid" in (await refusal(auth, f"Bearer {nameless}")).message


async def test_an_issuer_is_demanded_where_one_is_set(settings: ServiceSettings, key: dict[str, str]) -> None:
    strict = open_authenticator(settings.model_copy(update={"auth_issuer": "https://issuer"}))
    assert (await strict.authenticate(f"Bearer {mint(key, 'user:ana', iss='https://issuer')}")).name == "ana"
    assert "issuer" in (await refusal(strict, f"Bearer {mint(key, 'user:ana', iss='https://other')}")).message
    assert "iss" in (await refusal(strict, f"Bearer {mint(key, 'user:ana')}")).message


async def test_p256_and_rsa_keys_serve_too(settings: ServiceSettings, home: Path) -> None:
    curve, primes = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)
    keys = [
        {**jwt.algorithms.ECAlgorithm.to_jwk(curve.public_key(), as_dict=True), "kid": "curve"},
        {**jwt.algorithms.RSAAlgorithm.to_jwk(primes.public_key(), as_dict=True), "kid": "primes"},
    ]
    (home / "keys.json").write_text(json.dumps({"keys": keys}))
    auth = open_authenticator(settings)
    body = {"sub": "ana", "exp": 4_000_000_000, "aud": "ontomesh"}
    for private, algorithm, kid in ((curve, "ES256", "curve"), (primes, "RS256", "primes")):
        token = jwt.encode(body, private, algorithm=algorithm, headers={"kid": kid})
        assert (await auth.authenticate(f"Bearer {token}")).name == "ana"


@pytest.mark.parametrize(
    ("jwk", "words"),
    [
        ({"kty": "oct", "k": "c2VjcmV0", "kid": "x"}, "not a public key"),
        (generate_signing_key(), "not a public key"),
        ({"kty": "OKP", "crv": "Ed448", "x": "AA", "kid": "x"}, "only Ed25519"),
        ({"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "x"}, "key 1 (x)"),
        ({"kty": "OKP", "crv": "Ed25519", "x": "AA"}, "has no kid"),
        ({"kty": "RSA", "alg": "HS256", "kid": "x"}, "algorithm"),
        ("text", "neither"),
    ],
)
def test_a_key_set_with_an_unusable_key_is_refused(jwk: Any, words: str) -> None:
    with pytest.raises(KeySetError) as refused:
        parse_keys(json.dumps(jwk).encode())
    assert words in str(refused.value)


async def test_a_rotated_key_file_is_taken_up_and_old_tokens_go_with_their_key(
    auth: Authenticator, home: Path, key: dict[str, str]
) -> None:
    old = f"Bearer {mint(key, 'user:ana')}"
    await auth.authenticate(old)
    successor = generate_signing_key()
    (home / "keys.json").write_text(json.dumps(public_jwks(key, successor)))
    assert (await auth.authenticate(f"Bearer {mint(successor, 'user:ana')}")).name == "ana"
    assert (await auth.authenticate(old)).name == "ana"
    (home / "keys.json").write_text(json.dumps(public_jwks(successor)))
    third = generate_signing_key()
    assert "not known" in (await refusal(auth, f"Bearer {mint(third, 'user:ana')}")).message
    assert "not known" in (await refusal(auth, old)).message


async def test_an_invalid_new_key_file_leaves_the_old_keys(
    auth: Authenticator, home: Path, key: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "ontomesh.audit")
    (home / "keys.json").write_text("{")
    await refusal(auth, f"Bearer {mint(generate_signing_key(), 'user:ana')}")
    assert (await auth.authenticate(f"Bearer {mint(key, 'user:ana')}")).name == "ana"
    assert "keys_rejected" in caplog.messages


@pytest.mark.parametrize(
    ("name", "words"), [("keys.json", "ONTOMESH_AUTH_KEYS_FILE"), ("policy.toml", "ONTOMESH_POLICY_FILE")]
)
async def test_a_missing_file_ends_the_start(settings: ServiceSettings, home: Path, name: str, words: str) -> None:
    (home / name).unlink()
    with pytest.raises(ConfigError, match=words):
        open_authenticator(settings)


async def test_a_changed_policy_holds_within_a_second_and_an_invalid_one_never(
    auth: Authenticator, home: Path, key: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "ontomesh.audit")
    identity = await auth.authenticate(f"Bearer {mint(key, 'user:ana')}")
    assert identity.allows("write", "catalog", "main")

    async def until(word: str) -> None:
        async with asyncio.timeout(5):
            while word not in caplog.messages:
                await asyncio.sleep(0.02)
                identity.allows("read", "catalog", "main")

    policy = (home / "policy.toml").read_text()
    (home / "policy.toml").write_text("nonsense")
    await until("policy_rejected")
    assert identity.allows("write", "catalog", "main")
    (home / "policy.toml").write_text(policy.replace('rights = ["*"]', 'rights = ["read"]'))
    await until("policy_changed")
    assert not identity.allows("write", "catalog", "main")
    assert identity.allows("read", "catalog", "main")


class KeyServer(ThreadingHTTPServer):
    """Serves one body at every path, and counts how often."""

    body = b""
    status = 200
    requests = 0


class KeyHandler(BaseHTTPRequestHandler):
    server: KeyServer

    def do_GET(self) -> None:
        self.server.requests += 1
        self.send_response(self.server.status)
        if self.server.status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def key_server(body: bytes) -> Iterator[KeyServer]:
    with KeyServer(("127.0.0.1", 0), KeyHandler) as server:
        server.body = body
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_a_jwks_url_is_fetched_for_unknown_keys_but_not_more_than_once_in_ten_seconds(
    settings: ServiceSettings,
) -> None:
    key, successor = generate_signing_key(), generate_signing_key()
    clock = Clock()
    with key_server(json.dumps(public_jwks(key)).encode()) as server:
        url = KeyUrl(f"http://127.0.0.1:{server.server_port}/keys", clock)
        auth = Authenticator([url], PolicyFile(settings.policy_path), audience="ontomesh")
        assert not auth.has_keys
        await auth.check()
        assert (await auth.authenticate(f"Bearer {mint(key, 'user:ana')}")).name == "ana"
        assert server.requests == 1
        server.body = json.dumps(public_jwks(successor)).encode()
        token = f"Bearer {mint(successor, 'user:ana')}"
        assert "not known" in (await refusal(auth, token)).message
        assert server.requests == 1
        clock.now += 11
        assert (await auth.authenticate(token)).name == "ana"
        assert server.requests == 2
        assert "not known" in (await refusal(auth, f"Bearer {mint(key, 'user:ana')}")).message


@pytest.mark.parametrize("fault", ["away", "nonsense", "too large", "redirect"])
async def test_known_keys_stay_while_the_key_server_fails(settings: ServiceSettings, fault: str) -> None:
    key, clock = generate_signing_key(), Clock()
    with key_server(json.dumps(public_jwks(key)).encode()) as server:
        url = KeyUrl(f"http://127.0.0.1:{server.server_port}/keys", clock)
        auth = Authenticator([url], PolicyFile(settings.policy_path), audience="ontomesh")
        await auth.check()
        server.status = {"away": 503, "redirect": 302}.get(fault, 200)
        server.body = b" " * (key_sources.MAX_JWKS_BYTES + 1) if fault == "too large" else b"nonsense"
        clock.now += 11
        await refusal(auth, f"Bearer {mint(generate_signing_key(), 'user:ana')}")
        assert server.requests == 2
        assert (await auth.authenticate(f"Bearer {mint(key, 'user:ana')}")).name == "ana"


async def test_old_keys_of_a_url_are_fetched_again_in_the_background(settings: ServiceSettings) -> None:
    key, clock = generate_signing_key(), Clock()
    with key_server(json.dumps(public_jwks(key)).encode()) as server:
        url = KeyUrl(f"http://127.0.0.1:{server.server_port}/keys", clock)
        auth = Authenticator([url], PolicyFile(settings.policy_path), audience="ontomesh")
        header = f"Bearer {mint(key, 'user:ana')}"
        await auth.authenticate(header)
        server.body = json.dumps(public_jwks(generate_signing_key())).encode()
        clock.now += 301
        auth.recall(header)
        await until(lambda: auth.recall(header) is None)
        assert "not known" in (await refusal(auth, header)).message


@pytest.mark.parametrize("url", ["http://example.org/keys", "file:///etc/passwd", "ftp://x/y", "keys"])
def test_only_https_and_loopback_urls_are_taken(url: str) -> None:
    with pytest.raises(ConfigError, match="ONTOMESH_AUTH_JWKS_URL"):
        KeyUrl(url)
