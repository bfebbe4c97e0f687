"""The summary of a run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from colosim.designs import load_designs
from colosim.runs.run import as_scenario, simulate
from colosim.runs.statistics import Quantiles
from colosim.runs.summary import value_of
from colosim.runs.tables import rows_of
from colosim.scenario import loads, shipped
from colosim.trace.events import CheckpointEnded
from colosim.trace.purpose import Purpose
from tests.runs.conftest import PLAIN

if TYPE_CHECKING:
    from colosim.runs.run import Run
    from colosim.scenario import Scenario

STATISTICS = {"count", "mean", "p50", "p90", "p99", "max"}


@pytest.mark.parametrize("design", load_designs())
def test_every_named_key_is_there(plain: Scenario, design: str) -> None:
    """The summary has every key that users are promised, in every design."""
    summary = simulate(plain, design, tables=False).summary
    assert set(summary) >= {
        "scenario", "design", "seed", "digest", "verdict", "survivor", "checkpoints", "pause_ns",
        "transaction_ns", "ram_ns", "lock_hold_ns", "memory_peak_bytes", "wire_bytes", "events",
        "guest_stopped_ns_longest", "monitor_deaf_ns_longest", "time_to_service_ns",
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
    assert summary["time_to_service_ns"] is None
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
    assert "primary: vmstate save" in run.reason
    assert run.summary["checkpoints"] == {"completed": 0, "aborted": 0}
    assert run.checkpoints.empty
    assert simulate(scenario, "qsb").verdict != "not_applicable"


def test_time_to_service_is_there_if_a_guest_serves_again(frozen: Scenario) -> None:
    """A failed-over run says after how long a guest served again, a hung one says null."""
    assert simulate(frozen, "qsb", tables=False).summary["time_to_service_ns"] > 0
    hung = simulate(frozen, "split", tables=False).summary
    assert hung["time_to_service_ns"] is None
    assert hung["monitor_deaf_ns_longest"] > 900 * 10**9


def test_values_by_dotted_keys() -> None:
    """A dotted key finds a nested value, and nothing where there is none."""
    summary = {"a": {"b": {"c": 1}}, "d": 2}
    found = [value_of(summary, key) for key in ("a.b.c", "d", "a.x", "d.e")]
    assert found == [1, 2, None, None]


def quantiles(values: list[int]) -> dict[str, int]:
    """Return what a summary says of some values."""
    found = Quantiles()
    found.add(values)
    return found.summary()


def by_the_tables(run: Run) -> dict[str, Any]:
    """Return the figures of a summary that tables have, too; a hold that is open at the end counts."""
    checkpoints = [dict(zip(run.tables["checkpoints"], row, strict=True)) for row in
                   rows_of(run.tables["checkpoints"])]
    committed = [row for row in checkpoints if row["outcome"] == "committed"]
    warm = [row for row in committed if row["checkpoint"] >= run.scenario.warmup]
    locks = [dict(zip(run.tables["locks"], row, strict=True)) for row in
             rows_of(run.tables["locks"])]

    def of(column: str, more: list[int]) -> dict[str, int]:
        return quantiles([row[column] for row in warm if row[column] is not None] + more)

    def open_holds(side: str) -> list[int]:
        assert run.simulation is not None
        host = run.simulation.hosts[side]
        until_ns = host.frozen_ns if host.frozen else run.summary["end_ns"]
        return [
            until_ns - row["got_ns"]
            for row in locks
            if row["side"] == side and row["got_ns"] is not None and row["released_ns"] is None
            and Purpose(row["purpose"]).moves_state
        ]

    # One whose request could not be sent is aborted too, and has no row.
    ended = [event for _, event, _ in run.iter_events() if isinstance(event, CheckpointEnded)]
    return {
        "checkpoints": {
            "completed": len(committed),
            "aborted": ended.count(CheckpointEnded("aborted")),
        },
        "pause_ns": of("pause_ns", []),
        "transaction_ns": of("transaction_ns", []),
        "ram_ns": of("ram_ns", []),
        "wire_bytes_per_checkpoint": of("wire_bytes", []),
        "lock_hold_ns": {
            side: of(f"lock_hold_{side}_ns", open_holds(side)) for side in ("primary", "secondary")
        },
    }


@pytest.mark.parametrize("name", shipped())
def test_a_summary_says_what_its_tables_say(name: str) -> None:
    """Each figure that both have is the same in every design of every shipped scenario."""
    scenario = as_scenario(name)
    for design in scenario.designs:
        run = simulate(scenario, design)
        expected = by_the_tables(run)
        assert {key: run.summary[key] for key in expected} == expected
