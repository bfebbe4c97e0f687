"""The summary of a run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from colosim.runs.run import simulate
from colosim.scenario import loads
from colosim.trace.fields import value_of
from tests.designs.own import CHECKPOINTING
from tests.runs.conftest import PLAIN
from tests.runs.figures import hold_to_the_tables

if TYPE_CHECKING:
    from colosim.scenario import Scenario

STATISTICS = {"count", "mean", "p50", "p90", "p99", "max"}


@pytest.mark.parametrize("design", CHECKPOINTING)
def test_every_named_key_is_there(plain: Scenario, design: str) -> None:
    """The summary has every key that users are promised, in every design that makes checkpoints."""
    summary = simulate(plain, design, tables=False).summary
    assert set(summary) >= {
        "scenario", "design", "seed", "digest", "verdict", "survivor", "checkpoints", "pause_ns",
        "transaction_ns", "ram_ns", "lock_hold_ns", "memory_peak_bytes", "wire_bytes", "events",
        "guest_stopped_ns_longest", "monitor_deaf_ns_longest", "time_to_guest_ns",
    }  # fmt: skip
    assert summary["checkpoints"] == {"completed": 4, "aborted": 0}
    for key in ("pause_ns", "transaction_ns", "ram_ns"):
        assert set(summary[key]) == STATISTICS
        assert summary[key]["count"] == 3
    for side in ("primary", "secondary"):
        assert set(summary["lock_hold_ns"][side]) == STATISTICS
        peaks = summary["memory_peak_bytes"][side]
        assert peaks["staging_buffer"] >= 4 << 20
        assert peaks["extra_total"] >= max(v for k, v in peaks.items() if k != "extra_total")
    assert summary["time_to_guest_ns"] is None
    assert json.loads(json.dumps(summary)) == summary


@pytest.mark.parametrize(("design", "rest"), [("qsb", 119_034), ("split", 12_875)])
def test_wire_bytes_are_those_that_were_measured(design: str, rest: int) -> None:
    """A checkpoint of n non-zero pages is 4104 n bytes on the wire, and a constant."""
    summary = simulate(loads(PLAIN), design, tables=False).summary
    assert summary["wire_bytes_per_checkpoint"]["p50"] == 4104 * 3000 + rest
    assert summary["wire_bytes"] == 4 * (4104 * 3000 + rest)


def test_a_step_that_a_design_lacks_makes_it_not_applicable() -> None:
    """A fault at a step that the design does not have is said so, and nothing is run."""
    fault = 'faults: [{kill: secondary, at: {checkpoint: 1, step: "primary: vmstate save"}}]\n'
    scenario = loads(PLAIN + fault)
    run = simulate(scenario, "split")
    assert run.verdict == "not_applicable"
    assert run.reason == "the design has no step 'primary: vmstate save'"
    assert run.summary["checkpoints"] == {"completed": 0, "aborted": 0}
    assert run.checkpoints.empty
    assert simulate(scenario, "qsb").verdict != "not_applicable"


def test_time_to_service_is_there_if_a_guest_serves_again(frozen: Scenario) -> None:
    """A failed-over run says after how long a guest served again, a hung one says null."""
    assert simulate(frozen, "qsb", tables=False).summary["time_to_guest_ns"] > 0
    hung = simulate(frozen, "split", tables=False).summary
    assert hung["time_to_guest_ns"] is None
    assert hung["monitor_deaf_ns_longest"] > 900 * 10**9


def test_a_misspelt_step_is_told_with_the_one_that_is_meant() -> None:
    """A step that no design has is near one of its side, which stands beside it."""
    fault = 'faults: [{kill: secondary, at: {checkpoint: 1, step: "primary: before RAM steam"}}]\n'
    meant = "the design has no step 'primary: before RAM steam' (did you mean 'RAM stream'?)"
    assert simulate(loads(PLAIN + fault), "split").reason == meant


def test_values_by_dotted_keys() -> None:
    """A dotted key finds a nested value, and nothing where there is none."""
    summary = {"a": {"b": {"c": 1}}, "d": 2}
    found = [value_of(summary, key) for key in ("a.b.c", "d", "a.x", "d.e")]
    assert found == [1, 2, None, None]


CASES = {
    # The request of checkpoint 2 cannot be sent: it has a row, and no time.
    "aborted": (
        "qemu-5.1",
        "faults: [{kill: secondary, at: {checkpoint: 2, step: 'secondary: CHECKPOINT_REQUEST'}}]",
    ),
    # The primary dies 10% into the RAM stream: nothing more can arrive.
    "killed ahead": (
        "split",
        """
network: {preset: lab-veth, send_buffer: 1 GiB, receive_buffer: 1 GiB}
faults: [{kill: primary, at: {checkpoint: 0, step: "primary: RAM stream", progress: 10%}}]
""",
    ),
    # The stream would be over after 500 years.
    "endless": ("device-first", "network: {preset: wan-5ms, bandwidth: 8 bit/s}"),
    # The stream is over after the end of the run.
    "late": ("split", "network: {preset: 1gbe, bandwidth: 1 kbit/s}"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_summary_says_what_its_tables_say_when_things_end_early(case: str) -> None:
    """So it is where a request is not sent, a stream breaks off, or the run ends before it."""
    design, more = CASES[case]
    text = f"name: early\ncheckpoints: 5\nguest: {{ram: 512 MiB, dirty: {{pages: 60000}}}}\n{more}"
    run = simulate(loads(text), design)
    hold_to_the_tables(run)
    if case == "aborted":
        assert run.summary["checkpoints"] == {"completed": 2, "aborted": 1}
    if case == "killed ahead":
        peaks = run.summary["memory_peak_bytes"]["secondary"]
        assert peaks["socket_receive_buffer"] < 60_000 * 4104 // 9
