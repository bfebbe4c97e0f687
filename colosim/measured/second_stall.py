"""The second stall of a checkpoint over multifd channels: which checkpoints had it.

The first MULTIFD_FLUSH waits for the delayed ACK of VMSTATE_SEND, 40 ms, and the channels' readers
wait for it.  Where one channel's sockets do not take all that it has to carry, its writer stands as
long, with the lock.  On the real hosts that is chance where it is near: whether one thread keeps
its CPU and takes packets in a row (``channel_lead`` of a host).  So whether a checkpoint stalled is
taken as given where its times are compared, and the shares of those that did for themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from colosim.designs.multifd import PACKET_PAGES
from colosim.designs.registry import load_design
from colosim.engine.clock import PPM
from colosim.host.host import PAGE_BYTES
from colosim.measured.conditions import open_loop as open_loop_scenario
from colosim.measured.replay import simulate_open_loop

if TYPE_CHECKING:
    from colosim.measured.measurement import MeasuredRun
    from colosim.measured.replay import SimulatedCheckpoint

_AMPLE = {"network.send_buffer": "1 GiB", "network.receive_buffer": "1 GiB"}
_LEAST_BYTES = 1 << 16
_TOLD_APART_NS = 20_000_000
"""Half a stall."""


def _scanty(run: MeasuredRun) -> dict[str, int]:
    """Return buffers of a channel that take all of its share of the pages but one packet."""
    channels = load_design(run.design).traits.channels
    share = (run.median("dirty_pages") or 0) // channels - PACKET_PAGES
    each = max(_LEAST_BYTES, PAGE_BYTES * share // 2)
    return {"network.send_buffer": each, "network.receive_buffer": each}


class SecondStalls(NamedTuple):
    """How many of a run's counted checkpoints stalled twice, and its checkpoints by kind.

    Counted are those whose two kinds are told apart: with very many pages the writing alone takes
    as long as the stall.  ``simulated`` is how many are to be expected: between those that stall
    with one channel ahead and those that stall without, by its share.  ``by_kind`` has each
    simulated as it was measured: with a second stall, or without.
    """

    checkpoints: int
    measured: int
    simulated: float
    by_kind: tuple[SimulatedCheckpoint, ...]


def can_stall(run: MeasuredRun) -> bool:
    """Whether a stall would be seen: behind a slow link the buffers' bytes flow on meanwhile."""
    conditions = run.conditions
    limited = conditions.bandwidth_bits is not None
    return bool(load_design(run.design).traits.channels) and conditions.delayed_ack and not limited


def second_stalls(
    run: MeasuredRun,
    open_loop: Sequence[SimulatedCheckpoint],
    warmup: int,
    costs: Mapping[str, Any] | None = None,
) -> SecondStalls:
    """Tell the checkpoints of a run that can stall twice from the others.

    One is of the kind to whose hold of the primary's lock its own is nearer (guest stopped to
    VMSTATE_SIZE sent), the hold simulated with buffers that take everything, and with buffers that
    take all but a packet.  `open_loop`: the run's complete checkpoints, simulated with its own
    buffers; they stand for those of their kind.
    """
    complete = [one for one in run.checkpoints if one.complete]
    without = simulate_open_loop(run, costs, vary=_AMPLE)
    stalled = simulate_open_loop(run, costs, vary=_scanty(run))
    even, ahead = (
        simulate_open_loop(run, costs, vary={"hosts.primary.channel_lead": share})
        for share in ("0%", "100%")
    )
    lead = open_loop_scenario(run, costs).hosts.primary.channel_lead_ppm / PPM
    kinds = list(zip(without, stalled, strict=True))
    measured = [
        _is_late(one.between("p_stopped", "p_size_sent"), *both)
        for one, both in zip(complete, kinds, strict=True)
    ]
    simulated = [
        _is_late(one.lock_hold_primary_ns, *both)
        for one, both in zip(open_loop, kinds, strict=True)
    ]
    counted = [
        (late, *(_is_late(one.lock_hold_primary_ns, *both) for one in ends))
        for late, both, *ends in list(zip(measured, kinds, even, ahead, strict=True))[warmup:]
        if _apart_ns(*both) >= _TOLD_APART_NS
    ]
    late, least, most = (sum(one) for one in zip(*counted, strict=True)) if counted else (0, 0, 0)
    return SecondStalls(
        len(counted),
        late,
        round(least + (most - least) * lead, 1),
        tuple(
            own if late == own_late else both[late]
            for own, late, own_late, both in zip(open_loop, measured, simulated, kinds, strict=True)
        ),
    )


def _apart_ns(without: SimulatedCheckpoint, stalled: SimulatedCheckpoint) -> int:
    return (stalled.lock_hold_primary_ns or 0) - (without.lock_hold_primary_ns or 0)


def _is_late(
    hold_ns: int | None, without: SimulatedCheckpoint, stalled: SimulatedCheckpoint
) -> bool:
    soon_ns, late_ns = without.lock_hold_primary_ns, stalled.lock_hold_primary_ns
    if hold_ns is None or soon_ns is None or late_ns is None:
        return False
    return abs(hold_ns - late_ns) < abs(hold_ns - soon_ns)
