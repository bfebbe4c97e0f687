"""The notebooks keep their word: their outputs are fresh, also from an installed package.

``pytest tests/notebooks --update-results`` executes every script and stores its .ipynb anew.
"""

from __future__ import annotations

import ast
import re
from itertools import zip_longest
from typing import TYPE_CHECKING

import jupytext
import nbformat
import pytest
from jupytext.config import load_jupytext_config

from tests.notebooks import execution

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCRIPTS = execution.scripts()
NAMES = {"clients", "hang", "latency", "memory", "study", "validation", "your-own-design"}
BYTES_MAX = 400 << 10
IN_A_KERNEL = execution.FOLDER / "your-own-design.py"
"""The one that is executed in a kernel, as all are by a reader."""
SVG = "image/svg+xml"
PUBLIC = ("colosim.plots", "colosim.designs", "colosim.measured", "colosim.scenario")
"""What the notebooks import beside `colosim` itself."""

LONG = {"clients", "hang", "latency", "memory", "study", "validation"}
"""Notebooks that take many seconds: `.ci/run` executes them beside the suite."""

every_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)


def stored(script: Path) -> nbformat.NotebookNode:
    """Return the stored notebook of a script."""
    path = script.with_suffix(".ipynb")
    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call, no-any-return]


def differences(old: nbformat.NotebookNode, new: nbformat.NotebookNode) -> Iterator[str]:
    """Say which outputs differ; drawings to the byte only if the same Matplotlib drew them."""
    for was, now in zip_longest(execution.outputs(old), execution.outputs(new)):
        if was == now:
            continue
        if was is not None and now is not None and was[:2] == now[:2] and was[1] == SVG:
            before, after = was[2], now[2]
            same_letters = execution.letters(before) == execution.letters(after)
            if same_letters and execution.drawn_by(before) != execution.drawn_by(after):
                continue
        cell, kind, text = now or was or ("", "", "")
        yield f"cell {cell}, {kind}:\n{text[:2000] if kind != SVG else 'the drawing'}"


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(script, id=script.stem, marks=[pytest.mark.slow] * (script.stem in LONG))
        for script in SCRIPTS
    ],
)
def test_outputs_are_fresh(
    script: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """Executed anew, quietly, a notebook says the same."""
    notebook = execution.executed(script, tmp_path, monkeypatch)
    assert [text for _, kind, text in execution.outputs(notebook) if kind == "stderr"] == []
    if request.config.getoption("--update-results"):
        text = execution.text_of(notebook)
        script.with_suffix(".ipynb").write_text(text, encoding="utf-8", newline="\n")
        return
    changed = list(differences(stored(script), notebook))
    assert not changed, "\n\n".join(changed)


@pytest.mark.slow
def test_a_kernel_with_the_installed_package_says_the_same(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notebook needs nothing that the wheel lacks, and a kernel gives what this process gives."""
    notebook, imported_from = execution.executed_by_kernel(
        IN_A_KERNEL, wheel, tmp_path, monkeypatch
    )
    assert imported_from == wheel
    changed = list(differences(stored(IN_A_KERNEL), notebook))
    assert not changed, "\n\n".join(changed)


@every_script
def test_script_and_notebook_are_in_step(script: Path) -> None:
    """A notebook has its script's cells, in order, and nothing of the machine that executed it."""
    notebook = stored(script)
    bare = execution.made(script)
    assert [(cell.id, cell.cell_type, cell.source, cell.metadata) for cell in notebook.cells] == [
        (cell.id, cell.cell_type, cell.source, cell.metadata) for cell in bare.cells
    ]
    assert notebook.metadata == execution.METADATA
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))


@every_script
def test_jupytext_leaves_a_script_as_it_is(script: Path) -> None:
    """A script that jupytext reads and writes, under the folder's settings, is the same text."""
    text = script.read_text(encoding="utf-8")
    settings = load_jupytext_config(str(script))
    assert "ipynb,py:percent" in str(settings.formats)
    notebook = jupytext.read(script, fmt=execution.FORMAT)
    assert jupytext.writes(notebook, fmt=execution.FORMAT, config=settings) == text


@every_script
def test_notebooks_are_small(script: Path) -> None:
    """Each stored notebook stays below 400 KiB."""
    assert script.with_suffix(".ipynb").stat().st_size < BYTES_MAX


@every_script
def test_notebooks_use_the_public_api(script: Path) -> None:
    """Of colosim they import the package itself, figures, designs, scenarios and measurements."""
    wanted = {
        name
        for node in ast.walk(ast.parse(script.read_text(encoding="utf-8")))
        for name in _imported(node)
        if name.partition(".")[0] == "colosim" and name != "colosim"
    }
    assert [name for name in sorted(wanted) if not name.startswith(PUBLIC)] == []


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module else []


TABLE = re.compile(r"^```text\n +guest back .*?^```\n", re.MULTILINE | re.DOTALL)
"""The block of a page that has the ways out of today's hang."""


def test_pages_have_the_table_of_the_notebook(pytestconfig: pytest.Config) -> None:
    """The ways out of today's hang stand in the README, with their runs on their own page."""
    (script,) = (one for one in execution.scripts() if one.stem == "hang")
    printed = [text for _, _, text in execution.outputs(stored(script))]
    (table,) = (text for text in printed if "guest back" in text and "Real runs" in text)
    head, _, _ = table.partition("\n\nReal runs")
    for page, shown in (("docs/question.md", table), ("README.md", f"{head}\n")):
        path, block = execution.FOLDER.parent / page, f"```text\n{shown}```\n"
        text = path.read_text(encoding="utf-8")
        if pytestconfig.getoption("--update-results"):
            text = text.replace(TABLE.findall(text)[0], block)
            path.write_text(text, encoding="utf-8", newline="\n")
        assert block in text, page


def test_every_notebook_has_its_script() -> None:
    """There are the notebooks that there should be, each as script and as .ipynb."""
    assert {script.stem for script in SCRIPTS} == NAMES
    assert {path.stem for path in execution.FOLDER.glob("*.ipynb")} == NAMES
