"""``colosim timeline``, ``colosim sequence`` and ``colosim report``; what looking at runs loads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace

from colosim.cli.main import main
from tests.cli.test_main import modules_after
from tests.runs.conftest import FROZEN, PLAIN

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a folder with two scenarios."""
    (tmp_path / "plain.yaml").write_text(PLAIN)
    (tmp_path / "frozen.yaml").write_text(FROZEN)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_timeline_of_a_scenario_is_that_of_its_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a scenario or from a run directory the trace is the same bytes, and a trace."""
    assert main(["run", "frozen.yaml", "--design", "split"]) == 0
    capsys.readouterr()
    assert main(["timeline", "frozen.yaml", "--design", "split"]) == 0
    assert main(["timeline", "runs/plain/split"]) == 0
    assert main(["timeline", "runs/plain", "-o", "own.perfetto-trace"]) == 0
    names = ["frozen-split", "split", "own"]
    assert capsys.readouterr().out == "".join(f"{name}.perfetto-trace: written\n" for name in names)
    contents = {(folder / f"{name}.perfetto-trace").read_bytes() for name in names}
    assert len(contents) == 1
    assert Trace.FromString(contents.pop()).packet


def test_a_sequence_is_printed_or_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Mermaid text is the default; a file's ending says otherwise."""
    command = ["sequence", "plain.yaml", "--design", "qsb", "--checkpoint", "2"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("sequenceDiagram\n    title plain, qsb: checkpoint 2")
    for name in ("a.mmd", "a.svg"):
        assert main([*command, "-o", name]) == 0
        assert capsys.readouterr().out == f"{name}: written\n"
    assert (folder / "a.mmd").read_text(encoding="utf-8") == printed
    assert (folder / "a.svg").read_bytes().startswith(b"<?xml")


def test_without_a_number_a_sequence_is_of_a_typical_checkpoint(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The checkpoint with the median pause is drawn."""
    assert main(["sequence", "plain.yaml", "--design", "split"]) == 0
    assert "title plain, split: checkpoint " in capsys.readouterr().out


@pytest.mark.slow
def test_a_report_of_runs_is_that_of_their_scenario(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a scenario or from run directories a report is the same bytes."""
    assert main(["run", "frozen.yaml", "--design", "split"]) == 0
    capsys.readouterr()
    assert main(["report", "frozen.yaml", "--design", "split"]) == 0
    assert main(["report", "runs/plain", "-o", "own.html"]) == 0
    assert capsys.readouterr().out == "frozen-report.html: written\nown.html: written\n"
    report = (folder / "frozen-report.html").read_bytes()
    assert report == (folder / "own.html").read_bytes()
    assert report.startswith(b"<!DOCTYPE html>\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["timeline", "plain.yaml"], "several designs"),
        (["timeline", "nowhere/at-all"], "nowhere/at-all"),
        (["timeline", "plain.yaml", "--design", "split", "-o", "no/x"], "cannot write no/x"),
        (["sequence", "plain.yaml", "--design", "split", "--checkpoint", "77"], "no checkpoint 77"),
        (["sequence", "plain.yaml", "--design", "split", "-o", "x.jpg"], "x.jpg ends in none of"),
        (["report", "."], "no run directory"),
    ],
)
def test_bad_input_is_said_and_nothing_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """What cannot be made ends with status 2, a message and no file."""
    before = sorted(folder.iterdir())
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
    assert sorted(folder.iterdir()) == before


def test_neither_a_display_nor_the_library_of_traces_is_asked_for(folder: Path) -> None:
    """pyplot, which looks for a display, is not loaded, nor Perfetto's package or protobuf."""
    conditions = ["plain.yaml", "--design", "split"]
    loaded = modules_after(["plot", *conditions, "--kind", "memory"], ["timeline", *conditions])
    assert "matplotlib" in loaded
    assert not {"matplotlib.pyplot", "perfetto", "google.protobuf"} & loaded
