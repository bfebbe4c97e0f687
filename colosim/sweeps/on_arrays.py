"""Runs of a grid on arrays: the same rows without a simulation, for all that is not refused.

Such a row has not what only a simulation has: digest, events, sentences, and what is in the socket
buffers, so that no sum of memory either.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from colosim.arrays.evaluation import evaluate
from colosim.arrays.grid import compare
from colosim.arrays.points import columns_of
from colosim.designs.registry import design_of
from colosim.errors import ScenarioError

if TYPE_CHECKING:
    from colosim.sweeps.grid import Grid
    from colosim.sweeps.points import Row

_ALWAYS: Row = {
    "verdict": "completed",
    "survivor": None,
    "false_failover": False,
    "guest_stopped_open": False,
    "time_to_guest_ns": None,
}
"""What a run without faults says that gets to its end."""
_SIMULATED = {"digest", "reason", "warning", "depends_on", "events", "monitor_deaf_open"}


def answered(key: str) -> bool:
    """Whether arrays answer a key of the summary."""
    if key in _SIMULATED or key.startswith("otherwise."):
        return False
    account = key.rpartition(".")[2] if key.startswith("memory_peak_bytes.") else ""
    in_socket = account.endswith("_buffer") and account != "staging_buffer"
    return not in_socket and account != "extra_total"


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
        points: list[dict[str, object]] = [{**dict(run.settings), "seed": run.seed} for run in runs]
        try:
            parts = list(columns_of(grid.scenario, points))
            for part in parts:
                answers = evaluate(design, part)
                compare(design, grid.scenario, part, answers, points)
                refused.update(why for why in answers.why if why)
                accepted = np.array([not why for why in answers.why])
                columns = {key: found.tolist() for key, found in answers.numbers.items()}
                for place in np.nonzero(accepted)[0].tolist():
                    row = {key: found[place] for key, found in columns.items() if found[place] >= 0}
                    rows[own[part.index[place]]] = _ALWAYS | row
        except ScenarioError:
            refused["values that cannot stand together"] += len(own)
    return rows, refused
