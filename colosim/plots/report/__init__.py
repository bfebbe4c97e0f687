"""Runs written up as one HTML file that needs nothing beside it.

`document`  what stands in it, in which order
`parts`     verdicts, tables, figures, explanations, provenance
`elements`  HTML elements as text
`drawing`   a figure as inline SVG
"""

from __future__ import annotations

from colosim.plots.report.document import report

__all__ = ["report"]
