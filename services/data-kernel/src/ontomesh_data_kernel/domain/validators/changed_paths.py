"""Which values of a document differ, as paths through its subdocuments."""

from collections.abc import Iterator
from typing import Any

from ontomesh_data_kernel.domain.canonical import encode_exactly, parse_body


def changed_paths(before: bytes | None, after: bytes | None) -> tuple[str, ...]:
    """The paths of the values that differ, sorted; a list is one value. Without one of the bodies, those of all values.

    Neither `@id` nor `@type` has a path.
    """
    was, becomes = leaves(before), leaves(after)
    return tuple(sorted(path for path in was.keys() | becomes.keys() if was.get(path) != becomes.get(path)))


def leaves(body: bytes | None) -> dict[str, bytes]:
    """The canonical JSON of each value that is no object, or an empty one, by its path."""
    if body is None:
        return {}
    return {path: encode_exactly(value) for path, value in _leaves(parse_body(body, limit=len(body)), "")}


def concerns(path: str, asked: str) -> bool:
    """Whether what changes at a path is the asked property, or something within it; in a list it may be."""
    return path == asked or path.startswith(f"{asked}.") or asked.startswith(f"{path}.")


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, part in value.items():
        if name in ("@id", "@type"):
            continue
        inner = f"{path}{name}"
        if isinstance(part, dict) and any(not key.startswith("@") for key in part):
            yield from _leaves(part, f"{inner}.")
        else:
            yield inner, part
