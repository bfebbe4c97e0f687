"""The README keeps its word: every command in it runs, and prints what the README shows.

A ``console`` block holds commands (after ``$ ``) and their whole output, at 80 columns; a command
whose exit status is not 0 says so in a comment (``# exits 3``).  A ``python`` block runs as it
stands; a ``yaml`` block is a valid scenario.  ``pytest --update-results tests/test_readme.py``
writes the outputs anew.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Shown(NamedTuple):
    """A command of the README, the exit status it names and the output it shows."""

    line: str
    command: str
    status: int
    output: str


def blocks(kind: str) -> list[str]:
    """Return the README's fenced blocks of one kind."""
    return [body for found, body in BLOCK.findall(README.read_text()) if found == kind]


def shown(block: str) -> list[Shown]:
    """Return the commands of a console block."""
    commands: list[Shown] = []
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        line, _, output = part.partition("\n")
        command, _, comment = line.partition("  # exits ")
        commands.append(Shown(line, command.strip(), int(comment or 0), output))
    return commands


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run one of the README's commands as a user would, with colosim from this checkout."""
    words = shlex.split(command)
    assert words[0] == "colosim", f"the README shows {command!r}, which is no colosim command"
    return subprocess.run(
        [sys.executable, "-m", "colosim", *words[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "COLUMNS": "80", "NO_COLOR": "1"},
    )


def place(folder: Path) -> None:
    """Lay out what a user in the checkout sees, in a folder that may be written to."""
    for name in ("scenarios", "tests"):
        (folder / name).symlink_to(ROOT / name)


def test_every_command_prints_what_the_readme_shows(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Each command's whole output and exit status are those of the README."""
    place(tmp_path)
    text = README.read_text()
    wrong: list[str] = []
    for block in blocks("console"):
        renewed: list[str] = []
        for line, command, status, output in shown(block):
            result = run(command, tmp_path)
            if result.returncode != status:
                wrong.append(f"$ {command}: exit status {result.returncode}, not {status}")
            if result.stdout.rstrip() != output.rstrip():
                wrong.append(f"$ {command}\nprints:\n{result.stdout}")
            renewed.append(f"$ {line}\n{result.stdout.rstrip()}".rstrip() + "\n")
        text = text.replace(block, "".join(renewed), 1)
    if request.config.getoption("--update-results"):
        README.write_text(text)
    else:
        assert not wrong, "\n\n".join(wrong)


@pytest.mark.parametrize("block", blocks("python"))
def test_every_python_example_runs(block: str, tmp_path: Path) -> None:
    """The README's Python runs in the checkout, and its asserts hold."""
    place(tmp_path)
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", block],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "Agg"},
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("block", blocks("yaml"))
def test_every_yaml_example_is_a_valid_scenario(block: str) -> None:
    """The README's scenarios load."""
    from colosim.designs import load_designs  # noqa: PLC0415 - only these tests need it
    from colosim.scenario import loads  # noqa: PLC0415

    loads(block, file="README.md", known_designs=tuple(load_designs()))
