"""The summary of a run: what ``summary.json`` and ``--format json`` say, nested, integers only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from colosim.engine.clock import PPM
from colosim.runs.deaf_monitor import warning_of
from colosim.runs.verdict import COMPLETED
from colosim.trace.events import ABORTED, COMMITTED, PRIMARY, SECONDARY
from colosim.trace.quantities import HOLDS, SPANS, WIRE_BYTES

if TYPE_CHECKING:
    from colosim.runs.simulation import Simulation
    from colosim.runs.tally import Tally
    from colosim.runs.verdict import Judgement

STAGING = "staging_buffer"


def memory_peaks(simulation: Simulation, side: str) -> dict[str, int]:
    """Return the peak of each account of one side in bytes, and of their sum (``extra_total``).

    The account ``staging_buffer`` (capacity) is there in every design, 0 where it has none.
    """
    *accounts, total = {STAGING: 0, **simulation.peaks.of(side)}.items()
    return dict([*sorted(accounts), total])


def deaf_longest_ns(tally: Tally, survivor: str | None) -> int:
    """Return how long a monitor was deaf at most: the survivor's, or either's if both live.

    A process that is frozen or dead is nobody's monitor any more.
    """
    return max(tally.deaf_ns[side] for side in _heard(survivor))


def deaf_open(tally: Tally, survivor: str | None) -> bool:
    """Tell whether the longest time that a monitor was deaf lasts to the end of the run."""
    longest_ns = deaf_longest_ns(tally, survivor)
    return any(
        tally.deaf_open[side] and tally.deaf_ns[side] == longest_ns for side in _heard(survivor)
    )


def _heard(survivor: str | None) -> tuple[str, ...]:
    return (PRIMARY, SECONDARY) if survivor is None else (survivor,)


def warning(simulation: Simulation, judgement: Judgement) -> str | None:
    """Return what a run that went well would not survive if the manager asked the monitors."""
    healthy = judgement.verdict == COMPLETED and not simulation.injector.struck
    if not healthy:
        return None
    return warning_of(simulation.scenario.manager, simulation.tally.deaf_ns)


def summarise(simulation: Simulation, judgement: Judgement) -> dict[str, Any]:
    """Return the summary of a simulation that has run (or could not: `not_applicable`)."""
    tally, service, clients = simulation.tally, simulation.service, simulation.clients
    seen: dict[str, Any] = {}
    if simulation.starts_apart:
        seen["start_pause_ns"] = tally.first_pause_ns
    if clients is not None:
        seen["service"] = clients.summary(simulation.end_ns)
        seen["time_to_client_ns"] = clients.time_to_client_ns
    if simulation.disk is not None and simulation.disk.writes is not None:
        times, end_ns = simulation.disk.writes.times, simulation.end_ns
        times.settle(end_ns)
        seen["disk"] = {
            "writes": times.made(end_ns),
            "unanswered": times.out,
            "unreplicated": times.unreplicated(end_ns),
            "latency_ns": simulation.writes.summary(),
        }
    return summary_layout(
        scenario=simulation.scenario.name,
        design=simulation.design.name,
        seed=simulation.seed,
        digest=simulation.record.digest,
        judgement=replace(judgement, warning=warning(simulation, judgement)),
        outcomes=tally.outcomes,
        distribution=lambda name: tally.distribution(name).summary(),
        memory_peaks={side: memory_peaks(simulation, side) for side in (PRIMARY, SECONDARY)},
        wire_bytes=tally.wire_bytes,
        events=simulation.env.events,
        end_ns=simulation.end_ns,
        guest_stopped_ns_longest=service.stopped_longest_ns,
        guest_stopped_open=service.stopped_open,
        guest_running_share=service.served_ns * PPM // max(1, simulation.end_ns),
        monitor_deaf_ns=tally.deaf(judgement.survivor).summary(),
        monitor_deaf_ns_longest=deaf_longest_ns(tally, judgement.survivor),
        monitor_deaf_open=deaf_open(tally, judgement.survivor),
        time_to_guest_ns=service.time_to_guest_ns,
        **seen,
    )


def summary_layout(
    *,
    scenario: str,
    design: str,
    seed: int,
    digest: str,
    judgement: Judgement,
    outcomes: Mapping[str, int],
    distribution: Callable[[str], dict[str, int] | None],
    memory_peaks: Mapping[str, Mapping[str, int | None]],
    **rest: Any,
) -> dict[str, Any]:
    """Return a summary, of a simulated or of a real run; None is what was not measured.

    `outcomes`: checkpoints by outcome.  `distribution` returns that of a quantity of
    `colosim.trace.quantities`.  `rest`: ``wire_bytes``, and the keys that are last in the summary.
    """
    other = judgement.otherwise
    return {
        "scenario": scenario,
        "design": design,
        "seed": seed,
        "digest": digest,
        "verdict": judgement.verdict,
        "survivor": judgement.survivor,
        "false_failover": judgement.false_failover,
        "reason": judgement.sentence,
        "warning": judgement.warning,
        "depends_on": judgement.depends_on,
        "otherwise": {
            "verdict": None if other is None else other.verdict,
            "survivor": None if other is None else other.survivor,
        },
        "checkpoints": {"completed": outcomes[COMMITTED], "aborted": outcomes[ABORTED]},
        **{name: distribution(name) for name in SPANS},
        "lock_hold_ns": {side: distribution(HOLDS[side]) for side in HOLDS},
        "memory_peak_bytes": memory_peaks,
        "wire_bytes": rest.pop("wire_bytes"),
        "wire_bytes_per_checkpoint": distribution(WIRE_BYTES),
        **rest,
    }
