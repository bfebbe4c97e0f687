"""Figures in Jupyter."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import matplotlib as mpl
import pytest
from IPython.core.interactiveshell import InteractiveShell
from matplotlib.figure import Figure

from colosim import plots
from colosim.plots import memory, notebook

if TYPE_CHECKING:
    from pathlib import Path

    from colosim.runs.run import Run


@pytest.fixture(name="first", scope="module")
def fixture_first(pair: list[Run]) -> str:
    """Return a figure as a notebook shows it."""
    return notebook.svg(memory.figure(pair[:1]))


def test_a_figure_is_a_whole_document(first: str) -> None:
    """It is SVG, without a date."""
    assert ET.fromstring(first).tag.endswith("svg")  # noqa: S314 - drawn here
    assert "<dc:date>" not in first


def test_letters_stay_text(first: str) -> None:
    """Titles and numbers are text in the SVG, not outlines: small, and to be searched."""
    assert ">qsb, primary</text>" in first


def test_the_extension_shows_figures_and_axes(
    pair: list[Run], first: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After ``%load_ext`` a cell shows a Figure or an Axes in colosim's style, always the same."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    shell = InteractiveShell()  # type: ignore[no-untyped-call]
    assert shell.display_formatter is not None
    formatter = shell.display_formatter.formatters["image/svg+xml"]
    with mpl.rc_context():
        notebook.load_ipython_extension(shell)
        assert mpl.rcParams["axes.titlelocation"] == "left"
        assert formatter(memory.figure(pair[:1])) == first
        assert formatter(memory.draw(pair[0])).startswith("<?xml")


def test_figures_show_without_a_magic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a shell that runs when colosim.plots is imported, a cell that ends in one shows it."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    shell = InteractiveShell()  # type: ignore[no-untyped-call]
    assert shell.display_formatter is not None
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    importlib.reload(plots)
    figure = Figure()
    assert shell.display_formatter.formatters["image/svg+xml"](figure) == notebook.svg(figure)
