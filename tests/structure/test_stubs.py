import re
import tomllib
from pathlib import Path

import pytest

from tools import stubs

ROOT = stubs.ROOT
COMMITTED = ROOT / "sdk" / "src"


def test_committed_stubs_are_what_the_contracts_generate(tmp_path: Path) -> None:
    stubs.generate(tmp_path)
    fresh = stubs.generated_files(tmp_path)
    assert fresh, "no contract was found"
    assert stubs.generated_files(COMMITTED) == fresh, "run `make proto`"
    packages = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("__init__.py"))
    stale = [
        str(name) for name in fresh + packages if (COMMITTED / name).read_bytes() != (tmp_path / name).read_bytes()
    ]
    assert stale == [], "run `make proto`"


# Generated code refuses to load on an older runtime than its generator's.
@pytest.mark.parametrize(
    ("distribution", "stub", "pattern"),
    [
        ("grpcio", "document_service_pb2_grpc.py", r"GRPC_GENERATED_VERSION = '(\d+)\.(\d+)\.(\d+)'"),
        ("protobuf", "document_service_pb2.py", r"Domain\.PUBLIC,\s*(\d+),\s*(\d+),\s*(\d+),"),
    ],
    ids=["grpcio", "protobuf"],
)
def test_the_sdk_requires_the_runtime_that_its_stubs_need(distribution: str, stub: str, pattern: str) -> None:
    needed = re.search(pattern, (COMMITTED / "ontomesh/kernel/v1" / stub).read_text("utf-8"))
    project = tomllib.loads((ROOT / "sdk" / "pyproject.toml").read_text("utf-8"))["project"]
    declared = re.search(rf"^{distribution}>=([\d.]+)$", "\n".join(project["dependencies"]), re.MULTILINE)
    assert needed is not None
    assert declared is not None
    assert tuple(map(int, declared[1].split("."))) >= tuple(map(int, needed.groups()))
