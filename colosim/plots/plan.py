"""A plan, drawn: every point by two quantities, and the front of those that meet all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from colosim.plots.look import width_of
from colosim.plots.style import Colour, broken, legend_below, line_of, styled
from colosim.plots.sweep import scale_of_quantity

if TYPE_CHECKING:
    import pandas as pd

_HEIGHT_IN = 3.6


@styled
def figure(table: pd.DataFrame, x: str, y: str) -> Figure:
    """Draw the points of a ``plan.csv``; those that meet all by design, the chosen ones ringed."""
    made = Figure(figsize=(width_of(5.2), _HEIGHT_IN))
    place = made.subplots()
    known = table.dropna(subset=[x, y])
    across, up = scale_of_quantity(x, known[x]), scale_of_quantity(y, known[y])
    grey: dict[str, Any] = {"color": Colour.GREY, "s": 5, "linewidths": 0}
    place.scatter(known[x] / across.size, known[y] / up.size, label="all points", **grey)
    met = known[known["meets"] == "yes"]
    for index, design in enumerate(dict.fromkeys(met["design"])):
        own, look = met[met["design"] == design], line_of(design, index)
        style: dict[str, Any] = {
            "color": look.colour,
            "marker": look.marker,
            "s": 16,
            "label": design,
        }
        place.scatter(own[x] / across.size, own[y] / up.size, **style)
    best = known[known["chosen"] == "yes"]
    ring: dict[str, Any] = {
        "facecolors": "none",
        "edgecolors": Colour.BLACK,
        "s": 70,
        "label": "chosen",
    }
    place.scatter(best[x] / across.size, best[y] / up.size, **ring)
    place.set_xlabel(broken(across.label, made.get_figwidth() - 0.8, "axes.labelsize"))
    place.set_ylabel(broken(up.label, _HEIGHT_IN / 2, "axes.labelsize"))
    legend_below(made, place.get_legend_handles_labels()[0], 4)
    return made
