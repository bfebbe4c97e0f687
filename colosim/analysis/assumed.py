"""What the assumed costs of the hosts leave open: one line under a table of runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from colosim.errors import ColosimError
from colosim.runs.run import simulate
from colosim.runs.wording import in_words, lasts
from colosim.scenario.hosts import BOTH, assumed_in_words, each_cost
from colosim.trace.events import PRIMARY, SECONDARY
from colosim.trace.fields import value_of

if TYPE_CHECKING:
    from colosim.runs.run import Run
    from colosim.scenario import Scenario

HEADLINE: Final = "pause_ns.p50"
_CHECKPOINTS_MAX: Final = 200
"""Longer runs are not simulated twice more for the sake of a line."""


def note_of(run: Run) -> str:
    """Say how many costs are assumed, and the pause (p50) with all of them at half and at twice.

    ``""`` if none is assumed, or the run is of real QEMU.  Without the pause if the run is long,
    has no checkpoint, or has a design that is not found by its name again.
    """
    said = assumed_in_words(run.scenario.hosts) if run.source is None else ""
    if not said:
        return ""
    ends = _ends(run)
    return f"{said}{ends and f'; {ends}'}."


def first_note(runs: Iterable[Run]) -> str:
    """Return the sentence of the first of the runs that has any, ``""`` if none has."""
    return next(filter(None, map(note_of, runs)), "")


def _ends(run: Run) -> str:
    simulated = run.simulation
    checkpoints = sum(run.summary["checkpoints"].values())
    if not checkpoints or checkpoints > _CHECKPOINTS_MAX:
        return ""
    design = run.design if simulated is None else type(simulated.design)
    words = []
    for numerator, denominator in ((1, 2), (2, 1)):
        try:
            scenario = _scaled(run.scenario, numerator, denominator)
            summary = simulate(scenario, design, seed=run.seed, tables=False).summary
        except ColosimError:
            return ""
        if not summary["pause_ns"]["count"] or lasts(summary, HEADLINE):
            return ""
        words.append(in_words(HEADLINE, value_of(summary, HEADLINE)))
    low, high = words
    ends = f"stays {low}" if low == high else f"is {low} and {high}"
    return f"at half and at twice of them {run.design}'s pause p50 {ends}"


def _scaled(scenario: Scenario, numerator: int, denominator: int) -> Scenario:
    """Return the scenario with every assumed cost times a factor, rounded down."""
    return scenario.vary(
        {
            f"hosts.{side}.costs.{one.cost}": one.value * numerator // denominator
            for one in each_cost(scenario.hosts)
            if one.is_assumed
            for side in ((PRIMARY, SECONDARY) if one.side == BOTH else (one.side,))
        }
    )
