from pathlib import Path

import pytest
from sdk.tests.client.kernel import Kernel, refusal

from ontomesh.sdk import AsyncMesh, connect
from ontomesh.sdk.config import DEFAULT_ADDRESS, find_address, find_home, find_token, is_local
from ontomesh.sdk.errors import ConfigurationError, TokenExpired


def tokens(kernel: Kernel) -> list[str | None]:
    return [call.metadata.get("authorization") for call in kernel.seen]


async def get(mesh: AsyncMesh) -> None:
    await mesh.database("catalog").get("Package/a")


def test_the_address_is_the_argument_the_environment_the_home_folder_the_default(tmp_path: Path) -> None:
    environment = {"ONTOMESH_ADDRESS": "from:2"}
    assert find_address(None, tmp_path, {}) == DEFAULT_ADDRESS
    (tmp_path / "client.json").write_text('{"address": "home:3", "http": "http://home:4"}')
    assert find_address("given:1", tmp_path, environment) == "given:1"
    assert find_address(None, tmp_path, environment) == "from:2"
    assert find_address(None, tmp_path, {}) == "home:3"


@pytest.mark.parametrize("content", ["{", "[]", '{"address": 3}'])
def test_a_damaged_client_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "client.json").write_text(content)
    with pytest.raises(ConfigurationError, match=r"client\.json"):
        find_address(None, tmp_path, {})


def test_the_token_is_the_argument_the_environment_a_file_the_home_folder(tmp_path: Path) -> None:
    environment = {"ONTOMESH_TOKEN": "variable", "ONTOMESH_TOKEN_FILE": "/run/token"}
    assert find_token("given", tmp_path, environment) == ("given", None, False)
    assert find_token(None, tmp_path, environment) == ("variable", None, False)
    del environment["ONTOMESH_TOKEN"]
    assert find_token(None, tmp_path, environment) == (None, Path("/run/token"), True)
    assert find_token(None, tmp_path, {}) == (None, tmp_path / "token", False)


def test_the_home_folder_is_the_argument_the_environment_the_users(tmp_path: Path) -> None:
    assert find_home("/a", {"ONTOMESH_HOME": "/b"}) == Path("/a")
    assert find_home(None, {"ONTOMESH_HOME": "/b"}) == Path("/b")
    assert find_home(None, {}) == Path.home() / ".ontomesh"


async def test_without_a_token_anywhere_calls_go_without_one(mesh: AsyncMesh, kernel: Kernel) -> None:
    await get(mesh)
    assert tokens(kernel) == [None]


async def test_a_token_file_is_read_again_when_it_changes(mesh: AsyncMesh, kernel: Kernel, home: Path) -> None:
    (home / "token").write_text("first\n")
    await get(mesh)
    (home / "token").write_text("the second\n")
    await get(mesh)
    assert tokens(kernel) == ["Bearer first", "Bearer the second"]


async def test_a_token_file_that_is_named_must_exist(
    kernel: Kernel, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONTOMESH_TOKEN_FILE", str(home / "absent"))
    async with connect(kernel.address) as mesh:
        with pytest.raises(ConfigurationError, match="absent"):
            await get(mesh)


async def test_an_expired_token_is_read_again_once(mesh: AsyncMesh, kernel: Kernel, home: Path) -> None:
    (home / "token").write_text("old")

    def expire(request: object, context: object) -> object:
        # The token is renewed while the call is under way.
        (home / "token").write_text("renewed")
        kernel.answers["GetDocument"] = answer
        raise refusal("UNAUTHENTICATED", "TOKEN_EXPIRED")

    answer = kernel.answers["GetDocument"]
    kernel.answers["GetDocument"] = expire
    await get(mesh)
    assert tokens(kernel) == ["Bearer old", "Bearer renewed"]


async def test_an_expired_token_that_nobody_renewed_is_an_error(mesh: AsyncMesh, kernel: Kernel, home: Path) -> None:
    (home / "token").write_text("old")
    kernel.failures["GetDocument"] = [refusal("UNAUTHENTICATED", "TOKEN_EXPIRED")]
    with pytest.raises(TokenExpired):
        await get(mesh)
    assert len(kernel.seen) == 1


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1:50051", True),
        ("127.8.9.1:50051", True),
        ("localhost:50051", True),
        ("[::1]:50051", True),
        ("dns:///localhost:50051", True),
        ("dns:localhost:50051", True),
        ("ipv4:127.0.0.1:1,127.0.0.1:2", True),
        ("ipv6:[::1]:50051", True),
        ("unix:run/kernel.sock", True),
        ("unix:///run/kernel.sock", True),
        ("unix-abstract:kernel", True),
        ("10.0.0.7:50051", False),
        ("kernel.example:50051", False),
        ("127.0.0.1.example:50051", False),
        ("dns:///kernel.example:50051", False),
        ("dns://10.0.0.1/localhost:50051", False),
        ("ipv4:127.0.0.1:1,10.0.0.7:2", False),
        ("xds:///kernel", False),
    ],
)
def test_it_is_known_which_targets_stay_on_the_machine(address: str, local: bool) -> None:
    assert is_local(address) is local


async def test_a_token_is_not_sent_in_the_clear_to_another_machine(home: Path) -> None:
    async with connect("kernel.example:50051", token="secret") as mesh:
        with pytest.raises(ConfigurationError, match="in the clear") as caught:
            await get(mesh)
    assert "secret" not in str(caught.value)


async def test_a_way_that_is_safe_can_be_declared_so(kernel: Kernel, home: Path) -> None:
    port = kernel.address.rpartition(":")[2]
    # Another name of this machine, which looks like any other host.
    async with connect(f"0.0.0.0:{port}", token="secret", insecure_token=True) as mesh:
        await get(mesh)
    assert tokens(kernel) == ["Bearer secret"]
