"""The README keeps its word: every command in it runs, and prints what the README shows.

A ``console`` block holds commands (after ``$ ``) and their whole output, at 80 columns; a command
whose exit status is not 0 says so in a comment (``# exits 3``).  A ``python`` block runs as it
stands; a ``yaml`` block is a valid scenario.  ``pytest --update-results tests/test_readme.py``
writes the outputs anew, with ``-m slow`` those of explorations.
"""

from __future__ import annotations

import io
import re
import runpy
import shlex
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest

from colosim.cli.main import main

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
    return [
        body for found, body in BLOCK.findall(README.read_text(encoding="utf-8")) if found == kind
    ]


def shown(block: str) -> list[Shown]:
    """Return the commands of a console block."""
    commands: list[Shown] = []
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        line, _, output = part.partition("\n")
        command, _, comment = line.partition("  # exits ")
        commands.append(Shown(line, command.strip(), int(comment or 0), output))
    return commands


def run(command: str) -> tuple[int, str]:
    """Run one of the README's commands; return its exit status and all that it printed."""
    words = shlex.split(command)
    assert words[0] == "colosim", f"the README shows {command!r}, which is no colosim command"
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        status = main(words[1:])
    return status, printed.getvalue()


def explores(command: str) -> bool:
    """Tell whether a command is an exploration, of hundreds of cases or more."""
    return command.startswith("colosim explore ")


@pytest.fixture(autouse=True)
def _checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go where a user in the checkout is, into a folder that may be written to."""
    for name in ("scenarios", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")


def hold(*, explorations: bool, update: bool) -> None:
    """Run the explorations, or all other commands; each prints what the README shows."""
    text = README.read_text(encoding="utf-8")
    wrong: list[str] = []
    for block in blocks("console"):
        renewed = ""
        for line, command, status, output in shown(block):
            found = (status, output)
            if explores(command) is explorations:
                found = run(command)
            if found[0] != status:
                wrong.append(f"$ {command}: exit status {found[0]}, not {status}")
            if found[1].rstrip() != output.rstrip():
                wrong.append(f"$ {command}\nprints:\n{found[1]}")
            renewed += f"$ {line}\n{found[1].rstrip()}".rstrip() + "\n"
        text = text.replace(block, renewed, 1)
    if update:
        README.write_text(text, encoding="utf-8", newline="\n")
    else:
        assert not wrong, "\n\n".join(wrong)


def test_every_command_prints_what_the_readme_shows(pytestconfig: pytest.Config) -> None:
    """Each command's whole output and exit status are those of the README, explorations apart."""
    hold(explorations=False, update=pytestconfig.getoption("--update-results"))


@pytest.mark.slow
def test_every_exploration_prints_what_the_readme_shows(pytestconfig: pytest.Config) -> None:
    """So are those of the explorations, of every fault at every step."""
    hold(explorations=True, update=pytestconfig.getoption("--update-results"))


@pytest.mark.parametrize("block", blocks("python"))
def test_every_python_example_runs(block: str, tmp_path: Path) -> None:
    """The README's Python runs in the checkout, and its asserts hold."""
    (tmp_path / "example.py").write_text(block, encoding="utf-8")
    runpy.run_path("example.py", run_name="__main__")


@pytest.mark.parametrize("block", blocks("yaml"))
def test_every_yaml_example_is_a_valid_scenario(block: str) -> None:
    """The README's scenarios load."""
    from colosim.designs import load_designs  # noqa: PLC0415 - only these tests need it
    from colosim.scenario import loads  # noqa: PLC0415

    loads(block, file="README.md", known_designs=tuple(load_designs()))
