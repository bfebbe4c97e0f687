"""A tornado diagram: how far each cost's range moves a quantity, the largest swing on top."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from colosim.plots.look import FigureError, width_of
from colosim.plots.style import Colour, broken, styled
from colosim.plots.units import Unit, size_unit, time_unit
from colosim.scenario.hosts import BOTH
from colosim.trace.fields import BYTES, NS, SUMMARY_KEYS

if TYPE_CHECKING:
    from colosim.analysis.sensitivity import Effect, Sensitivity

_BARS = 12
"""How many costs are drawn at most."""
_INCHES = (5.5, 0.9)
_INCHES_A_BAR = 0.26
_STAR = "* half to double; others: two standard errors"


def _ends(effect: Effect) -> tuple[int, int]:
    """Return the quantity at both ends, which it has where there is a swing."""
    low, high = effect.at_low, effect.at_high
    return (0, 0) if low is None or high is None else (low, high)


def _unit(quantity: str, most: int) -> Unit:
    """Return the unit of the axis."""
    of = {NS: time_unit, BYTES: size_unit}.get(SUMMARY_KEYS[quantity].unit)
    return Unit("", 1) if of is None else of(most)


def _name(effect: Effect) -> str:
    """Return a cost's name, its side if the hosts differ, and a star if no error is known."""
    one = effect.range
    side = "" if one.side == BOTH else f", {one.side}"
    return f"{one.cost}{side}{'' if one.fitted else '*'}"


@styled
def figure(found: Sensitivity) -> Figure:
    """Return the figure of a sensitivity: a bar a cost from its value at one end to the other's.

    :raises FigureError: if no cost moves the quantity.
    """
    shown = [effect for effect in found.effects if effect.swing][:_BARS]
    if not shown or found.value is None:
        raise FigureError(f"no cost moves {found.quantity} of {found.design}")
    unit = _unit(found.quantity, max(max(_ends(effect)) for effect in shown))
    usual, height = _INCHES
    width = width_of(usual)
    made = Figure(figsize=(width, height + _INCHES_A_BAR * len(shown)))
    axes = made.subplots()
    middle = found.value / unit.size
    for row, effect in enumerate(shown):
        low, high = (end / unit.size for end in _ends(effect))
        for end, colour in ((low, Colour.SKY), (high, Colour.ORANGE)):
            axes.barh(row, end - middle, left=middle, color=colour, edgecolor=Colour.BLACK, lw=0.4)
    names = [_name(effect) for effect in shown]
    axes.set_yticks(range(len(shown)), names)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.axvline(middle, color=Colour.BLACK, lw=0.8)
    symbol = unit.symbol and f" ({unit.symbol})"
    label = broken(f"{found.quantity} of {found.design}{symbol}", width - 1.6, "axes.labelsize")
    colours = {"cost at its low end": Colour.SKY, "at its high end": Colour.ORANGE}
    patches = [Patch(facecolor=fill, label=label) for label, fill in colours.items()]
    made.legend(handles=patches, loc="outside upper center", ncols=2)
    if not all(effect.range.fitted for effect in shown):
        label += f"\n{broken(_STAR, width - 1.6, 'axes.labelsize')}"
    axes.set_xlabel(label)
    return made
