"""Runs of a grid on arrays: the same rows without a simulation, for all that is not refused.

What only a simulation has is in no row, unless it is asked for: `answered` tells.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from colosim.arrays.evaluation import IMPOSSIBLE, evaluate
from colosim.arrays.grid import COMPARED_MAX, compare
from colosim.arrays.points import columns_of
from colosim.designs.registry import design_of
from colosim.errors import ColosimError, ScenarioError
from colosim.runs.deaf_monitor import warning_of
from colosim.runs.verdict import REACHED
from colosim.scenario.units import meant, show
from colosim.trace.fields import SUMMARY_KEYS

if TYPE_CHECKING:
    from colosim.arrays.points import Columns
    from colosim.sweeps.grid import Grid
    from colosim.sweeps.points import Row

_Point: TypeAlias = "dict[str, object]"
_ALWAYS: Row = {
    "verdict": "completed",
    "survivor": None,
    "false_failover": False,
    "reason": REACHED,
    "depends_on": None,
    "otherwise.verdict": None,
    "otherwise.survivor": None,
    "guest_stopped_open": False,
    "monitor_deaf_open": False,
    "time_to_guest_ns": None,
}
"""What a run without faults says that gets to its end."""
_ONLY_SIMULATED = {"digest", "events", "extra_total"}
_WORTH_IT = 2 * COMPARED_MAX
"""Of fewer points alike nearly each would be simulated too, to compare."""


def answered(key: str) -> bool:
    """Whether arrays answer a key of the summary: all but what events and socket buffers tell."""
    last = key.rpartition(".")[2]
    in_socket = last.endswith("_buffer") and last != "staging_buffer"
    return last not in _ONLY_SIMULATED and not in_socket


def only_simulated(extra: Iterable[str]) -> list[str]:
    """Return which of these keys, or of what is below them, only a simulation gives.

    :raises ColosimError: if one is no key of a summary.
    """
    found: list[str] = []
    for key in extra:
        below = [known for known in SUMMARY_KEYS if f"{known}.".startswith(f"{key}.")]
        if not below:
            known = [one for one in SUMMARY_KEYS if not answered(one)]
            hint = meant(key, known) or f"; such are {', '.join(known[:3])}"
            raise ColosimError(f"{show(key)} is not a key of summary.json{hint}")
        if not all(map(answered, below)):
            found.append(key)
    return found


def rows_on_arrays(grid: Grid, numbers: Iterable[int]) -> tuple[dict[int, Row], Counter[str]]:
    """Return the rows of those runs that are not refused, and how many are for which reason.

    Corners and a few points between are simulated too.

    :raises GridError: if one of them differs.
    """
    rows: dict[int, Row] = {}
    refused: Counter[str] = Counter()
    by_design: dict[str, list[int]] = {}
    for number in numbers:
        by_design.setdefault(grid.point(number).design, []).append(number)
    for name, own in by_design.items():
        design = design_of(name)
        runs = [grid.point(number) for number in own]
        points: list[_Point] = [{**dict(run.settings), "seed": run.seed} for run in runs]
        for part in _columns(grid, points, range(len(points)), refused):
            if len(part) < _WORTH_IT:
                refused["too few points alike"] += len(part)
                continue
            answers = evaluate(design, part)
            compare(design, grid.scenario, part, answers, points)
            refused.update(why for why in answers.why if why)
            accepted = np.array([not why for why in answers.why])
            columns = {key: found.tolist() for key, found in answers.numbers.items()}
            for place in np.nonzero(accepted)[0].tolist():
                row = {key: found[place] for key, found in columns.items() if found[place] >= 0}
                deaf_ns = {side: int(longest[place]) for side, longest in answers.deaf_ns.items()}
                row["warning"] = warning_of(part.scenario.manager, deaf_ns)
                rows[own[part.index[place]]] = _ALWAYS | row
    return rows, refused


def _columns(
    grid: Grid, points: Sequence[_Point], places: Sequence[int], refused: Counter[str]
) -> list[Columns]:
    """Return points as columns; a value of an axis that cannot stand with others is left out."""
    try:
        parts = list(columns_of(grid.scenario, [points[place] for place in places]))
    except ScenarioError:
        for key in points[places[0]]:
            groups: dict[object, list[int]] = {}
            for place in places:
                groups.setdefault(points[place][key], []).append(place)
            if len(groups) > 1:
                return [
                    part for own in groups.values() for part in _columns(grid, points, own, refused)
                ]
        refused[IMPOSSIBLE] += len(places)
        return []
    return [replace(part, index=np.array(places)[part.index]) for part in parts]
