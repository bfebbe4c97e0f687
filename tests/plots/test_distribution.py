"""Distributions of pause and lock hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from colosim.plots import distribution
from colosim.plots.look import FigureError, look

if TYPE_CHECKING:
    from colosim.runs.run import Run


def test_quantiles_are_those_of_the_summary(pair: list[Run]) -> None:
    """p50 and p99 of the drawn values are what the summary says."""
    table = distribution.data(pair)
    for run in pair:
        summary = run.summary
        expected = {
            "pause_ns": summary["pause_ns"],
            "lock_hold_primary_ns": summary["lock_hold_ns"]["primary"],
            "lock_hold_secondary_ns": summary["lock_hold_ns"]["secondary"],
        }
        for quantity, part in expected.items():
            rows = table[(table["run"] == run.design) & (table["quantity"] == quantity)]
            assert distribution.quantile(rows["value_ns"], 50) == part["p50"]
            assert distribution.quantile(rows["value_ns"], 99) == part["p99"]
            assert len(rows) == part["count"]


def test_quantiles_are_by_nearest_rank() -> None:
    """A quantile is one of the values: the p n-th, rounded up."""
    values = pd.Series([10, 20, 30, 40])
    assert [distribution.quantile(values, p) for p in (0, 25, 26, 50, 99)] == [10, 10, 20, 20, 40]


def test_a_curve_ends_at_one(pair: list[Run]) -> None:
    """Each curve steps from 0 to 1 and marks p50 and p99 on it."""
    axes = distribution.draw(pair)
    curves = [line for line in axes.lines if line.get_label() in {"qsb", "split"}]
    ends = [np.asarray(line.get_ydata())[[0, -1]].tolist() for line in curves]
    assert ends == [[0, 1]] * 2
    marks = [
        (float(np.asarray(line.get_xdata())[0]), float(np.asarray(line.get_ydata())[0]))
        for line in axes.lines
        if line.get_marker() in {"o", "D"}
    ]
    pauses = [run.summary["pause_ns"] for run in pair]
    expected = [(pause[p], share) for pause in pauses for p, share in (("p50", 0.5), ("p99", 0.99))]
    assert [(round(x * 1e6), share) for x, share in marks] == expected
    for curve, own in zip(curves, (marks[:2], marks[2:]), strict=True):
        xs, shares = np.asarray(curve.get_xdata()), np.asarray(curve.get_ydata())
        for x, share in own:
            there = shares[np.isclose(xs, x)]
            assert there.min() - 1 / (len(xs) - 1) < share <= there.max()
    assert axes.get_xlabel() == "guest pause (ms)"


@pytest.mark.parametrize(("width", "rows"), [(None, 1), ("122mm", 2), ("85mm", 3)])
def test_each_of_three_panels_names_its_quantity(
    pair: list[Run], width: str | None, rows: int
) -> None:
    """Pause and the lock hold of either side stand beside or below each other, by the width."""
    with look(width):
        axes = [one for one in distribution.figure(pair).axes if one.get_visible()]
    names = [one.get_xlabel().partition(" (")[0] for one in axes]
    assert names == list(distribution.QUANTITIES.values())
    assert len([one for one in axes if one.get_ylabel()]) == rows


def test_nothing_committed_is_an_error(frozen_pair: list[Run]) -> None:
    """Without a committed checkpoint there is no distribution, and that is said."""
    scenario = frozen_pair[1].scenario.model_copy(update={"warmup": 9})
    run = frozen_pair[1]
    before, run.scenario = run.scenario, scenario
    try:
        with pytest.raises(FigureError, match="no run committed"):
            distribution.draw([run])
    finally:
        run.scenario = before
