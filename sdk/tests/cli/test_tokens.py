import json
import stat
import time
from pathlib import Path

import jwt
import pytest
from sdk.tests.cli.conftest import Cli, Home


def test_a_token_is_printed_alone_and_signed_with_the_homes_key(alone: Cli, home: Home) -> None:
    rights = ["read:catalog", "write:catalog/feature/*"]
    named = [part for right in rights for part in ("--right", right)]
    token = alone.ok("token", "create", "--principal", "user:bob", *named, "--expires", "1h30m").out.strip()
    claims = home.verified(token)
    assert jwt.get_unverified_header(token)["kid"] == "first"
    assert (claims["sub"], claims["kind"], claims["rights"]) == ("bob", "user", rights)
    assert claims["exp"] - claims["iat"] == 5_400
    assert abs(claims["iat"] - time.time()) < 60


def test_without_rights_a_token_has_no_such_claim(alone: Cli, home: Home) -> None:
    token = alone.ok("token", "create", "--principal", "service:relay").out.strip()
    assert "rights" not in home.verified(token)


def test_a_token_in_a_file_is_readable_by_its_owner_only(alone: Cli, home: Home, tmp_path: Path) -> None:
    file = tmp_path / "bob.token"
    result = alone.ok("token", "create", "--principal", "user:bob", "--out", str(file))
    assert result.out == ""
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert home.verified(file.read_text().strip())["sub"] == "bob"
    assert list(tmp_path.glob(".bob*")) == []


def test_a_key_that_others_can_read_is_refused(alone: Cli, home: Home) -> None:
    (home.path / "signing-key.json").chmod(0o640)
    result = alone("token", "create", "--principal", "user:bob")
    assert (result.code, result.out) == (2, "")
    assert "may be read by others (mode 0640)" in result.err


def test_a_key_that_is_missing_or_none_is_told(alone: Cli, home: Home) -> None:
    file = home.path / "signing-key.json"
    file.write_text("{}")
    assert "cannot use the signing key" in alone("token", "create", "--principal", "user:bob").err
    file.unlink()
    assert "there is no signing key at" in alone("token", "create", "--principal", "user:bob").err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--principal", "bob"],
        ["--principal", "user:a b"],
        ["--principal", "user:bob", "--right", "reed"],
        ["--principal", "user:bob", "--right", "read:"],
        ["--principal", "user:bob", "--expires", "soon"],
        ["--principal", "user:bob", "--expires", "0h"],
    ],
)
def test_tokens_that_no_server_would_take_are_not_made(alone: Cli, arguments: list[str]) -> None:
    result = alone("token", "create", *arguments)
    assert (result.code, result.out) == (2, "")


def test_show_tells_the_claims_but_never_the_token(alone: Cli, home: Home) -> None:
    token = alone.ok("token", "create", "--principal", "user:bob", "--right", "read", "--expires", "2h").out.strip()
    alone.patch.setenv("ONTOMESH_TOKEN", token)
    shown = alone.ok("token", "show")
    assert shown.lines[0] == "principal  user:bob"
    assert shown.lines[-1] == "rights     read"
    whole = alone.ok("token", "show", "--json")
    assert whole.json()["claims"]["rights"] == ["read"]
    signature = token.rpartition(".")[2]
    assert signature not in shown.out + shown.err + whole.out


def test_show_tells_an_expired_token_and_a_missing_one(alone: Cli, home: Home) -> None:
    old = jwt.encode({"sub": "ana", "exp": 1_700_000_000}, home.key, algorithm="EdDSA")
    (home.path / "token").write_text(old)
    assert "expired" in alone.ok("token", "show").out
    (home.path / "token").write_text("nonsense")
    assert alone("token", "show").code == 2
    (home.path / "token").unlink()
    result = alone("token", "show", "--json")
    assert json.loads(result.err)["error"]["reason"] == "TOKEN_MISSING"
