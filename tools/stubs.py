"""Generates the Python stubs of every contract in proto/ into a folder.

The output depends on the contracts and the pinned generators alone, so the committed
stubs can be compared with it byte for byte.

    python tools/stubs.py sdk/src
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONTRACTS = ROOT / "proto"
SERVICE = re.compile(r"^service \w+ \{", re.MULTILINE)
SUFFIXES = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")


def generate(target: Path) -> None:
    """Writes the stubs, and an `__init__.py` for each package of contracts, below `target`."""
    protos = sorted(path.relative_to(CONTRACTS).as_posix() for path in CONTRACTS.rglob("*.proto"))
    target.mkdir(parents=True, exist_ok=True)
    # Modules without a service get no gRPC stubs: the generators would write empty ones.
    services = [name for name in protos if SERVICE.search((CONTRACTS / name).read_text("utf-8"))]
    _protoc([f"--python_out={target}", f"--mypy_out=quiet:{target}"], protos)
    if services:
        _protoc([f"--grpc_python_out={target}", f"--mypy_grpc_out=quiet:{target}"], services)
    for folder in sorted({package for name in protos for package in Path(name).parents} - {Path(), Path("ontomesh")}):
        package = ".".join(folder.parts)
        (target / folder / "__init__.py").write_text(f'"""Generated stubs of `{package}`."""\n', "utf-8")


def generated_files(target: Path) -> list[Path]:
    """The stubs below `target`, relative to it, sorted."""
    return sorted(path.relative_to(target) for path in target.rglob("*") if path.name.endswith(SUFFIXES))


def _protoc(outputs: list[str], protos: list[str]) -> None:
    # A protoc plugin is looked up on PATH; ours lie beside the interpreter.
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={CONTRACTS}"]
    plugins = [
        f"--plugin=protoc-gen-{name}={Path(sys.executable).parent / f'protoc-gen-{name}'}"
        for name in ("mypy", "mypy_grpc")
    ]
    subprocess.run([*command, *plugins, *outputs, *protos], check=True)


def main() -> None:
    target = Path(sys.argv[1])
    for stale in generated_files(target):
        (target / stale).unlink()
    generate(target.resolve())
    print(f"{len(generated_files(target))} stubs in {target}")


if __name__ == "__main__":
    main()
