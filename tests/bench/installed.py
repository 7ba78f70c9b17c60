"""How much disk the kernel takes, installed alone."""

import tempfile
from pathlib import Path

from tests.structure.prefix import build_wheels, closure, install


def kernel_mb() -> float:
    """Megabytes of the kernel with all it requires in an empty prefix, the interpreter and pip apart."""
    with tempfile.TemporaryDirectory() as folder:
        wheels = build_wheels(closure("ontomesh-data-kernel"), Path(folder) / "wheels")
        prefix = install(list(wheels.values()), Path(folder) / "prefix")
        packages = next(prefix.path.glob("lib/python*/site-packages"))
        return sum(file.stat().st_size for file in packages.rglob("*") if file.is_file()) / 1e6
