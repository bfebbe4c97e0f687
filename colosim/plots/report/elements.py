"""HTML elements as text; whatever comes from a run is escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["element", "lines_of", "scrolled", "section", "table_of", "words"]


def words(text: str) -> str:
    """Return text for the inside of an element."""
    return escape(text, quote=False)


def element(name: str, *content: str, **attributes: str) -> str:
    """Return an element; its content is HTML already.

    An underscore in an attribute's name is a hyphen, one at its end is left out (``class_``).
    """
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
    )
    return f"<{name}{told}>{''.join(content)}</{name}>"


def section(identity: str, title: str, *content: str) -> str:
    """Return a section with its heading."""
    head = element("h2", words(title), id=f"{identity}-title")
    return element("section", head, *content, id=identity, aria_labelledby=f"{identity}-title")


def scrolled(content: str, label: str) -> str:
    """Return wide content in a box of its own that scrolls, also by keyboard."""
    return element("div", content, class_="scroll", role="region", aria_label=label, tabindex="0")


def lines_of(text: str) -> str:
    """Return text that was set in lines; where the window is too narrow each line wraps."""
    lines = []
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        lines.append(element("span", words(line), style=f"--indent: {indent}"))
    return element("pre", "\n".join(lines), class_="lines")


def table_of(
    caption: str, head: Sequence[str], groups: Iterable[tuple[str, Sequence[Sequence[str]]]]
) -> str:
    """Return a table of groups of rows, each with a title (empty: none).

    A row's first cell is its heading.
    """
    columns = "".join(element("th", words(cell), scope="col") for cell in head)
    parts = [element("caption", words(caption)), element("thead", element("tr", columns))]
    for title, rows in groups:
        lines = [element("tr", *_cells(row)) for row in rows]
        if title:
            span = str(len(head))
            said = element("span", words(title))
            named = element("th", said, scope="rowgroup", colspan=span)
            lines.insert(0, element("tr", named, class_="group"))
        parts.append(element("tbody", *lines))
    return scrolled(element("table", *parts), caption)


def _cells(row: Sequence[str]) -> list[str]:
    first = element("th", words(row[0]), scope="row")
    return [first, *(element("td", words(cell)) for cell in row[1:])]
