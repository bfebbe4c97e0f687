"""Tables in the terminal: aligned, at most as wide as it, colour only there and never alone."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table
    from rich.text import Text

__all__ = ["print_sentence", "print_table", "verdict_style"]

_STYLES = {"completed": "green", "failed_over": "green", "unprotected": "yellow"}


def verdict_style(verdict: str) -> str:
    """Return the colour in which a verdict is shown on a terminal."""
    return _STYLES.get(verdict, "red")


def print_sentence(text: str) -> None:
    """Print a sentence, folded at 80 columns."""
    click.echo(click.wrap_text(text, width=80, subsequent_indent="  "))


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    styles: dict[str, str] | None = None,
) -> None:
    """Print a table: the first column to the left, the others to the right.

    Where it is wider than the terminal (80 columns if there is none), designs with remedies are
    folded at their ``+``.  If that is not enough it is printed in blocks of as many columns as fit,
    the first column in each.  No other cell is ever broken.  `styles`: the style of cells by their
    text, for terminals.
    """
    from rich.console import Console
    from rich.text import Text

    console = Console(file=sys.stdout, highlight=False)
    table = [list(columns), *(list(row) for row in rows)]
    lines = [title]
    for block in _blocks(table, console.width):
        cells = [[Text(cell, style=(styles or {}).get(cell, "")) for cell in row] for row in block]
        # What cannot be folded is printed whole all the same.
        wide = max(console.width, _total(_widths(block)))
        with console.capture() as captured:
            console.print(_grid(block, cells), width=wide, crop=False, no_wrap=True)
        if len(lines) > 1:
            lines.append("")
        lines += [line.rstrip() for line in captured.get().splitlines()]
    click.echo("\n".join(lines))


def _grid(block: list[list[str]], cells: list[list[Text]]) -> Table:
    """Return a block as rich lays it out, the first row for its head."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
    for index, head in enumerate(cells[0]):
        made.add_column(
            head,
            justify="right" if index else "left",
            vertical="bottom",
            no_wrap=True,
            width=_widths(block)[index],
        )
    for row in cells[1:]:
        made.add_row(*row)
    return made


# ---- what fits -----------------------------------------------------------------------------------

_GAP = 2
"""Spaces between two columns."""


def _blocks(table: list[list[str]], width: int) -> list[list[list[str]]]:
    """Return the table in blocks of columns that fit `width`, each with the first column."""
    if _total(_widths(table)) > width:
        table = _folded(table, width)
    first, *others = _widths(table)
    blocks: list[list[int]] = [[]]
    for index, other in enumerate(others, 1):
        here = blocks[-1]
        taken = [first, *(others[one - 1] for one in here), other]
        if here and _total(taken) > width:
            blocks.append([index])
        else:
            here.append(index)
    return [[[row[0], *(row[index] for index in block)] for row in table] for block in blocks]


def _folded(table: list[list[str]], width: int) -> list[list[str]]:
    """Return the table with its heads, and the first column, folded as far as it takes.

    A part of a name in the first column that is still too wide is folded behind ``-`` and ``=``.
    """
    first, *others = zip(*table, strict=True)
    columns = [list(first)]
    for head, *cells in others:
        columns.append([_filled(_AT_PLUS, head, max(map(_width, cells), default=0)), *cells])
    left = width - sum(_GAP + max(map(_width, column)) for column in columns[1:])
    columns[0] = [_filled(_AT_PLUS, cell, left, _BEHIND_DASH) for cell in first]
    return [list(row) for row in zip(*columns, strict=True)]


_AT_PLUS = re.compile(r"\+?[^+]+")
_BEHIND_DASH = re.compile(r"[^-=]+[-=]?")


def _filled(parts: re.Pattern[str], name: str, width: int, *finer: re.Pattern[str]) -> str:
    """Return a name in lines of at most `width` characters, as far as its parts go.

    A part that is longer is taken apart by `finer`.
    """
    if _width(name) <= width:
        return name
    lines = [""]
    for part in parts.findall(name):
        if len(lines[-1]) + len(part) <= width:
            lines[-1] += part
        else:
            lines += (_filled(finer[0], part, width) if finer else part).split("\n")
    return "\n".join(line for line in lines if line)


def _width(cell: str) -> int:
    return max(map(len, cell.split("\n")))


def _widths(table: list[list[str]]) -> list[int]:
    return [max(map(_width, column)) for column in zip(*table, strict=True)]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)
