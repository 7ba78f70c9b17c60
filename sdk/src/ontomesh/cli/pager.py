"""Showing long output a screen at a time, as git does: only to people, and only where they have a pager."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ontomesh.cli.output import Output, note

_DEFAULTS = ("less", "more")
# What fits on the screen is just printed; colours come through.
_ENVIRONMENT = {"LESS": "FRX", "LV": "-c"}


@contextmanager
def paged(out: Output, *, wanted: bool) -> Iterator[None]:
    """Sends standard output through `$PAGER` for a block, if that is a terminal; who leaves the pager has seen enough."""
    command = _command() if wanted and sys.stdout.isatty() and os.environ.get("TERM") != "dumb" else []
    if not command:
        yield
        return
    out.decide_colours()
    pager = subprocess.Popen(  # noqa: S603 - the user's own command
        command, stdin=subprocess.PIPE, encoding="utf-8", errors="backslashreplace", env={**_ENVIRONMENT, **os.environ}
    )
    assert pager.stdin is not None
    terminal = sys.stdout
    sys.stdout = pager.stdin
    try:
        with suppress(BrokenPipeError):
            yield
    finally:
        sys.stdout = terminal
        with suppress(BrokenPipeError):
            pager.stdin.close()
        _wait(pager)


def _command() -> list[str]:
    """The pager and its arguments; nothing where none is wanted or to be found."""
    given = os.environ.get("PAGER")
    if given is None:
        return next(([name] for name in _DEFAULTS if shutil.which(name)), [])
    command = shlex.split(given)
    if not command or command == ["cat"]:
        return []
    if shutil.which(command[0]) is None:
        note(("warning: ", "bold yellow"), f"PAGER names {command[0]!r}, which cannot be found")
        return []
    return command


def _wait(pager: "subprocess.Popen[str]") -> None:
    # Ctrl-C is the pager's to answer while it is on the screen.
    while True:
        try:
            pager.wait()
        except KeyboardInterrupt:
            continue
        return
