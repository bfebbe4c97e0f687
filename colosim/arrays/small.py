"""Small segments in one direction at many points: `colosim.network.small`, by the same names.

Its rules without a branch on a point; what nearly always is so at every point is looked at first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from colosim.arrays.column import everywhere, plain, some
from colosim.network.small import QUICK_ACKS
from colosim.network.tcp import RTO_MIN_NS, delayed_ack_ns

if TYPE_CHECKING:
    from colosim.arrays.column import Ints, Masks

UNKNOWN = np.int64(-(1 << 60))
"""When an ACK comes that was not worked out yet."""


class SmallSegments:
    """When the last small segment arrives, when its sender has the ACK, and what waits for that."""

    STATE = ("_arrival", "_came", "_quick", "_due", "_interactive", "_delayed", "_pending", "acked",
        "held_until")  # fmt: skip

    def __init__(self, network: Any, latency: Ints, phase: Ints) -> None:
        self.nagle = network.nagle
        self._delays_ack = network.delayed_ack
        self._delay, self._tick = plain(network.delayed_ack_ns), plain(network.ack_tick_ns)
        self._phase, self._latency = phase, latency
        self._silence = RTO_MIN_NS + 2 * latency
        self._ack_within = self._delay + 2 * self._tick + 2 * latency
        zero = np.zeros_like(latency)
        self._all, self._none = zero == 0, zero > 0
        self._arrival = self._came = zero - 1
        self._interactive, self._quick = self._all, zero
        self._answers = True
        """Whether the receiver is interactive at every point."""
        self._delayed = self._pending = self._none
        self._due = zero
        """When an ACK that is delayed comes at the soonest."""
        self.acked = self.held_until = zero
        self._unknown, self._unsure = zero + UNKNOWN, False
        """No ACK is worked out yet; whether that is so at some points."""

    def waits(self, now: Ints, where: Masks) -> Masks | None:
        """Return where a small segment that is written now waits for `acked`; None: nowhere."""
        if not self.nagle:
            return None
        if self._unsure:
            self.work_out_ack(where & (now < self._arrival + self._ack_within))
        waits = where & (self.acked > now)
        return waits if some(waits) else None

    def left(self, arrives: Ints) -> None:
        """A small segment leaves that arrives then."""
        self._expire(arrives)
        quick = np.where(arrives - self._came > self._silence, QUICK_ACKS, self._quick)
        self._arrival = self._came = arrives
        self.acked, self._unsure = self._unknown, True
        if not self._delays_ack:
            self._quick = np.maximum(quick - 1, 0)
            return
        self._due = arrives + self._delay
        self._delayed, self._quick = self._all, quick
        if not self._answers:
            self._delayed = self._interactive | (quick == 0)
            self._quick = np.where(self._delayed, quick, np.maximum(quick - 1, 0))
        self._pending = self._delayed

    def mixed(self) -> None:
        """Its numbers have been put together from two states."""
        self._unsure, self._answers = True, everywhere(self._interactive)

    def bulk_left(self, arrives: Ints, tail: Masks) -> None:
        """The last of a bulk write leaves that arrives then, at some points a small segment."""
        self._came, self._quick = np.maximum(self._came, arrives), np.zeros_like(self._quick)
        self._arrival = np.where(tail, arrives, self._arrival)
        self._due = self._arrival + self._delay
        self.acknowledged(tail, arrives + self._latency)
        self._unsure = self._unsure and not everywhere(tail)

    def acknowledged(self, where: Masks, at: Ints) -> None:
        """The sender has the last small segment's ACK then."""
        self.acked = np.where(where, at, self.acked)
        self._pending = self._pending & ~where

    def ack_rides(self, leaves: Ints, arrives: Ints) -> tuple[Masks, Ints] | None:
        """A segment the other way, between these times, brings the ACK along.

        Returns where that makes a difference, and when the ACK would have come; None: nowhere.
        """
        rides = self._arrival <= leaves
        self._answered(leaves, rides)
        if self.acked is not self._unknown:
            rides = rides & ((self.acked == UNKNOWN) | (self.acked > arrives))
        soon = self._none
        if self._delays_ack:
            soon = rides & (arrives < self._due)
            if self._delayed is not self._all:
                soon &= self._delayed
            at_once = soon & (self.held_until <= leaves)
            if everywhere(at_once):
                self.acked, self._unsure = arrives, False
                return None
            self.acked = np.where(at_once, arrives, self.acked)
            rides = rides & ~at_once
        rides = rides & (
            soon | (self.acked != UNKNOWN) | (arrives < self._arrival + self._ack_within)
        )
        if not some(rides):
            return None
        self.work_out_ack(rides)
        overtaken = self.acked
        rides &= overtaken > arrives
        self.acked = np.where(rides, arrives, overtaken)
        return rides, overtaken

    def work_out_ack(self, where: Masks) -> None:
        """Work out when the last small segment's ACK comes, if nothing brings it sooner."""
        where = where & (self.acked == UNKNOWN)
        if some(where):
            arrived = self._arrival
            if self._delays_ack:
                arrived = np.where(self._delayed, self._expiry(), arrived)
            self.acked = np.where(where, arrived + self._latency, self.acked)

    def _answered(self, leaves: Ints, has_come: Masks) -> None:
        """The receiver sends something, behind the last small segment where that has come."""
        self._expire(leaves)
        if not self._answers:
            ticks = (leaves - self._phase) // self._tick - (self._came - self._phase) // self._tick
            soon = (ticks >= 0) & (ticks < -(-self._delay // self._tick))
            self._interactive = self._interactive | soon
            self._answers = everywhere(self._interactive)
        self._pending = self._none if everywhere(has_come) else self._pending & ~has_come

    def _expire(self, by: Ints) -> None:
        """Let the timer of an ACK that nothing carried along expire, if it did by then."""
        if self._pending is self._none:
            return
        expired = self._pending & (by >= self._due)
        if some(expired):
            expired &= by >= self._expiry()
            self._answers = self._answers and not some(expired)
            self._interactive = self._interactive & ~expired
            self._pending = self._pending & ~expired

    def _expiry(self) -> Any:
        given: Any = (self._arrival, self._delay, self._tick, self._phase)
        return delayed_ack_ns(*given)
