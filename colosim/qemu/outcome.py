"""The summary of a real run: the keys of a simulated one's, None where nothing was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from colosim.runs.columns import COLUMNS
from colosim.runs.statistics import Quantiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from colosim.scenario import Scenario

    Table = list[Sequence[Any]]

__all__ = ["UNKNOWN", "summary_of"]

UNKNOWN = "unknown"
"""The verdict on a log that ends within a checkpoint: it may go on behind its last line."""

_SIDES = ("primary", "secondary")


def summary_of(
    scenario: Scenario,
    design: str,
    rows: dict[str, Table],
    *,
    digest: str,
    timed: bool,
    shows_locks: bool,
) -> dict[str, Any]:
    """Return the summary of a real run from its tables."""
    checkpoints = [
        dict(zip(COLUMNS["checkpoints"], row, strict=True)) for row in rows["checkpoints"]
    ]
    counted = [row for row in checkpoints[scenario.warmup :] if row["outcome"] == "committed"]
    outcomes = [row["outcome"] for row in checkpoints]
    verdict, survivor, reason = _verdict(rows["events"], outcomes)
    wire = [row["wire_bytes"] for row in checkpoints if row["wire_bytes"] is not None]
    end_ns = max((row[0] for row in rows["events"]), default=0) if timed else None
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
        "events": len(rows["events"]),
        "end_ns": end_ns,
        "guest_stopped_ns_longest": _stopped_longest(rows["events"], end_ns),
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


def _stopped_longest(events: Table, end_ns: int | None) -> int | None:
    """Return the longest time that no guest served: the primary's, or a survivor's alone."""
    if end_ns is None:
        return None
    since: int | None = None
    longest = 0
    for at_ns, name, _ in events:
        if name == "primary: guest stopped" and since is None:
            since = at_ns
        elif since is not None and (
            name == "primary: guest running" or name.endswith(": serves alone")
        ):
            longest = max(longest, at_ns - since)
            since = None
    return longest if since is None else max(longest, end_ns - since)


def _verdict(events: Table, outcomes: list[str]) -> tuple[str, str | None, str]:
    """Return verdict, survivor and reason: a log does not say what comes behind its last line."""
    alone = [name.partition(":")[0] for _, name, _ in events if name.endswith(": serves alone")]
    if alone:
        return "failed_over", alone[0], f"the {alone[0]}'s guest runs alone after a failover"
    if outcomes and outcomes[-1] == "committed":
        return "completed", None, "the last checkpoint that the log shows was committed"
    last = next((name for _, name, _ in reversed(events) if ": memory " not in name), "nothing")
    return UNKNOWN, None, f"the log ends within a checkpoint, after '{last}'"
