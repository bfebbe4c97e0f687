"""What the summary of a real run is made of: as a simulated one's, None where nothing was measured.

Quantities of checkpoints are those of its tables (`colosim.trace.checkpoint`), what is told of the
lock comes from the same count as a simulated run's (`colosim.runs.tally`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from colosim.engine.environment import Environment
from colosim.measured.merge import UNKNOWN, entered, flat_of
from colosim.runs.statistics import Quantiles
from colosim.runs.summary import STAGING, deaf_longest_ns, summary_layout
from colosim.runs.tally import Tally
from colosim.runs.verdict import COMPLETED, FAILED_OVER, Judgement
from colosim.trace.dispatch import Dispatcher
from colosim.trace.events import (
    ABORTED,
    COMMITTED,
    PRIMARY,
    SECONDARY,
    GuestRunning,
    GuestStopped,
    MemoryLevel,
    ServesAlone,
)
from colosim.trace.quantities import START
from colosim.trace.record import Record

if TYPE_CHECKING:
    from colosim.measured.merge import Entry
    from colosim.scenario import Scenario
    from colosim.trace.columns import Table

UNKNOWN_END: Final = "unknown"
"""The verdict on a log that ends within a checkpoint: it may go on behind its last line."""


def digest_of(record: Sequence[Entry]) -> str:
    """Return the SHA-256 over the record, as a simulated run's."""
    made = Record(Environment(), keep=False)
    for flat in flat_of(record):
        made.pending += flat
        made.close()
    return made.digest


def summary_of(
    scenario: Scenario,
    design: str,
    tables: dict[str, Table],
    entries: Sequence[Entry],
    *,
    digest: str,
    timed: bool,
    shows_locks: bool,
) -> dict[str, Any]:
    """Return the summary of a real run from its tables and its record."""
    shown = entered(entry for entry in entries if entry.time_ns != UNKNOWN)
    end_ns = max((entry.time_ns for entry in shown), default=0) if timed else None
    checkpoints: Any = tables["checkpoints"]
    outcomes: list[str] = checkpoints["outcome"].tolist()
    judgement = _judged(entries, shown, outcomes)
    counted = np.arange(len(outcomes)) >= scenario.warmup
    counted &= checkpoints["outcome"].values == COMMITTED
    started = checkpoints["kind"].values == START
    counted &= ~started
    pause = checkpoints["pause_ns"][started]
    seen = {"start_pause_ns": int(pause.values[0])} if pause.known.any() else {}

    def distribution(name: str) -> dict[str, int] | None:
        values = checkpoints[name][counted]
        quantiles = Quantiles()
        quantiles.add(values.values[values.known].tolist())
        return quantiles.summary() if quantiles.count else None

    wire = checkpoints["wire_bytes"]
    return summary_layout(
        scenario=scenario.name,
        design=design,
        seed=0,
        digest=digest,
        judgement=judgement,
        outcomes={outcome: outcomes.count(outcome) for outcome in (COMMITTED, ABORTED)},
        distribution=distribution,
        memory_peaks={side: _peaks(tables["memory"], side) for side in (PRIMARY, SECONDARY)},
        wire_bytes=int(wire.values[wire.known].sum()) if wire.known.any() else None,
        events=len(shown),
        end_ns=end_ns,
        guest_stopped_ns_longest=None if end_ns is None else _stopped_longest(shown, end_ns),
        guest_stopped_open=None,
        guest_running_share=None,
        monitor_deaf_ns=None,
        monitor_deaf_ns_longest=_deaf_longest(shown, end_ns, judgement) if shows_locks else None,
        monitor_deaf_open=None,
        time_to_guest_ns=None,
        **seen,
    )


def _peaks(memory: Any, side: str) -> dict[str, int | None]:
    """Return the highest level that was seen of each account; of their sum nothing is known."""
    peaks: dict[str, int | None] = {STAGING: None}
    levels = memory["level_bytes"].values.tolist()
    sides, accounts = memory["side"].tolist(), memory["account"].tolist()
    for of, account, level in zip(sides, accounts, levels, strict=True):
        if of == side:
            peaks[account] = max(level, peaks.get(account) or 0)
    return {**dict(sorted(peaks.items())), "extra_total": None}


def _deaf_longest(shown: Sequence[Entry], end_ns: int | None, judgement: Judgement) -> int | None:
    if end_ns is None:
        return None
    tally = Tally()
    dispatcher = Dispatcher(tally.on)
    for flat in flat_of(shown):
        dispatcher.feed(flat)
    tally.finish(end_ns)
    return deaf_longest_ns(tally, judgement.survivor)


def _stopped_longest(shown: Sequence[Entry], end_ns: int) -> int:
    """Return the longest time that no guest served: the primary's, or a survivor's alone."""
    since: int | None = None
    longest = 0
    for at_ns, event, _ in shown:
        match event:
            case GuestStopped("primary") if since is None:
                since = at_ns
            case GuestRunning("primary") | ServesAlone() if since is not None:
                longest = max(longest, at_ns - since)
                since = None
    return longest if since is None else max(longest, end_ns - since)


def _judged(entries: Sequence[Entry], shown: Sequence[Entry], outcomes: list[str]) -> Judgement:
    """Return how a run ended: a log does not say what comes behind its last line."""
    alone = [entry.event.side for entry in entries if isinstance(entry.event, ServesAlone)]
    if alone:
        reason = f"the {alone[0]}'s guest runs alone after a failover"
        return Judgement(FAILED_OVER, alone[0], reason)
    if outcomes and outcomes[-1] == COMMITTED:
        reason = "the last checkpoint that the log shows was committed"
        return Judgement(COMPLETED, None, reason)
    acts = (entry.event for entry in reversed(shown))
    last = next((event for event in acts if not isinstance(event, MemoryLevel)), "nothing")
    return Judgement(UNKNOWN_END, None, f"the log ends within a checkpoint, after '{last}'")
