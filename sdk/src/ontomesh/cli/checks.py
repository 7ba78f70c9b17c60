"""How a change of the ontology, and what it would do to documents, looks to people."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from ontomesh.cli.context import Session
from ontomesh.cli.output import Output, Part, count

if TYPE_CHECKING:
    from ontomesh.sdk.resources import OntologyCheck, OntologyDifference

_SIGNS = {
    "added": ("+", "green"),
    "removed": ("-", "red"),
    "weakened": ("~", "green"),
    "strengthened": ("~", "yellow"),
    "noted": ("~", "dim"),
    "migrated": (">", "cyan"),
}


def print_differences(out: Output, differences: "Sequence[OntologyDifference]") -> None:
    """Prints what differs: a heading for each element, then a line for each thing, with what it means."""
    names = [each.property or "(itself)" for each in differences]
    width = max(map(len, names), default=0)
    kinds = max((len(each.kind) for each in differences), default=0)
    for element, group in groupby(differences, key=lambda each: each.element):
        out.line((element, "bold"))
        for each in group:
            sign, style = _SIGNS.get(each.kind, ("?", ""))
            line: list[Part] = [(f"  {sign} ", style), (each.property or "(itself)").ljust(width), "  "]
            out.line(*line, (each.kind.ljust(kinds), style), "  ", each.description)
    totals = {kind: sum(each.kind == kind for each in differences) for kind in _SIGNS}
    parts = [f"{number} {kind}" for kind, number in totals.items() if number]
    out.line((count(len(differences), "difference"), "bold"), f": {', '.join(parts)}" if parts else "")


def print_violations(session: Session, pages: "Iterable[OntologyCheck]") -> "OntologyCheck":
    """Prints what would not fit, each page as it arrives, and the numbers; returns the last page."""
    out = session.out
    last = None
    for page in pages:
        last = page
        for each in page.violations:
            out.line(("! ", "red"), (each.id, "bold"), f" {each.field}".rstrip(), f": {each.description}")
    assert last is not None
    fits = (f"{last.violating:,} would not fit", "red") if last.violating else ("all would fit", "green")
    out.line((count(last.examined, "document"), "bold"), f" examined: {last.changed:,} would change, ", fits)
    return last
