"""Public keys that tokens are checked against, by key id."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import jwt

_ALGORITHMS = {("OKP", "Ed25519"): "EdDSA", ("EC", "P-256"): "ES256", ("RSA", None): "RS256"}
_PRIVATE_MEMBERS = {"d", "k", "p", "q"}
MIN_RSA_BITS = 2048


class KeySetError(ValueError):
    """A key set that cannot be used; the message says which key and why."""


class KeySet(dict[str, jwt.PyJWK]):
    """Public keys by `kid`. Each key serves one algorithm: Ed25519 EdDSA, P-256 ES256, RSA RS256."""


def parse_keys(text: bytes) -> KeySet:
    """The keys of a JWKS or of one JWK. Raises KeySetError; secret and private keys are refused."""
    try:
        document = json.loads(text)
    except ValueError as fault:
        raise KeySetError(f"not JSON: {fault}") from fault
    if not isinstance(document, dict):
        raise KeySetError("neither a JWKS nor a JWK")
    members = document.get("keys", [document])
    if not isinstance(members, list) or not members:
        raise KeySetError("holds no key")
    keys = KeySet()
    for number, member in enumerate(members, start=1):
        if not isinstance(member, Mapping):
            raise KeySetError(f"key {number}: not an object")
        if member.get("use", "sig") != "sig":
            continue
        kid = member.get("kid")
        if not isinstance(kid, str) or not kid:
            raise KeySetError(f"key {number}: has no kid")
        if kid in keys:
            raise KeySetError(f"key {number}: the kid {kid!r} is used twice")
        keys[kid] = _parse_key(member, f"key {number} ({kid})")
    return keys


def _parse_key(member: Mapping[str, Any], where: str) -> jwt.PyJWK:
    if member.get("kty") == "oct" or _PRIVATE_MEMBERS & set(member):
        raise KeySetError(f"{where}: is not a public key")
    curve = member.get("crv") if member.get("kty") != "RSA" else None
    algorithm = _ALGORITHMS.get((str(member.get("kty")), curve))
    if algorithm is None:
        raise KeySetError(f"{where}: only Ed25519, P-256 and RSA keys are taken")
    if member.get("alg", algorithm) != algorithm:
        raise KeySetError(f"{where}: the algorithm {member['alg']!r} is not taken, {algorithm} is")
    try:
        key = jwt.PyJWK(dict(member), algorithm=algorithm)
    except (jwt.PyJWTError, ValueError, TypeError) as fault:
        raise KeySetError(f"{where}: {fault}") from fault
    if algorithm == "RS256" and key.key.key_size < MIN_RSA_BITS:
        raise KeySetError(f"{where}: RSA keys need at least {MIN_RSA_BITS} bits")
    return key
