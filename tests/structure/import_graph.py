"""Reads who imports whom from the sources, and holds the graph against the rules of the architecture.

Imports under `if TYPE_CHECKING` and inside functions count like any other: a cycle that is
hidden from the interpreter still ties its modules together.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

SDK = "ontomesh"
CHASSIS = "ontomesh_chassis"
STACK = "ontomesh_local"  # starts every service, so it may import them; nobody imports it

STUBS = re.compile(r"ontomesh\.\w+\.v\d+\w*(\.|$)")
SERVER_LIBRARIES = frozenset({"fastapi", "starlette", "uvicorn", "sqlite3"})
DRIVERS = frozenset({"sqlite3", "nats"})
NATS_ADAPTER = "ontomesh_event_gateway.adapters.nats"

PURE_PARTS = frozenset({"domain", "ports", "errors"})
PURE_LIBRARIES = frozenset({"jsonschema_rs", "orjson"}) | (
    sys.stdlib_module_names - {"sqlite3", "dbm", "http", "socket", "ssl"}
)

# Which parts of its own service a part may import, besides itself. Parts that are not named
# here (say, commands that join the CLI) may import all but doors and adapters.
OWN_PARTS = {
    "domain": PURE_PARTS,
    "ports": PURE_PARTS,
    "errors": PURE_PARTS,
    "config": PURE_PARTS,
    "doors": PURE_PARTS,
    "adapters": PURE_PARTS,
    "__main__": frozenset({"main"}),
}


@dataclass(frozen=True, order=True)
class Import:
    """One module naming another, which is a first-party module or a foreign dotted name."""

    importer: str
    imported: str
    line: int


@dataclass(frozen=True)
class Graph:
    """The first-party modules and all their imports."""

    modules: dict[str, Path]
    imports: list[Import]


def read(roots: Iterable[Path]) -> Graph:
    """The graph of every module below the given `src` folders."""
    modules = {_name(path, root): path for root in roots for path in sorted(root.rglob("*.py"))}
    imports = sorted({found for name, path in modules.items() for found in _imports(name, path, modules)})
    return Graph(modules, imports)


def violations(graph: Graph) -> list[str]:
    """Each broken rule, a line each; empty for a tree that keeps them all."""
    return [
        f"{found.importer}:{found.line} imports {found.imported}: {reason}"
        for found in graph.imports
        for reason in _reasons(found)
    ] + _cycle(graph)


def _name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(name: str, path: Path, modules: dict[str, Path]) -> Iterator[Import]:
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(name, alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                submodule = f"{source}.{alias.name}"
                yield Import(name, submodule if submodule in modules else source, node.lineno)


def _split(name: str) -> tuple[str, str]:
    """The top-level package, and the part of it that the module belongs to ("" for its root)."""
    package, _, rest = name.partition(".")
    return package, rest.partition(".")[0]


def _first_party(package: str) -> bool:
    return package == SDK or package.startswith(f"{SDK}_")


def _reasons(found: Import) -> Iterator[str]:
    package, part = _split(found.importer)
    target, target_part = _split(found.imported)
    if _first_party(target) and target != package:
        yield from _between_distributions(package, target, found.imported)
    if package == SDK and target in SERVER_LIBRARIES:
        yield "the SDK imports no server code"
    if target == "nats" and found.importer != NATS_ADAPTER and not found.importer.startswith(f"{NATS_ADAPTER}."):
        yield "only the event gateway's NATS adapter talks to NATS"
    if package in {SDK, CHASSIS, STACK}:
        return
    if part in PURE_PARTS and target != package and target not in PURE_LIBRARIES:
        yield "domain, ports and errors import only the standard library and pure libraries"
    if part == "doors" and target in DRIVERS:
        yield "doors use no driver"
    if target == package:
        yield from _within_service(part, target_part)


def _between_distributions(package: str, target: str, imported: str) -> Iterator[str]:
    if target == STACK:
        yield "nothing imports the local stack"
    elif package == SDK:
        yield "the SDK imports no other distribution"
    elif package == CHASSIS and not STUBS.match(imported):
        yield "the chassis imports no other distribution, stubs apart"
    elif package not in {CHASSIS, STACK} and target not in {SDK, CHASSIS}:
        yield "services never import one another"


def _within_service(part: str, target: str) -> Iterator[str]:
    if part in {target, "main"} or not target:
        return
    if part == "":
        yield "a service's root package imports nothing of the service"
    elif part in OWN_PARTS and target not in OWN_PARTS[part]:
        yield f"{part} may not see {target}"
    elif part not in OWN_PARTS and target in {"doors", "adapters"}:
        yield f"only main sees {target}"


def _cycle(graph: Graph) -> list[str]:
    order: TopologicalSorter[str] = TopologicalSorter()
    for found in graph.imports:
        if found.imported in graph.modules:
            order.add(found.importer, found.imported)
    try:
        order.prepare()
    except CycleError as error:
        # graphlib lists each module before the one that imports it.
        return [f"a cycle of imports: {' -> '.join(reversed(error.args[1]))}"]
    return []
