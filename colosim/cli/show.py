"""Tables in the terminal: aligned, at most as wide as it, colour only there and never alone."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from colosim.runs.run import Run
    from colosim.scenario import Scenario

_STYLES = {
    "completed": "green",
    "failed_over": "green",
    "unfinished": "yellow",
    "unprotected": "yellow",
}


def verdict_style(verdict: str) -> str:
    """Return the colour in which a verdict is shown on a terminal."""
    return _STYLES.get(verdict, "red")


def marked_verdict(run: Run) -> str:
    """Return a run's verdict, with a star where it hangs on who gets the iothread lock next."""
    return f"{run.verdict}{'*' if run.summary.get('depends_on') else ''}"


def has_reason_below(run: Run) -> bool:
    """Tell whether a run's reason stands below its table: not where the verdict says it all."""
    plain = run.verdict in {"completed", "failed_over"}
    return not plain or any(run.summary.get(key) for key in ("false_failover", "depends_on"))


def print_sentence(text: str) -> None:
    """Print a sentence, folded at 80 columns."""
    click.echo(click.wrap_text(text, width=80, subsequent_indent="  "))


def print_counted(runs: Sequence[Run]) -> None:
    """Print how many checkpoints medians and quantiles are over."""
    from colosim.analysis.counted import counted

    if said := counted(runs):
        print_sentence(said)


def print_assumed(runs: Iterable[Run]) -> None:
    """Print what assumed costs leave open, by the first of the runs that has any."""
    from colosim.analysis.assumed import first_note

    if note := first_note(runs):
        print_sentence(note)


def print_start(runs: Iterable[Run]) -> None:
    """Print how long the guest stood in COLO's start, where statistics leave that out."""
    from colosim.runs.wording import value_in_words

    key = "start_pause_ns"
    told = [
        f"{value_in_words(run.summary, key)} ({run.design}{_cut_short(run)})"
        for run in runs
        if run.summary.get(key)
    ]
    if told:
        start = "COLO's start, which is not among these checkpoints, flushes all of guest RAM"
        print_sentence(f"{start}: a pause of {', '.join(told)}.")


def _cut_short(run: Run) -> str:
    """Say that COLO's start never came to its end: its pause is not that of the flush."""
    return "" if run.summary["checkpoints"]["completed"] else ", cut short"


def print_assumed_costs(scenario: Scenario) -> None:
    """Print how many costs are assumed, under a table that has no run to price their ends by."""
    from colosim.scenario.hosts import assumed_in_words

    if said := assumed_in_words(scenario.hosts):
        print_sentence(f"{said}.")


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
    the first column in each.  No other cell is ever broken.  `styles`: the colour of cells by their
    text, for terminals.
    """
    table = [list(columns), *map(list, rows)]
    colours = {} if "NO_COLOR" in os.environ else styles or {}
    blocks = ["\n".join(_lines(block, colours)) for block in _blocks(table, _terminal_width())]
    click.echo(f"{title}\n" + "\n\n".join(blocks))


def _terminal_width() -> int:
    """Return the columns of the terminal, also where only its input is one; 80 without."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdigit() and int(columns):
        return int(columns)
    for stream in (0, 1, 2):
        with suppress(OSError):
            return os.get_terminal_size(stream).columns or _WIDTH
    return _WIDTH


def _lines(block: list[list[str]], colours: dict[str, str]) -> Iterator[str]:
    """Yield the lines of a block; a head ends right above its cells, a cell begins at the top."""
    widths = _widths(block)
    for number, row in enumerate(block):
        height = max(cell.count("\n") for cell in row)
        cells = []
        for column, (cell, width) in enumerate(zip(row, widths, strict=True)):
            missing = "\n" * (height - cell.count("\n"))
            style = {"fg": colours.get(cell)} if number else {"bold": True}
            cells.append(
                [
                    _styled(line.rjust(width) if column else line.ljust(width), style)
                    for line in (cell + missing if number else missing + cell).split("\n")
                ]
            )
        yield from ((" " * _GAP).join(line).rstrip() for line in zip(*cells, strict=True))


def _styled(text: str, style: dict[str, Any]) -> str:
    return click.style(text, **style) if any(style.values()) and not text.isspace() else text


_WIDTH = 80
"""Columns where there is no terminal."""


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
    Where not even that makes the table fit, a quarter of the width is left for the names.
    """
    first, *others = zip(*table, strict=True)
    columns = [list(first)]
    for head, *cells in others:
        columns.append([_filled(_AT_PLUS, head, max(map(_width, cells), default=0)), *cells])
    left = width - sum(_GAP + max(map(_width, column)) for column in columns[1:])
    names = [_filled(_AT_PLUS, cell, left, _BEHIND_DASH) for cell in first]
    if max(map(_width, names)) > left:
        names = [_filled(_AT_PLUS, cell, width // 4, _BEHIND_DASH) for cell in first]
    columns[0] = names
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
