"""The page that shows the reviewed patch beside the designs is held to their files."""

from __future__ import annotations

import ast
import difflib
import inspect
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from colosim.designs.qsb import Qsb
from colosim.designs.split import Split

if TYPE_CHECKING:
    from colosim.designs import Design

PAGE = Path(__file__).parents[2] / "docs" / "patch.md"
CELL = re.compile(r"`([^`]+)`")


def body(design: type[Design], method: str) -> list[str]:
    """Return the lines of a method without its docstring and comments, calls of `self` inlined."""
    source = textwrap.dedent(inspect.getsource(getattr(design, method)))
    function = ast.parse(source).body[0]
    assert isinstance(function, ast.FunctionDef)
    lines: list[str] = []
    for line in "\n".join(map(ast.unparse, function.body[1:])).splitlines():
        called = re.fullmatch(r"yield from self\.(\w+)\(\w\)", line.strip())
        lines += body(design, called[1]) if called else [line.strip()]
    return lines


def test_the_page_shows_all_that_the_patch_changes_and_nothing_else() -> None:
    """Its columns are the lines by which `qsb` and `split` differ, in their order.

    A line that stands in both columns is in both.
    """
    table = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    cells = [[CELL.findall(cell) for cell in row.split("|")[2:4]] for row in table[2:]]
    shown = [tuple(cell[0] if cell else "" for cell in row) for row in cells if any(row)]
    changed: dict[str, list[str]] = {"- ": [], "+ ": []}
    for method in ("checkpoint", "load"):
        for line in difflib.ndiff(body(Qsb, method), body(Split, method)):
            changed.get(line[:2], []).append(line[2:])
    moved = [row for row in shown if row[0] != row[1]]
    assert [before for before, _ in moved if before] == changed["- "]
    assert [after for _, after in moved if after] == changed["+ "]
    both = [row[0] for row in shown if row[0] == row[1]]
    assert both == [line for line in body(Split, "load") if line in both]
