"""Memory over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from colosim.plots import memory, overview
from colosim.plots.curves import polylines

if TYPE_CHECKING:
    from colosim.runs.run import Run


def test_peaks_are_those_of_the_summary(pair: list[Run]) -> None:
    """The peak of the drawn sum is the booked one, to the byte that a table rounds up."""
    peaks = memory.peaks(memory.totals(memory.data(pair)))
    for run, (_, part) in zip(pair, peaks.groupby("run", sort=False), strict=True):
        booked = [run.summary["memory_peak_bytes"][side]["extra_total"] for side in memory.SIDES]
        assert part["peak_bytes"].tolist() == pytest.approx(booked, abs=4)


def test_each_account_reaches_its_peak(pair: list[Run]) -> None:
    """No account's curve misses a peak between two points."""
    table = memory.data(pair[:1])
    for side in memory.SIDES:
        booked = pair[0].summary["memory_peak_bytes"][side]
        drawn = table[table["side"] == side].groupby("account")["level_bytes"].max()
        assert drawn.to_dict() == pytest.approx({name: booked[name] for name in drawn.index}, abs=1)


def test_a_jump_stands_twice_and_a_slope_is_a_line() -> None:
    """Points are where a level bends or jumps, with the levels before and after."""
    table = pd.DataFrame(
        [(0, "p", "step", 5, 0.0), (10, "p", "step", 9, 0.0), (4, "p", "ramp", 0, 2.0)],
        columns=["time_ns", "side", "account", "level_bytes", "slope_bytes_per_ns"],
    )
    times, levels = polylines(table, "p", ["step", "ramp"], 12)
    assert times.tolist() == [0, 4, 10, 10, 12]
    assert levels["step"].tolist() == [5, 5, 5, 9, 9]
    assert levels["ramp"].tolist() == [0, 0, 12, 12, 16]


def test_the_stack_is_the_sum_of_the_data(pair: list[Run]) -> None:
    """The upper edge of the drawn areas is the sum of the accounts, in the axis' unit."""
    axes = memory.draw(pair[0], "secondary")
    total = memory.totals(memory.data(pair[:1])).query("side == 'secondary'")["level_bytes"].max()
    tops = [path.get_extents().y1 for area in axes.collections for path in area.get_paths()]
    assert max(tops) == pytest.approx(total / 2**20)
    assert axes.get_ylabel() == "memory (MiB)"
    assert axes.get_xlabel() == "time (ms)"


def test_lines_are_the_totals(pair: list[Run]) -> None:
    """A curve of a design has exactly the points of its totals."""
    axes = memory.lines(pair, "primary")
    totals = memory.totals(memory.data(pair)).query("side == 'primary'")
    for name, part in totals.groupby("run"):
        (line,) = [line for line in axes.lines if line.get_label() == name]
        assert np.asarray(line.get_ydata()) * 2**20 == pytest.approx(part["level_bytes"].to_numpy())


def test_hosts_without_their_caches_have_one_scale(pair: list[Run]) -> None:
    """The higher of both hosts' peaks is inside both panels of the overview."""
    top = memory.totals(memory.data(pair), cache=False)["level_bytes"].max()
    panels = overview.figure(pair).axes[-2:]
    assert panels[0].get_ylim() == panels[1].get_ylim()
    assert panels[0].get_ylim()[1] > top / 2**20


def test_a_cache_can_be_left_out(pair: list[Run]) -> None:
    """Without the RAM cache the secondary's total is less by just the cache."""
    table = memory.data(pair)
    with_it, without = (memory.totals(table, cache=cache) for cache in (True, False))
    less = with_it["level_bytes"].max() - without["level_bytes"].max()
    assert less == pair[0].scenario.guest.ram_bytes


def test_a_figure_has_a_panel_a_host_and_run(pair: list[Run]) -> None:
    """Designs stand side by side, the primary above the secondary, with one scale a row."""
    panels = memory.figure(pair).axes
    assert [axes.get_title(loc="left") for axes in panels] == [
        "qsb, primary",
        "split, primary",
        "qsb, secondary",
        "split, secondary",
    ]
    assert panels[0].get_ylim() == panels[1].get_ylim()
    assert {len(axes.texts) for axes in panels} == {1}
