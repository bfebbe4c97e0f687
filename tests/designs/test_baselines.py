"""What other designs are compared with: `remus`, and a guest without protection."""

from __future__ import annotations

from typing import Any

import pytest

from colosim.runs.run import Run, simulate
from colosim.scenario import loads
from tests.designs.test_protocol_order import log_of

CLIENTS = """
name: baselines
duration: 8 s
checkpoint_delay: 100 ms
guest: {ram: 64 MiB, dirty: {pages: 3000}}
service: {arrivals: {regular: 500 /s}, time: {fixed: 1 ms}}
"""
REMUS = [
    "primary: sends CHECKPOINT_REQUEST",
    "primary: iothread lock got by checkpoint thread for save",
    "primary: stop",
    "primary: guest stopped",
    "primary: bitmap sync",
    "primary: dirty pages",
    "primary: vmstate save",
    "primary: staged",
    "primary: start",
    "primary: guest running",
    "primary: iothread lock released by checkpoint thread for save",
    "primary: sends VMSTATE_SEND",
    "primary: sends VMSTATE_SIZE",
    "primary: RAM stream begins",
]


def of(design: str, more: str = "") -> Run:
    """Return a run with clients."""
    return simulate(loads(CLIENTS + more), design)


def test_remus_resumes_before_it_sends() -> None:
    """The guest runs again once its state is copied; then it is sent."""
    log = [name for name in log_of("remus", 10) if name.startswith("primary")]
    log = [name for name in log if "buffer" not in name]
    assert log[: len(REMUS)] == REMUS


def test_remus_releases_output_when_its_state_is_acknowledged() -> None:
    """No answer is sooner than the checkpoint after it, and none waits for more than that one."""
    run = of("remus")
    rows = run.checkpoints
    assert set(rows["outcome"].iloc[:-1]) == {"committed"}
    waits = rows["primary_received_at_ns"] - rows["primary_request_at_ns"]
    latency = run.summary["service"]["latency_ns"]
    assert latency["p50"] > int(waits.median())
    assert latency["max"] < 2 * 100_000_000 + 2 * int(waits.max())
    assert run.summary["service"]["held_peak_bytes"] > 40 * 1024


@pytest.mark.parametrize("fault", ["kill: primary", "kill: secondary"])
def test_remus_fails_over_without_a_command(fault: str) -> None:
    """A connection that is reset is enough, whoever the manager is."""
    run = of("remus", f"faults: [{{{fault}, at: 3 s}}]\nmanager: {{policy: wait}}\n")
    assert run.verdict == "failed_over"
    assert run.survivor != fault.partition(": ")[2]
    assert run.summary["service"]["outage_ns_longest"] < 400_000_000


def test_remus_loses_no_answer_that_a_client_has_seen() -> None:
    """A dead primary costs only what it had not released: the checkpoints' checker watches."""
    at = "{checkpoint: 20, step: 'primary: RAM stream'}"
    run = of("remus", f"faults: [{{kill: primary, at: {at}}}]\n")
    assert run.verdict == "failed_over", run.reason
    assert 0 < run.summary["service"]["unanswered"] < 200


def test_without_protection_clients_wait_for_nothing_and_lose_all() -> None:
    """The guest alone answers at once, to the end of the run or of its host."""
    summary: dict[str, Any] = of("unprotected").summary
    assert (summary["verdict"], summary["guest_running_share"]) == ("unprotected", 1_000_000)
    assert summary["service"]["latency_ns"]["max"] == 1_200_000
    assert summary["checkpoints"] == {"completed": 0, "aborted": 0}
    killed = of("unprotected", "faults: [{kill: primary, at: 3 s}]\n")
    assert killed.verdict == "stopped"
    assert killed.summary["service"]["answered"] == 1499
