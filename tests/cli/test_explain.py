"""``colosim explain``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from colosim.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

SCENARIO = """
name: small
designs: [qsb, split]
checkpoints: 4
guest: {ram: 256 MiB, dirty: {pages: 16386}}
faults:
  - freeze: secondary
    at: {checkpoint: 1, step: "primary: RAM stream", progress: 40%}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a scenario in which ``split`` hangs."""
    path = tmp_path / "small.yaml"
    path.write_text(SCENARIO, encoding="utf-8")
    return path


def test_every_design_is_explained_in_turn(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without ``--design`` the scenario's designs come in turn; a hang told is status 0."""
    assert main(["explain", str(path), "--set", "manager.fence=false"]) == 0
    captured = capsys.readouterr()
    titles = [line for line in captured.out.splitlines() if line.startswith("small, ")]
    assert titles == ["small, design qsb: failed_over", "small, design split: hung"]
    assert "By itself nothing will." in captured.out
    assert captured.err == ""


def test_one_design_is_explained(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``--design`` takes one, also one that the scenario does not list."""
    assert main(["explain", str(path), "--design", "qemu-5.1"]) == 0
    assert capsys.readouterr().out.startswith("small, design qemu-5.1: failed_over\n")


def test_json_is_one_array(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``--format json`` prints one array with an element a design, and nothing else."""
    arguments = ["--format", "json", "--seed", "3", "--set", "manager.fence=false"]
    assert main(["explain", str(path), *arguments]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [(one["design"], one["verdict"], one["seed"]) for one in data] == [
        ("qsb", "failed_over", 3),
        ("split", "hung", 3),
    ]


@pytest.mark.parametrize(
    ("form", "start"), [("mermaid", "%% small, design qsb"), ("dot", 'digraph "small, design qsb')]
)
def test_graphs_are_printed(
    path: Path, capsys: pytest.CaptureFixture[str], form: str, start: str
) -> None:
    """``--format mermaid`` and ``dot`` print one graph a design."""
    assert main(["explain", str(path), "--format", form]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(start)
    assert printed.count("small, design ") == 2


def test_a_wrong_scenario_or_design_is_bad_input(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong key or an unknown design ends with 2, a message and no output."""
    assert main(["explain", str(path), "--set", "sede=1"]) == 2
    assert main(["explain", str(path), "--design", "splitt"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "seed" in captured.err
    assert "splitt" in captured.err
