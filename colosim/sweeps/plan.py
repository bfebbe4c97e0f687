"""Planning: which points of a grid meet what is asked for, and which of them are best.

The grid is exhausted on arrays; what is refused there, or asks for a key that only a simulation
has, is simulated.  A point has to meet a bound with every seed.  Of each design only points to
which no other is better are tried under faults.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import pandas as pd

from colosim.executors.batches import run_all
from colosim.scenario.bounds import Bound, parse_bound
from colosim.sweeps.on_arrays import answered, rows_on_arrays
from colosim.sweeps.points import KILLED, Failed, simulate_points

if TYPE_CHECKING:
    from colosim.executors.engines import Engine
    from colosim.scenario.model import Scenario
    from colosim.sweeps.axes import Value
    from colosim.sweeps.grid import Grid
    from colosim.sweeps.points import Row

_OF_FAULTS = (
    *("faults", "commands", "liveness", "manager"),
    *("checkpoints", "warmup", "duration_ns", "horizon_ns", "patience_ns"),
)
"""What a point takes over from the scenario whose faults it is tried under."""


class Need(NamedTuple):
    """A bound on a key of the summary; also which way is better, where nothing is asked for."""

    key: str
    bound: Bound

    @property
    def is_ranked(self) -> bool:
        """Whether one value is better than another, beyond that it is in bounds."""
        return self.bound.tests[0][0][0] in "<>"

    def missed_by(self, value: Value) -> float:
        """Return by what share of the bound a value misses it: 0 if it does not."""
        if isinstance(value, bool):
            value = "yes" if value else "no"
        limit = self.bound.tests[0][1]
        if self.bound.holds(value):
            return 0.0
        if not isinstance(value, int) or not isinstance(limit, int):
            return float("inf")
        return abs(value - limit) / max(1, abs(limit))

    def cost(self, value: Value) -> float:
        """Return a number that is less the better a value is."""
        if not self.is_ranked or not isinstance(value, int):
            return self.missed_by(value)
        return -value if self.bound.tests[0][0].startswith(">") else value


Found: TypeAlias = "dict[int, dict[Need, Value]]"
"""Of each point, by its first run, the worst over its seeds of each need."""
VERDICT = Need("verdict", parse_bound("verdict", "completed"))


def plan(
    grid: Grid,
    engine: Engine,
    needs: Sequence[Need],
    best: Need,
    under: Mapping[str, tuple[Scenario, Sequence[Need]]],
    *,
    spread: bool = False,
) -> tuple[pd.DataFrame, Counter[str]]:
    """Find the points that meet every need, and among them the best.

    Return a row a point, by its first run: axes, the worst over seeds of each key, whether it
    ``meets`` all, is on its design's ``front`` and is ``chosen``, and its verdict under each
    scenario; and how many runs were refused by arrays, by why.

    :param best: the key of which less (``<``) or more (``>``) is better; its bound is not asked.
    :param under: scenarios whose faults the front is tried under, by name, with their own needs.
    :param spread: whether what is left by arrays is simulated with the measured spread of work.
    """
    wants = [*needs, best]
    quick = [want for want in wants if answered(want.key)]
    found, refused = _worst(grid, engine, range(0, len(grid), len(grid.seeds)), quick)
    met = _meeting(found, [need for need in needs if need in quick])
    if spread or len(quick) < len(wants):
        if spread:
            grid = replace(grid, scenario=grid.scenario.vary({"spread": "measured"}))
        left, _ = _worst(grid, engine, met, wants)
        found |= left
        met = _meeting(left, needs)
    by_design = {
        name: [one for one in met if grid.point(one).design == name] for name in grid.designs
    }
    held = front = [one for own in by_design.values() for one in _front(found, own, wants)]
    verdicts: dict[str, dict[int, Value]] = {}
    for name, (scenario, its) in under.items():
        taken = {key: getattr(scenario, key) for key in _OF_FAULTS}
        struck = replace(grid, scenario=grid.scenario.model_copy(update=taken))
        tried, _ = _worst(struck, engine, held, [*its, VERDICT])
        verdicts[name] = {run: row[VERDICT] for run, row in tried.items()}
        held = _meeting(tried, its)
    marks = {"meets": met, "front": front, "chosen": _front(found, held, wants)}
    rows = [
        dict(zip((axis.key for axis in grid.axes), grid.point(run).values, strict=True))
        | {want.key: row.get(want) for want in wants}
        | {mark: "yes" if run in among else "no" for mark, among in marks.items()}
        | {name: tried.get(run) for name, tried in verdicts.items()}
        for run, row in found.items()
    ]
    return pd.DataFrame(rows, [*found]).convert_dtypes(), refused


def _worst(
    grid: Grid, engine: Engine, points: Iterable[int], wants: Sequence[Need]
) -> tuple[Found, Counter[str]]:
    """Return the worst of each point, all of whose runs came to an end, and what was refused."""
    firsts, seeds = [*points], range(len(grid.seeds))
    runs = [first + seed for first in firsts for seed in seeds]
    rows: dict[int, Row] = {}
    refused = Counter[str]()
    if all(answered(want.key) for want in wants):
        rows, refused = rows_on_arrays(grid, runs)

    def finished(numbers: Sequence[int], outcomes: Sequence[Row | Failed]) -> bool:
        pairs = zip(numbers, outcomes, strict=True)
        rows.update((number, row) for number, row in pairs if not isinstance(row, Failed))
        return True

    work = partial(simulate_points, grid, grid.source_digest)
    left = [run for run in runs if run not in rows]
    run_all(engine, work, left, finished=finished, to_blame=lambda _: KILLED)
    return {
        first: {
            want: max((rows[first + seed].get(want.key) for seed in seeds), key=want.cost)
            for want in wants
        }
        for first in firsts
        if all(first + seed in rows for seed in seeds)
    }, refused


def _meeting(found: Found, needs: Sequence[Need]) -> list[int]:
    return [run for run, row in found.items() if not any(n.missed_by(row[n]) for n in needs)]


def _front(found: Found, points: Iterable[int], wants: Sequence[Need]) -> list[int]:
    """Return the points to which no other is better in one key and as good in all."""
    ranked = [want for want in wants if want.is_ranked]
    costs = {point: [want.cost(found[point][want]) for want in ranked] for point in points}
    front: list[int] = []
    # Whoever is better comes before.
    for point in sorted(costs, key=lambda one: costs[one]):
        better = (costs[one] for one in front if costs[one] != costs[point])
        if not any(all(map(operator.le, other, costs[point])) for other in better):
            front.append(point)
    return sorted(front)


def nearest_miss(table: pd.DataFrame, needs: Sequence[Need]) -> tuple[int, Need, Value] | None:
    """Return the point that misses its worst need by the least, that need, and its value."""
    misses = []
    for run, row in zip(table.index.tolist(), table.astype(object).to_dict("records"), strict=True):
        known = [(need, row[need.key]) for need in needs if pd.notna(row[need.key])]
        by, place = max((need.missed_by(value), -at) for at, (need, value) in enumerate(known))
        misses.append((by, run, *known[-place]))
    return min(misses, key=operator.itemgetter(0))[1:] if misses else None
