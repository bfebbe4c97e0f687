"""Runs written up as one HTML file that needs nothing beside it.

`document`           what it says; ``report.html.jinja`` and ``style.css`` are how
`drawing`            a figure as inline SVG
"""

from __future__ import annotations

from colosim.plots.report.document import report

__all__ = ["report"]
