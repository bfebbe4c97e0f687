"""Figures of tables: validation and the map of verdicts."""

from __future__ import annotations

from io import BytesIO
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.patches import Rectangle

from colosim.plots import heatmap, validation
from colosim.plots.look import FigureError
from colosim.plots.style import line_of

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
        "P: RAM stream",
        "S: reset",
    ]
    assert len(heatmap.figure(CELLS).axes) == 2


VICTIMS = [
    ("primary", "secondary", "failed_over"),
    ("primary", "primary", "hung"),
    ("primary", "network", "split_brain"),
    ("secondary", "secondary", "hung"),
    ("secondary", "primary", "hung"),
    ("secondary", "network", "hung"),
]


def struck(rows: list[tuple[str, str, str]]) -> pd.DataFrame:
    """Return a table of one fault on the victims of rows (side, victim, verdict)."""
    columns = ["side", "victim", "verdict"]
    return pd.DataFrame(rows, columns=columns).assign(design="split", step="stop", fault="vanish")


def test_victims_are_seen_from_the_side_at_its_step() -> None:
    """The peer, itself or the network: a verdict each, so one does not hide the others."""
    cells = heatmap.data(struck(VICTIMS[:4]))
    assert cells[["side", "victim", "verdict"]].to_numpy().tolist() == [
        ["primary", "peer", "failed_over"],
        ["primary", "itself", "hung"],
        ["primary", "network", "split_brain"],
        ["secondary", "itself", "hung"],
    ]


def test_a_cell_has_a_part_for_each_victim() -> None:
    """Parts stand from the peer to the network; where all end alike the cell is whole."""
    axes = heatmap.draw(struck(VICTIMS), "split")
    parts = [text.get_text() for text in sorted(axes.texts, key=lambda text: text.get_position())]
    assert parts == ["f", "H", "H", "B"]
    widths = [patch.get_width() for patch in axes.patches if isinstance(patch, Rectangle)]
    assert widths[:3] == pytest.approx([widths[3] / 3] * 3)
    assert [label.get_text() for label in axes.get_xticklabels(minor=True)] == ["p", "i", "n"]


def test_verdicts_differ_in_grey() -> None:
    """Each verdict's tone is at least 9 of 100 steps of lightness from every other's."""
    verdicts = ["completed", "failed_over", "unprotected", "stopped", "hung", "split_brain"]
    rows = [("split", "primary", word, "freeze", word) for word in (*verdicts, "violated")]
    axes = heatmap.draw(pd.DataFrame(rows, columns=list(heatmap.COLUMNS)), "split")
    tones = sorted(lightness(to_hex(patch.get_facecolor())) for patch in axes.patches)
    assert len(tones) == 7
    assert min(np.diff(tones)) >= 9


def lightness(colour: str) -> float:
    """Return the lightness of a colour, 0 to 100 (CIE 1976 L*)."""
    y = 0.0
    for weight, part in zip((0.2126, 0.7152, 0.0722), to_rgb(colour), strict=True):
        linear = part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        y += weight * linear
    return 116 * y ** (1 / 3) - 16 if y > 0.008856 else 903.3 * y


def a_map(designs: int, faults: int, steps: int = 27) -> pd.DataFrame:
    """Return a table of so many designs and faults; an exploration has 27 steps of each."""
    return pd.DataFrame(
        [
            (f"design {design}", "primary", f"a long step {step}", f"fault {fault}", victim, "hung")
            for design in range(designs)
            for step in range(steps)
            for fault in range(faults)
            for victim in ("secondary", "primary")
        ],
        columns=["design", "side", "step", "fault", "victim", "verdict"],
    )


@pytest.mark.parametrize("designs", [1, 4])
def test_a_map_fits_a_page(designs: int) -> None:
    """Panels that do not fit beside the others stand below them: 7 by 9.7 inches are enough."""
    figure = heatmap.figure(a_map(designs, 12))
    width, height = figure.get_size_inches()
    assert width <= 7.1
    assert height <= 9.7
    assert len(figure.axes) == designs


@pytest.mark.slow
def test_long_titles_neither_overlap_nor_leave_the_page() -> None:
    """A design's remedies are written below each other, within its panel's width."""
    names = ["qemu-5.1+receive-outside-lock", "split+send-timeout=5s+ram-outside-lock+yank"] * 4
    table = a_map(8, 5, steps=6)
    known = {f"design {index}": f"{name}{index}" for index, name in enumerate(names)}
    figure = heatmap.figure(table.assign(design=table["design"].map(known)))
    figure.savefig(BytesIO(), format="png", dpi=figure.dpi)
    boxes = [axes.title.get_window_extent() for axes in figure.axes]
    assert figure.get_size_inches()[0] <= 7.1
    assert max(box.x1 for box in boxes) <= figure.bbox.x1
    for one, other in combinations(boxes, 2):
        assert not one.overlaps(other)


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
        "P: stop",
        "P: save",
        "P: start",
    ]


def test_a_wrong_map_is_refused() -> None:
    """A table without a needed column, or without the design, is refused."""
    with pytest.raises(FigureError, match="columns design, side"):
        heatmap.data(CELLS.drop(columns="fault"))
    with pytest.raises(FigureError, match="no design 'flat'"):
        heatmap.draw(CELLS, "flat")


def test_no_two_designs_look_alike() -> None:
    """Designs differ in colour, dashes and marker at once, so grey is enough to tell them."""
    looks = [line_of(name) for name in ("qsb", "split", "device-first", "flat", "qemu-5.1")]
    for part in zip(*looks, strict=True):
        assert len(set(part)) == len(looks)


def test_rows_stand_in_protocol_order_whatever_is_beside_them() -> None:
    """A table in the order of its faults, one of which strikes at one late step, has that order."""
    struck = {"fail device save": ["save"], "freeze": ["stop", "save", "start"], "kill": ["start"]}
    rows = [
        (design, "primary", step, fault, "hung")
        for design in ("qsb", "split")
        for fault, steps in struck.items()
        for step in steps
    ]
    for order in (rows, rows[::-1][3:] + rows):
        table = pd.DataFrame(order, columns=list(heatmap.COLUMNS)).drop_duplicates()
        labels = heatmap.figure(table).axes[0].get_yticklabels()
        assert [label.get_text() for label in labels] == ["P: stop", "P: save", "P: start"]
