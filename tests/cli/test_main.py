"""The ``colosim`` command itself: help, lookup of commands, exit statuses."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import click
import pytest

import colosim
from colosim.cli import main as cli
from colosim.errors import DesignError, InvariantError, ScenarioError, ScenarioFault

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: What only a command needs; none of it may slow down --help.
HEAVY = {"matplotlib", "numpy", "pandas", "pydantic", "ruamel", "scipy", "simpy"}


def modules_after(*commands: Sequence[str]) -> set[str]:
    """Return the modules that are loaded in a fresh process after calls of the command line."""
    code = (
        "import json, sys; from colosim.cli.main import main\n"
        "for command in json.loads(sys.argv[1]): main(command)\n"
        "print('\\n'.join(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(commands)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout
    return set(done.stderr.split())


def test_help_and_version_load_no_command_and_no_library() -> None:
    """They load neither a command's module nor a library that only commands need."""
    loaded = modules_after(["--help"], ["--version"])
    assert not HEAVY & loaded
    assert not {row.module for row in cli.COMMANDS.values()} & loaded


def test_help_of_a_command_loads_no_library() -> None:
    """The help of a command loads that command and no library that only its work needs."""
    loaded = modules_after(*([name, "--help"] for name in cli.COMMANDS))
    assert {row.module for row in cli.COMMANDS.values()} <= loaded
    assert not HEAVY & loaded


def test_short_runs_load_no_library_of_tables_and_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without tables a run needs SimPy, pydantic and the YAML reader, and not numpy for its draws.

    Nor does it load what makes tables or reads the logs of real runs; nor does a comparison.
    """
    monkeypatch.chdir(tmp_path)
    conditions = ["idle", "--set", "checkpoints=2"]
    loaded = modules_after(["compare", *conditions], ["run", *conditions, "--tables", "none"])
    assert {"simpy", "pydantic", "ruamel.yaml"} <= loaded
    assert not {"matplotlib", "numpy", "pandas", "scipy"} & loaded
    ours = {name for name in loaded if name.startswith(("colosim.plots", "colosim.measured"))}
    assert not ours | ({"colosim.runs.tables", "colosim.runs.frames"} & loaded)


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """``colosim --help`` says each command's name and what it does."""
    assert cli.main(["--help"]) == 0
    printed = capsys.readouterr().out
    for name, row in cli.COMMANDS.items():
        assert f"  {name} " in printed
        assert row.summary in printed


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_table_says_what_the_command_says(name: str) -> None:
    """A row's summary is the first line of its command's own help, and its name the command's."""
    row = cli.COMMANDS[name]
    command = import_module(row.module).command
    assert isinstance(command, click.Command)
    assert command.name == name
    assert (command.help or "").splitlines()[0] == row.summary


def test_every_command_file_is_in_the_table() -> None:
    """A file with a command that the table leaves out would be dead."""
    folder = Path(cli.__file__).parent
    files = {f"colosim.cli.{path.stem}" for path in folder.glob("*.py")}
    files |= {f"colosim.cli.{path.parent.name}" for path in folder.glob("*/__init__.py")}
    commands = {name for name in files if hasattr(import_module(name), "command")}
    assert commands == {row.module for row in cli.COMMANDS.values()}


def test_python_m_colosim_is_the_command() -> None:
    """``python -m colosim`` does what ``colosim`` does."""
    done = subprocess.run(
        [sys.executable, "-m", "colosim", "--version"], check=True, capture_output=True, text=True
    )
    assert done.stdout == f"colosim {colosim.__version__}\n"


def test_a_wrong_command_gets_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped command is bad usage, and the message names the right one."""
    assert cli.main(["valdate"]) == 2
    assert "No such command 'valdate'. Did you mean 'validate'?" in capsys.readouterr().err


def test_an_unknown_option_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """An option that no command has ends with status 2 and nothing on standard output."""
    assert cli.main(["--nonsense"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "--nonsense" in captured.err


def raises(error: BaseException) -> Callable[[], int | None]:
    """Return what a command does that raises."""

    def act() -> int | None:
        raise error

    return act


FAULTS = [ScenarioFault("b.yaml", 1, 2, "second"), ScenarioFault("a.yaml", 3, 4, "first")]

OUTCOMES: dict[str, tuple[Callable[[], int | None], int, str]] = {
    "nothing": (lambda: None, 0, ""),
    "failed check": (lambda: 1, 1, ""),
    "hung": (lambda: 3, 3, ""),
    "bad scenario": (raises(ScenarioError(FAULTS)), 2, "a.yaml:3:4: first\nb.yaml:1:2: second\n"),
    "bad design": (raises(DesignError("no design 'x'")), 2, "colosim: no design 'x'\n"),
    "broken rule": (
        raises(InvariantError("one owner", 5, "primary: checkpoint", "two own it")),
        4,
        "colosim: one owner broken at 5 ns by primary: checkpoint: two own it\n",
    ),
    "interrupt": (raises(KeyboardInterrupt()), 130, "\ncolosim: interrupted\n"),
    "bad file": (raises(click.ClickException("no such file")), 2, "Error: no such file\n"),
}


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_each_outcome_has_its_exit_status(
    outcome: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each way a command can end has the exit status and the words that the contract gives it."""
    act, status, words = OUTCOMES[outcome]
    module = SimpleNamespace(command=click.Command("planted", callback=act))
    monkeypatch.setitem(sys.modules, "planted", module)
    monkeypatch.setitem(cli.COMMANDS, "planted", cli.Row("planted", "Planted."))
    assert cli.main(["planted"]) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == words
