"""What a person sees of a running stack. Coloured on a terminal only, and written out line by line."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ontomesh.cli.output import Output, Part
from ontomesh_local.home import RunningStack
from ontomesh_local.ports import Unusable
from ontomesh_local.supervisor import Running


class Screen:
    """Standard output of `ontomesh up` and `ontomesh demo`."""

    def __init__(self) -> None:
        self._out = Output()

    def line(self, *parts: Part) -> None:
        """One line, written at once: somebody may be reading it through a pipe."""
        with _unread_is_fine():
            self._out.line(*parts)
            self._out.flush()

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Part]]) -> None:
        """Rows under headings."""
        with _unread_is_fine():
            self._out.table(columns, rows)
            self._out.flush()

    def error(self, text: str, hints: Iterable[str] = ()) -> None:
        """What went wrong, on standard error, and what to do about it."""
        self._note(("error: ", "bold red"), text)
        for hint in hints:
            self._note("  ", hint)

    def log_end(self, lines: Sequence[str], log: Path) -> None:
        """The end of a log, and where the rest is."""
        self._note(f"  the last lines of {log}:" if lines else f"  its log is {log}; it holds nothing of this run")
        for text in lines:
            self._note(("  | ", "dim"), text)

    def addresses(self, services: Iterable[Running], data: dict[str, str], logs: dict[str, Path]) -> None:
        """A line for each service, then where each keeps what."""
        services = list(services)
        self.line()
        self.table(
            ["SERVICE", "ADDRESS", "HTTP", "PID", "READY AFTER"],
            [
                [
                    (item.service.title, "bold"),
                    item.ready.address,
                    item.ready.http,
                    str(item.pid),
                    f"{item.seconds:.1f} s",
                ]
                for item in services
            ],
        )
        for item in services:
            self.line()
            places = {"data": data.get(item.service.name, ""), "log": str(logs[item.service.name])}
            if item.ready.http:
                places = {"API docs": f"{item.ready.http}/docs", "metrics": f"{item.ready.http}/metrics"} | places
            for what, where in places.items():
                if where:
                    self.line((f"  {item.service.title} {what:<9}", "dim"), where)
        self.line()

    def refused(self, ports: Iterable[Unusable]) -> None:
        """Which ports cannot be had, by whom they are held, and what moves them."""
        for unusable in ports:
            self.error(
                str(unusable), [f"stop it, or choose another port: {unusable.port.variable}=<port> (0: any free one)"]
            )

    def already_running(self, home: Path, stack: RunningStack | None) -> None:
        """That a stack runs here, and where."""
        if stack is None:
            self.error(f"another process is just starting or stopping a stack in {home}", ["try again in a moment"])
            return
        self.error(f"a stack already runs in {home} (process {stack.pid})")
        for service in stack.services:
            places = ", ".join(place for place in (service.grpc, service.http, service.nats) if place)
            self._note(f"  {service.name}  {places or 'starting'}")
        self._note("  `ontomesh down` stops it; ONTOMESH_HOME names another folder for a second stack")

    def _note(self, *parts: Part) -> None:
        with _unread_is_fine():
            # Standard output first: the two may lead to the same place.
            self._out.flush()
            self._out.note(*parts)
            sys.stderr.flush()


@contextmanager
def _unread_is_fine() -> Iterator[None]:
    """Goes on in silence once the reader is gone: a pipe's other end may die of the Ctrl-C that stops the stack."""
    try:
        yield
    except OSError:
        silence = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(silence, stream.fileno())
        os.close(silence)
