"""Planning: which points of a grid meet what is asked for, and which of them are best.

The grid is exhausted on arrays; what is refused there, or asks for a key that only a simulation
has, is simulated.  A point has to meet a bound with every seed.  Of each design only points to
which no other is better are tried under faults.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import pandas as pd

from colosim.errors import ColosimError
from colosim.scenario.bounds import Bound, read_bound
from colosim.sweeps.on_arrays import answered, rows_on_arrays
from colosim.sweeps.points import NO_RESULTS, Failed, simulate_all

if TYPE_CHECKING:
    from collections import Counter

    from colosim.executors.engines import Engine
    from colosim.scenario.model import Scenario
    from colosim.sweeps.axes import Value
    from colosim.sweeps.grid import Grid
    from colosim.sweeps.points import Row

_OF_FAULTS = ("faults", "commands", "liveness", "manager", "checkpoints", "warmup", "duration_ns",
    "horizon_ns", "patience_ns")  # fmt: skip
"""What a point takes over from the scenario whose faults it is tried under."""


Found: TypeAlias = "dict[int, dict[Bound, Value]]"
"""Of each point, by its first run, the worst over its seeds of each need."""
_VERDICT = read_bound("verdict completed")


def plan(
    grid: Grid,
    engine: Engine,
    needs: Sequence[Bound],
    best: Bound,
    under: Mapping[str, tuple[Scenario, Sequence[Bound]]],
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
    :raises ColosimError: if every run fails, or a bound is on what the file itself sets.
    """
    wants = [*needs, best]
    asked = [*wants, *(need for _, its in under.values() for need in its)]
    if given := next((need.key for need in asked if need.key in NO_RESULTS), None):
        raise ColosimError(f"{given} is no result to bound; the sweep's file says which there are")
    quick = [want for want in wants if answered(want.key)]
    found, refused = _worst(grid, engine, range(0, len(grid), len(grid.seeds)), quick)
    met = _meeting(found, needs)
    if spread or len(quick) < len(wants):
        more = {"spread": "measured"} if spread else {}
        left, _ = _worst(replace(grid, scenario=grid.scenario.vary(more)), engine, met, wants)
        found, met = found | left, _meeting(left, needs)
    own = [[run for run in met if grid.point(run).design == design] for design in grid.designs]
    held = front = [run for points in own for run in _front(found, points, wants)]
    verdicts: dict[str, dict[int, Value]] = {}
    for name, (scenario, its) in under.items():
        taken = {key: getattr(scenario, key) for key in _OF_FAULTS}
        struck = replace(grid, scenario=grid.scenario.model_copy(update=taken))
        tried, _ = _worst(struck, engine, held, [*its, _VERDICT])
        verdicts[name] = {run: row[_VERDICT] for run, row in tried.items()}
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
    grid: Grid, engine: Engine, points: Iterable[int], wants: Sequence[Bound]
) -> tuple[Found, Counter[str]]:
    """Return the worst of each point, all of whose runs came to an end, and what was refused."""
    runs = {first: range(first, first + len(grid.seeds)) for first in points}
    every = [run for own in runs.values() for run in own]
    is_quick = all(answered(want.key) for want in wants)
    rows, refused = rows_on_arrays(grid, every if is_quick else ())
    failed: dict[int, Failed] = {}

    def finished(numbers: Sequence[int], outcomes: Sequence[Row | Failed]) -> bool:
        for number, outcome in zip(numbers, outcomes, strict=True):
            if isinstance(outcome, Failed):
                failed[number] = outcome
            else:
                rows[number] = outcome
        return True

    simulate_all(grid, engine, [run for run in every if run not in rows], finished)
    if failed and not rows:
        first = min(failed)
        raise ColosimError(f"every run fails, such as {grid.point(first)}: {failed[first].message}")
    return {
        first: {
            want: max((rows[run].get(want.key) for run in own), key=want.cost) for want in wants
        }
        for first, own in runs.items()
        if rows.keys() >= {*own}
    }, refused


def _meeting(found: Found, needs: Sequence[Bound]) -> list[int]:
    return [at for at, row in found.items() if all(n.holds(row[n]) for n in needs if n in row)]


def _front(found: Found, points: Iterable[int], wants: Sequence[Bound]) -> list[int]:
    """Return the points to which no other is better in one key and as good in all."""
    costs = {point: [want.cost(found[point][want]) for want in wants] for point in points}
    front: list[int] = []
    for point in sorted(costs, key=lambda one: costs[one]):  # whoever is better comes before
        better = (costs[one] for one in front if costs[one] != costs[point])
        if not any(all(map(operator.le, other, costs[point])) for other in better):
            front.append(point)
    return sorted(front)


def nearest_miss(table: pd.DataFrame, needs: Sequence[Bound]) -> tuple[int, Bound, Value]:
    """Return the point of a table whose worst miss is least, what it misses, and by which value.

    A point that misses nothing else has no value where one is asked for, and is as far as can be.
    """
    worst: list[tuple[float, int, Bound, Value]] = []
    for run, row in zip(table.index.tolist(), table.astype(object).to_dict("records"), strict=True):
        known = [need for need in needs if pd.notna(row[need.key])]
        misses = [(need.missed_by(row[need.key]), run, need, row[need.key]) for need in known]
        without = ((math.inf, run, need, None) for need in needs if need not in known)
        missed = [miss for miss in misses if miss[0]]
        worst.append(max(missed, key=operator.itemgetter(0)) if missed else next(without))
    return min(worst, key=operator.itemgetter(0))[1:]
