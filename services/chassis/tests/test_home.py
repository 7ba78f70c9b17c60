import json
import time
from pathlib import Path

import jwt
import pytest

from ontomesh_chassis.home import (
    ServiceToken,
    create_home_identity,
    create_service_tokens,
    read_private,
    read_signing_key,
    write_private,
)
from ontomesh_chassis.keys import generate_signing_key, mint, public_jwks
from ontomesh_chassis.keyset import parse_keys
from ontomesh_chassis.policy import parse_policy
from ontomesh_chassis.startup import ConfigError

FILES = {"signing-key.json", "keys.json", "policy.toml", "token"}


def contents(home: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in home.iterdir()}


def claims(home: Path) -> dict[str, object]:
    found: dict[str, object] = jwt.decode((home / "token").read_text().strip(), options={"verify_signature": False})
    return found


def test_a_home_is_readable_by_its_owner_only_and_holds_all_it_needs(tmp_path: Path) -> None:
    home = tmp_path / "a" / "home"
    create_home_identity(home, "ana")
    assert contents(home).keys() == FILES
    assert oct(home.stat().st_mode & 0o777) == "0o700"
    assert {oct(path.stat().st_mode & 0o777) for path in home.iterdir()} == {"0o600"}
    assert "d" not in json.loads((home / "keys.json").read_text())["keys"][0]
    policy = parse_policy((home / "policy.toml").read_text())
    assert policy.allows("user:ana", None, "admin", "any", None)
    assert policy.allows_event("user:ana", None, "publish", "any")
    assert policy.allows_event("user:ana", None, "consume", "any", "any")
    assert not policy.allows_event("user:bob", None, "publish", "any")
    assert not policy.allows("user:bob", None, "read", "any", "main")


def test_making_a_home_again_changes_nothing(home: Path) -> None:
    before = contents(home)
    create_home_identity(home, "ana")
    assert contents(home) == before


def test_a_token_is_renewed_when_it_ends_soon_or_another_key_signed_it(home: Path) -> None:
    key = read_signing_key(home / "signing-key.json")
    day = 24 * 3600
    write_private(home / "token", mint(key, "user:ana", expires_in=31 * day))
    create_home_identity(home, "ana")
    assert float(str(claims(home)["exp"])) < time.time() + 32 * day
    for stale in (
        mint(key, "user:ana", expires_in=29 * day),
        mint(generate_signing_key(), "user:ana", expires_in=300 * day),
        mint(key, "user:bob", expires_in=300 * day),
        "nonsense",
    ):
        write_private(home / "token", stale)
        create_home_identity(home, "ana")
        assert float(str(claims(home)["exp"])) > time.time() + 364 * day


def test_keys_that_are_there_for_rotation_stay(home: Path) -> None:
    other = generate_signing_key()
    (home / "keys.json").write_text(json.dumps(public_jwks(other)))
    create_home_identity(home, "ana")
    kids = parse_keys((home / "keys.json").read_bytes()).keys()
    assert kids == {other["kid"], read_signing_key(home / "signing-key.json")["kid"]}


@pytest.mark.parametrize("name", ["signing-key.json", "token"])
def test_a_secret_that_others_can_read_is_refused(home: Path, name: str) -> None:
    (home / name).chmod(0o640)
    with pytest.raises(ConfigError, match=r"can be read by others \(mode 0640\): run `chmod 600"):
        create_home_identity(home, "ana")


def test_a_service_gets_a_token_with_the_rights_it_needs_and_keeps_it(home: Path) -> None:
    relay = ServiceToken("relay.token", "service:relay", ("publish:ontomesh.*",))
    create_service_tokens(home, [relay])
    token = (home / "relay.token").read_text()
    named = jwt.decode(token.strip(), options={"verify_signature": False})
    assert (named["kind"], named["sub"], named["rights"]) == ("service", "relay", ["publish:ontomesh.*"])
    assert oct((home / "relay.token").stat().st_mode & 0o777) == "0o600"
    create_service_tokens(home, [relay])
    assert (home / "relay.token").read_text() == token


def test_a_token_of_a_service_is_renewed_when_it_names_other_rights(home: Path) -> None:
    create_service_tokens(home, [ServiceToken("relay.token", "service:relay", ("publish",))])
    create_service_tokens(home, [ServiceToken("relay.token", "service:relay", ("read",))])
    named = jwt.decode((home / "relay.token").read_text().strip(), options={"verify_signature": False})
    assert named["rights"] == ["read"]


def test_a_token_that_its_owner_has_narrowed_is_left_alone(home: Path) -> None:
    key = read_signing_key(home / "signing-key.json")
    narrowed = mint(key, "user:ana", ["read:catalog"], expires_in=300 * 24 * 3600)
    write_private(home / "token", narrowed)
    create_home_identity(home, "ana")
    assert (home / "token").read_text() == narrowed


@pytest.mark.parametrize("text", ["{", "[]", '{"kid": "x"}'])
def test_a_file_that_is_no_signing_key_is_refused(home: Path, text: str) -> None:
    write_private(home / "signing-key.json", text)
    with pytest.raises(ConfigError, match="signing-key"):
        create_home_identity(home, "ana")


def test_a_write_that_fails_leaves_the_old_file_and_no_draft(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "x").write_text("")
    before = set(tmp_path.iterdir())
    with pytest.raises(OSError):
        write_private(folder, "text")
    assert set(tmp_path.iterdir()) == before
    with pytest.raises(ConfigError, match="No such file"):
        read_private(home / "nothing")
