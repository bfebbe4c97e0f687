"""Figures of a sweep: lines over an axis with a band over seeds, panels, maps of two axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from colosim.cli.main import main
from colosim.plots import sweep
from colosim.plots.look import FigureError

if TYPE_CHECKING:
    from pathlib import Path

PAUSE = "pause_ns.p50"
LATENCIES, PAGES = (10_000, 1_000_000), (100, 1000, 10_000)


@pytest.fixture
def table() -> pd.DataFrame:
    """Return a sweep of two designs, two latencies and three numbers of pages, with three seeds.

    A pause is pages times 1 us, and that of `split` half of it; the seed n adds n - 1 us.
    """
    rows = [
        (design, ns, pages, 7, seed, "completed", pages * (1000 >> at) + ns + 1000 * (seed - 1))
        for at, design in enumerate(("qsb", "split"))
        for ns in LATENCIES
        for pages in PAGES
        for seed in (1, 2, 3)
    ]
    names = ("design", "network.latency", "guest.dirty.pages", "checkpoints", "seed", "verdict")
    made = pd.DataFrame(rows, columns=[*names, PAUSE])
    return made.astype({PAUSE: "Int64", "guest.dirty.pages": "Int64"})


def test_a_point_is_the_median_over_seeds(table: pd.DataFrame) -> None:
    """Beside it stand the least and the most; runs that have no pause are left out."""
    table.loc[1, PAUSE] = pd.NA
    drawn = sweep.data(table, "guest.dirty.pages", PAUSE, ["design"])
    assert list(drawn.columns) == [
        *("guest.dirty.pages", "design", "network.latency", "low", "median", "high", "runs"),
    ]
    assert drawn.iloc[0].tolist() == [100, "qsb", 10_000, 110_000, 110_000, 112_000, 2]
    assert drawn.iloc[1].tolist() == [1000, "qsb", 10_000, 1_010_000, 1_011_000, 1_012_000, 3]


def test_lines_are_the_data(table: pd.DataFrame) -> None:
    """A panel for each value of the axis that is not named, a line a design, in the axes' units."""
    figure = sweep.figure(table, "guest.dirty.pages", PAUSE, ["design"])
    one, other = figure.axes
    assert (one.get_title("left"), other.get_title("left")) == ("10 us", "1 ms")
    qsb, split = one.lines
    assert (qsb.get_label(), split.get_label()) == ("qsb", "split")
    assert np.asarray(qsb.get_xdata()).tolist() == list(PAGES)
    expected = [(pages * 1000 + 10_000 + 1000) / 1e6 for pages in PAGES]
    assert np.asarray(qsb.get_ydata()).tolist() == pytest.approx(expected)
    assert len(one.collections) == 2  # a band for each line
    assert figure.get_supylabel() == "pause_ns.p50 (ms)"
    assert one.get_xlabel() == "guest.dirty.pages (pages)"


def test_any_axis_may_be_the_lines(table: pd.DataFrame) -> None:
    """Its values are said as a scenario writes them; designs get the panels then."""
    figure = sweep.figure(table, "guest.dirty.pages", PAUSE, ["network.latency"])
    assert [axes.get_title("left") for axes in figure.axes] == ["qsb", "split"]
    assert [line.get_label() for line in figure.axes[0].lines] == ["10 us", "1 ms"]


def test_words_may_be_the_axis(table: pd.DataFrame) -> None:
    """Designs along the axis are its ticks."""
    figure = sweep.figure(table, "design", PAUSE, ["guest.dirty.pages"])
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["qsb", "split"]


def test_a_map_is_of_two_axes(table: pd.DataFrame) -> None:
    """Colours are one scale for all panels; a run that is missing is a hole."""
    table = table[~((table["design"] == "split") & (table["guest.dirty.pages"] == 1000))]
    figure = sweep.figure(table, "guest.dirty.pages", "network.latency", [PAUSE])
    one, other, bar = figure.axes
    assert (one.get_title("left"), other.get_title("left")) == ("qsb", "split")
    shown: list[Any] = [
        np.ma.filled(np.ma.asarray(axes.collections[0].get_array()), np.nan)
        for axes in (one, other)
    ]
    assert shown[0][1, 2] == pytest.approx(11.001)
    assert np.isnan(shown[1][:, 1]).all()
    assert one.collections[0].get_clim() == other.collections[0].get_clim()
    assert bar.get_ylabel() == "pause_ns.p50 (ms)"
    assert [tick.get_text() for tick in one.get_yticklabels()] == ["10 us", "1 ms"]


@pytest.mark.parametrize(
    ("x", "y", "by", "told"),
    [
        ("guest.dirty.page", PAUSE, [], "is no column of the sweep; did you mean 'guest.dirty.pa"),
        ("checkpoints", PAUSE, [], "'checkpoints' is no axis with several values; there are desi"),
        ("design", "guest.dirty.pages", [], "is an axis too; name with --by the quantity"),
        ("design", PAUSE, ["checkpoints"], "'checkpoints' is no axis with several values"),
        ("design", "verdict", [], "'verdict' has no numbers"),
        ("guest.dirty.pages", PAUSE, ["design"], "14 panels, one for each value of network.laten"),
    ],
)
def test_what_cannot_be_drawn_is_told(
    table: pd.DataFrame, x: str, y: str, by: list[str], told: str
) -> None:
    """The nearest column, the axes that there are, or how to have fewer panels."""
    if "panels" in told:
        table["network.latency"] = np.arange(len(table)) % 14
    with pytest.raises(FigureError, match=told):
        sweep.figure(table, x, y, by)


def test_the_command_draws_a_folder(
    table: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``plot --kind sweep`` reads results.parquet; without --x it takes the first other axis."""
    table.to_parquet(tmp_path / "results.parquet", index=False)
    target, numbers = str(tmp_path / "drawn.svg"), str(tmp_path / "drawn.csv")
    kind = ["plot", str(tmp_path), "--kind", "sweep"]
    assert main([*kind, "-o", target, "--data", numbers]) == 0
    assert capsys.readouterr().out == f"{target}: written\n{numbers}: written\n"
    again = pd.read_csv(numbers)
    assert list(again.columns[:3]) == ["network.latency", "design", "guest.dirty.pages"]
    (tmp_path / "results.parquet").unlink()
    assert main(kind) == 2
    assert "has no results.parquet of a sweep" in capsys.readouterr().err
