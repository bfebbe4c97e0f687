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
    """Draw a ``plan.csv``: what meets all by design, its front larger, the chosen ringed."""
    made = Figure(figsize=(width_of(5.2), _HEIGHT_IN))
    place = made.subplots()
    known = table.dropna(subset=[x, y]).sort_values(x)
    across, up = scale_of_quantity(x, known[x]), scale_of_quantity(y, known[y])

    def draw(which: pd.DataFrame, **look: Any) -> None:
        if len(which):
            place.plot(which[x] / across.size, which[y] / up.size, **look)

    draw(known, color=Colour.GREY, marker=".", ms=4, mew=0, ls="", label="all points")
    met = known[known["meets"] == "yes"]
    for index, design in enumerate(dict.fromkeys(met["design"])):
        own, look = met[met["design"] == design], line_of(design, index)
        style: dict[str, Any] = {"color": look.colour, "marker": look.marker, "ls": ""}
        draw(own, ms=3, mew=0, alpha=0.5, **style)
        draw(own[own["front"] == "yes"], ms=5, label=f"{design}, front", **style)
    ring = {"mfc": "none", "mec": Colour.BLACK, "ms": 8, "marker": "o", "ls": ""}
    draw(known[known["chosen"] == "yes"], label="chosen", **ring)
    place.set_xlabel(broken(across.label, made.get_figwidth() - 0.8, "axes.labelsize"))
    place.set_ylabel(broken(up.label, _HEIGHT_IN / 2, "axes.labelsize"))
    legend_below(made, place.get_legend_handles_labels()[0], 3)
    return made
