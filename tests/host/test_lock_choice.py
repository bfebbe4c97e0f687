"""Who gets the iothread lock next: a run in which that is chance is judged both ways."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from colosim.analysis.explain import explain
from colosim.cli.main import main
from colosim.explore.cases import Case
from colosim.explore.outcome import run_case
from colosim.runs.check import check
from colosim.runs.run import run
from colosim.runs.verdict import Judgement
from colosim.scenario import Scenario, loads

if TYPE_CHECKING:
    from pathlib import Path

CONTESTED = """
name: contested
designs: [split, qsb]
checkpoints: 4
checkpoint_delay: 1 s
horizon: 60 s
guest: {ram: 512 MiB, dirty: {pages: 16386}}
hosts: {preset: lab-qemu25}
network: {preset: lab-veth, send_buffer: 4 MiB, receive_buffer: 2 MiB}
faults:
  - busy: primary
    at: {checkpoint: 1, step: "primary: CHECKPOINT_REPLY"}
    for: 4 s
  - freeze: secondary
    at: {checkpoint: 1, step: "secondary: VMSTATE_SEND"}
manager: {heartbeat: 1 s, timeout: 3 s}
"""
"""The main loop is busy; the checkpoint thread waits for the lock to stop the guest, and asks for
it again, to save, as soon as it has given it back.  Meanwhile the failover command waits too.
"""


def contested(*values: tuple[str, object]) -> Scenario:
    """Return the scenario with other values."""
    return loads(CONTESTED).vary(dict(values))


@pytest.mark.parametrize("model", ["fast", "reference"])
def test_a_verdict_that_hangs_on_the_lock_says_so_and_what_it_would_be(model: str) -> None:
    """In fifo order the command comes between stop and save; by barging it never does: hung."""
    told = {}
    for lock in ("fifo", "barging"):
        for design in ("split", "qsb"):
            ended = run(contested(("lock", lock), ("model", model)), design, tables=False)
            otherwise = ended.summary["otherwise"]
            told[lock, design] = (ended.verdict, ended.summary["depends_on"], otherwise["verdict"])
    assert told == {
        ("fifo", "split"): ("failed_over", "lock", "hung"),
        ("fifo", "qsb"): ("failed_over", None, None),
        ("barging", "split"): ("hung", "lock", "failed_over"),
        ("barging", "qsb"): ("failed_over", None, None),
    }


def test_run_and_compare_mark_the_verdict_and_say_the_other_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A star in the table, a sentence below it, and `depends_on` in JSON."""
    (tmp_path / "contested.yaml").write_text(CONTESTED, "utf-8")
    file = str(tmp_path / "contested.yaml")
    sentence = (
        "split: the primary serves alone; this depends on who gets the iothread lock next: "
        "with lock: barging it is hung (the primary's iothread lock is held by its checkpoint "
        "thread, which is blocked in: RAM stream)"
    )
    for command in (["run", file, "--out", f"{tmp_path}/runs"], ["compare", file]):
        assert main(command) == 0
        out = capsys.readouterr().out
        assert out.count("failed_over*") == 1
        assert sentence.partition(": ")[2] in " ".join(out.split())
    assert main(["compare", file, "--format", "json"]) == 0
    split, qsb = json.loads(capsys.readouterr().out)
    assert (split["depends_on"], qsb["depends_on"]) == ("lock", None)


def test_explain_tells_it_and_explore_marks_the_case() -> None:
    """The text has the other verdict behind the reason; the outcome of a case has `depends_on`."""
    explained = explain(contested(), "split")
    assert explained.depends_on == "lock"
    assert explained.otherwise is not None
    assert explained.otherwise == Judgement("hung", "primary", explained.otherwise.reason)
    assert (
        "The primary serves alone. This depends on who gets the iothread lock next: with lock: "
        "barging it is hung" in " ".join(str(explained).split())
    )
    labels = dict.fromkeys(("design", "side", "step", "when", "fault", "victim"), "as given")
    outcomes = [
        run_case(contested(), Case(design, labels, contested().faults))
        for design in ("split", "qsb")
    ]
    assert [(one.verdict, one.depends_on) for one in outcomes] == [
        ("failed_over", "lock"),
        ("failed_over", None),
    ]


def test_an_expectation_may_name_the_choice_that_a_verdict_hangs_on() -> None:
    """`depends_on` and the other verdict are keys of the summary like any other."""
    bounds = {"depends_on": "lock", "otherwise.verdict": "hung"}
    scenario = contested(("expect", {"split": bounds, "qsb": {"depends_on": "none"}}))
    assert [(one.key, one.passed) for one in check(scenario)] == [
        ("depends_on", True),
        ("otherwise.verdict", True),
        ("depends_on", True),
    ]
