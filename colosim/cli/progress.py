"""A progress bar on standard error for runs of more than two seconds, on a terminal only."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress, TaskID

    from colosim.runs.simulation import Simulation

__all__ = ["Progression"]

_AFTER_S = 2.0
_LOOK_EVERY = 256
_STEPS = 1000


class Progression:
    """Watches simulations, one after another; ``watch`` is their ``prepare``."""

    def __init__(self) -> None:
        self._begun_s = time.monotonic()
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()

    def watch(self, simulation: Simulation) -> None:
        """Show how far this simulation is, if it takes long."""
        if not sys.stderr.isatty():
            return
        seen = 0

        def closed(_chunk: list[int]) -> None:
            nonlocal seen
            seen += 1
            if seen % _LOOK_EVERY == 0 and time.monotonic() - self._begun_s > _AFTER_S:
                self._show(simulation)

        if self._bar is not None and self._task is not None:
            self._bar.reset(self._task)
        simulation.record.sinks.append(closed)

    def _show(self, simulation: Simulation) -> None:
        scenario = simulation.scenario
        name = f"{scenario.name} {simulation.design.name}"
        if scenario.checkpoints is not None:
            done = simulation.committed * _STEPS // scenario.checkpoints
        else:
            done = simulation.env.now * _STEPS // (scenario.duration_ns or scenario.horizon_ns)
        if self._bar is None:
            self._open()
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=name, completed=done)

    def _open(self) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self._bar = Progress(console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task("", total=_STEPS)
        self._bar.start()
