"""What a simulation draws from its seed, at points whose seeds may differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from colosim.arrays.column import column
from colosim.designs.multifd import LEAD
from colosim.engine.streams import Streams

if TYPE_CHECKING:
    from colosim.scenario.model import Scenario


def ack_phase_ns(scenario: Scenario) -> Any:
    """Return where the grid of delayed ACKs lies."""
    network = scenario.network
    if network.ack_tick_phase_ns is not None:
        return network.ack_tick_phase_ns
    return _below(scenario.seed, "ack tick phase", network.ack_tick_ns)


def leads(scenario: Scenario, checkpoint: int) -> Any:
    """Return whether one multifd channel goes ahead of the others in a checkpoint."""
    if scenario.network.bandwidth_bytes_per_s is not None:
        return False
    drawn = _below(scenario.seed, f"{LEAD} {checkpoint}", 10**6)
    return drawn < scenario.hosts.primary.channel_lead_ppm


def _below(seed: Any, name: str, bound: Any) -> Any:
    """Return an integer below `bound` of the stream `name`, at each point."""
    if type(seed) is int and type(bound) is int:
        return Streams(seed).below(name, bound)
    pairs = list(zip(*(one.tolist() for one in np.broadcast_arrays(seed, bound)), strict=True))
    drawn = {pair: Streams(pair[0]).below(name, pair[1]) for pair in dict.fromkeys(pairs)}
    return column([drawn[pair] for pair in pairs])
