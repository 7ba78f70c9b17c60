"""Bearer tokens: from an `authorization` header to an identity."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any

import jwt

from ontomesh_chassis.errors import TokenExpired, TokenInvalid, TokenMissing
from ontomesh_chassis.identity import Identity, PolicySource
from ontomesh_chassis.key_sources import KeyFile, KeySource, KeyUrl
from ontomesh_chassis.policy import Grant, PolicyError, parse_claim
from ontomesh_chassis.policy_file import PolicyFile
from ontomesh_chassis.settings import ServiceSettings
from ontomesh_chassis.startup import ConfigError

MAX_TOKEN_CHARS = 8192
MAX_CACHED = 4096
MAX_RIGHTS = 256
KINDS = ("user", "service")
_SUBJECT = re.compile(r"[A-Za-z0-9._@+-]{1,128}")
_REQUIRED = ["exp", "sub", "aud"]


class Authenticator:
    """Turns `authorization` headers into identities.

    A verified token is remembered until it expires or the keys change; the check of a remembered one is a lookup.
    """

    def __init__(
        self, sources: Sequence[KeySource], policy: PolicySource, *, audience: str, issuer: str | None = None
    ) -> None:
        self._sources = tuple(sources)
        self._policy = policy
        self._audience = audience
        self._issuer = issuer
        self._verified: dict[str, Identity] = {}
        self._seen_keys = tuple(source.keys for source in self._sources)

    @property
    def policy(self) -> PolicySource:
        """Where the policy that identities are held to comes from."""
        return self._policy

    def recall(self, authorization: str | None) -> Identity | None:
        """The identity behind a header that was verified before and is still good, else None."""
        for source in self._sources:
            source.poll()
        identity = self._verified.get(authorization) if authorization is not None else None
        if identity is None or identity.expires_at <= time.time() or self._keys_changed():
            return None
        return identity

    async def authenticate(self, authorization: str | None) -> Identity:
        """The identity behind an `authorization` header.

        Raises TokenMissing, TokenInvalid or TokenExpired. May wait for the key server when the token names an
        unknown key.
        """
        identity = self.recall(authorization)
        if identity is not None:
            return identity
        if not authorization:
            raise TokenMissing
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise TokenInvalid("The authorization header is not of the form `Bearer <token>`.")
        identity = await self._verify(token.strip())
        if len(self._verified) >= MAX_CACHED:
            self._forget()
        self._verified[authorization] = identity
        return identity

    @property
    def has_keys(self) -> bool:
        """Whether any key is known; without one every token is refused."""
        return any(source.keys for source in self._sources)

    async def check(self) -> None:
        """A readiness check: raises RuntimeError while no key is known."""
        if not self.has_keys:
            await self._refresh()
        if not self.has_keys:
            raise RuntimeError("no keys to check tokens against")

    def _keys_changed(self) -> bool:
        for seen, source in zip(self._seen_keys, self._sources, strict=True):
            if seen is not source.keys:
                self._seen_keys = tuple(source.keys for source in self._sources)
                self._verified.clear()
                return True
        return False

    def _forget(self) -> None:
        now = time.time()
        self._verified = {header: known for header, known in self._verified.items() if known.expires_at > now}
        # Dictionaries keep their order of insertion: the first quarter are the oldest.
        for header in list(self._verified)[: MAX_CACHED // 4]:
            del self._verified[header]

    async def _refresh(self) -> None:
        for source in self._sources:
            await source.refresh()
        self._keys_changed()

    async def _key(self, kid: str) -> jwt.PyJWK:
        for attempt in range(2):
            for source in self._sources:
                if kid in source.keys:
                    return source.keys[kid]
            if attempt == 0:
                await self._refresh()
        raise TokenInvalid("The token is signed by a key that is not known here.")

    async def _verify(self, token: str) -> Identity:
        if len(token) > MAX_TOKEN_CHARS:
            raise TokenInvalid(f"The token is longer than {MAX_TOKEN_CHARS} characters.")
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError as fault:
            raise TokenInvalid("The token is malformed.") from fault
        kid = header.get("kid")
        if not isinstance(kid, str) or not kid:
            raise TokenInvalid("The token names no key (`kid`).")
        if "crit" in header:
            raise TokenInvalid("The token demands extensions (`crit`) that are not known here.")
        key = await self._key(kid)
        if header.get("alg") != key.algorithm_name:
            raise TokenInvalid(f"The token's algorithm is not {key.algorithm_name}, the one of its key.")
        return self._identity(self._decode(token, key))

    def _decode(self, token: str, key: jwt.PyJWK) -> dict[str, Any]:
        try:
            return jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm_name],
                audience=self._audience,
                issuer=self._issuer,
                # Clocks of issuers run ahead; only the expiry and `nbf` bound a token's life.
                options={"require": _REQUIRED, "verify_iat": False},
            )
        except jwt.ExpiredSignatureError as fault:
            raise TokenExpired("The token has expired.") from fault
        except jwt.InvalidSignatureError as fault:
            raise TokenInvalid("The token's signature is wrong.") from fault
        except jwt.InvalidAudienceError as fault:
            raise TokenInvalid(f"The token is not meant for the audience {self._audience!r}.") from fault
        except jwt.InvalidIssuerError as fault:
            raise TokenInvalid(f"The token does not come from the issuer {self._issuer!r}.") from fault
        except jwt.MissingRequiredClaimError as fault:
            raise TokenInvalid(f"The token lacks the claim {fault.claim!r}.") from fault
        except jwt.ImmatureSignatureError as fault:
            raise TokenInvalid("The token is not valid yet.") from fault
        except jwt.PyJWTError as fault:
            raise TokenInvalid("The token is malformed.") from fault

    def _identity(self, claims: dict[str, Any]) -> Identity:
        name, kind = claims["sub"], claims.get("kind", "user")
        if not isinstance(name, str) or not _SUBJECT.fullmatch(name):
            raise TokenInvalid("The token's `sub` is not 1 to 128 characters of A-Z a-z 0-9 . _ @ + -")
        if kind not in KINDS:
            raise TokenInvalid("The token's `kind` is neither user nor service.")
        return Identity(f"{kind}:{name}", kind, name, _claim(claims), float(claims["exp"]), self._policy)


def _claim(claims: dict[str, Any]) -> tuple[Grant, ...] | None:
    rights = claims.get("rights")
    if rights is None:
        return None
    if not isinstance(rights, list) or len(rights) > MAX_RIGHTS or not all(isinstance(r, str) for r in rights):
        raise TokenInvalid(f"The token's `rights` are not a list of at most {MAX_RIGHTS} strings.")
    try:
        return parse_claim(rights)
    except PolicyError as fault:
        raise TokenInvalid(f"The token's `rights` cannot be read: {fault}") from fault


def open_authenticator(settings: ServiceSettings) -> Authenticator:
    """The authenticator that the settings describe; for a running loop.

    Raises ConfigError where there is no source of keys, or the keys or the policy cannot be read.
    """
    sources: list[KeySource] = []
    if settings.auth_keys_file is not None or settings.keys_path.exists():
        sources.append(KeyFile(settings.keys_path))
    if settings.auth_jwks_url is not None:
        sources.append(KeyUrl(settings.auth_jwks_url))
    if not sources:
        raise ConfigError(
            f"no keys to check tokens against: {settings.keys_path} does not exist; "
            "set ONTOMESH_AUTH_KEYS_FILE or ONTOMESH_AUTH_JWKS_URL"
        )
    return Authenticator(
        sources, PolicyFile(settings.policy_path), audience=settings.auth_audience, issuer=settings.auth_issuer
    )
