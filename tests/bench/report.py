"""Printing figures and minding limits."""

import sys


class Report:
    """Prints each figure as it is known; at the end says which missed their limits."""

    def __init__(self) -> None:
        self._missed: list[str] = []

    def figure(
        self, name: str, value: float, unit: str, *, at_least: float | None = None, at_most: float | None = None
    ) -> None:
        """Print one figure; a missed limit is no failure, but is said at the end."""
        print(f"{name} {value:.4g} {unit}", flush=True)
        if at_least is not None and value < at_least:
            self._missed.append(f"{name} is {value:.4g} where at least {at_least:g} is due")
        if at_most is not None and value > at_most:
            self._missed.append(f"{name} is {value:.4g} where at most {at_most:g} is due")

    def note(self, text: str) -> None:
        """Say something beside the figures."""
        print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Say which limits were missed."""
        for line in self._missed:
            self.note(f"missed: {line}")
        if not self._missed:
            self.note("every limit is kept")
