"""Bars on lanes: how what takes time looks, and what is written into it where there is room."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from colosim.plots.style import Colour, Fill, write_small

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POINTS_A_LETTER = 3.9
_POINTS_AN_INCH = 72
NAMES_IN = 1.2
"""How much of a figure's width the names of its lanes take."""


class Bar(NamedTuple):
    """A bar from one x to another; an arrow says that it never ends.

    `texts` may be written into it: the first that fits.
    """

    left: float
    right: float
    fill: Fill
    texts: tuple[str, ...] = ()
    is_open: bool = False
    zorder: float = 3

    @property
    def middle(self) -> float:
        """Where its text stands."""
        return (self.left + self.right) / 2


def frame_lanes(axes: Axes, lanes: Iterable[tuple[float, str]]) -> None:
    """Name the lanes beside the axes, by where they stand."""
    at, names = zip(*lanes, strict=True)
    axes.set_yticks(at, names)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)


def draw_lane(axes: Axes, y: float, bars: Sequence[Bar], height: float) -> None:
    """Draw bars around `y`, and write into them, the longest first, where there is room."""
    written: list[tuple[float, float]] = []
    for bar in bars:
        _draw(axes, y, bar, height)
    for bar in sorted(bars, key=lambda bar: bar.left - bar.right):
        for text in bar.texts:
            half = _width(axes, text) / 2
            begin, end = bar.middle - half, bar.middle + half
            free = all(last <= begin or end <= first for first, last in written)
            if fits(axes, text, bar.right - bar.left) and free:
                written.append((begin, end))
                write_in(axes, bar, y, text)
                break


def _draw(axes: Axes, y: float, bar: Bar, height: float) -> None:
    fill = bar.fill
    axes.broken_barh(
        [(bar.left, bar.right - bar.left)],
        (y - height / 2, height),
        facecolors=fill.colour,
        edgecolors=fill.edge,
        hatch=fill.hatch,
        linewidth=0.35,
        linestyle="-" if fill.edge == Colour.BLACK else "--",
        zorder=bar.zorder,
    )
    if bar.is_open:
        axes.plot([bar.right], [y], ">", markersize=5, color=Colour.BLACK, clip_on=False, zorder=5)


def _width(axes: Axes, text: str) -> float:
    """Return about how wide small text is, in units of the x axis."""
    low, high = axes.get_xlim()
    room = min(axes.bbox.width, axes.figure.bbox.width - NAMES_IN * axes.figure.dpi)
    width_pt = room / axes.figure.dpi * _POINTS_AN_INCH
    return len(text) * _POINTS_A_LETTER / width_pt * (high - low)


def fits(axes: Axes, text: str, width: float) -> bool:
    """Whether small text fits into a width, in units of the x axis."""
    return _width(axes, text) < width


def write_in(axes: Axes, bar: Bar, y: float, text: str) -> None:
    """Write into the middle of a bar, so that its hatch leaves the letters clear."""
    fill = bar.fill
    write_small(
        axes,
        bar.middle,
        y,
        text,
        color=Colour.WHITE if fill.is_dark else Colour.BLACK,
        style="italic" if fill.edge == Colour.GREY else "normal",
        bbox={"pad": 1.4, "facecolor": fill.colour, "linewidth": 0} if fill.hatch else None,
        zorder=4,
    )
