"""Notebooks: made from their scripts, executed, and stored without a trace of the machine."""

from __future__ import annotations

import os
import re
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import TextIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jupytext
import matplotlib as mpl
import nbformat
import pandas as pd
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from nbclient import NotebookClient
from traitlets.config import Config

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "notebooks"
FORMAT = "py:percent"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "name": "python"},
}
"""What a stored notebook says of its kernel; nothing of the machine that executed it."""


_KERNEL_COLUMNS = 20
"""How many columns pandas prints of a table in a kernel; elsewhere what the terminal takes."""


def scripts() -> list[Path]:
    """Return every notebook's percent script."""
    return sorted(FOLDER.glob("*.py"))


def made(script: Path) -> nbformat.NotebookNode:
    """Return the notebook of a percent script, without outputs; a cell's id is its place."""
    notebook = jupytext.read(script, fmt=FORMAT)
    notebook.metadata = nbformat.from_dict(METADATA)  # type: ignore[no-untyped-call]
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells, start=1):
        cell.id = f"{script.stem}-{number:02}"
        cell.metadata = nbformat.from_dict({})  # type: ignore[no-untyped-call]
    return notebook  # type: ignore[no-any-return]


def executed(script: Path, folder: Path, patch: pytest.MonkeyPatch) -> nbformat.NotebookNode:
    """Execute a script's notebook in `folder`, in this process, cell by cell as a kernel does.

    :raises Exception: what a cell raises.
    """
    _as_a_user_has_it(folder, patch)
    patch.chdir(folder)
    patch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # a shell puts its own there
    notebook = made(script)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    config = Config(HistoryManager={"enabled": False}, InteractiveShell={"warn_venv": False})
    try:
        shell = _Shell.instance(config=config)
        with mpl.rc_context(), pd.option_context("display.max_columns", _KERNEL_COLUMNS):
            for number, cell in enumerate(cells, start=1):
                cell.execution_count = number
                shell.outputs = cell.outputs
                with (
                    redirect_stdout(_Stream("stdout", cell.outputs)),
                    redirect_stderr(_Stream("stderr", cell.outputs)),
                ):
                    done = shell.run_cell(cell.source, store_history=True)  # type: ignore[no-untyped-call]
                done.raise_error()
    finally:
        _Shell.clear_instance()
    return notebook


class _Publisher(DisplayPublisher):
    shell: _Shell

    def publish(self, data: Any, metadata: Any = None, *_more: Any, **_others: Any) -> None:
        """Keep what a cell displays."""
        _keep(self.shell.outputs, "display_data", data=data, metadata=metadata or {})


class _Hook(DisplayHook):
    shell: _Shell

    def write_output_prompt(self) -> None:
        """Write no ``Out[1]:``."""

    def write_format_data(self, format_dict: Any, md_dict: Any = None) -> None:
        """Keep what a cell's last line gives."""
        more = {"metadata": md_dict or {}, "execution_count": self.prompt_count}
        _keep(self.shell.outputs, "execute_result", data=format_dict, **more)

    def finish_displayhook(self) -> None:
        """Write no end of line."""


class _Shell(InteractiveShell):
    display_pub_class = _Publisher
    displayhook_class = _Hook
    outputs: list[Any]


class _Stream(TextIOBase):
    def __init__(self, name: str, outputs: list[Any]) -> None:
        self._name = name
        self._outputs = outputs

    def write(self, text: str) -> int:
        """Add a text to the stream's last output, or begin one."""
        if self._outputs and self._outputs[-1].get("name") == self._name:
            self._outputs[-1].text += text
        else:
            _keep(self._outputs, "stream", name=self._name, text=text)
        return len(text)


def _keep(outputs: list[Any], kind: str, **content: Any) -> None:
    outputs.append(nbformat.v4.new_output(kind, **content))  # type: ignore[no-untyped-call]


def executed_by_kernel(
    script: Path, installed: Path, folder: Path, patch: pytest.MonkeyPatch
) -> tuple[nbformat.NotebookNode, Path]:
    """Execute a script's notebook in a kernel, with the package that is in `installed`.

    Returns the notebook and where its kernel imported colosim from.

    :raises nbclient.exceptions.CellExecutionError: if a cell fails.
    """
    _as_a_user_has_it(folder, patch)
    patch.setenv("PYTHONPATH", os.fspath(installed))
    notebook = made(script)
    probe = "import colosim; print(colosim.__file__)"
    notebook.cells.append(nbformat.v4.new_code_cell(probe))  # type: ignore[no-untyped-call]
    NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=None,
        record_timing=False,
        resources={"metadata": {"path": os.fspath(folder)}},
    ).execute()
    module = notebook.cells.pop().outputs[0].text.strip()
    return notebook, Path(module).parent.parent


def _as_a_user_has_it(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Let Jupyter write below `folder` only, and Matplotlib be as it is without settings."""
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        patch.setenv(name, str(folder / "jupyter"))
    for name in ("MPLBACKEND", "MATPLOTLIBRC"):
        patch.delenv(name, raising=False)


def text_of(notebook: nbformat.NotebookNode) -> str:
    """Return a notebook as it is stored."""
    return str(nbformat.writes(notebook)) + "\n"  # type: ignore[no-untyped-call]


def outputs(notebook: nbformat.NotebookNode) -> Iterator[tuple[str, str, str]]:
    """Yield every output: its cell's id, its media type (or the stream's name), its text."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                yield cell.id, output.name, output.text
            for kind, content in sorted(output.get("data", {}).items()):
                yield cell.id, kind, _joined(content)


def _joined(content: Any) -> str:
    return content if isinstance(content, str) else "".join(content)


def letters(svg: str) -> list[str]:
    """Return what is written in a figure: titles, labels, ticks and numbers."""
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def drawn_by(svg: str) -> str:
    """Return the version of Matplotlib that drew a figure."""
    found = re.search(r"Matplotlib v([\d.]+\w*)", svg)
    return found[1] if found else ""
