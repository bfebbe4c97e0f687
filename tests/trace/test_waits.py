"""The record says when each wait of a COLO thread begins and ends, and for what."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import colosim
from colosim.cli.main import main
from colosim.runs.simulation import Simulation
from colosim.scenario import loads
from colosim.trace.events import WaitBegan, WaitEnded

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SMALL = "name: waits\ncheckpoints: 2\nguest: {ram: 64 MiB, dirty: {pages: 3000}}\n"
FROZEN = "faults: [{freeze: secondary, at: {checkpoint: 1, step: 'secondary: RAM load'}}]\n"
BUFFERS = "network: {send_buffer: 1 MiB, receive_buffer: 1 MiB}\n"


def test_every_wait_that_ends_has_begun_and_lasted_so_long() -> None:
    """A thread waits for one thing at a time; the value of its end is how long."""
    began: dict[tuple[str, str], tuple[str, int]] = {}
    waited: set[str] = set()
    for at_ns, event, value in Simulation(loads(SMALL), "split").run().record:
        match event:
            case WaitBegan(side, thread, what):
                assert (side, thread) not in began
                began[side, thread] = (what, at_ns)
            case WaitEnded(side, thread, what):
                assert began.pop((side, thread)) == (what, at_ns - value)
                waited.add(f"{side}: {what}")
    assert waited == {
        "primary: CHECKPOINT_REPLY",
        "primary: RAM stream",
        "primary: RAM tail",
        "primary: device stream",
        "primary: VMSTATE_RECEIVED",
        "primary: VMSTATE_LOADED",
        "secondary: CHECKPOINT_REQUEST",
        "secondary: VMSTATE_SEND",
        "secondary: loadvm_state_begin",
        "secondary: RAM load",
        "secondary: device fill",
    }


def test_a_wait_that_never_ends_has_no_end() -> None:
    """The hang itself: the primary's thread waits in its stream, with the lock."""
    record = Simulation(loads(SMALL + BUFFERS + FROZEN), "split").run().record
    waits = [event for _, event, _ in record if isinstance(event, WaitBegan | WaitEnded)]
    primary = [event for event in waits if event.side == "primary"]
    assert primary[-1] == WaitBegan("primary", "checkpoint thread", "RAM stream")


def test_runs_of_two_digest_formats_are_compared_without_waits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The manifest tells the format; what the older one has not is left out, and that is said."""
    run = colosim.run(loads(SMALL), "split")
    for name in ("new", "old"):
        colosim.write_run(run, tmp_path / name)
    manifest = tmp_path / "old" / "manifest.json"
    content = json.loads(manifest.read_text(encoding="utf-8"))
    assert content.pop("digest_format") == 2
    manifest.write_text(json.dumps(content), encoding="utf-8")
    summary = tmp_path / "old" / "summary.json"
    told = json.loads(summary.read_text(encoding="utf-8"))
    old = colosim.read_run(tmp_path / "old")
    assert (old.digest_format, run.digest_format, told["digest"]) == (1, 2, run.digest)
    assert colosim.diff(tmp_path / "new", tmp_path / "old") is None
    assert main(["diff", str(tmp_path / "new"), str(tmp_path / "old")]) == 0
    assert "the same events" in capsys.readouterr().out
