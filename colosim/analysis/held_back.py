"""How long Nagle's algorithm held VMSTATE_LOADED back for a delayed ACK, and what it costs.

It is the last small message of a checkpoint, behind VMSTATE_RECEIVED, whose ACK the primary's
kernel delays (40 ms of Linux; measured: `colosim.network.small`). What it would be without is
tried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from colosim.analysis.timeline import duration
from colosim.runs.run import simulate
from colosim.trace.events import PRIMARY, SECONDARY, Received, Sent

if TYPE_CHECKING:
    from colosim.analysis.timeline import Excerpt
    from colosim.runs.simulation import Simulation

_LOADED: Final = "VMSTATE_LOADED"
_TOLD_FROM_NS: Final = 10**6
"""Less is not told: a read and a wake-up take some of it."""


def held_back(simulation: Simulation, excerpt: Excerpt) -> str | None:
    """Say how long it waited in the last checkpoint, and the pause with +nodelay.

    None if it did not wait, or a fault struck, which may have been why.
    """
    network = simulation.scenario.network
    if not (network.nagle and network.delayed_ack) or simulation.injector.struck:
        return None
    sent = [at_ns for at_ns, event, _ in excerpt.events if event == Sent(SECONDARY, _LOADED)]
    came = [at_ns for at_ns, event, _ in excerpt.events if event == Received(PRIMARY, _LOADED)]
    if not sent or not came:
        return None
    waited_ns = came[-1] - sent[-1] - network.latency_ns
    if waited_ns < _TOLD_FROM_NS:
        return None
    at_once = simulation.scenario.model_copy(
        update={"network": network.model_copy(update={"nagle": False})}
    )
    design, seed = type(simulation.design), simulation.seed
    pauses = [
        simulate(one, design, seed=seed, tables=False).summary["pause_ns"]["p50"]
        for one in (simulation.scenario, at_once)
    ]
    return (
        f"{_LOADED} stood for {duration(waited_ns)} in the secondary's kernel: Nagle's algorithm "
        "holds it back for the ACK of the message before it, which the primary's kernel delays; "
        f"with +nodelay the median pause is {duration(pauses[1])}, not {duration(pauses[0])}"
    )
