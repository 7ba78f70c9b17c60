"""What this distribution adds to the `ontomesh` command. Loaded only when one of these is called or listed."""

import asyncio
import os

import typer


def up() -> None:
    """Start the local stack and watch over it; on its first run also do a tour on real data. Ctrl-C stops it."""
    from ontomesh_chassis.settings import load
    from ontomesh_local.config import StackSettings
    from ontomesh_local.screen import Screen
    from ontomesh_local.up import up as run

    raise typer.Exit(asyncio.run(run(load(StackSettings), os.environ, Screen())))


def down() -> None:
    """Stop a local stack that runs elsewhere, such as in another terminal."""
    from ontomesh_chassis.settings import load
    from ontomesh_local.config import StackSettings
    from ontomesh_local.screen import Screen
    from ontomesh_local.up import down as stop

    raise typer.Exit(stop(load(StackSettings), Screen()))


def demo() -> None:
    """Do the tour on a throwaway stack (free ports, a folder that is removed) and check every step."""
    from ontomesh_local.demo import demo as run
    from ontomesh_local.screen import Screen

    raise typer.Exit(asyncio.run(run(os.environ, Screen())))
