"""The summary of a real run: the keys of a simulated one's, None where nothing was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from colosim.runs.columns import COLUMNS
from colosim.runs.statistics import Quantiles
from colosim.trace.events import GuestRunning, GuestStopped, MemoryLevel, ServesAlone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from colosim.scenario import Scenario
    from colosim.trace.events import Event

    Timed = tuple[int, Event, int]
    Table = list[Sequence[Any]]

__all__ = ["UNKNOWN", "summary_of"]

UNKNOWN = "unknown"
"""The verdict on a log that ends within a checkpoint: it may go on behind its last line."""

_SIDES = ("primary", "secondary")


def summary_of(
    scenario: Scenario,
    design: str,
    rows: dict[str, Table],
    events: Sequence[Timed],
    *,
    digest: str,
    timed: bool,
    shows_locks: bool,
) -> dict[str, Any]:
    """Return the summary of a real run from its tables and events."""
    checkpoints = [
        dict(zip(COLUMNS["checkpoints"], row, strict=True)) for row in rows["checkpoints"]
    ]
    counted = [row for row in checkpoints[scenario.warmup :] if row["outcome"] == "committed"]
    outcomes = [row["outcome"] for row in checkpoints]
    verdict, survivor, reason = _verdict(events, outcomes)
    wire = [row["wire_bytes"] for row in checkpoints if row["wire_bytes"] is not None]
    end_ns = max((at_ns for at_ns, _, _ in events), default=0) if timed else None
    return {
        "scenario": scenario.name,
        "design": design,
        "seed": 0,
        "digest": digest,
        "verdict": verdict,
        "survivor": survivor,
        "reason": reason,
        "checkpoints": {
            "completed": outcomes.count("committed"),
            "aborted": outcomes.count("aborted"),
        },
        "pause_ns": _quantiles(counted, "pause_ns"),
        "transaction_ns": _quantiles(counted, "transaction_ns"),
        "ram_ns": _quantiles(counted, "ram_ns"),
        "lock_hold_ns": {side: _quantiles(counted, f"lock_hold_{side}_ns") for side in _SIDES},
        "memory_peak_bytes": {side: _peaks(rows["memory"], side) for side in _SIDES},
        "wire_bytes": sum(wire) if wire else None,
        "wire_bytes_per_checkpoint": _quantiles(counted, "wire_bytes"),
        "events": len(events),
        "end_ns": end_ns,
        "guest_stopped_ns_longest": _stopped_longest(events, end_ns),
        "monitor_deaf_ns_longest": _held_longest(rows["locks"]) if shows_locks else None,
        "time_to_service_ns": None,
    }


def _quantiles(rows: list[dict[str, Any]], column: str) -> dict[str, int]:
    quantiles = Quantiles()
    values = (row[column] for row in rows)
    quantiles.add([value for value in values if value is not None and value >= 0])
    return quantiles.summary()


def _peaks(memory: Table, side: str) -> dict[str, int | None]:
    peaks: dict[str, int | None] = {"staging_buffer": None}
    for _, of, account, level, _ in memory:
        if of == side:
            peaks[account] = max(level, peaks.get(account) or 0)
    return {**dict(sorted(peaks.items())), "extra_total": None}


def _held_longest(locks: Table) -> int:
    return max((row[-1] for row in locks if row[-1] is not None), default=0)


def _stopped_longest(events: Sequence[Timed], end_ns: int | None) -> int | None:
    """Return the longest time that no guest served: the primary's, or a survivor's alone."""
    if end_ns is None:
        return None
    since: int | None = None
    longest = 0
    for at_ns, event, _ in events:
        match event:
            case GuestStopped("primary") if since is None:
                since = at_ns
            case GuestRunning("primary") | ServesAlone() if since is not None:
                longest = max(longest, at_ns - since)
                since = None
    return longest if since is None else max(longest, end_ns - since)


def _verdict(events: Sequence[Timed], outcomes: list[str]) -> tuple[str, str | None, str]:
    """Return verdict, survivor and reason: a log does not say what comes behind its last line."""
    alone = [event.side for _, event, _ in events if isinstance(event, ServesAlone)]
    if alone:
        return "failed_over", alone[0], f"the {alone[0]}'s guest runs alone after a failover"
    if outcomes and outcomes[-1] == "committed":
        return "completed", None, "the last checkpoint that the log shows was committed"
    acts = (event for _, event, _ in reversed(events) if not isinstance(event, MemoryLevel))
    last = next(acts, "nothing")
    return UNKNOWN, None, f"the log ends within a checkpoint, after '{last}'"
