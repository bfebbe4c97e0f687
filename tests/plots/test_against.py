"""Sweeps of one parameter."""

from __future__ import annotations

import numpy as np
import pytest

import colosim
from colosim.plots import against
from colosim.plots.look import FigureError
from colosim.scenario import loads
from tests.runs.conftest import PLAIN


def test_a_point_is_a_run() -> None:
    """Each row says what a run with that value would say."""
    scenario = loads(PLAIN)
    table = against.data(scenario, "dirty-pages", [1000, 4000], designs=["qsb", "split"])
    assert table[["design", "value"]].to_numpy().tolist() == [
        ["qsb", 1000],
        ["split", 1000],
        ["qsb", 4000],
        ["split", 4000],
    ]
    varied = loads(PLAIN, overrides=["guest.dirty={pages: 4000}"])
    summary = colosim.run(varied, "split", tables=False).summary
    row = table.iloc[3]
    assert row["pause_ns"] == summary["pause_ns"]["p50"]
    assert row["primary_peak_bytes"] == summary["memory_peak_bytes"]["primary"]["extra_total"]


@pytest.mark.parametrize("parameter", against.PARAMETERS)
def test_every_parameter_can_be_varied(parameter: str) -> None:
    """Each parameter takes its own values, in the scenario's units."""
    usual = against.PARAMETERS[parameter].usual[:2]
    table = against.data(loads(PLAIN), parameter, usual, designs=["split"])
    assert table["value"].tolist() == list(usual)
    assert set(table["verdict"]) == {"completed"}


def test_a_guest_dirties_no_more_pages_than_it_has() -> None:
    """The usual numbers of dirty pages end at the guest's RAM: 64 MiB are 16,384 pages."""
    table = against.data(loads(PLAIN), designs=["split"])
    assert table["value"].max() == 16_000


def test_a_band_has_every_seed_about_the_median() -> None:
    """With seeds there is a row for each, and a band where they differ; memory has none."""
    scenario = loads(PLAIN).vary({"spread": "measured", "hosts.preset": "lab-qemu25"})
    table = against.data(scenario, "latency", [10_000, 100_000], designs=["qsb"], seeds=[1, 2, 3])
    assert table["seed"].tolist() == [1, 2, 3] * 2
    axes = against.draw(table)
    (line,), (band,) = axes.lines, axes.collections
    pauses = table["pause_ns"].to_numpy(dtype=float).reshape(2, 3) / 1e6
    assert np.asarray(line.get_ydata()) == pytest.approx(np.median(pauses, axis=1))
    outline = np.asarray(band.get_paths()[0].vertices)[:, 1]
    assert (outline.min(), outline.max()) == pytest.approx((pauses.min(), pauses.max()))
    assert not against.draw(table, "primary_peak_bytes").collections


def test_lines_are_the_data() -> None:
    """A design's line has the table's points, in the axes' units."""
    table = against.data(loads(PLAIN), "latency", [10_000, 1_000_000], designs=["qsb"])
    axes = against.draw(table, "primary_peak_bytes")
    (line,) = axes.lines
    assert np.asarray(line.get_xdata()).tolist() == [0.01, 1.0]
    mib = np.asarray(line.get_ydata()) * 2**20
    assert mib == pytest.approx(table["primary_peak_bytes"].to_numpy(dtype=float))
    assert axes.get_ylabel() == "primary's peak memory (MiB)"
    assert len(against.figure(table).axes) == 3


def test_an_unknown_parameter_is_named_with_those_there_are() -> None:
    """A wrong parameter's message lists the right ones."""
    with pytest.raises(FigureError, match="'pages' is none of dirty-pages, bandwidth"):
        against.data(loads(PLAIN), "pages")
