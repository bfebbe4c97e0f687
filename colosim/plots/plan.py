"""A plan, drawn: every point by two quantities, and the front of those that meet all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from colosim.plots.look import width_of
from colosim.plots.style import Colour, broken, legend_below, line_of, styled
from colosim.plots.sweep import scale_of_quantity

if TYPE_CHECKING:
    import pandas as pd


@styled
def figure(table: pd.DataFrame, x: str, y: str) -> Figure:
    """Draw a ``plan.csv``: what meets all by design, its front larger, the chosen ringed."""
    made = Figure(figsize=(width_of(5.2), 3.6))
    place = made.subplots()
    known = table.dropna(subset=[x, y]).sort_values(x)
    across, up = scale_of_quantity(x, known[x]), scale_of_quantity(y, known[y])

    def draw(which: pd.DataFrame, marker: str, label: str, **look: Any) -> None:
        if len(which):
            place.plot(which[x] / across.size, which[y] / up.size, marker, label=label, **look)

    draw(known, ".", "all points", color=Colour.GREY, ms=4, mew=0)
    met = known[known["meets"] == "yes"]
    for index, (design, own) in enumerate(met.groupby("design", sort=False)):
        look = line_of(str(design), index)
        draw(own, look.marker, "", color=look.colour, ms=3, mew=0, alpha=0.5)
        front = own[own["front"] == "yes"]
        draw(front, look.marker, f"{design}, front", color=look.colour, ms=5)
    draw(known[known["chosen"] == "yes"], "o", "chosen", mfc="none", mec=Colour.BLACK, ms=8)
    place.set_xlabel(broken(across.label, made.get_figwidth() - 0.8, "axes.labelsize"))
    place.set_ylabel(broken(up.label, 1.8, "axes.labelsize"))
    legend_below(made, place.get_legend_handles_labels()[0], 3)
    return made
