"""What a real COLO run is once it is read: conditions, checkpoints, and what a fault led to.

All times are integer nanoseconds.  A stage's time counts from the checkpoint's own request: the
moment at which the primary had sent CHECKPOINT_REQUEST (`P_BEGIN` in the QEMU 2.5 runs, which is
just before it).  The clocks of both sides are one, but the lines are printed after the act, so a
secondary's stage may be a few microseconds below zero.

A stage is a point of `colosim.trace.steps`: ``p_saved`` is the primary's ``saved``, ``s_filled``
the secondary's ``filled``; no run has all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from colosim.trace.quantities import span
from colosim.trace.steps import POINTS

WARMUP = 2
"""Checkpoints that statistics leave out: buffers grow, pages are touched for the first time."""

LATENCY_NS = 25_000
"""One way through the lab's veth pair, as its network presets have it."""

STAGES = tuple(point.stage for point in POINTS[1:])
"""All points of a checkpoint but the primary's request, from which they count."""

QUANTITIES = (
    "pause_ns",
    "transaction_ns",
    "ram_ns",
    "lock_hold_primary_ns",
    "lock_hold_secondary_ns",
    "staging_buffer_content_bytes",
    "staging_buffer_capacity_bytes",
    "wire_bytes",
    "dirty_pages",
)
"""What a run is compared by: properties of `MeasuredCheckpoint`, None where not measured."""

FAULTS = ("freeze", "kill", "vanish", "channel", "none")
"""What can have struck: ``channel`` cuts off one of several multifd channels; with ``none`` the
lost-heartbeat command alone was sent."""

MOMENTS = ("idle", "reply", "stream", "load")
"""When it struck: between checkpoints, after the request, in the RAM stream, in the load."""

NUMBERS = (
    "dirty_pages",
    "flush_pages",
    "wire_bytes",
    "staging_buffer_content_bytes",
    "staging_buffer_capacity_bytes",
)
"""What a checkpoint has beside its times."""

_WRITE_ENDS = ("p_ram_sent", "p_sent", "p_size_sent")
"""The last byte of RAM is written at the first of these that a design has."""
_READ_ENDS = ("s_ram_loaded", "s_filled")
"""And read at the first of these."""


def nearest_rank(values: Sequence[int], percent: int) -> int:
    """Return the nearest-rank quantile of integers: the smallest value with `percent` at or below.

    :raises ValueError: if there is no value, or `percent` is not in 1..100.
    """
    if not values:
        raise ValueError("a quantile of no values")
    if not 1 <= percent <= 100:  # noqa: PLR2004 - a percentage
        raise ValueError(f"percent ({percent}) must be in 1..100")
    return sorted(values)[-(-len(values) * percent // 100) - 1]


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under what a run was made, in the words of a scenario.

    ``bandwidth_bits`` is the nominal bit/s of the token bucket, None where there was none; of every
    ``frame_bytes`` that it counts ``payload_bytes`` are TCP payload.  ``latency_ns`` is what was
    added one way.  ``working_set_pages`` and ``write_rate`` (pages/s) are the guest's program,
    written round-robin; ``accelerator`` (tcg or kvm) runs it.
    """

    ram_bytes: int
    working_set_pages: int
    write_rate: int
    checkpoint_delay_ns: int
    bandwidth_bits: int | None
    burst_bytes: int
    payload_bytes: int
    frame_bytes: int
    latency_ns: int
    congestion_control: str
    delayed_ack: bool
    retries2: int
    accelerator: str = "tcg"

    @property
    def limited(self) -> bool:
        """Whether the network was made slower than the hosts: by a limit, or by added latency."""
        return self.bandwidth_bits is not None or self.latency_ns > 0

    def link_ns(self, payload: int) -> int:
        """Return how long the link takes for ``payload`` bytes, 0 if it has no limit."""
        if self.bandwidth_bits is None:
            return 0
        wire_bits = payload * 8 * self.frame_bytes * 10**9
        return -(-wire_bits // (self.bandwidth_bits * self.payload_bytes))


@dataclass(frozen=True, slots=True)
class MeasuredCheckpoint:
    """One checkpoint: its pages and bytes, and when each stage was reached.

    ``request_ns`` counts from the run's first request.  A stage that a design does not have, that
    the run did not record, or that was never reached, is missing from ``stages``.
    """

    request_ns: int
    dirty_pages: int | None
    flush_pages: int | None
    wire_bytes: int | None
    staging_buffer_content_bytes: int | None
    staging_buffer_capacity_bytes: int | None
    stages: Mapping[str, int]

    @property
    def complete(self) -> bool:
        """Whether the primary read VMSTATE_LOADED and its guest runs again.

        Of a secondary alone: whether it sent VMSTATE_LOADED.
        """
        if any(stage.startswith("p_") for stage in self.stages):
            return "p_loaded" in self.stages and "p_resumed" in self.stages
        return "s_loaded" in self.stages

    def between(self, begin: str, end: str) -> int | None:
        """Return the time from one stage to another, None if either was not reached."""
        if begin in self.stages and end in self.stages:
            return self.stages[end] - self.stages[begin]
        return None

    @property
    def points(self) -> dict[str, int]:
        """When points were reached, by their names in `colosim.trace.steps`."""
        request, *others = POINTS
        reached = {
            one.full_name: self.stages[one.stage] for one in others if one.stage in self.stages
        }
        return {request.full_name: 0, **reached}

    @property
    def pause_ns(self) -> int | None:
        """Primary guest stopped to running."""
        return span("pause_ns", self.points)

    @property
    def transaction_ns(self) -> int | None:
        """Request sent to primary guest running."""
        return span("transaction_ns", self.points)

    @property
    def ram_ns(self) -> int | None:
        """VMSTATE_SEND read to RAM in the cache, or to the buffer filled (qsb, flat)."""
        return span("ram_ns", self.points)

    @property
    def lock_hold_primary_ns(self) -> int | None:
        """The primary's hold of the iothread lock to save state."""
        return self.between("p_lock_taken", "p_lock_free")

    @property
    def lock_hold_secondary_ns(self) -> int | None:
        """The secondary's hold of the iothread lock to load state."""
        return self.between("s_lock_taken", "s_lock_free")

    @property
    def tail_ns(self) -> int | None:
        """Last byte written to the socket to last byte read from it."""
        written = next((self.stages[end] for end in _WRITE_ENDS if end in self.stages), None)
        read = next((self.stages[end] for end in _READ_ENDS if end in self.stages), None)
        return None if written is None or read is None else read - written


class Aftermath:
    """What became of the side that survived a fault, measured or simulated."""

    __slots__ = ()

    command_ns: int | None
    running_ns: int | None
    yank_running_ns: int | None
    thaw_command_ns: int | None
    thaw_running_ns: int | None

    @property
    def command_served(self) -> bool:
        """Whether x_colo_lost_heartbeat was served without a yank and without the victim's help."""
        return self.command_ns is not None and self.running_ns is not None

    @property
    def yank_freed_it(self) -> bool:
        """Whether a guest ran after a yank."""
        return self.yank_running_ns is not None

    @property
    def thaw_freed_it(self) -> bool:
        """Whether a guest ran once the victim was let go on."""
        return self.thaw_running_ns is not None

    @property
    def guest_ran_again(self) -> bool:
        """Whether a guest ran at all."""
        return self.command_served or self.yank_freed_it or self.thaw_freed_it


@dataclass(frozen=True, slots=True)
class FaultResult(Aftermath):
    """What a fault led to on the side that survived.

    ``polls`` queries of the survivor's monitor were sent before anything was done,
    ``polls_answered`` came back, the slowest after ``poll_ns_max``; ``status`` is what they said.
    Then x_colo_lost_heartbeat was sent: its reply came after ``command_ns`` and the guest ran after
    ``running_ns``, None if that did not happen within the time that was waited.
    ``yank_running_ns`` counts from an out-of-band yank, ``thaw_*`` from the moment at which a
    frozen victim was let go on; None where that was not done.  The fault struck ``offset_ns`` after
    the step that ``when`` names; ``hands_off_ns`` later the command was sent, and its reply waited
    for up to ``patience_ns``.
    """

    fault: str
    victim: str
    when: str
    polls: int
    polls_answered: int
    poll_ns_max: int | None
    status: str | None
    command_ns: int | None
    running_ns: int | None
    yank_running_ns: int | None
    thaw_command_ns: int | None
    thaw_running_ns: int | None
    offset_ns: int = 0
    hands_off_ns: int = 10_000_000_000
    patience_ns: int = 10_000_000_000

    def __post_init__(self) -> None:
        """Refuse a fault, or a moment, that is not known.

        :raises ValueError: with those that are.
        """
        for what, name, names in (("fault", self.fault, FAULTS), ("moment", self.when, MOMENTS)):
            if name not in names:
                raise ValueError(f"no {what} is called {name!r}; there are {', '.join(names)}")

    @property
    def monitor_answered(self) -> bool:
        """Whether every query of the survivor's monitor was answered (true if none was sent)."""
        return self.polls == self.polls_answered


@dataclass(frozen=True, slots=True)
class MeasuredRun:
    """A real run: what ran, under what conditions, its checkpoints, and its fault if it had one.

    ``clock_ns`` is what the run's clock (CLOCK_MONOTONIC or CLOCK_REALTIME of its host) showed at
    the first request, 0 where that is not known: the kernel's ticks lie on that clock.  ``way_ns``
    is what the link takes one way beyond what its conditions add.
    """

    name: str
    design: str
    qemu: str
    conditions: Conditions
    checkpoints: tuple[MeasuredCheckpoint, ...]
    fault: FaultResult | None
    clock_ns: int = 0
    way_ns: int = LATENCY_NS

    @property
    def lab(self) -> str:
        """The folder that the run is of: one host, in one boot of it."""
        return self.name.partition("/")[0]

    def counted(self, warmup: int = WARMUP) -> tuple[MeasuredCheckpoint, ...]:
        """Return the checkpoints that statistics count: complete ones after the warm-up."""
        return tuple(one for one in self.checkpoints[warmup:] if one.complete)

    def values(self, quantity: str, warmup: int = WARMUP) -> tuple[int, ...]:
        """Return a quantity of `QUANTITIES` for each counted checkpoint that has it.

        :raises KeyError: if there is no such quantity.
        """
        if quantity not in QUANTITIES:
            raise KeyError(quantity)
        found = (getattr(one, quantity) for one in self.counted(warmup))
        return tuple(value for value in found if value is not None)

    def quantile(self, quantity: str, percent: int) -> int | None:
        """Return the nearest-rank quantile of a quantity, None where it was not measured."""
        values = self.values(quantity)
        return nearest_rank(values, percent) if values else None

    def median(self, quantity: str) -> int | None:
        """Return the nearest-rank median of a quantity, None where it was not measured."""
        return self.quantile(quantity, 50)

    def medians(self) -> dict[str, int]:
        """Return the median of every quantity that was measured."""
        found = {quantity: self.median(quantity) for quantity in QUANTITIES}
        return {quantity: value for quantity, value in found.items() if value is not None}


def checkpoints_of(rows: Iterable[Mapping[str, Any]]) -> tuple[MeasuredCheckpoint, ...]:
    """Return the checkpoints in rows of a run's table of that name, None where it is empty.

    Of a secondary alone their times count from its reading of the request.
    """
    found = []
    request, *others = POINTS
    for row in rows:
        begins = (row[f"{request.full_name}_at_ns"], row["secondary_request_at_ns"])
        began_ns = next((at_ns for at_ns in begins if at_ns is not None), None)
        if began_ns is None:
            continue
        times = {point.stage: row[f"{point.full_name}_at_ns"] for point in others}
        found.append(
            MeasuredCheckpoint(
                request_ns=began_ns,
                **{name: row[name] for name in NUMBERS},
                stages={
                    stage: at_ns - began_ns for stage, at_ns in times.items() if at_ns is not None
                },
            )
        )
    return tuple(found)
