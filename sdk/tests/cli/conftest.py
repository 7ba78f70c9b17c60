import io
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sdk.tests.cli.memory import Database
from sdk.tests.cli.server import serving
from sdk.tests.cli.servicers import Store
from sdk.tests.events.gateway import Gateway
from sdk.tests.events.gateway import serving as serving_events

from ontomesh.cli.main import main

VARIABLES = ("ADDRESS", "EVENTS_ADDRESS", "TOKEN", "TOKEN_FILE", "DATABASE", "BRANCH")


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    def json(self) -> Any:
        return json.loads(self.out)

    def error(self) -> Any:
        """What `--json` says of a failure."""
        return json.loads(self.err)["error"]


@dataclass(frozen=True)
class Cli:
    """Runs the command in this process."""

    capture: pytest.CaptureFixture[str]
    patch: pytest.MonkeyPatch

    def __call__(self, *arguments: str, stdin: str = "") -> Result:
        self.patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        self.capture.readouterr()
        code = main(arguments)
        captured = self.capture.readouterr()
        return Result(code, captured.out, captured.err)

    def ok(self, *arguments: str, stdin: str = "") -> Result:
        result = self(*arguments, stdin=stdin)
        assert result.code == 0, result.err
        return result


@dataclass(frozen=True)
class Home:
    """A home folder with a signing key and a token."""

    path: Path
    key: Ed25519PrivateKey

    def verified(self, token: str) -> dict[str, Any]:
        claims: dict[str, Any] = jwt.decode(token, self.key.public_key(), algorithms=["EdDSA"], audience="ontomesh")
        return claims


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    path = tmp_path / "home"
    path.mkdir(0o700)
    key = Ed25519PrivateKey.generate()
    file = path / "signing-key.json"
    file.write_text(json.dumps({**jwt.algorithms.OKPAlgorithm.to_jwk(key, as_dict=True), "kid": "first"}))
    file.chmod(0o600)
    for name in VARIABLES:
        monkeypatch.delenv(f"ONTOMESH_{name}", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setenv("ONTOMESH_HOME", str(path))
    claims = {"sub": "ana", "kind": "user", "aud": "ontomesh", "iat": 1_700_000_000, "exp": 4_000_000_000}
    (path / "token").write_text(jwt.encode(claims, key, algorithm="EdDSA"))
    return Home(path, key)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def address(store: Store, home: Home) -> Iterator[str]:
    with serving(store) as address:
        (home.path / "client.json").write_text(json.dumps({"address": address}))
        yield address


@pytest.fixture
def cli(home: Home, address: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command, with a server that serves."""
    return Cli(capsys, monkeypatch)


@pytest.fixture
def alone(home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command, with no server anywhere."""
    monkeypatch.setenv("ONTOMESH_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("ONTOMESH_EVENTS_ADDRESS", "127.0.0.1:1")
    return Cli(capsys, monkeypatch)


@pytest.fixture
def gateway(address: str, home: Home) -> Iterator[Gateway]:
    """An event gateway beside the kernel."""
    with serving_events() as running:
        (home.path / "client.json").write_text(json.dumps({"address": address, "events": running.address}))
        yield running


@pytest.fixture
def catalog(store: Store) -> Database:
    """The only database: two packages on `main`, one of them changed differently on `main` and `feature`."""
    database = store.create("catalog", "what is installed")
    first = database.commit(
        {
            "Package/numpy": b'{"@id":"Package/numpy","@type":"Package","name":"numpy","version":"1.0"}',
            "Package/requests": b'{"@id":"Package/requests","@type":"Package","name":"requests","requires":["a","b"],"version":"1.0"}',
        },
        parents=(database.branches["main"],),
        message="import\n\nfrom the environment",
        metadata={"source": "pip"},
    )
    database.branches["feature"] = first.id
    for branch, version in (("main", "1.1"), ("feature", "2.0")):
        documents = dict(first.documents)
        documents["Package/numpy"] = documents["Package/numpy"].replace(b"1.0", version.encode())
        if branch == "feature":
            documents["Package/requests"] = documents["Package/requests"].replace(b'"b"', b'"c"')
        database.commit(documents, branch=branch, parents=(first.id,), message=f"numpy {version}")
    return database


def run(*arguments: str, stdin: str = "", **options: Any) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "ontomesh.cli.main", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )
