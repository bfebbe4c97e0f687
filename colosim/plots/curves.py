"""The levels of memory accounts as polylines, from the breakpoints of a run's memory table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from colosim.runs.run import Run

    Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Curve:
    """An account's breakpoints: from each time on the level is a straight line."""

    times_ns: Integers
    levels: NDArray[np.float64]
    slopes: NDArray[np.float64]

    def at(self, times_ns: Integers, *, before: bool = False) -> NDArray[np.float64]:
        """Return the levels at these times, or just before them; 0 before the first breakpoint."""
        index = np.searchsorted(self.times_ns, times_ns, side="left" if before else "right") - 1
        known = index >= 0
        index = np.maximum(index, 0)
        level = self.levels[index] + self.slopes[index] * (times_ns - self.times_ns[index])
        return np.where(known, np.maximum(level, 0.0), 0.0)


def curve_of(memory: pd.DataFrame, side: str, account: str) -> Curve:
    """Return the curve of one account of a memory table; of several rows at a time the last."""
    rows = memory[(memory["side"] == side) & (memory["account"] == account)]
    rows = rows.sort_values("time_ns", kind="stable").drop_duplicates("time_ns", keep="last")
    return Curve(
        rows["time_ns"].to_numpy(dtype=np.int64),
        rows["level_bytes"].to_numpy(dtype=np.float64),
        rows["slope_bytes_per_ns"].to_numpy(dtype=np.float64),
    )


def end_of(run: Run) -> int:
    """Return when the last thing happened that a table shows, in ns; after it all levels stay."""
    ends = [table["time_ns"].max() for table in (run.events, run.memory) if len(table)]
    return int(max(ends, default=0))


def polylines(
    memory: pd.DataFrame, side: str, accounts: list[str], end_ns: int
) -> tuple[Integers, dict[str, Integers]]:
    """Return the points of all accounts of a side on one time axis, up to `end_ns`.

    A time at which an account jumps stands twice: with the levels before it and after it.
    """
    curves = {account: curve_of(memory, side, account) for account in accounts}
    parts = [np.array([0, end_ns], dtype=np.int64), *(c.times_ns for c in curves.values())]
    times = np.unique(np.concatenate(parts))
    times = times[times <= end_ns]
    before = {name: np.rint(curve.at(times, before=True)) for name, curve in curves.items()}
    after = {name: np.rint(curve.at(times)) for name, curve in curves.items()}
    jumps = np.zeros(len(times), dtype=bool)
    for name in curves:
        jumps |= np.abs(before[name] - after[name]) > 1
    jumps[:1] = False  # nothing stands before the run
    order = np.argsort(np.concatenate([np.flatnonzero(jumps) * 2, np.arange(len(times)) * 2 + 1]))
    points = np.concatenate([times[jumps], times])[order]
    levels = {
        name: np.concatenate([before[name][jumps], after[name]])[order].astype(np.int64)
        for name in curves
    }
    return points, levels
