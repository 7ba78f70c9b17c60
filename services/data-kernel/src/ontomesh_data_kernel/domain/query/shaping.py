"""What an answer holds of the documents that match: the properties to keep, and the links to follow."""

from collections.abc import Iterator, Mapping, Sequence

from ontomesh_data_kernel.domain.query.paths import PathFault, Paths
from ontomesh_data_kernel.domain.query.tree import Hop
from ontomesh_data_kernel.errors import InvalidRequest

MAX_FIELDS = 100
MAX_EXPANSIONS = 20
MAX_EXPAND_DEPTH = 5
"""Links followed one after another."""

_MAX_PATH = 2_048
"""Characters of a path."""

Fields = Mapping[str, "Fields | None"]
"""The properties to keep, by name; of a subdocument all (None) or these."""

Expansion = Mapping[tuple[str, ...], "Expansion"]
"""The links to follow, each as the names of properties that lead to it through subdocuments; from the documents that
they reach, those below.
"""


def resolve_fields(paths: Paths, fields: Sequence[str]) -> Fields | None:
    """The properties that paths name; None, which is all, if there are none. Raises InvalidRequest, on `fields[i]`."""
    if len(fields) > MAX_FIELDS:
        raise InvalidRequest.at("fields", f"{len(fields)} paths where at most {MAX_FIELDS} are allowed")
    if not fields:
        return None
    kept: dict[str, Fields | None] = {}
    for place, text, hops in _found(paths, "fields", fields):
        if any(hop.targets and not hop.is_embedded for hop in hops[:-1]):
            raise InvalidRequest.at(place, f"{text} leads over a link, whose documents `expand` adds")
        # `@id` and `@type` stay anyway.
        if hops:
            _keep(kept, [hop.name for hop in hops])
    return kept


def _keep(kept: dict[str, Fields | None], names: list[str]) -> None:
    for name in names[:-1]:
        below = kept.setdefault(name, {})
        if not isinstance(below, dict):
            return
        kept = below
    kept[names[-1]] = None


def resolve_expand(paths: Paths, expand: Sequence[str]) -> Expansion:
    """The links that paths name, and all on the way to them. Raises InvalidRequest, on `expand[i]`."""
    if len(expand) > MAX_EXPANSIONS:
        raise InvalidRequest.at("expand", f"{len(expand)} paths where at most {MAX_EXPANSIONS} are allowed")
    expansion: dict[tuple[str, ...], Expansion] = {}
    for place, text, hops in _found(paths, "expand", expand):
        if not hops or not hops[-1].targets or hops[-1].is_embedded:
            raise InvalidRequest.at(place, f"{text} is no link")
        steps = list(_steps(hops))
        if len(steps) > MAX_EXPAND_DEPTH:
            raise InvalidRequest.at(
                place, f"{text} follows {len(steps)} links where at most {MAX_EXPAND_DEPTH} are allowed"
            )
        level = expansion
        for step in steps:
            below = level.setdefault(step, {})
            assert isinstance(below, dict)
            level = below
    return expansion


def _steps(hops: Sequence[Hop]) -> Iterator[tuple[str, ...]]:
    names: list[str] = []
    for hop in hops:
        names.append(hop.name)
        if not hop.is_embedded:
            yield tuple(names)
            names = []


def _found(paths: Paths, field: str, texts: Sequence[str]) -> Iterator[tuple[str, str, Sequence[Hop]]]:
    for index, text in enumerate(texts):
        place = f"{field}[{index}]"
        if not text or len(text) > _MAX_PATH:
            raise InvalidRequest.at(place, f"is a path of 1 to {_MAX_PATH:,} characters")
        try:
            found = paths.find(text.split("."))
        except PathFault as fault:
            raise InvalidRequest.at(place, fault.description) from None
        is_own = found.path.type in ("@id", "@type") or text.endswith((".@id", ".@type"))
        if is_own and found.path.hops:
            raise InvalidRequest.at(place, f"{text}: `@id` and `@type` need not be named")
        yield place, text, found.path.hops
