"""Every fault at every protocol step: the verdicts as a map, a panel a design.

A column is a fault; where the table has victims, a cell has a part for each that it struck: the
peer of the side that is at the step, that side itself, the network.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from colosim.plots.look import FigureError, at_least, width_of
from colosim.plots.style import Colour, Fill, axes_or_new, broken, legend_below, styled, write_small
from colosim.plots.units import rows_of
from colosim.runs.verdict import (
    COMPLETED,
    FAILED_OVER,
    HUNG,
    NOT_APPLICABLE,
    SPLIT_BRAIN,
    STOPPED,
    UNFINISHED,
    UNPROTECTED,
    VIOLATED,
    WORST_FIRST,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.patches import Patch

COLUMNS = ("design", "side", "step", "fault", "verdict")
"""What a table has to have.  `side` and `step` say where the fault strikes."""
VICTIM = "victim"
"""The column that a table may have too: ``primary``, ``secondary`` or ``network``."""
PEER, ITSELF, NETWORK = "peer", "itself", "network"

#: Colour, letter in the cell, and the letter's colour.  Each tone is 10 steps of CIE lightness (of
#: 100) from the next, so they can be told in grey as well.
_LOOKS = {
    COMPLETED: (Colour.GREEN, "c", Colour.WHITE),
    FAILED_OVER: ("#8ccbf2", "f", Colour.BLACK),
    UNFINISHED: ("#b9b9b9", "?", Colour.BLACK),
    UNPROTECTED: (Colour.YELLOW, "u", Colour.BLACK),
    STOPPED: ("#dd9a00", "s", Colour.BLACK),
    HUNG: ("#b85000", "H", Colour.WHITE),
    SPLIT_BRAIN: ("#8a3070", "B", Colour.WHITE),
    VIOLATED: (Colour.BLACK, "V", Colour.WHITE),
    NOT_APPLICABLE: ("#f2f2f2", "", Colour.GREY),
}
_OTHER = (Colour.BLUE, "?", Colour.WHITE)
_PARTS = {PEER: "p", ITSELF: "i", NETWORK: "n", "": ""}
"""Victims in the order of a cell's parts, and the letter below each."""
_SIDES = {"primary": "P", "secondary": "S"}
_PART_IN, _CELL_IN, _GAP_IN = 0.067, 0.105, 0.015
"""Width of a part of a cell, of one that has no parts, and between two columns."""
_ROW_IN = 0.13
_LETTER_IN, _TITLE_LETTER_IN = 0.047, 0.064
_LINE_IN = 0.12
_PAGE_IN = 7.0
"""Width of a page's text: what does not fit beside the others goes below."""
_PART_PT, _CELL_PT, _NAME_PT, _TITLE_PT = 4.3, 5, 6, 7
_BY_FUNCTION = ("fail", "leak")
"""Faults that each name a function of one step: one column for all of them."""


def data(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row a part of a cell, with the worst ``verdict``.

    It has ``design``, ``side``, ``step``, ``fault``; and, if the table has one, ``victim``:
    ``peer``, ``itself`` (the side that is at the step) or ``network``.  Several rows of one part
    (a fault at several places within a step, or of several functions) are one by the worst.

    :raises FigureError: if it has no rows or lacks one of `COLUMNS`.
    """
    if not len(table) or any(name not in table for name in COLUMNS):
        raise FigureError(f"an exploration's table has rows and the columns {', '.join(COLUMNS)}")
    *keys, verdict = COLUMNS
    keys += [VICTIM] if VICTIM in table else []
    ranks = {word: rank for rank, word in enumerate((*WORST_FIRST, NOT_APPLICABLE))}
    rows = table[[*keys, verdict]].copy()
    rows["fault"] = [_column(str(fault)) for fault in rows["fault"]]
    if VICTIM in table:
        struck = zip(rows["side"], rows[VICTIM], strict=True)
        rows[VICTIM] = [_struck(str(side), str(victim)) for side, victim in struck]
    rows["rank"] = [ranks.get(word, -1) for word in rows[verdict]]
    worst = rows.groupby(keys, sort=False)["rank"].idxmin()
    return rows.loc[worst, [*keys, verdict]].reset_index(drop=True)


def _column(fault: str) -> str:
    kind = fault.partition(" ")[0]
    return kind if kind in _BY_FUNCTION else fault


def _struck(side: str, victim: str) -> str:
    """Return whom a fault strikes, seen from the side that is at its step."""
    if victim in _PARTS:
        return victim
    if victim == side:
        return ITSELF
    return PEER if victim in _SIDES else NETWORK


class _Column(NamedTuple):
    """A fault: where its cells begin and how wide they are, in inches, and whom it strikes."""

    fault: str
    victims: tuple[str, ...]
    left_in: float
    width_in: float

    def part(self, victim: str) -> tuple[float, float]:
        """Return where the part for a victim begins, and how wide it is."""
        width = self.width_in / len(self.victims)
        return self.left_in + self.victims.index(victim) * width, width


class _Grid:
    """What all panels share: the names of the rows, the columns, and their width in inches.

    The primary's rows are first; a step that only some designs have stands behind the one that it
    follows there.
    """

    def __init__(self, cells: pd.DataFrame) -> None:
        steps: list[str] = []
        by_fault: dict[str, set[str]] = {}
        for _, own in cells.groupby("design", sort=False):
            for cell in rows_of(own):
                by_fault.setdefault(str(cell.fault), set()).add(_victim(cell))
            by_what = own.groupby(["fault", *([VICTIM] if VICTIM in own else [])], sort=False)
            # What strikes at most steps tells most of their order.
            for _, struck in sorted(by_what, key=lambda group: -len(group[1])):
                place = 0
                for name in map(_row, rows_of(struck)):
                    if name not in steps:
                        steps.insert(place, name)
                    place = steps.index(name) + 1
        self.rows = sorted(steps, key=lambda name: name.partition(":")[0])
        self.columns: list[_Column] = []
        left = 0.0
        for fault in dict.fromkeys(cells["fault"].astype(str)):
            parts = tuple(victim for victim in _PARTS if victim in by_fault[fault])
            width = max(_CELL_IN, _PART_IN * len(parts))
            self.columns.append(_Column(fault, parts, left, width))
            self.width_in = left + width
            left += width + _GAP_IN


def _row(cell: Any) -> str:
    return f"{_SIDES.get(cell.side, cell.side)}: {cell.step}"


def _victim(cell: Any) -> str:
    return str(getattr(cell, VICTIM, ""))


@styled
def draw(table: pd.DataFrame, design: str, axes: Axes | None = None) -> Axes:
    """Draw one design's cells: steps down, faults to the right; colour and letter say the verdict.

    :raises FigureError: as `data`, or if the table does not have the design.
    """
    axes = axes_or_new(axes)
    cells = data(table)
    if design not in set(cells["design"]):
        raise FigureError(f"the table has no design {design!r}")
    grid = _Grid(cells)
    _panel(axes, cells, design, grid, grid.width_in)
    axes.legend(
        handles=_handles(cells), title=_key(cells), loc="upper left", bbox_to_anchor=(1.0, 1.0)
    )
    return axes


def _panel(axes: Axes, cells: pd.DataFrame, design: str, grid: _Grid, width_in: float) -> None:
    """Draw one design's cells and names into `axes`, which are `width_in` inches wide."""
    parts: dict[tuple[str, str], dict[str, str]] = {}
    for cell in rows_of(cells[cells["design"] == design]):
        parts.setdefault((_row(cell), cell.fault), {})[_victim(cell)] = str(cell.verdict)
    by_fault = {column.fault: column for column in grid.columns}
    for (row, fault), verdicts in parts.items():
        _cell(axes, by_fault[fault], grid.rows.index(row), verdicts)
    axes.set_xlim(0, width_in)
    axes.set_ylim(len(grid.rows) - 0.5, -0.5)
    axes.set_yticks(range(len(grid.rows)), grid.rows, fontsize=_NAME_PT)
    axes.tick_params(length=0, which="both", pad=2)
    _name_columns(axes, grid.columns)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(broken(design, width_in, _TITLE_PT), fontsize=_TITLE_PT, linespacing=1.1)


def _cell(axes: Axes, column: _Column, y: int, parts: dict[str, str]) -> None:
    """Draw one cell: one whole if all its victims end alike, else a part for each."""
    if len(parts) == len(column.victims) and len(set(parts.values())) == 1:
        (whole,) = set(parts.values())
        _box(axes, (column.left_in, column.width_in), y, whole, _CELL_PT)
        return
    for victim, verdict in parts.items():
        _box(axes, column.part(victim), y, verdict, _PART_PT)


def _box(axes: Axes, span: tuple[float, float], y: int, verdict: str, size_pt: float) -> None:
    left, width = span
    colour, letter, ink = _LOOKS.get(verdict, _OTHER)
    patch = Rectangle((left, y - 0.5), width, 1)
    patch.set(facecolor=colour, edgecolor=Colour.WHITE, linewidth=0.5)
    axes.add_patch(patch)
    font = {"fontsize": size_pt, "color": ink, "weight": "bold"}
    write_small(axes, left + width / 2, y, letter, va="center_baseline", **font)


def _name_columns(axes: Axes, columns: Sequence[_Column]) -> None:
    """Write the faults below the columns, and above each a letter for each of its parts."""
    axes.set_xticks(
        [column.left_in + column.width_in / 2 for column in columns],
        [column.fault for column in columns],
        rotation=90,
        fontsize=_NAME_PT,
    )
    parts = [(column.part(victim), victim) for column in columns for victim in column.victims]
    if any(victim for _, victim in parts):
        # The middle one of three stands where the fault's own mark is.
        axes.xaxis.remove_overlapping_locs = False
        middles = [left + width / 2 for (left, width), _ in parts]
        letters = [_PARTS[victim] for _, victim in parts]
        axes.set_xticks(middles, letters, minor=True, fontsize=_PART_PT)
        axes.tick_params(axis="x", pad=9)


def _title_in(designs: Sequence[str]) -> float:
    """Return how wide a panel has to be for the longest part of a name."""
    parts = [part for design in designs for part in re.findall(r"\+?[^+]+", design)]
    return _TITLE_LETTER_IN * (max(map(len, parts)) + 1)


def _handles(cells: pd.DataFrame) -> list[Patch]:
    met = set(cells["verdict"].astype(str))
    return [
        Fill(colour, "", edge=Colour.GREY).patch(
            (f"{letter}: " if letter else "") + verdict.replace("_", " "), 0.4
        )
        for verdict, (colour, letter, _) in _LOOKS.items()
        if verdict in met
    ]


def _key(cells: pd.DataFrame) -> str:
    """Return what the letters beside rows and below columns mean."""
    rows = "step of P: the primary, S: the secondary"
    if VICTIM not in cells:
        return rows
    return f"{rows}\nstruck is p: its peer, i: itself, n: the network"


@styled
def figure(table: pd.DataFrame) -> Figure:
    """Return the map of a table, a panel a design, no wider than a page.

    :raises FigureError: as `data`.
    """
    cells = data(table)
    designs = list(dict.fromkeys(cells["design"].astype(str)))
    grid = _Grid(cells)
    names_in = _LETTER_IN * max(map(len, grid.rows)) + 0.1
    panel_in = max(grid.width_in, _title_in(designs))
    at_least(names_in + panel_in + _BETWEEN_IN, "a map with these faults and steps")
    room_in = width_of(_PAGE_IN) - names_in
    across = min(len(designs), max(1, int(room_in / (panel_in + _BETWEEN_IN))))
    down = -(-len(designs) // across)
    lines = max(broken(design, panel_in, _TITLE_PT).count("\n") + 1 for design in designs)
    faults_in = _LETTER_IN * max(len(column.fault) for column in grid.columns) + 0.1
    named = 2 if down > 1 and len(designs) % across else 1
    made = Figure(
        figsize=(
            width_of(max(4.0, names_in + across * (panel_in + _BETWEEN_IN))),
            down * (_ROW_IN * len(grid.rows) + _LINE_IN * lines + 0.15) + faults_in * named + 0.75,
        )
    )
    made.set_layout_engine("constrained", w_pad=0.02, h_pad=0.03, wspace=0, hspace=0)
    panels = made.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, design in zip(panels, designs, strict=False):
        _panel(axes, cells, design, grid, panel_in)
    for index, axes in enumerate(panels[: len(designs)]):
        # The lowest of each column names the faults.
        axes.tick_params(which="both", labelbottom=index + across >= len(designs))
    for axes in panels[len(designs) :]:
        axes.remove()
    legend_below(made, _handles(cells), 4, title=_key(cells), title_fontsize=_NAME_PT)
    return made


_BETWEEN_IN = 0.06
"""Between two panels."""
