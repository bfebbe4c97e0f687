"""Results as small HTML tables, for notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


def table(title: str, rows: Sequence[Sequence[str]], below: Sequence[str] = ()) -> str:
    """Return a table, its first row the heads, with a caption above and sentences below it."""
    lines = [f"<p><b>{escape(title)}</b></p>", "<table>"]
    for number, row in enumerate(rows):
        first, *cells = (escape(cell) for cell in row)
        kind = "td" if number else "th"
        lines.append(f'<tr><th style="text-align: left">{first}</th>')
        lines += [f'<{kind} style="text-align: right">{cell}</{kind}>' for cell in cells]
        lines.append("</tr>")
    lines.append("</table>")
    lines += [f"<p>{escape(sentence)}</p>" for sentence in below]
    return "\n".join(lines)
