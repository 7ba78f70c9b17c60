"""`--resolve` arguments: how one conflict of a merge is settled, read and written."""

import re
import shlex
from typing import TYPE_CHECKING, Literal, cast

from ontomesh.cli.failures import UsageFailure
from ontomesh.cli.inputs import value

if TYPE_CHECKING:
    from ontomesh.sdk import Resolution
    from ontomesh.sdk.resources import Conflict

Side = Literal["ours", "theirs", "base"]
SIDES: tuple[Side, ...] = ("ours", "theirs", "base")

_TARGET = r"(?P<id>.+?)(?:#(?P<property>[^#/=:]+))?"
_SIDE = re.compile(_TARGET + r"(?<!:)=(?P<side>ours|theirs|base)")
_VALUE = re.compile(_TARGET + r":=(?P<value>.*)", re.DOTALL)


def parse(text: str) -> "Resolution":
    """`ID#property=ours`, `ID#property:=JSON`, or either without a property for the whole document."""
    from ontomesh.sdk import Resolution

    if match := _SIDE.fullmatch(text):
        return Resolution(match["id"], match["property"] or "", side=cast("Side", match["side"]))
    if match := _VALUE.fullmatch(text):
        return Resolution(match["id"], match["property"] or "", value=value(match["value"], f"--resolve {match['id']}"))
    raise UsageFailure(
        f"--resolve {text}: expected ID#property=ours|theirs|base or ID#property:=JSON",
        hint="without #property it settles the document as a whole; quote it, for # begins a comment in a shell",
    )


def target(conflict: "Conflict") -> str:
    """What a conflict is about, as `--resolve` names it."""
    return f"{conflict.id}#{conflict.property}" if conflict.property else conflict.id


def argument(conflict: "Conflict", side: Side) -> str:
    """The argument that settles a conflict, quoted for a shell."""
    return f"--resolve {shlex.quote(f'{target(conflict)}={side}')}"
