"""Designs side by side."""

from __future__ import annotations

import pytest

import colosim
from colosim.analysis.compare import OF_DISK, beside
from colosim.runs.run import simulate
from colosim.scenario import loads

TEXT = """
name: beside
checkpoints: 4
guest: {ram: 512 MiB, dirty: {pages: 2000}}
designs: [qsb, split]
"""


def test_ratios_are_to_the_first_design() -> None:
    """Each quantity of each design stands with its ratio to the first design's."""
    comparison = colosim.compare(loads(TEXT))
    table = comparison.table
    assert list(comparison.runs) == ["qsb", "split"]
    pause = table[table.quantity == "pause_ns.p50"].set_index("design")
    assert pause.ratio["qsb"] == 1
    assert pause.ratio["split"] == pytest.approx(pause.value["split"] / pause.value["qsb"])
    assert table.measured.isna().all()
    assert comparison.verdicts == {"qsb": "completed", "split": "completed"}


def test_measured_medians_stand_beside() -> None:
    """Where the scenario names a measured table its medians stand beside the simulated."""
    named = loads(TEXT + "measured: {qsb: qemu25/old-ram512-n16384-bw0}\n")
    comparison = colosim.compare(named, tables=False)
    rows = {row.quantity: row for row in comparison.rows if row.design == "qsb"}
    assert rows["pause_ns.p50"].measured is not None
    assert comparison.measured["split"] == {}


def test_a_measured_table_that_there_is_not() -> None:
    """A name of no measured table is an error that says so."""
    with pytest.raises(colosim.LogError, match="no measured run"):
        colosim.compare(loads(TEXT + "measured: {qsb: qemu25/nothing}\n"))


def test_designs_may_be_chosen() -> None:
    """The caller's designs stand in place of the scenario's, in the caller's order."""
    comparison = colosim.compare(loads(TEXT), ["qemu-5.1", "flat"], tables=False)
    assert list(comparison.runs) == ["qemu-5.1", "flat"]


def test_a_disk_of_either_run_is_compared() -> None:
    """With and without a disk beside each other: the guest's writes are shown, of one that has."""
    text = "{name: x, designs: [split], checkpoints: 2"
    disk = ", disk: {replication: nbd, writes: {rate: 500 /s, size: 4 KiB}}"
    runs = [simulate(loads(f"{text}{one}}}"), "split") for one in ("", disk)]
    write = [row.value for row in beside(runs).rows if row.quantity == "disk.latency_ns.p50"]
    assert write == [None, runs[1].summary["disk"]["latency_ns"]["p50"]]
    without = {row.quantity for row in beside(runs[:1]).rows}
    assert not without & OF_DISK.keys()
