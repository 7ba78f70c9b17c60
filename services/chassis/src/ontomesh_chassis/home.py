"""The identity files of a home folder: signing key, public keys, policy and the owner's token."""

from __future__ import annotations

import json
import os
import secrets
import stat
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import jwt

from ontomesh_chassis.keys import generate_signing_key, mint, public_jwks
from ontomesh_chassis.keyset import KeySetError, parse_keys
from ontomesh_chassis.startup import ConfigError

DAY = 24 * 3600
TOKEN_LIFE_SECONDS = 365 * DAY
RENEW_BELOW_SECONDS = 30 * DAY

_POLICY = """\
# Who may do what. No rule, no right. Read again when it changes. Rights over databases and branches: read, write, admin,
# act. Rights over events: publish (by types) and consume (by types and subscriptions); a rule over all databases and
# branches that names neither types nor subscriptions holds for all of them.

# The owner of this folder may do everything.
[[rule]]
principals = [{principal}]
rights = ["*"]
databases = ["*"]
branches = ["*"]

# Everyone else may do what the token that they were given names, and nothing more.
[[rule]]
principals = ["*"]
rights = ["*"]
databases = ["*"]
branches = ["*"]
token_claims_only = true
"""


def create_home_identity(home: Path, login: str) -> None:
    """Makes the signing key, key set, policy and token of a home folder, and leaves alone what is there.

    The token is the owner's, good for 365 days, and renewed when fewer than 30 are left or the signing key does
    not match. Each file appears whole or not at all. `login` becomes the principal `user:<login>`.
    Raises ConfigError for a signing key or token that others can read, and for files that cannot be read.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    key_file, keys_file = home / "signing-key.json", home / "keys.json"
    policy_file, token_file = home / "policy.toml", home / "token"
    if not key_file.exists():
        write_private(key_file, json.dumps(generate_signing_key(), indent=2) + "\n")
    signing_key = read_signing_key(key_file)
    _publish(keys_file, signing_key)
    principal = f"user:{login}"
    if not policy_file.exists():
        write_private(policy_file, _POLICY.format(principal=json.dumps(principal)))
    _keep_token(token_file, signing_key, principal)


@dataclass(frozen=True, slots=True)
class ServiceToken:
    """A token that services of one home folder show one another: its file, its principal, and the rights it names."""

    file: str
    principal: str
    rights: tuple[str, ...]


def create_service_tokens(home: Path, tokens: Iterable[ServiceToken]) -> None:
    """Makes the tokens of services in a home folder that has its signing key, and renews them like the owner's.

    Raises ConfigError for a signing key or token that others can read, and for files that cannot be read.
    """
    signing_key = read_signing_key(home / "signing-key.json")
    for token in tokens:
        _keep_token(home / token.file, signing_key, token.principal, token.rights)


def read_signing_key(path: Path) -> dict[str, str]:
    """The private JWK of a file. Raises ConfigError where others can read it or it is no such key."""
    try:
        key = json.loads(read_private(path))
    except ValueError as fault:
        raise ConfigError(f"{path}: not JSON: {fault}") from fault
    if not isinstance(key, dict) or not {"kid", "kty", "crv", "x", "d"} <= key.keys():
        raise ConfigError(f"{path}: is not a private Ed25519 key (JWK with a kid)")
    return key


def read_private(path: Path) -> str:
    """The text of a file that only its owner may read. Raises ConfigError where others can, too."""
    try:
        mode = path.stat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(f"{path} can be read by others (mode {stat.S_IMODE(mode):04o}): run `chmod 600 {path}`")
        return path.read_text()
    except OSError as fault:
        raise ConfigError(f"{path}: {fault.strerror}") from fault


def write_private(path: Path, text: str) -> None:
    """Replaces a file, readable by its owner only, in one step: a crash leaves the old file or the new."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _publish(keys_file: Path, signing_key: dict[str, str]) -> None:
    """Puts the signing key's public half among the keys, beside those that are there for rotation."""
    mine = public_jwks(signing_key)["keys"]
    theirs: list[dict[str, str]] = []
    if keys_file.exists():
        text = keys_file.read_bytes()
        try:
            if signing_key["kid"] in parse_keys(text):
                return
        except KeySetError as fault:
            raise ConfigError(f"{keys_file}: {fault}") from fault
        document = json.loads(text)
        theirs = document.get("keys", [document])
    write_private(keys_file, json.dumps({"keys": [*mine, *theirs]}, indent=2) + "\n")


def _keep_token(file: Path, signing_key: dict[str, str], principal: str, rights: tuple[str, ...] | None = None) -> None:
    if not file.exists() or _needs_renewal(read_private(file).strip(), signing_key, principal, rights):
        write_private(file, mint(signing_key, principal, rights, expires_in=TOKEN_LIFE_SECONDS) + "\n")


def _needs_renewal(
    token: str, signing_key: dict[str, str], principal: str, rights: tuple[str, ...] | None = None
) -> bool:
    try:
        if jwt.get_unverified_header(token).get("kid") != signing_key["kid"]:
            return True
        claims = jwt.decode(token, options={"verify_signature": False})
    except jwt.PyJWTError:
        return True
    expires_soon = claims.get("exp", 0) - time.time() < RENEW_BELOW_SECONDS
    of_another = f"{claims.get('kind')}:{claims.get('sub')}" != principal
    return expires_soon or of_another or (rights is not None and claims.get("rights") != list(rights))
