import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.structure.prefix import Prefix, build_wheels, closure, distributions, install
from tests.structure.service_process import GatewayProcess, KernelProcess

# One worker builds and installs; the downloads of a first run take the time.
pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("distributions")]

IMPORT_SECONDS = 0.5
SERVER_MODULES = ("fastapi", "starlette", "uvicorn", "sqlite3", "nats", "ontomesh_")

Install = Callable[[str], Prefix]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Install:
    """A prefix with one distribution and what it requires, made at the first demand."""
    folder = tmp_path_factory.mktemp("prefixes")
    wheels = build_wheels(distributions(), folder)
    prefixes: dict[str, Prefix] = {}

    def prefix(name: str) -> Prefix:
        if name not in prefixes:
            prefixes[name] = install([wheels[needed] for needed in closure(name)], folder / name)
        return prefixes[name]

    return prefix


@pytest.mark.parametrize("name", distributions())
def test_each_distribution_declares_what_its_modules_import(name: str, installed: Install) -> None:
    package = name.replace("-", "_")
    code = f"""
import importlib, json, pkgutil, {package}
names = [module.name for module in pkgutil.walk_packages({package}.__path__, "{package}.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(json.dumps(names))
"""
    assert installed(name).evaluate(code)


@pytest.mark.parametrize("name", distributions())
def test_each_distribution_is_typed_and_carries_only_its_own_package(name: str, installed: Install) -> None:
    code = f"""
import importlib.metadata, json
print(json.dumps([str(file) for file in importlib.metadata.files("{name}") if ".." not in file.parts]))
"""
    files = installed(name).evaluate(code)
    assert isinstance(files, list)
    package = name.replace("-", "_")
    assert f"{package}/py.typed" in files
    assert {file.partition("/")[0] for file in files} == {package, f"{package}-0.1.0.dist-info"}


def test_the_sdk_imports_within_half_a_second(installed: Install) -> None:
    code = "import time; start = time.perf_counter(); import ontomesh.sdk; print(time.perf_counter() - start)"
    # The first import also compiles, and the neighbours on this machine are noise: the best counts.
    seconds = [installed("ontomesh").evaluate(code) for _ in range(4)]
    assert min(value for value in seconds if isinstance(value, float)) <= IMPORT_SECONDS


def test_the_sdk_and_its_command_line_load_no_server_module(installed: Install) -> None:
    code = "import json, sys, ontomesh.sdk, ontomesh.cli.main; print(json.dumps(sorted(sys.modules)))"
    modules = installed("ontomesh").evaluate(code)
    assert isinstance(modules, list)
    assert "ontomesh.sdk" in modules
    assert [name for name in modules if name.startswith(SERVER_MODULES)] == []


def test_the_command_line_of_the_sdk_alone_has_no_server_commands(installed: Install) -> None:
    assert "commit" in _commands(installed("ontomesh"))
    assert not {"up", "down", "demo", "copy"} & _commands(installed("ontomesh"))


def test_the_kernel_brings_the_command_that_copies_stores(installed: Install) -> None:
    assert {"commit", "copy"} <= _commands(installed("ontomesh-data-kernel"))


def test_the_local_stack_joins_the_command_line(installed: Install) -> None:
    assert {"commit", "up", "down", "demo"} <= _commands(installed("ontomesh-local"))


async def test_the_kernel_alone_starts_serves_and_stops(installed: Install, tmp_path: Path) -> None:
    async with KernelProcess.serve(installed("ontomesh-data-kernel"), tmp_path) as kernel:
        assert await kernel.healthy()
        await kernel.create_database("catalog")
        schema = [{"@type": "Class", "@id": "Package", "name": "xsd:string"}]
        body = {"@id": "Package/grpcio", "@type": "Package", "name": "grpcio"}
        await kernel.commit("catalog", body, schema)
        assert json.loads(await kernel.get("catalog", "Package/grpcio")) == body
        assert await kernel.stop() == 0


async def test_the_event_gateway_alone_starts_spools_and_stops(installed: Install, tmp_path: Path) -> None:
    async with GatewayProcess.serve(installed("ontomesh-event-gateway"), tmp_path) as gateway:
        assert await gateway.healthy()
        assert await gateway.publish("tried") == "OUTCOME_SPOOLED"
        assert await gateway.stop() == 0


def _commands(prefix: Prefix) -> set[str]:
    _, _, listed = prefix.run("ontomesh", "--help", env={"COLUMNS": "200", "NO_COLOR": "1"}).partition("Commands:\n")
    return {line.split()[0] for line in listed.splitlines() if line.strip()}
