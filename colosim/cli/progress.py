"""Progress bars on standard error, on a terminal only."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Self

import click

if TYPE_CHECKING:
    from colosim.runs.simulation import Simulation

_CLEARED = "\r\033[K\033[?25h"
"""To the line's start, the bar away, the cursor back."""


class Bar:
    """A bar that comes after so many seconds, says what is left, and goes away at the end."""

    def __init__(self, total: int, *, after_s: float = 0.0) -> None:
        self._total = total
        self._from_s = time.monotonic() + after_s
        self._bar: Any = None
        self._label = ""

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bar away."""
        if self._bar is not None:
            click.echo(_CLEARED, err=True, nl=False)

    def show(self, finished: int, label: str) -> None:
        """Show how much is finished of what `label` names."""
        if time.monotonic() < self._from_s or not sys.stderr.isatty():
            return
        if self._bar is None or label != self._label:
            self._label = label
            click.echo("\r\033[K", err=True, nl=False)
            self._bar = click.progressbar(length=self._total, label=label, file=sys.stderr)
        self._bar.update(finished - self._bar.pos)


class Pace:
    """A line that says how many runs are done, how fast, how many failed, and what is left."""

    def __init__(self, runs: int, done: int) -> None:
        self._runs = runs
        self._before = done
        self._begun_s = time.monotonic()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take the line away."""
        if sys.stderr.isatty():
            click.echo(_CLEARED, err=True, nl=False)

    def show(self, done: int, failed: int) -> None:
        """Show it anew."""
        if not sys.stderr.isatty():
            return
        ended = done + failed
        rate = (ended - self._before) / max(time.monotonic() - self._begun_s, 1e-3)
        parts = [f"{ended:,} of {self._runs:,} runs", f"{rate:,.0f} a second"]
        if rate:
            parts.append(f"{(self._runs - ended) / rate:,.0f} s left")
        if failed:
            parts.append(f"{failed:,} failed")
        click.echo(f"\r\033[K{', '.join(parts)}", err=True, nl=False)


class Progression(Bar):
    """Watches simulations, one after another; ``watch`` is their ``prepare``."""

    _STEPS = 1000
    _LOOK_EVERY = 256

    def __init__(self) -> None:
        super().__init__(self._STEPS, after_s=2.0)

    def watch(self, simulation: Simulation) -> None:
        """Show how far this simulation is, if it takes long."""
        scenario, seen = simulation.scenario, 0

        def closed(_chunk: list[int]) -> None:
            nonlocal seen
            seen += 1
            if seen % self._LOOK_EVERY == 0:
                done, of = simulation.committed, scenario.checkpoints
                if of is None:
                    done, of = simulation.env.now, scenario.end_ns
                self.show(done * self._STEPS // of, f"{scenario.name} {simulation.design.name}")

        if sys.stderr.isatty():
            simulation.record.sinks.append(closed)
