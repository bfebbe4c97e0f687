"""The summary of a run: what ``summary.json`` and ``--format json`` say, nested, integers only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from colosim.trace.events import ABORTED, COMMITTED, PRIMARY, SECONDARY
from colosim.trace.quantities import HOLDS, SPANS, WIRE_BYTES

if TYPE_CHECKING:
    from colosim.runs.simulation import Simulation
    from colosim.runs.verdict import Judgement

__all__ = ["memory_peaks", "summarise", "value_of"]

STAGING = "staging_buffer"


def memory_peaks(simulation: Simulation, side: str) -> dict[str, int]:
    """Return the peak of each account of one side in bytes, and of their sum (``extra_total``).

    The account ``staging_buffer`` (capacity) is there in every design, 0 where it has none.
    """
    *accounts, total = {STAGING: 0, **simulation.peaks.of(side)}.items()
    return dict([*sorted(accounts), total])


def deaf_longest_ns(simulation: Simulation, survivor: str | None) -> int:
    """Return how long a monitor was deaf at most: the survivor's, or either's if both live.

    A process that is frozen or dead is nobody's monitor any more.
    """
    sides = (PRIMARY, SECONDARY) if survivor is None else (survivor,)
    return max(simulation.tally.deaf_ns[side] for side in sides)


def summarise(simulation: Simulation, judgement: Judgement) -> dict[str, Any]:
    """Return the summary of a simulation that has run (or could not: `not_applicable`)."""
    tally = simulation.tally
    return {
        "scenario": simulation.scenario.name,
        "design": simulation.design.name,
        "seed": simulation.seed,
        "digest": simulation.record.digest,
        "verdict": judgement.verdict,
        "survivor": judgement.survivor,
        "reason": judgement.reason,
        "checkpoints": {
            "completed": tally.outcomes[COMMITTED],
            "aborted": tally.outcomes[ABORTED],
        },
        **{name: tally.distribution(name).summary() for name in SPANS},
        "lock_hold_ns": {side: tally.distribution(HOLDS[side]).summary() for side in HOLDS},
        "memory_peak_bytes": {
            side: memory_peaks(simulation, side) for side in (PRIMARY, SECONDARY)
        },
        "wire_bytes": tally.wire_bytes,
        "wire_bytes_per_checkpoint": tally.distribution(WIRE_BYTES).summary(),
        "events": simulation.env.events,
        "end_ns": simulation.end_ns,
        "guest_stopped_ns_longest": simulation.service.stopped_longest_ns,
        "monitor_deaf_ns_longest": deaf_longest_ns(simulation, judgement.survivor),
        "time_to_service_ns": simulation.service.time_to_service_ns,
    }


def value_of(summary: dict[str, Any], key: str) -> Any:
    """Return the value of a dotted key, None if the summary has none."""
    value: Any = summary
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            return None
        value = value[part]
    return value
