"""The figure of a fault and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from colosim.designs.guest_writes import REQUEST_BYTES
from colosim.plots import hang
from colosim.plots.look import FigureError
from colosim.runs.run import simulate
from colosim.scenario import loads
from tests.runs.conftest import PLAIN

if TYPE_CHECKING:
    import pandas as pd

    from colosim.runs.run import Run


def of(table: pd.DataFrame, run: str, lane: str) -> pd.DataFrame:
    """Return the rows of one lane of one run."""
    return table[(table["run"] == run) & (table["lane"] == lane)]


def test_the_hung_one_holds_and_waits_for_ever(frozen_pair: list[Run]) -> None:
    """Under split the lock, the main loop's wait, the command and the stop have no end."""
    table = hang.data(frozen_pair)
    lanes = ("primary lock", "waits for primary lock", "command to primary", "primary guest")
    last = {lane: of(table, "split", lane).iloc[-1] for lane in lanes}
    assert all(row["end_ns"] is not None and row.isna()["end_ns"] for row in last.values())
    assert {lane: row["what"] for lane, row in last.items()} == {
        "primary lock": "checkpoint thread, to save",
        "waits for primary lock": "main loop, to monitor",
        "command to primary": "x-colo-lost-heartbeat",
        "primary guest": "guest stopped",
    }


def test_the_other_is_served_at_once(frozen_pair: list[Run]) -> None:
    """Under qsb the command is served when it comes, nobody waits, and the guest serves alone."""
    table = hang.data(frozen_pair)
    (command,) = of(table, "qsb", "command to primary").to_dict("records")
    assert command["begin_ns"] == command["end_ns"]
    assert not len(of(table, "qsb", "waits for primary lock"))
    assert of(table, "qsb", "primary guest")["what"].iloc[-1] == "serves alone"


def test_full_buffers_stay_full(frozen_pair: list[Run]) -> None:
    """Both buffers between the two end at their capacity, and stay there."""
    table = hang.data(frozen_pair)
    network = frozen_pair[0].scenario.network
    for run in ("qsb", "split"):
        for lane, capacity in (
            ("primary send buffer", network.send_buffer_bytes),
            ("secondary receive buffer", network.receive_buffer_bytes),
        ):
            last = of(table, run, lane).iloc[-1]
            assert (last["begin_bytes"], last["end_bytes"]) == (capacity, capacity)
            assert last.isna()["end_ns"]


def test_rows_begin_with_the_struck_checkpoint(frozen_pair: list[Run]) -> None:
    """Nothing is earlier than the request of the checkpoint that the fault struck."""
    for run in frozen_pair:
        table = hang.data([run])
        request = run.checkpoints["primary_request_at_ns"].iloc[-1]
        assert table["begin_ns"].min() == request


def test_a_panel_says_what_happened(frozen_pair: list[Run]) -> None:
    """The texts in the panels name fault, verdict, command, and how full the buffers are."""
    made = hang.figure(frozen_pair)
    texts = [[text.get_text() for text in axes.texts] for axes in made.axes]
    titles = [axes.get_title(loc="left") for axes in made.axes]
    assert titles == ["plain, qsb: failed over", "plain, split: hung"]
    assert "x-colo-lost-heartbeat: served at once" in texts[0]
    assert "x-colo-lost-heartbeat: never served" in texts[1]
    assert {"freeze secondary", "full: 256 KiB", "full: 1.00 MiB"} <= set(texts[1])
    assert made.axes[1].get_xlabel() == "time since the fault (s)"


def test_a_disk_has_its_buffers_and_many_commands_room_for_their_words() -> None:
    """The disk's connection has two lanes of its own; words of four commands stay in the figure."""
    disk = """
disk: {replication: nbd, writes: {rate: 500 /s, size: 8 KiB}, receive_buffer: 64 KiB}
manager: {policy: yank-then-lost-heartbeat, failover: documented}
faults: [{freeze: secondary, at: 150 ms}]
"""
    run = simulate(loads(f"{PLAIN}{disk}"), "qemu-5.1")
    stands = of(hang.data([run]), "qemu-5.1", "secondary disk buffer").iloc[-1]
    assert stands["begin_bytes"] == 8192 + 2 * REQUEST_BYTES  # a write, and what came behind it
    assert stands.isna()["end_ns"]
    made = hang.figure([run])
    made.draw_without_rendering()
    words = [text for text in made.axes[0].texts if "served" in text.get_text()]
    assert sum(text.get_text().count("served") for text in words) == 4
    assert all(text.get_window_extent().x0 >= 0 for text in words)


def test_one_run_fits_one_axes(frozen_pair: list[Run]) -> None:
    """A single run is drawn into one Axes, lanes in which nothing happens left out."""
    axes = hang.draw(frozen_pair[0])
    lanes = [label.get_text() for label in axes.get_yticklabels()]
    assert "waits for primary lock" not in lanes
    assert "secondary process" in lanes


def test_a_run_without_fault_has_no_such_figure(pair: list[Run]) -> None:
    """Where no fault struck, that is said."""
    with pytest.raises(FigureError, match="no fault struck"):
        hang.data(pair)
