"""Commands that other distributions bring, by entry points of the group `ontomesh.cli`.

An entry point is a `typer.Typer` or a function, and its name the command's. It is loaded only when its command is
called or listed: a distribution that brings a server must not slow down every other command.
"""

from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from ontomesh.cli.output import note

GROUP = "ontomesh.cli"


class RootGroup(TyperGroup):
    """The command itself: its own commands first, then those of other distributions by name."""

    @cached_property
    def _entry_points(self) -> dict[str, EntryPoint]:
        found = {point.name: point for point in entry_points(group=GROUP)}
        for name in found.keys() & self.commands.keys():
            _warn(found.pop(name), "ontomesh has a command of that name")
        return found

    # typer keeps the classes of these signatures private; the methods' names are what it promises.

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of all commands, its own first."""
        return [*super().list_commands(ctx), *sorted(self._entry_points)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a name, loaded now if another distribution brings it; None if there is none."""
        own = super().get_command(ctx, cmd_name)
        if own is not None or cmd_name not in self._entry_points:
            return own
        return _loaded(self._entry_points[cmd_name])


def _loaded(point: EntryPoint) -> Any:
    """The command behind an entry point; None, with a warning, if it cannot be had."""
    try:
        target = point.load()
        if isinstance(target, typer.Typer):
            app = target
        elif callable(target):
            app = typer.Typer(add_completion=False, rich_markup_mode=None)
            app.command(point.name)(target)
        else:
            _warn(point, f"{point.value} is neither a typer.Typer nor a function")
            return None
        loaded = get_command(app)
    except Exception as error:  # noqa: BLE001 - somebody else's code may fail in any way; the other commands must work
        _warn(point, f"{type(error).__name__}: {error}")
        return None
    loaded.name = point.name
    return loaded


def _warn(point: EntryPoint, why: str) -> None:
    origin = f" of {point.dist.name} {point.dist.version}" if point.dist else ""
    note(("warning: ", "bold yellow"), f"the command `{point.name}`{origin} cannot be used: {why}")
