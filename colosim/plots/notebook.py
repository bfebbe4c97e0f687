"""Figures in Jupyter: ``%load_ext colosim.plots.notebook`` shows them as SVG, in colosim's style.

A cell that ends in a Figure, or in an Axes of one, then shows it, the same bytes every time.
Letters stay text, so that a notebook with a dozen figures stays small.  Figures of the reader's
own have the style too.
"""

from __future__ import annotations

import io
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.style import use

from colosim.plots.style import STYLE, styled


@styled
def svg(figure: Figure) -> str:
    """Return a figure as an SVG document in colosim's style."""
    text = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def _of_axes(axes: Axes) -> str | None:
    """Return the whole figure that an Axes is in; None if it is in none."""
    figure = axes.get_figure(root=True)
    return None if figure is None else svg(figure)


def load_ipython_extension(shell: Any) -> None:
    """Let an IPython shell show Figures and Axes as SVG; called by ``%load_ext``."""
    use(["default", STYLE])
    formatter = shell.display_formatter.formatters["image/svg+xml"]
    formatter.for_type(Figure, svg)
    formatter.for_type(Axes, _of_axes)
