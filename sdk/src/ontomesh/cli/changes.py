"""How differences of documents look to people: git's signs and colours, a property a line."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from ontomesh.cli.output import Output, compact, count

if TYPE_CHECKING:
    from ontomesh.sdk.resources import DocumentDiff, PropertyDiff

Change = tuple[str, str, object]
"""A line of a difference: `-` or `+`, the property, and its value or element."""

_STYLES = {"-": "red", "+": "green"}
_VERBS = {"added": ("A", "green"), "changed": ("M", "yellow"), "removed": ("D", "red")}


def print_differences(out: Output, differences: "Iterable[DocumentDiff]", *, stat: bool) -> int:
    """Prints documents that differ, each as it arrives, and their number; returns it."""
    kinds = dict.fromkeys(_VERBS, 0)
    for difference in differences:
        kinds[difference.kind] = kinds.get(difference.kind, 0) + 1
        _print_stat(out, difference) if stat else _print_document(out, difference)
    total = sum(kinds.values())
    parts = [f"{number:,} {kind}" for kind, number in kinds.items() if number]
    out.line(
        (f"{count(total, 'document')} differ{'s' if total == 1 else ''}", "bold"),
        f": {', '.join(parts)}" if parts else "",
    )
    return total


def _print_stat(out: Output, difference: "DocumentDiff") -> None:
    letter, style = _VERBS.get(difference.kind, ("?", ""))
    signs = [sign for sign, _name, _value in changed_lines(difference.properties)]
    numbers = f"  (+{signs.count('+')} -{signs.count('-')})" if signs else ""
    out.line((letter, style), " ", difference.id, (numbers, "dim"))


def _print_document(out: Output, difference: "DocumentDiff") -> None:
    _letter, style = _VERBS.get(difference.kind, ("?", ""))
    out.line((f"{difference.kind} ", style), (difference.id, "bold"))
    match difference.kind:
        case "added":
            lines = whole_document("+", difference.after.data if difference.after else {})
        case "removed":
            lines = whole_document("-", difference.before.data if difference.before else {})
        case _:
            lines = changed_lines(difference.properties)
    for sign, name, value in lines:
        out.line((f"{sign}   {name}: {compact(value)}", _STYLES[sign]))


def whole_document(sign: str, data: "dict[str, object]") -> "Iterator[Change]":
    """Every property of a document that came or went."""
    return ((sign, name, value) for name, value in data.items() if name != "@id")


def changed_lines(properties: "Sequence[PropertyDiff]") -> Iterator[Change]:
    """What is gone and what is new of each property; of arrays that keep their order, just the elements."""
    from ontomesh.sdk.resources import MISSING

    for change in properties:
        before, after = change.before, change.after
        if isinstance(before, list) and isinstance(after, list):
            elements = list(_changed_elements(before, after))
            if elements:
                yield from ((sign, f"{change.name}[]", value) for sign, value in elements)
                continue
        if before is not MISSING:
            yield "-", change.name, before
        if after is not MISSING:
            yield "+", change.name, after


def _changed_elements(before: list[object], after: list[object]) -> "Iterator[tuple[str, object]]":
    """Elements on one side only; none if what is on both has another order or number, for that is a change too."""
    old, new = [compact(item) for item in before], [compact(item) for item in after]
    gone, come = set(old) - set(new), set(new) - set(old)
    if [text for text in old if text not in gone] != [text for text in new if text not in come]:
        return
    yield from (("-", item) for item, text in zip(before, old, strict=True) if text in gone)
    yield from (("+", item) for item, text in zip(after, new, strict=True) if text in come)
