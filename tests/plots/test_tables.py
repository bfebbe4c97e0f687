"""Figures of tables: validation and the map of verdicts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from colosim.plots import heatmap, validation
from colosim.plots.style import FigureError, line_of

MEASURED = pd.DataFrame(
    [("qsb", 100_000_000, 109_000_000), ("qsb", 50_000_000, 44_000_000), ("split", 10**9, 10**9)],
    columns=["design", "measured_ns", "simulated_ns"],
)
CELLS = pd.DataFrame(
    [
        ("split", "primary", "RAM stream", "freeze secondary", "failed_over"),
        ("split", "primary", "RAM stream", "freeze secondary", "hung"),
        ("split", "secondary", "reset", "freeze secondary", "failed_over"),
        ("qsb", "primary", "RAM stream", "freeze secondary", "failed_over"),
        ("qsb", "primary", "RAM stream", "kill secondary", "not_applicable"),
    ],
    columns=list(heatmap.COLUMNS),
)


def test_errors_are_relative_to_measured() -> None:
    """The error is simulated/measured less 1, and within means 10% either way."""
    table = validation.data(MEASURED)
    assert table["error"].tolist() == pytest.approx([0.09, -0.12, 0.0])
    assert table["within"].tolist() == [True, False, True]


def test_points_are_the_data() -> None:
    """Each design's points stand at measured and simulated, and the title counts the band."""
    axes = validation.draw(MEASURED)
    (points,) = [line for line in axes.lines if line.get_label() == "qsb"]
    assert np.asarray(points.get_xdata()).tolist() == [100.0, 50.0]
    assert np.asarray(points.get_ydata()).tolist() == [109.0, 44.0]
    assert axes.get_title(loc="left") == "2 of 3 within 10%"
    assert axes.get_xlabel() == "measured pause (ms)"


@pytest.mark.parametrize(
    "table",
    [
        MEASURED[:0],
        MEASURED.drop(columns="design"),
        MEASURED.assign(measured_ns=0),
    ],
)
def test_a_wrong_validation_table_is_refused(table: pd.DataFrame) -> None:
    """A table without rows, without a column or with a time of 0 is no validation."""
    with pytest.raises(FigureError, match="validation table"):
        validation.data(table)


def test_of_several_verdicts_the_worst_stands() -> None:
    """Several faults in one cell are one cell with the worst verdict."""
    cells = heatmap.data(CELLS)
    assert len(cells) == 4
    struck = cells[(cells["design"] == "split") & (cells["step"] == "RAM stream")]
    assert struck["verdict"].tolist() == ["hung"]


def test_a_cell_has_colour_and_letter() -> None:
    """A cell's colour and letter both say the verdict; rows and columns are named."""
    axes = heatmap.draw(CELLS, "split")
    assert [text.get_text() for text in axes.texts] == ["H", "f"]
    assert len({to_hex(patch.get_facecolor()) for patch in axes.patches}) == 2
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "primary: RAM stream",
        "secondary: reset",
    ]
    assert len(heatmap.figure(CELLS).axes) == 2


def a_map(designs: int, faults: int) -> pd.DataFrame:
    """Return a table of so many designs and faults, twenty steps each."""
    return pd.DataFrame(
        [
            (f"design {design}", "primary", f"a long step {step}", f"fault {fault}", "hung")
            for design in range(designs)
            for step in range(20)
            for fault in range(faults)
        ],
        columns=list(heatmap.COLUMNS),
    )


@pytest.mark.parametrize("designs", [1, 2, 3, 5, 6])
def test_a_map_fits_a_page(designs: int) -> None:
    """Panels that do not fit beside the others stand below them: 7 by 9.7 inches are enough."""
    figure = heatmap.figure(a_map(designs, 12))
    width, height = figure.get_size_inches()
    assert width <= 7.1
    assert height <= 9.7
    assert len(figure.axes) == designs


def test_functions_that_fail_share_a_column() -> None:
    """A failing function belongs to one step: one column is enough for all of them."""
    named = ["fail RAM save", "leak RAM save", "fail device save", "leak device save", "freeze"]
    faults = heatmap.data(CELLS.assign(fault=named))["fault"].tolist()
    assert faults == ["fail", "leak", "fail", "leak", "freeze"]


def test_a_step_of_one_design_stands_where_it_comes_there() -> None:
    """Rows keep the order of the protocol, also for what the first design does not have."""
    table = pd.DataFrame(
        [
            *[("qsb", "primary", step, "kill", "hung") for step in ("stop", "start")],
            *[("split", "primary", step, "kill", "hung") for step in ("stop", "save", "start")],
        ],
        columns=list(heatmap.COLUMNS),
    )
    labels = heatmap.figure(table).axes[0].get_yticklabels()
    assert [label.get_text() for label in labels] == [
        "primary: stop",
        "primary: save",
        "primary: start",
    ]


def test_a_wrong_map_is_refused() -> None:
    """A table without a needed column, or without the design, is refused."""
    with pytest.raises(FigureError, match="columns design, side"):
        heatmap.data(CELLS.drop(columns="fault"))
    with pytest.raises(FigureError, match="no design 'flat'"):
        heatmap.draw(CELLS, "flat")


def test_no_two_designs_look_alike() -> None:
    """Designs differ in colour, dashes and marker at once, so grey is enough to tell them."""
    looks = [line_of(name) for name in ("qsb", "split", "device-first", "flat", "mainline")]
    for part in zip(*looks, strict=True):
        assert len(set(part)) == len(looks)
