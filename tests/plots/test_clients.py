"""Figures of what clients see."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from colosim.plots import clients
from colosim.plots.look import FigureError, look
from colosim.runs.run import simulate
from colosim.scenario import loads

if TYPE_CHECKING:
    import pandas as pd

SCENARIO = loads("""
name: clients
designs: [unprotected, remus]
duration: 1 s
checkpoint_delay: 100 ms
service: {arrivals: {regular: 100 /s}}
""")


@pytest.fixture(scope="module")
def answers() -> dict[str, pd.DataFrame]:
    """Return the answers of both designs."""
    return clients.answers_of(SCENARIO)


def test_every_answer_is_in_the_table(answers: dict[str, pd.DataFrame]) -> None:
    """The table of answers is what the summary counts, in the order of requests."""
    for design, table in answers.items():
        seen = simulate(SCENARIO, design).summary["service"]
        assert len(table) == seen["answered"]
        assert table["latency_ns"].max() == seen["latency_ns"]["max"]
        assert table["sent_ns"].is_monotonic_increasing
        assert (table["answered_ns"] - table["sent_ns"] == table["latency_ns"]).all()


def test_a_distribution_is_a_curve_a_label(answers: dict[str, pd.DataFrame]) -> None:
    """Each curve ends at 1; labels of one design share its colour and differ in dashes."""
    axes = clients.shares({"remus, a": answers["remus"], "remus, b": answers["remus"]})
    one, other = axes.lines
    assert one.get_color() == other.get_color()
    assert one.get_linestyle() != other.get_linestyle()
    assert [float(np.asarray(line.get_ydata())[-1]) for line in axes.lines] == [1, 1]
    with pytest.raises(FigureError, match="no client got an answer"):
        clients.shares({"none": answers["remus"][:0]})


def test_latencies_over_time_fall_within_an_epoch(answers: dict[str, pd.DataFrame]) -> None:
    """What an epoch of Remus collects leaves together: later requests have waited less."""
    table = answers["remus"]
    for _, epoch in table.groupby("answered_ns"):
        assert epoch["latency_ns"].is_monotonic_decreasing
    figure = clients.over_time(answers, 200_000_000, 600_000_000)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["unprotected", "remus"]
    assert {axes.get_ylabel() for axes in figure.axes} == {"latency (ms)"}
    drawn = [np.asarray(axes.lines[0].get_ydata()).max() for axes in figure.axes]
    assert max(drawn) < figure.axes[0].get_ylim()[1]
    assert drawn[0] == pytest.approx(answers["unprotected"]["latency_ns"].max() / 1e6)
    sent = np.asarray(figure.axes[1].lines[0].get_xdata())
    assert 0.2 <= sent.min() < sent.max() < 0.6


def test_a_sweep_has_a_row_a_value_and_design() -> None:
    """The median of Remus follows the delay, the other does not; numbers on an axis stay apart."""
    table = clients.sweep(SCENARIO, "checkpoint_delay", ["50 ms", "200 ms"])
    assert table["design"].tolist() == ["unprotected", "remus"] * 2
    plain, short, same, long = table["latency_p50_ns"]
    assert plain == same < short < long
    figure = clients.against(table.assign(value=[50, 50, 200, 200]), "delay (ms)")
    assert [axes.get_xlabel() for axes in figure.axes] == ["delay (ms)"] * 3
    assert [line.get_label() for line in figure.axes[0].lines] == ["unprotected", "remus"]
    with look("122mm"):
        narrow = clients.against(table.assign(value=[300, 1000, 2000, 50_000]), "delay (ms)")
    narrow.draw_without_rendering()
    for axes in narrow.axes:
        ticks = axes.xaxis._update_ticks()  # type: ignore[attr-defined]
        boxes = [tick.label1.get_window_extent() for tick in ticks if tick.label1.get_text()]
        assert all(one.x1 + 2 < other.x0 for one, other in pairwise(boxes))


def test_without_clients_there_are_no_answers() -> None:
    """A scenario without a service is refused."""
    scenario = loads("{name: x, designs: [split]}")
    with pytest.raises(FigureError, match="has no clients"):
        clients.answers_of(scenario)
