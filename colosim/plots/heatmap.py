"""Every fault at every protocol step: the verdicts as a map, a panel a design."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from colosim.plots.rows import rows_of
from colosim.plots.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    WHITE,
    YELLOW,
    FigureError,
    axes_or_new,
    styled,
)
from colosim.runs.verdict import (
    COMPLETED,
    FAILED_OVER,
    HUNG,
    NOT_APPLICABLE,
    SPLIT_BRAIN,
    STOPPED,
    UNPROTECTED,
    VIOLATED,
    WORST_FIRST,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["COLUMNS", "data", "draw", "figure"]

COLUMNS = ("design", "side", "step", "fault", "verdict")
"""What a table has to have.  `side` and `step` say where the fault strikes."""

#: Colour, letter in the cell, and the letter's colour.
_LOOKS = {
    COMPLETED: (GREEN, "c", WHITE),
    FAILED_OVER: (SKY, "f", BLACK),
    UNPROTECTED: (YELLOW, "u", BLACK),
    STOPPED: (ORANGE, "s", BLACK),
    HUNG: (VERMILLION, "H", WHITE),
    SPLIT_BRAIN: (PURPLE, "B", BLACK),
    VIOLATED: (BLACK, "V", WHITE),
    NOT_APPLICABLE: ("#f2f2f2", "", GREY),
}
_OTHER = (BLUE, "?", WHITE)
_CELL_IN = 0.135
_LETTER_IN = 0.047
_PAGE_IN = 7.0
"""Width of a page's text: what does not fit beside the others goes below."""
_CELL_PT, _NAME_PT = 5, 6
_BY_FUNCTION = ("fail", "leak")
"""Faults that each name a function of one step: one column for all of them."""


def data(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row a cell: ``design``, ``side``, ``step``, ``fault``, and the worst ``verdict``.

    Several rows of one cell (a fault at several places within a step, on several victims, or of
    several functions) are one by the worst.

    :raises FigureError: if it has no rows or lacks one of `COLUMNS`.
    """
    if not len(table) or any(name not in table for name in COLUMNS):
        raise FigureError(f"an exploration's table has rows and the columns {', '.join(COLUMNS)}")
    ranks = {verdict: rank for rank, verdict in enumerate((*WORST_FIRST, NOT_APPLICABLE))}
    rows = table[list(COLUMNS)].copy()
    rows["fault"] = [_column(str(fault)) for fault in rows["fault"]]
    rows["rank"] = [ranks.get(verdict, -1) for verdict in rows["verdict"]]
    worst = rows.groupby(list(COLUMNS[:-1]), sort=False)["rank"].idxmin()
    return rows.loc[worst, list(COLUMNS)].reset_index(drop=True)


def _column(fault: str) -> str:
    kind = fault.partition(" ")[0]
    return kind if kind in _BY_FUNCTION else fault


def _keys(cells: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Return the names of rows, the primary's first, and of columns.

    A step that only some designs have stands behind the one that it follows there.
    """
    steps: list[str] = []
    for design in dict.fromkeys(cells["design"]):
        place = 0
        for cell in rows_of(cells[cells["design"] == design]):
            name = f"{cell.side}: {cell.step}"
            if name not in steps:
                steps.insert(place, name)
            place = steps.index(name) + 1
    return sorted(steps, key=lambda name: name.partition(":")[0]), list(
        dict.fromkeys(cells["fault"].astype(str))
    )


@styled
def draw(table: pd.DataFrame, design: str, axes: Axes | None = None) -> Axes:
    """Draw one design's cells: steps down, faults to the right; colour and letter say the verdict.

    :raises FigureError: as `data`, or if the table does not have the design.
    """
    axes = axes_or_new(axes)
    cells = data(table)
    if design not in set(cells["design"]):
        raise FigureError(f"the table has no design {design!r}")
    _cells(axes, cells, design)
    axes.legend(handles=_handles(cells), loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return axes


def _cells(axes: Axes, cells: pd.DataFrame, design: str) -> None:
    rows, columns = _keys(cells)
    for cell in rows_of(cells[cells["design"] == design]):
        y, x = rows.index(f"{cell.side}: {cell.step}"), columns.index(str(cell.fault))
        colour, letter, ink = _LOOKS.get(str(cell.verdict), _OTHER)
        axes.add_patch(
            Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor=WHITE, linewidth=0.6)
        )
        axes.text(
            x, y, letter, ha="center", va="center", fontsize=_CELL_PT, color=ink, weight="bold"
        )
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xticks(np.arange(len(columns)), columns, rotation=90, fontsize=_NAME_PT)
    axes.set_yticks(np.arange(len(rows)), rows, fontsize=_NAME_PT)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(design)


def _handles(cells: pd.DataFrame) -> list[Patch]:
    met = set(cells["verdict"].astype(str))
    return [
        Patch(facecolor=colour, edgecolor=GREY, linewidth=0.4, label=_named(verdict, letter))
        for verdict, (colour, letter, _) in _LOOKS.items()
        if verdict in met
    ]


def _named(verdict: str, letter: str) -> str:
    name = verdict.replace("_", " ")
    return f"{letter}: {name}" if letter else name


@styled
def figure(table: pd.DataFrame) -> Figure:
    """Return the map of a table, a panel a design, no wider than a page.

    :raises FigureError: as `data`.
    """
    cells = data(table)
    designs = list(dict.fromkeys(cells["design"].astype(str)))
    rows, columns = _keys(cells)
    names_in = _LETTER_IN * max(map(len, rows)) + 0.3
    panel_in = _CELL_IN * len(columns) + 0.1
    across = min(len(designs), max(1, int((_PAGE_IN - names_in) / panel_in)))
    down = -(-len(designs) // across)
    faults_in = _LETTER_IN * max(map(len, columns))
    made = Figure(
        figsize=(
            max(4.0, names_in + across * panel_in),
            down * (_CELL_IN * len(rows) + 0.3) + faults_in + 0.6,
        )
    )
    panels = made.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, design in zip(panels, designs, strict=False):
        _cells(axes, cells, design)
    for index, axes in enumerate(panels[: len(designs)]):
        # The lowest of each column names the faults.
        axes.tick_params(labelbottom=index + across >= len(designs))
    for axes in panels[len(designs) :]:
        axes.remove()
    made.legend(handles=_handles(cells), loc="outside lower center", ncols=4)
    return made
