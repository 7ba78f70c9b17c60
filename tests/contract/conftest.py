"""Which stores a test runs on: those that use `store` on each, unless a mark says otherwise."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.stores import SERVER, StoreInUse, using

_KINDS = {
    "sqlite": pytest.param("sqlite", marks=pytest.mark.sqlite),
    "terminusdb": pytest.param(
        "terminusdb", marks=[pytest.mark.terminusdb, *([pytest.mark.timeout(600)] if SERVER else ())]
    ),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that uses `store` its kinds: `sqlite` alone if so marked, `live` ones no replay."""
    if "store" not in metafunc.fixturenames:
        return
    marks = {mark.name for mark in metafunc.definition.iter_markers()}
    on_terminusdb = "sqlite" not in marks and (bool(SERVER) or "live" not in marks)
    kinds = list(_KINDS.values()) if on_terminusdb else [_KINDS["sqlite"]]
    metafunc.parametrize("store", kinds, indirect=True)


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoreInUse]:
    """The store that `open_kernel` and `open_store` open."""
    module, *names = request.node.nodeid.rpartition("/")[2].partition("[")[0].split("::")
    parameters = [part for part in request.node.callspec.id.split("-") if part != request.param]
    test = ".".join((module.removesuffix(".py"), *names, *parameters))
    with using(request.param, test, tmp_path) as made:
        yield made
