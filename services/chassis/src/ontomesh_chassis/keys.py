"""Signing keys and the tokens they sign, for servers' own use and for local set-ups."""

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

AUDIENCE = "ontomesh"


def generate_signing_key() -> dict[str, str]:
    """A fresh private Ed25519 key as a JWK with a random `kid`."""
    jwk = jwt.algorithms.OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate(), as_dict=True)
    return {**jwk, "kid": secrets.token_hex(8), "alg": "EdDSA", "use": "sig"}


def public_jwks(*private_jwks: Mapping[str, str]) -> dict[str, list[dict[str, str]]]:
    """The JWKS with the public halves of private JWKs."""
    return {"keys": [{name: value for name, value in jwk.items() if name != "d"} for jwk in private_jwks]}


def mint(
    private_jwk: Mapping[str, str],
    principal: str,
    rights: Sequence[str] | None = None,
    expires_in: float = 3600,
    **claims: Any,
) -> str:
    """A token for a principal such as `user:ana`, good for `expires_in` seconds.

    `rights=None` leaves the token without a claim of its own, so that the policy alone decides. Further keyword
    arguments become claims, and replace those set here.
    """
    kind, _, name = principal.partition(":")
    now = int(time.time())
    body: dict[str, Any] = {"sub": name, "kind": kind, "iat": now, "exp": now + int(expires_in), "aud": AUDIENCE}
    if rights is not None:
        body["rights"] = list(rights)
    key = jwt.PyJWK(dict(private_jwk), algorithm="EdDSA")
    return jwt.encode(body | claims, key.key, algorithm="EdDSA", headers={"kid": private_jwk["kid"]})
