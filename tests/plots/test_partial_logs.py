"""Figures of real logs that do not show everything."""

from __future__ import annotations

from pathlib import Path

import pytest

import colosim
from colosim.plots import distribution, overview

LOG = Path(__file__).parent.parent / "measured" / "data" / "qemu72-primary.log"


@pytest.fixture(scope="module")
def measured() -> colosim.Run:
    """Return a run read from one side's trace: no lock, no memory."""
    return colosim.import_run(str(LOG))


def test_an_overview_without_memory_is_the_gantt_chart(measured: colosim.Run) -> None:
    """Where no memory was measured the overview has no memory panel, and none in its data."""
    assert overview.data([measured])["panel"].unique().tolist() == ["gantt"]
    assert len(overview.figure([measured]).axes) == 1


def test_a_distribution_shows_the_quantities_that_were_measured(measured: colosim.Run) -> None:
    """A trace has no lock holds: only the pauses are drawn."""
    (axes,) = distribution.figure([measured]).axes
    assert axes.get_xlabel().startswith("guest pause")
