"""Tables in the terminal: aligned, at most as wide as it, colour only there and never alone."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

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

    `styles`: the style of cells by their text, for terminals.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=sys.stdout, highlight=False)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, column in enumerate(columns):
        table.add_column(
            Text(column),
            justify="right" if index else "left",
            vertical="bottom",
            overflow="fold",
            no_wrap=not index,
        )
    for row in rows:
        table.add_row(*(Text(cell, style=(styles or {}).get(cell, "")) for cell in row))
    with console.capture() as captured:
        console.print(table)
    lines = [line.rstrip() for line in captured.get().splitlines()]
    click.echo("\n".join([title, *lines]))
