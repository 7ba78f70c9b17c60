"""Which values of a document differ, as paths through its subdocuments."""

from collections.abc import Iterator, Mapping
from typing import Any

from ontomesh_data_kernel.domain.canonical import encode_exactly, parse_body

MAX_PATH = 256
"""Of what lies deeper no part is told apart: no validator can ask for it, and long paths are many times the document."""


def changed_paths(before: bytes | None, after: bytes | None) -> tuple[str, ...]:
    """The paths of the values that differ, sorted; a list is one value. Without one of the bodies, those of all values.

    A subdocument of which nothing else differs but its type or id has its own path.
    """
    if before is None or after is None:
        return tuple(sorted(set(leaves(before)) | set(leaves(after))))
    return tuple(sorted(set(_differing(_parsed(before), _parsed(after), ""))))


def leaves(body: bytes | None) -> tuple[str, ...]:
    """The paths of the values that are no object, or one that holds none."""
    return () if body is None else tuple(_leaves(_parsed(body), ""))


def concerns(path: str, asked: str) -> bool:
    """Whether what changes at a path is the asked property, or something within it; in a list it may be."""
    return path == asked or path.startswith(f"{asked}.") or asked.startswith(f"{path}.")


def _parsed(body: bytes) -> dict[str, Any]:
    return parse_body(body, limit=len(body))


def _leaves(value: Mapping[str, Any], path: str) -> Iterator[str]:
    for name in value:
        if name not in ("@id", "@type"):
            inner = f"{path}{name}"
            part = value[name]
            if _is_open(part, inner):
                yield from _leaves(part, f"{inner}.")
            else:
                yield inner


def _differing(was: Mapping[str, Any], becomes: Mapping[str, Any], path: str) -> Iterator[str]:
    for name in was.keys() | becomes.keys():
        if name in ("@id", "@type"):
            continue
        inner = f"{path}{name}"
        if name not in was or name not in becomes:
            yield from _leaves({name: was[name] if name in was else becomes[name]}, path)
        elif _is_open(was[name], inner) and _is_open(becomes[name], inner):
            yield from _within(was[name], becomes[name], inner)
        elif encode_exactly(was[name]) != encode_exactly(becomes[name]):
            yield from _leaves({name: was[name]}, path)
            yield from _leaves({name: becomes[name]}, path)


def _within(was: Mapping[str, Any], becomes: Mapping[str, Any], path: str) -> Iterator[str]:
    found = list(_differing(was, becomes, f"{path}."))
    yield from found
    if not found and _mark(was) != _mark(becomes):
        yield path


def _mark(value: Mapping[str, Any]) -> bytes:
    return encode_exactly({name: value[name] for name in ("@id", "@type") if name in value})


def _is_open(value: Any, path: str) -> bool:
    """Whether parts of a value have paths of their own."""
    return len(path) <= MAX_PATH and isinstance(value, dict) and any(not key.startswith("@") for key in value)
