"""The Gantt chart of a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from colosim.plots import gantt
from colosim.plots.lanes import typical_checkpoint
from colosim.plots.look import FigureError
from colosim.plots.units import rows_of
from colosim.runs.run import simulate
from colosim.scenario import loads
from colosim.trace.steps import step_column
from tests.designs.own import CHECKPOINTING, COLO
from tests.runs.conftest import PLAIN

if TYPE_CHECKING:
    from colosim.runs.run import Run


def test_the_typical_checkpoint_has_the_median_pause(pair: list[Run]) -> None:
    """Which checkpoint is drawn follows from the summary's median."""
    for run in pair:
        rows = run.checkpoints.set_index("checkpoint")
        pause = rows.loc[typical_checkpoint(run), "pause_ns"]
        assert pause == run.summary["pause_ns"]["p50"]


@pytest.mark.parametrize("design", COLO)
def test_bars_agree_with_the_table(design: str) -> None:
    """Of COLO the bars of pause, lock holds and steps add up to the table's columns."""
    run = simulate(loads(PLAIN), design)
    number = typical_checkpoint(run)
    bars = gantt.data([run])
    bars["lasts"] = bars["end_ns"] - bars["begin_ns"]
    row = run.checkpoints.set_index("checkpoint").loc[number]
    guest = bars[bars["lane"] == "primary guest"]
    assert guest["lasts"].tolist() == [row["pause_ns"]]
    for side in ("primary", "secondary"):
        held = bars[bars["lane"] == f"{side} lock"]["lasts"]
        assert held.max() == row[f"lock_hold_{side}_ns"]
    steps = bars[bars["lane"].str.endswith("thread")].groupby(["lane", "what"])["lasts"].sum()
    for lane, what, lasts in rows_of(steps.reset_index()):
        column = step_column(lane.partition(" ")[0], what)
        assert what.startswith("waits for ") or lasts == row[column], (lane, what)


@pytest.mark.parametrize("design", CHECKPOINTING)
def test_a_thread_does_one_thing_at_a_time(design: str) -> None:
    """The bars of a thread do not overlap, and between them nothing is left out."""
    bars = gantt.data([simulate(loads(PLAIN), design)])
    for lane in ("primary thread", "secondary thread"):
        rows = bars[bars["lane"] == lane]
        gaps = rows["begin_ns"].iloc[1:].to_numpy() - rows["end_ns"].iloc[:-1].to_numpy()
        assert gaps.tolist() == [0] * (len(rows) - 1)


def test_what_never_ended_has_no_end(frozen_pair: list[Run]) -> None:
    """A hung split checkpoint holds the lock and stays in its send; the old one gives up.

    Both frozen secondaries stand in the middle of reading.
    """
    bars = gantt.data(frozen_pair, 2)
    never = bars[bars["end_ns"].isna()].groupby("run")["lane"].agg(list).to_dict()
    assert never == {
        "qsb": ["wire", "secondary thread"],
        "split": ["primary guest", "primary thread", "primary lock", "wire", "secondary thread"],
    }
    assert "RAM stream (given up)" in set(bars["what"])


def test_every_bar_is_drawn_where_the_data_say(pair: list[Run]) -> None:
    """The drawn rectangles are the rows of the data, in the axis' unit."""
    axes = gantt.draw(pair)
    table = gantt.data(pair)
    drawn = [area.get_paths()[0].get_extents() for area in axes.collections]
    expected = [
        (begin / 1e6, end / 1e6)
        for begin, end in table[["begin_ns", "end_ns"]].itertuples(index=False)
    ]
    assert [(box.x0, box.x1) for box in drawn] == [pytest.approx(span) for span in expected]
    assert axes.get_xlabel() == "time since the checkpoint request (ms)"
    assert [label.get_text() for label in axes.get_yticklabels()] == [*gantt.LANES] * 2


def test_a_checkpoint_that_is_not_there(pair: list[Run]) -> None:
    """A wrong number is said to be wrong, with the run."""
    with pytest.raises(FigureError, match="no checkpoint 99"):
        gantt.data(pair, 99)


def test_a_message_that_waits_for_a_delayed_ack_says_so(pair: list[Run]) -> None:
    """VMSTATE_LOADED stands in the secondary's kernel, and its bar says for what."""
    table = gantt.data(pair[1:])
    named = table.loc[table["lane"] == "wire", "what"].tolist()
    assert "VMSTATE_LOADED (delayed ACK)" in named
    assert not any("delayed" in what for what in named[:-1])
