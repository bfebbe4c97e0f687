"""Figures in Jupyter."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import matplotlib as mpl
from IPython.core.interactiveshell import InteractiveShell

from colosim.plots import memory, notebook

if TYPE_CHECKING:
    from colosim.runs.run import Run


def test_a_figure_is_the_same_svg_every_time(pair: list[Run]) -> None:
    """Two drawings of one run are one text, a whole SVG document without a date."""
    first, again = (notebook.svg(memory.figure(pair[:1])) for _ in range(2))
    assert first == again
    assert ET.fromstring(first).tag.endswith("svg")  # noqa: S314 - drawn here
    assert "<dc:date>" not in first


def test_letters_stay_text(pair: list[Run]) -> None:
    """Titles and numbers are text in the SVG, not outlines: small, and to be searched."""
    assert ">qsb, primary</text>" in notebook.svg(memory.figure(pair[:1]))


def test_the_extension_shows_figures_and_axes(pair: list[Run]) -> None:
    """After ``%load_ext`` a cell that ends in a Figure or an Axes shows SVG, in colosim's style."""
    shell = InteractiveShell()  # type: ignore[no-untyped-call]
    assert shell.display_formatter is not None
    formatter = shell.display_formatter.formatters["image/svg+xml"]
    with mpl.rc_context():
        notebook.load_ipython_extension(shell)
        assert mpl.rcParams["axes.titlelocation"] == "left"
        assert formatter(memory.figure(pair[:1])) == notebook.svg(memory.figure(pair[:1]))
        assert formatter(memory.draw(pair[0])).startswith("<?xml")
