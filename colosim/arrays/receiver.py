"""Which receivers delay ACKs, a column each: as `colosim.network.small.SmallSegments` has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from colosim.arrays.column import everywhere, some
from colosim.arrays.transfer import plain
from colosim.network.small import QUICK_ACKS
from colosim.network.tcp import RTO_MIN_NS

if TYPE_CHECKING:
    from colosim.arrays.column import Ints, Masks


class Receiver:
    """What the receiver's kernel knows of the connection."""

    def __init__(self, network: Any, rtt: Ints, phase: Ints) -> None:
        self._rtt, self._phase = rtt, phase
        self._delays_any = bool(network.delayed_ack)
        self._delay, self._tick = plain(network.delayed_ack_ns), plain(network.ack_tick_ns)
        self._came = self._arrival = np.full_like(rtt, -1)
        self._quick = np.zeros_like(rtt)
        self._interactive = self._all = rtt >= 0
        self._all_do = True
        """Whether it answers what comes at every point, as nearly always: then much is skipped."""
        self.delays = self._pending = ~self._interactive
        """Whether the ACK of the last small segment is delayed, and whether its timer runs."""

    def small_comes(self, arrives: Ints) -> None:
        """A small segment comes then."""
        self._expire(arrives)
        silent = arrives - self._came > RTO_MIN_NS + self._rtt
        quick = np.where(silent, QUICK_ACKS, self._quick)
        self._arrival = self._came = arrives
        if self._all_do and self._delays_any:
            self.delays, self._pending, self._quick = self._all, self._all, quick
            return
        self.delays = self._pending = (self._interactive | (quick == 0)) & self._delays_any
        self._quick = np.where(self.delays, quick, np.maximum(quick - 1, 0))

    def bulk_comes(self, arrives: Ints, small: Masks) -> None:
        """The last of a bulk write comes then, at some points in a small segment."""
        self._came, self._quick = np.maximum(self._came, arrives), np.zeros_like(self._quick)
        self._arrival = np.where(small, arrives, self._arrival)
        self.acknowledges(small)

    def acknowledges(self, where: Masks) -> None:
        """It acknowledges all that has come."""
        self._pending = self._pending & ~where

    def answers(self, leaves: Ints) -> None:
        """It sends something."""
        self._expire(leaves)
        if not self._all_do:
            tick = np.maximum(self._tick, 1)
            ticks = (leaves - self._phase) // tick - (self._came - self._phase) // tick
            soon = (ticks >= 0) & (ticks < -(-self._delay // tick))
            self._interactive = self._interactive | soon
            self._all_do = everywhere(self._interactive)
        self._pending = self._pending & (self._arrival > leaves)

    def _expire(self, by: Ints) -> None:
        """Let the timer of an ACK that nothing carried along expire, if it did by then."""
        expired = self._pending & (by >= self._arrival + self._delay)
        if some(expired):
            expired &= by >= self.delayed(self._arrival)
            self._all_do = self._all_do and not some(expired)
            self._interactive = self._interactive & ~expired
            self._pending = self._pending & ~expired

    def delayed(self, arrived: Ints) -> Ints:
        """Return when the timer expires of an ACK for what came then."""
        ticks = (arrived - self._phase) // self._tick
        ticks = ticks - (-self._delay // self._tick) + 1
        due: Ints = ticks * self._tick + self._phase
        return due
