"""Steps of a tour: commands that a reader can repeat, each with a check of what it shows."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ontomesh_local.screen import Screen

SHOWN_LINES = 14
STEP_SECONDS = 120.0


class Unexpected(Exception):
    """A step showed something else than it should."""

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(f"expected {expected}, got {got}")
        self.expected = expected
        self.got = got


@dataclass(frozen=True, slots=True)
class Shown:
    """What a command printed, on both streams in their order, and how it ended."""

    text: str
    exit_code: int
    folder: Path

    def must_say(self, *texts: str) -> None:
        """Raises Unexpected unless the output holds every one of these texts."""
        for text in texts:
            if text not in self.text:
                raise Unexpected(f"output with {text!r}", repr(self.text[-400:]))

    def must_not_say(self, text: str) -> None:
        """Raises Unexpected if the output holds this text."""
        if text in self.text:
            raise Unexpected(f"output without {text!r}", repr(self.text[-400:]))


Facts = dict[str, Any]
"""What steps learn for later ones: their commands may name `{fact}`."""

Check = Callable[[Shown, Facts], None]


@dataclass(frozen=True, slots=True)
class Step:
    """One command with its purpose. `{name}` in it stands for a fact that an earlier step learned."""

    title: str
    command: str
    check: Check
    exit_code: int = 0
    lines: int = SHOWN_LINES


def filled(text: str, facts: Mapping[str, object]) -> str:
    """A text with the facts in it. Not `format`: commands hold JSON."""
    for name, value in facts.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


@dataclass
class Tour:
    """Runs steps in a folder, one after another, and shows each."""

    screen: Screen
    folder: Path
    environment: Mapping[str, str]
    facts: Facts = field(default_factory=dict)

    async def run(self, steps: Sequence[Step]) -> bool:
        """Whether every step showed what it should; stops at the first that did not, and says so."""
        started = time.monotonic()
        for number, step in enumerate(steps, 1):
            if not await self._step(number, len(steps), step):
                return False
        self.screen.line()
        self.screen.line(
            (f"{len(steps)} steps in {time.monotonic() - started:.1f} s, each as it should be.", "bold green")
        )
        return True

    async def _step(self, number: int, total: int, step: Step) -> bool:
        command = filled(step.command, self.facts)
        self.screen.line()
        self.screen.line((f"{number}/{total}  {filled(step.title, self.facts)}", "bold"))
        continued = False
        for text in command.split("\n"):
            self.screen.line((f"{' ' if continued else '$'} {text}", "cyan"))
            continued = text.endswith("\\")
        started = time.monotonic()
        try:
            shown = await self._shown(command)
            self._show(shown, step, time.monotonic() - started)
            if shown.exit_code != step.exit_code:
                raise Unexpected(f"exit code {step.exit_code}", f"{shown.exit_code}: {shown.text[-400:]!r}")
            step.check(shown, self.facts)
        except Unexpected as fault:
            self.screen.error(
                f"step {number} ({filled(step.title, self.facts)}) did not show what it should",
                [f"command:  {command}", f"expected: {fault.expected}", f"got:      {fault.got}"],
            )
            return False
        return True

    async def _shown(self, command: str) -> Shown:
        process = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            command,
            cwd=self.folder,
            env=dict(self.environment),
            start_new_session=True,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(STEP_SECONDS):
                output, _none = await process.communicate()
        except TimeoutError:
            raise Unexpected(f"an end within {STEP_SECONDS:g} s", "none") from None
        finally:
            # A Ctrl-C reaches the supervisor alone: what a step started must not outlive it.
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        return Shown(output.decode("utf-8", "replace"), process.returncode or 0, self.folder)

    def _show(self, shown: Shown, step: Step, seconds: float) -> None:
        lines = shown.text.splitlines()
        # One line too many is shown rather than announced.
        kept = lines if len(lines) <= step.lines + 1 else lines[: step.lines]
        for text in kept:
            self.screen.line(f"  {_cut(text)}".rstrip())
        if len(kept) < len(lines):
            self.screen.line((f"  … {len(lines) - len(kept):,} more lines", "dim"))
        code = f"exit code {shown.exit_code}, " if shown.exit_code else ""
        self.screen.line((f"  ({code}{seconds:.1f} s)", "dim"))


def _cut(text: str, width: int = 200) -> str:
    return text if len(text) <= width else f"{text[:width]}…"
