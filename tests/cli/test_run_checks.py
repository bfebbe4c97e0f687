"""``colosim run`` with and without its safety checkers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from colosim.cli.main import main
from tests.checkers.wrong_designs import SMALL, Eager

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a scenario file into a folder of its own, with a wrong design behind the name `split`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "planted.yaml").write_text(f"{SMALL}designs: [split]\n")
    monkeypatch.setattr("colosim.runs.simulation.design_of", lambda _name: Eager)


def test_a_violation_ends_with_4_and_tells_how_to_replay_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The table is followed by the rule, the events around it, and the command as it was given."""
    assert main(["run", "planted.yaml", "--seed", "7", "--set", "guest.vcpus=2"]) == 4
    lines = capsys.readouterr().out.splitlines()
    (told,) = [line for line in lines if line.startswith("eager: output commit broken at ")]
    after = lines[lines.index(told) :]
    assert any(line.startswith("> ") and "primary: guest running" in line for line in after)
    assert "replay: colosim run planted.yaml --set guest.vcpus=2 --seed 7 --design split" in after


def test_with_json_the_events_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output stays one array."""
    assert main(["run", "planted.yaml", "--format", "json"]) == 4
    captured = capsys.readouterr()
    (summary,) = json.loads(captured.out)
    assert summary["verdict"] == "violated"
    assert "replay: colosim run planted.yaml --design split" in captured.err


def test_checkers_can_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Without them the wrong design runs through."""
    assert main(["run", "planted.yaml", "--no-checks", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["verdict"] == "completed"
