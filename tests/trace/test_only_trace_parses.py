"""Only `colosim.trace` reads the sentence of an event; whoever else wants to know asks its type."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import colosim
from colosim.trace.sentences import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(colosim.__file__).parent
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE / "trace")
#: Methods and functions that take a text apart.
TAKES_APART = {
    "compile",
    "endswith",
    "fullmatch",
    "index",
    "match",
    "partition",
    "removeprefix",
    "removesuffix",
    "rpartition",
    "search",
    "split",
    "startswith",
}
#: What stands in sentences of events, and in no other text that the package takes apart.
IN_SENTENCES = re.compile(
    r"^: $|^(primary|secondary|cluster manager|fault|fault ends): |^(sends|receives|memory|guest"
    r"|process|monitor|fault|checkpoint|iothread lock) |iothread lock|COLO exit|serves alone"
    r"| fails \(| (begins|ends|broken)$|is lost|powers |is as before"
)


def texts(node: ast.AST) -> Iterator[str]:
    """Yield the texts in an expression, those between the braces of an f-string too."""
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def is_sentence(text: str) -> bool:
    """Tell whether a text is an event's sentence."""
    try:
        parse(text)
    except ValueError:
        return False
    return True


def readers(tree: ast.AST) -> Iterator[str]:
    """Yield each place at which the text of an event is taken apart or compared."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            arguments = [text for argument in node.args for text in texts(argument)]
            if name in TAKES_APART and any(map(IN_SENTENCES.search, arguments)):
                yield f"line {node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.Compare) and any(map(is_sentence, texts(node))):
            yield f"line {node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_other_room_reads_the_sentence_of_an_event(path: Path) -> None:
    """Nothing outside trace/ takes a sentence apart or compares one."""
    assert list(readers(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    "code",
    [
        'name.partition(": ")',
        'name.startswith("sends ")',
        'name.startswith(("primary: ", "secondary: "))',
        'what.endswith((" begins", " ends"))',
        'name.removeprefix(f"{side}: iothread lock got by ")',
        're.compile(r"iothread lock (wanted|got) by (.+)")',
        'name == "primary: guest stopped"',
        'name in {"checkpoint committed", "checkpoint aborted"}',
    ],
)
def test_what_reads_a_sentence_is_found(code: str) -> None:
    """Ways in which sentences were read are noticed."""
    assert len(list(readers(ast.parse(code)))) == 1
