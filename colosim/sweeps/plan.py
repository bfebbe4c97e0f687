"""Planning: which points of a grid meet what is asked for, and which of them are best.

The grid is exhausted on arrays; what is refused there, or asks for a key that only a simulation
has, is simulated.  A point has to meet a bound with every seed.  Of each design only points to
which no other is better are tried under faults.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from colosim.executors.batches import run_all
from colosim.sweeps.on_arrays import answered, rows_on_arrays
from colosim.sweeps.points import KILLED, Failed, simulate_points

if TYPE_CHECKING:
    from colosim.executors.engines import Engine
    from colosim.scenario.bounds import Bound
    from colosim.scenario.model import Scenario
    from colosim.sweeps.axes import Value
    from colosim.sweeps.grid import Grid
    from colosim.sweeps.points import Row

_OF_FAULTS = (
    "faults",
    "commands",
    "liveness",
    "manager",
    "checkpoints",
    "warmup",
    "duration_ns",
    "horizon_ns",
    "patience_ns",
)
"""What a point takes over from the scenario whose faults it is tried under."""


class Need(NamedTuple):
    """A bound on a key of the summary."""

    key: str
    bound: Bound

    @property
    def sign(self) -> int:
        """1 if less is better, -1 if more is, 0 if neither."""
        first = self.bound.tests[0][0]
        return 1 if first.startswith("<") else -1 if first.startswith(">") else 0

    def missed_by(self, row: Mapping[str, Value]) -> float:
        """Return by what share of the bound a row misses it: 0 if it does not."""
        value, limit = row.get(self.key), self.bound.tests[0][1]
        if isinstance(value, bool):
            value = "yes" if value else "no"
        if self.bound.holds(value):
            return 0.0
        if not isinstance(value, int) or not isinstance(limit, int):
            return float("inf")
        return abs(value - limit) / max(1, abs(limit))


@dataclass
class Plan:
    """What came of it; points by number, seeds left out."""

    rows: dict[int, Row]
    """The worst over the seeds of what is asked for, of each point."""
    on_arrays: int = 0
    """How many runs were answered without a simulation."""
    refused: Counter[str] = field(default_factory=Counter)
    met: list[int] = field(default_factory=list)
    front: list[int] = field(default_factory=list)
    under: dict[int, dict[str, str]] = field(default_factory=dict)
    """How each point of the front came out under each scenario's faults."""
    chosen: list[int] = field(default_factory=list)
    """Points that meet all, best first."""


def simulated(grid: Grid, engine: Engine, numbers: Iterable[int]) -> dict[int, Row]:
    """Return the rows of runs, those that failed left out."""
    rows: dict[int, Row] = {}

    def finished(items: Sequence[int], outcomes: Sequence[Row | Failed]) -> bool:
        pairs = zip(items, outcomes, strict=True)
        rows.update((number, row) for number, row in pairs if not isinstance(row, Failed))
        return True

    work = partial(simulate_points, grid, grid.source_digest)
    run_all(engine, work, numbers, finished=finished, to_blame=lambda _: KILLED)
    return rows


def plan(
    grid: Grid,
    engine: Engine,
    needs: Sequence[Need],
    best: tuple[str, int],
    under: Mapping[str, tuple[Scenario, Sequence[Need]]],
    *,
    spread: bool = False,
) -> Plan:
    """Find the points that meet every need, and among them the best.

    :param best: a key of the summary, and 1 if less of it is better, -1 if more is.
    :param spread: whether what is left by arrays is simulated with the measured spread of work.
    :param under: scenarios whose faults the front is tried under, by name, with their own needs.
    """
    signs = {need.key: need.sign for need in needs} | {best[0]: best[1]}
    compared = {key: sign for key, sign in signs.items() if sign}
    rows, refused = rows_on_arrays(grid, range(len(grid)))
    made = Plan({}, len(rows), refused)
    rows |= simulated(grid, engine, (one for one in range(len(grid)) if one not in rows))
    made.rows = _worst(grid, rows, signs)
    made.met = _meeting(made.rows, [need for need in needs if answered(need.key)])
    if spread or not all(map(answered, signs)):
        if spread:
            grid = replace(grid, scenario=grid.scenario.vary({"spread": "measured"}))
        found = simulated(grid, engine, _runs(grid, made.met))
        made.rows |= _worst(grid, found, signs)
        made.met = _meeting({point: made.rows[point] for point in made.met}, needs)
    for design in grid.designs:
        own = [one for one in made.met if grid.point(one * len(grid.seeds)).design == design]
        made.front += _front(made.rows, own, compared)
    held = list(made.front)
    for name, (scenario, its) in under.items():
        taken = {key: getattr(scenario, key) for key in _OF_FAULTS}
        struck = replace(grid, scenario=grid.scenario.model_copy(update=taken))
        found = simulated(struck, engine, _runs(grid, held))
        for point in list(held):
            own_rows = [found.get(run, {}) for run in _runs(grid, [point])]
            made.under.setdefault(point, {})[name] = str(own_rows[0].get("verdict"))
            if any(need.missed_by(row) for row in own_rows for need in its):
                held.remove(point)
    made.chosen = _front(made.rows, held, compared)
    made.chosen.sort(key=lambda point: _numbers(made.rows, [point], dict([best]))[0].tolist())
    return made


def nearest_miss(made: Plan, needs: Sequence[Need]) -> tuple[int, Need] | None:
    """Return the point that misses its worst need by the least, and that need."""
    worst = {
        point: max(needs, key=lambda need, row=row: need.missed_by(row))  # type: ignore[misc]
        for point, row in made.rows.items()
    }
    if not worst:
        return None
    point = min(worst, key=lambda one: worst[one].missed_by(made.rows[one]))
    return point, worst[point]


def _runs(grid: Grid, points: Iterable[int]) -> list[int]:
    """Return the runs of points: one with each seed."""
    seeds = len(grid.seeds)
    return [point * seeds + seed for point in points for seed in range(seeds)]


def _worst(grid: Grid, rows: Mapping[int, Row], signs: Mapping[str, int]) -> dict[int, Row]:
    """Return of each point, all of whose runs there are, the worst over its seeds."""
    points: dict[int, list[Row]] = {}
    for number, row in rows.items():
        points.setdefault(number // len(grid.seeds), []).append(row)
    return {
        point: {key: _worst_of([row.get(key) for row in own], sign) for key, sign in signs.items()}
        for point, own in sorted(points.items())
        if len(own) == len(grid.seeds)
    }


def _worst_of(values: Sequence[Value], sign: int) -> Value:
    numbers = [value for value in values if isinstance(value, int)]
    if len(numbers) < len(values) or not sign:
        return next((value for value in values if value != values[0]), values[0])
    return max(numbers) if sign > 0 else min(numbers)


def _meeting(rows: Mapping[int, Row], needs: Sequence[Need]) -> list[int]:
    return [point for point, row in rows.items() if not any(need.missed_by(row) for need in needs)]


def _numbers(rows: Mapping[int, Row], points: Sequence[int], signs: Mapping[str, int]) -> Any:
    """Return (point, key) as numbers of which less is better; what is not there is worst."""
    found = [
        [sign * value if isinstance(value := rows[point].get(key), int) else np.inf
         for key, sign in signs.items()]
        for point in points
    ]  # fmt: skip
    return np.array(found, float).reshape(len(points), len(signs))


def _front(rows: Mapping[int, Row], points: Sequence[int], signs: Mapping[str, int]) -> list[int]:
    """Return the points to which no other is better in one key and as good in all."""
    found = _numbers(rows, points, signs)
    return [
        point
        for point, own in zip(points, found, strict=True)
        if not ((found <= own).all(axis=1) & (found < own).any(axis=1)).any()
    ]
