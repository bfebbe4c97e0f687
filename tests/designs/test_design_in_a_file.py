"""A design that stands in a file of one's own is named by its file and class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import colosim
from colosim.cli.main import main
from colosim.designs import DesignNames
from colosim.explore.explore import explore
from colosim.scenario import load

if TYPE_CHECKING:
    from pathlib import Path

TEXT = '''
from colosim.designs.split import Split


class Renamed(Split):
    """The reviewed design under another name."""

    name = "renamed"
'''
OTHER = "class Other(Renamed):\n    name = 'other'\n"


@pytest.fixture(autouse=True)
def _no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget afterwards which files were named; be where they are."""
    monkeypatch.setenv("COLOSIM_DESIGN_FILES", "")
    monkeypatch.chdir(tmp_path)


def test_a_file_is_a_design_wherever_one_is_named(tmp_path: Path) -> None:
    """It runs as its class does, with remedies, by its file, its class and then by its name."""
    (tmp_path / "mine.py").write_text(TEXT)
    expected = colosim.run("hang", "split", tables=False).summary
    for name in ("mine.py", "mine.py:Renamed", "renamed"):
        found = colosim.run("hang", name, tables=False).summary
        assert found | {"design": "split"} == expected
    assert colosim.run("hang", "mine.py:Renamed+yank").design == "renamed+yank"
    scenario = load(
        "hang", known_designs=DesignNames(), overrides=["designs=[./mine.py:Renamed+yank]"]
    )
    assert colosim.compare(scenario, scenario.designs).verdicts == {"renamed+yank": "failed_over"}


def test_worker_processes_know_it(tmp_path: Path) -> None:
    """An exploration of it in two processes finds what one in this process does."""
    (tmp_path / "mine.py").write_text(TEXT)
    one, two = (
        explore("hang", ["mine.py:Renamed"], ["fail device save"], jobs=jobs) for jobs in (1, 2)
    )
    assert one.outcomes == two.outcomes


@pytest.mark.parametrize(
    ("text", "named", "told"),
    [
        (TEXT, "mine.py:Nope", "it has no class 'Nope'; its designs: Renamed"),
        (TEXT + OTHER, "mine.py", "name one of its designs, as in mine.py:CLASS: Renamed, Other"),
        (TEXT, "nofile.py", "there is no file"),
        ("1 / 0", "mine.py", "ZeroDivisionError: division by zero ("),
        ("class Mine: ...", "mine.py:Mine", "is not a subclass of colosim.designs.Design"),
        (TEXT.replace("renamed", "split"), "mine.py", "the name 'split' of Renamed is taken"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(
    text: str, named: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command ends with status 2 and a line that says what."""
    (tmp_path / "mine.py").write_text(text)
    assert main(["run", "hang", "--design", named]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
