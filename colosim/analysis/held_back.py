"""How long Nagle's algorithm held VMSTATE_LOADED back for a delayed ACK, and what it costs.

It is the last small message of a checkpoint, behind VMSTATE_RECEIVED, whose ACK the primary's
kernel delays (40 ms of Linux; measured: `colosim.network.small`). What it would be without is
tried.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from colosim.analysis.timeline import duration
from colosim.designs.remedies import conditions_of
from colosim.runs.run import simulate
from colosim.runs.simulation import Simulation
from colosim.runs.wording import in_words
from colosim.scenario.presets import OwnPreset
from colosim.scenario.spread import MEASURED
from colosim.trace.events import PRIMARY, SECONDARY, FaultStruck, Received, Sent
from colosim.trace.quantities import PAUSE

if TYPE_CHECKING:
    from colosim.designs.design import Design
    from colosim.runs.run import Run
    from colosim.scenario.model import Scenario
    from colosim.trace.record import Timed

LOADED: Final = "VMSTATE_LOADED"
_TOLD_FROM_NS: Final = 10**6
"""Less is not told: a read and a wake-up take some of it."""
_CHECKPOINTS: Final = 2
"""How many checkpoints show whether it waits."""


def waits_of(scenario: Scenario, events: Iterable[Timed]) -> list[tuple[int, int]]:
    """Return from when to when LOADED stood in the secondary's kernel, checkpoint by checkpoint.

    `scenario`: as the design runs under it.  After a fault nothing is said: it may have been why.
    """
    network = scenario.network
    if not (network.nagle and network.delayed_ack):
        return []
    found, sent_ns = [], 0
    for at_ns, event, _ in events:
        if event == Sent(SECONDARY, LOADED):
            sent_ns = at_ns
        elif event == Received(PRIMARY, LOADED):
            left_ns = at_ns - network.latency_ns
            if left_ns - sent_ns >= _TOLD_FROM_NS:
                found.append((sent_ns, left_ns))
        elif isinstance(event, FaultStruck):
            break
    return found


def waits_in(run: Run) -> dict[int, int]:
    """Return when LOADED was sent and left, where it stood in a run; of a real one nothing."""
    if run.source is not None:
        return {}
    return dict(waits_of(conditions_of(run.scenario, run.design), run.iter_events()))


def _pause_without_ns(scenario: Scenario, design: str | type[Design], seed: int) -> int | None:
    """Return the median pause without Nagle's algorithm; None if none is counted."""
    network = scenario.network.model_copy(update={"nagle": False})
    asked = scenario.model_copy(update={"network": network})
    pauses = simulate(asked, design, seed=seed, tables=False).summary["pause_ns"]
    return int(pauses["p50"]) if pauses["count"] else None


def held_back(simulation: Simulation, events: Iterable[Timed]) -> str | None:
    """Say how long it waited in the last of some checkpoints, and the pause with ``+nodelay``."""
    waits = waits_of(simulation.scenario, events)
    if not waits:
        return None
    begin_ns, end_ns = waits[-1]
    said = (
        f"{LOADED} stood for {duration(end_ns - begin_ns)} in the secondary's kernel: Nagle's "
        "algorithm holds it back for the ACK of the message before it, which the primary's kernel "
        "delays"
    )
    pauses = simulation.tally.distribution(PAUSE)
    design = type(simulation.design)
    without = _pause_without_ns(simulation.scenario, design, simulation.seed)
    if without is None or not pauses.count:
        return said
    with_it = duration(pauses.quantile(50))
    return f"{said}; with +nodelay the median pause is {duration(without)}, not {with_it}"


def held_back_in(runs: Iterable[Run]) -> str | None:
    """Say of which runs LOADED waits, and what their median pause would be with ``+nodelay``.

    The first checkpoints of each are simulated anew, and all of it where it waits; not of a run
    whose manifest does not say how its hosts scatter.
    """
    told = []
    for run in runs:
        hosts = run.scenario.hosts
        presets = (hosts.primary.preset, hosts.secondary.preset)
        unknown = any(isinstance(own, OwnPreset) and own.spread is None for own in presets)
        scatters = run.scenario.spread == MEASURED
        if run.source is not None or run.scenario.faults or (scatters and unknown):
            continue
        short = run.scenario.vary({"checkpoints": run.scenario.warmup + _CHECKPOINTS})
        simulation = Simulation(short, run.design, seed=run.seed)
        simulation.run()
        if waits_of(simulation.scenario, simulation.record):
            pause_ns = _pause_without_ns(run.scenario, run.design, run.seed)
            if pause_ns is not None:
                told.append(f"{run.design} {in_words('pause_ns.p50', pause_ns)}")
    if not told:
        return None
    return (
        f"{LOADED} stands in the secondary's kernel, where Nagle's algorithm holds it back for an "
        f"ACK that the primary's delays; with +nodelay pause p50 is: {', '.join(told)}"
    )
