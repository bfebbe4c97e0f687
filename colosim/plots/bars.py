"""Bars on lanes: how what takes time looks, and what is written into it where there is room."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colosim.plots.style import Colour, Fill, say

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.axes import Axes

__all__ = ["draw_bar", "frame_lanes", "letter_width", "write_in"]

_POINTS_A_LETTER = 3.9
_POINTS_AN_INCH = 72


def frame_lanes(axes: Axes, lanes: Iterable[tuple[float, str]]) -> None:
    """Name the lanes beside the axes, by where they stand."""
    at, names = zip(*lanes, strict=True)
    axes.set_yticks(at, names)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)


def draw_bar(
    axes: Axes,
    y: float,
    span: tuple[float, float],
    fill: Fill,
    height: float,
    *,
    is_open: bool = False,
    zorder: float = 3,
) -> None:
    """Draw a bar from one x to another around `y`; an arrow says that it never ends."""
    left, right = span
    axes.broken_barh(
        [(left, right - left)],
        (y - height / 2, height),
        facecolors=fill.colour,
        edgecolors=fill.edge,
        hatch=fill.hatch,
        linewidth=0.35,
        linestyle="-" if fill.edge == Colour.BLACK else "--",
        zorder=zorder,
    )
    if is_open:
        axes.plot(
            [right], [y], marker=">", markersize=5, color=Colour.BLACK, clip_on=False, zorder=5
        )


def letter_width(axes: Axes) -> float:
    """Return how wide a letter in a bar is, in units of the x axis."""
    low, high = axes.get_xlim()
    width_pt = axes.bbox.width / axes.figure.dpi * _POINTS_AN_INCH
    return _POINTS_A_LETTER / width_pt * (high - low)


def write_in(axes: Axes, x: float, y: float, text: str, fill: Fill) -> None:
    """Write into the middle of a bar, so that its hatch leaves the letters clear."""
    say(
        axes,
        x,
        y,
        text,
        color=Colour.WHITE if fill.is_dark else Colour.BLACK,
        style="italic" if fill.edge == Colour.GREY else "normal",
        bbox={"pad": 1.4, "facecolor": fill.colour, "linewidth": 0} if fill.hatch else None,
        zorder=4,
    )
