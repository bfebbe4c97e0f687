"""A figure as inline SVG: no file, no name space, no address, and names that are its own."""

from __future__ import annotations

import re
from io import BytesIO
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from colosim.plots.style import styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PIXELS_A_POINT = 1.5
"""Letters of 8 points are as tall as 12 pixels: to be read, not only to be seen."""
_HEAD = re.compile(r'<svg [^>]*viewBox="0 0 ([\d.]+) ([\d.]+)"[^>]*>')
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_NAMED = re.compile(r'(?<= id=")|(?<=url\(#)|(?<=href="#)')
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


@styled
def inline(figure: Figure, identity: str, label: str) -> Markup:
    """Return a figure as an ``svg`` element; `label` is what is read out in its place.

    `identity` makes the names in it different from those of the other figures of the document.
    """
    stream = BytesIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue().decode()
    text = _COMMENT.sub("", _METADATA.sub("", text[text.index("<svg ") :]))
    text = _NAMED.sub(f"{identity}-", text).replace("xlink:href", "href")
    text = _HEAD.sub(lambda head: _head(head, label), text, count=1)
    return Markup(text.strip())  # noqa: S704 - drawn here, its label escaped


def _head(head: re.Match[str], label: str) -> str:
    width, height = (round(float(size) * _PIXELS_A_POINT) for size in head.groups())
    box = f'viewBox="0 0 {head[1]} {head[2]}" width="{width}" height="{height}"'
    return f'<svg {box} role="img" aria-label="{escape(label)}">'
