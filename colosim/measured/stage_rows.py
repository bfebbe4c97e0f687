"""Rows of a fit: a measured time, and the amounts of each cost that it is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from colosim.measured.measurement import MeasuredCheckpoint, MeasuredRun

PARTS = 4
"""Into how many parts, by pages, a run's checkpoints are taken apart where their pages differ."""
_SPREAD = 1.2


@dataclass(frozen=True, slots=True)
class Row:
    """One observation: `measured_ns` of `stage` in `run` is the sum of costs times `amounts`.

    `weight`: each run's rows of one stage weigh 1 together.
    """

    run: str
    stage: str
    measured_ns: float
    amounts: Mapping[str, float]
    weight: float = 1.0


def median(values: Sequence[float]) -> float:
    """Return the median, of an even number of values the mean of the middle two."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _parts(found: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return (pages, time) of a run's checkpoints as one median, or several if pages differ."""
    if not found:
        return []
    found = sorted(found)
    alike = found[-1][0] <= _SPREAD * found[0][0] + 1
    count = 1 if alike else min(PARTS, len(found))
    size = len(found) / count
    cut = [found[round(size * k) : round(size * (k + 1))] for k in range(count)]
    return [(median([p for p, _ in part]), median([t for _, t in part])) for part in cut if part]


def rows_of(
    run: MeasuredRun,
    stage: str,
    time: Callable[[MeasuredCheckpoint], int | None],
    amounts: Callable[[float], Mapping[str, float]],
    *,
    pages: Callable[[MeasuredCheckpoint], int | None] = lambda one: one.dirty_pages,
    checkpoints: Sequence[MeasuredCheckpoint] | None = None,
) -> Iterator[Row]:
    """Yield a stage's rows: its time, and what a number of pages makes of each cost.

    Of `checkpoints`, by default those of the run that count; `time` in ns, None where not measured.
    """
    found = []
    for one in run.counted() if checkpoints is None else checkpoints:
        took, many = time(one), pages(one)
        if took is not None and took > 0 and many is not None:
            found.append((float(many), float(took)))
    parts = _parts(found)
    for amount, median_ns in parts:
        yield Row(run.name, stage, median_ns, amounts(amount), 1 / len(parts))


def between(begin: str, end: str, less: int = 0) -> Callable[[MeasuredCheckpoint], int | None]:
    """Return what measures the time from one stage to another, `less` ns."""

    def time(one: MeasuredCheckpoint) -> int | None:
        took = one.between(begin, end) if begin != "request" else one.stages.get(end)
        return None if took is None else took - less

    return time
