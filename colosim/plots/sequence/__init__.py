"""The message sequence of one checkpoint, as a figure and as text for Mermaid.

`lifelines`  what happens, in order: messages, streams, lock holds, guest, work
`chart`    the figure
`mermaid`  the text
"""

from __future__ import annotations

from colosim.plots.sequence.chart import draw, figure
from colosim.plots.sequence.lifelines import data
from colosim.plots.sequence.mermaid import mermaid

__all__ = ["data", "draw", "figure", "mermaid"]
