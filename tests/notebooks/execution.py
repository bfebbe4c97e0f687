"""Notebooks: made from their scripts, executed, and stored without a trace of the machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jupytext
import nbformat
from nbclient import NotebookClient

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

_PROBE = "import time, colosim; print(colosim.__file__, time.process_time(), sep='\\n')"
_TIMEOUT_S = 120


class Execution(NamedTuple):
    """An executed notebook, where its kernel imported colosim from, and its CPU time."""

    notebook: nbformat.NotebookNode
    imported_from: Path
    cpu_s: float


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


def unpacked_wheel(folder: Path) -> Path:
    """Build the wheel and return the folder in which it is unpacked, as pip installs it."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir"]
    subprocess.run([*build, folder, ROOT], check=True, capture_output=True)
    (archive,) = folder.glob("*.whl")
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder / "installed")
    return folder / "installed"


def executed(script: Path, installed: Path, folder: Path, patch: pytest.MonkeyPatch) -> Execution:
    """Execute a script's notebook in `folder` with this Python and the package in `installed`.

    :raises nbclient.exceptions.CellExecutionError: if a cell fails.
    """
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        patch.setenv(name, str(folder / "jupyter"))
    for name in ("MPLBACKEND", "MATPLOTLIBRC"):
        patch.delenv(name, raising=False)
    patch.setenv("PYTHONPATH", os.fspath(installed))
    notebook = made(script)
    probe = nbformat.v4.new_code_cell(_PROBE)  # type: ignore[no-untyped-call]
    notebook.cells.append(probe)
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=_TIMEOUT_S,
        record_timing=False,
        resources={"metadata": {"path": os.fspath(folder)}},
    )
    client.execute()
    module, cpu_s = notebook.cells.pop().outputs[0].text.split()
    notebook.metadata = nbformat.from_dict(METADATA)  # type: ignore[no-untyped-call]
    return Execution(notebook, Path(module).parent.parent, float(cpu_s))


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
