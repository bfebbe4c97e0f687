"""Design names with remedies on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from colosim.cli.main import main

CONDITIONS = """
name: conditions
checkpoints: 3
checkpoint_delay: 500 ms
guest: {ram: 128 MiB, dirty: {pages: 4096}}
hosts: {preset: lab-qemu25}
network: {preset: lab-veth, send_buffer: 4 MiB, receive_buffer: 2 MiB}
"""
TIMED = "split+send-timeout=5s"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder with the conditions of the hang, smaller."""
    monkeypatch.chdir(tmp_path)
    Path("conditions.yaml").write_text(CONDITIONS, encoding="utf-8")


def printed_json(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return what was printed, as data."""
    return json.loads(capsys.readouterr().out)


def test_compare_shows_what_a_remedy_costs(capsys: pytest.CaptureFixture[str]) -> None:
    """Names between commas stand side by side, with their ratios to the first."""
    designs = "split,split+ram-outside-lock"
    assert main(["compare", "conditions.yaml", "--designs", designs, "--format", "json"]) == 0
    bare, remedied = printed_json(capsys)
    assert [bare["design"], remedied["design"]] == designs.split(",")
    assert remedied["ratios"]["pause_ns.p50"] == 1
    assert remedied["ratios"]["lock_hold_ns.primary.p50"] < 0.1
    assert main(["compare", "conditions.yaml", "--set", f"designs=[{designs}]"]) == 0


def test_a_run_directory_bears_the_whole_name(capsys: pytest.CaptureFixture[str]) -> None:
    """The remedy is part of the run's folder and of its manifest, and is read back."""
    name = "qemu-5.1+yank+nodelay"
    assert main(["run", "conditions.yaml", "--design", name]) == 0
    folder = Path("runs/conditions") / name
    assert json.loads((folder / "manifest.json").read_text("utf-8"))["design"] == name
    capsys.readouterr()
    assert main(["compare", "conditions.yaml", "--design", "qemu-5.1+yang"]) == 2
    assert "did you mean 'yank'?" in capsys.readouterr().err
    assert main(["plot", str(folder), "--kind", "gantt", "-o", "gantt.svg"]) == 0


def test_steps_of_a_remedied_design_show_what_is_under_the_lock(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The RAM stream is under the lock in ``split``, and not with the remedy."""
    locks = []
    for design in ("split", "split+ram-outside-lock"):
        assert main(["steps", design, "--format", "json"]) == 0
        locks += [row["lock"] for row in printed_json(capsys) if row["step"] == "RAM stream"]
    assert locks == ["save", None]


@pytest.mark.slow
def test_explore_takes_designs_with_remedies(capsys: pytest.CaptureFixture[str]) -> None:
    """No freeze hangs ``split`` with a send timeout; a case replays by its choices."""
    arguments = ["--designs", TIMED, "--faults", "freeze", "--jobs", "1"]
    assert main(["explore", "conditions.yaml", *arguments, "--format", "json"]) == 0
    cases = printed_json(capsys)
    assert {case["design"] for case in cases} == {TIMED}
    assert "hung" not in {case["verdict"] for case in cases}
    case = next(case for case in cases if case["step"] == "RAM stream")
    assert main(["run", "conditions.yaml", "--choices", case["choices"], "--format", "json"]) == 0
    (summary,) = printed_json(capsys)
    assert (summary["digest"], summary["verdict"]) == (case["digest"], "failed_over")
    wrong = case["choices"].replace("timeout", "timeuot")
    assert main(["run", "conditions.yaml", "--choices", wrong]) == 2
    assert "did you mean 'send-timeout'?" in capsys.readouterr().err


def test_explain_says_when_the_send_times_out(capsys: pytest.CaptureFixture[str]) -> None:
    """While the send is blocked, what releases it by itself is the timeout, at its time."""
    freeze = "{freeze: secondary, at: {checkpoint: 1, step: 'primary: RAM stream', progress: 40%}}"
    text = CONDITIONS.replace("checkpoints: 3", f"duration: 3500 ms\nfaults: [{freeze}]")
    Path("blocked.yaml").write_text(text, encoding="utf-8")
    assert main(["explain", "blocked.yaml", "--design", TIMED]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "By itself nothing will" not in told
    assert "by itself, at 6.0" in told
    assert "the send times out: the send fails, the lock is given back" in told
