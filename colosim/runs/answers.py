"""Every answer that clients got in a simulation, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from colosim.errors import ColosimError
from colosim.runs.simulation import Simulation

if TYPE_CHECKING:
    from collections.abc import Callable

    from colosim.scenario.model import Scenario
    from colosim.service.draws import Times

__all__ = ["answers"]


def answers(
    scenario: Scenario,
    design: str,
    *,
    seed: int | None = None,
    prepare: Callable[[Simulation], None] | None = None,
) -> tuple[pd.DataFrame, Simulation]:
    """Return the answers of a simulation in the order of requests, and the simulation.

    Columns: ``sent_ns``, ``answered_ns`` and ``latency_ns``, by the clients' clock.

    :param prepare: called with the simulation before it runs.
    :raises ColosimError: if the scenario has no clients.
    """
    if scenario.service is None:
        raise ColosimError(f"{scenario.name} has no clients (service)")
    found: list[tuple[Times, Times]] = []

    def listen(simulation: Simulation) -> None:
        clients = simulation.clients
        assert clients is not None  # noqa: S101 - the scenario has a service
        told = clients.room.on_answers

        def note(at_ns: Times, latencies_ns: Times) -> None:
            found.append((at_ns.copy(), latencies_ns.copy()))
            told(at_ns, latencies_ns)

        clients.room.on_answers = note
        if prepare is not None:
            prepare(simulation)

    simulation = Simulation(scenario, design, seed=seed, keep=False, prepare=listen).run()
    at, latency = (
        (np.concatenate(part) for part in zip(*found, strict=True))
        if found
        else (np.zeros((2, 0), np.int64))
    )
    table = pd.DataFrame({"sent_ns": at - latency, "answered_ns": at, "latency_ns": latency})
    return table.sort_values(["sent_ns", "answered_ns"], ignore_index=True), simulation
