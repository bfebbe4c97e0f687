"""Small segments in one direction: Nagle holds one back until the last is acknowledged.

Nagle in Minshall's form (tcp_nagle_check, tcp_minshall_check in net/ipv4/tcp_output.c): a small
segment waits only for the ACK of a *small* one.  That ACK is delayed, unless a segment the other
way carries it along sooner (tcp_delack_timer, tcp_send_ack).

Only a receiver that has answered what came to it within `delayed_ack_ns` delays it
(tcp_event_data_sent: "pingpong" mode), and no longer once its timer has expired in vain; else it
acknowledges at once, as long as it has quick ACKs, which a silence fills up (tcp_in_quickack_mode).
Measured: of 2,568 checkpoints of real pairs whose primary said VMSTATE_SEND within 30 ms of the
reply, VMSTATE_LOADED stood for 40 ms in 2,384; of the 10 in which that took over 40 ms, in none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from colosim.network.tcp import RTO_MIN_NS, delayed_ack_ns

if TYPE_CHECKING:
    from colosim.scenario.network import Network


QUICK_ACKS = 16
"""TCP_MAX_QUICKACKS."""


class SmallSegments:
    """When the last small segment arrives, when its sender has the ACK, and what waits for that."""

    def __init__(self, network: Network, ack_phase_ns: int) -> None:
        self._nagle = network.nagle
        self._delays_ack = network.delayed_ack
        self._ack_delay_ns = network.delayed_ack_ns
        self._ack_tick_ns = network.ack_tick_ns
        self._phase_ns = ack_phase_ns
        self._arrival_ns = -1
        self._came_ns = -1
        """When anything came last, bulk too."""
        self._interactive = True
        """Whether the receiver answers what comes (assumed of what was before)."""
        self._quick = 0
        self._delayed = self._pending = False
        """Whether the last small segment's ACK is delayed, and whether its timer runs."""
        # When the sender has the ACK; None: not worked out yet.
        self._acked_ns: int | None = 0
        self.held_until_ns = 0
        """When what Nagle holds back may leave."""
        self.set_latency(network.latency_ns)

    def set_latency(self, latency_ns: int) -> None:
        """Let segments and ACKs from now on be `latency_ns` under way."""
        self._latency_ns = latency_ns
        # No ACK comes later after the arrival than this.
        self._ack_within_ns = self._ack_delay_ns + 2 * self._ack_tick_ns + 2 * latency_ns

    @property
    def left_ns(self) -> int:
        """When the last small segment left."""
        return self._arrival_ns - self._latency_ns

    def may_leave_ns(self, now: int) -> int:
        """Return when a small segment that is written now, with nothing ahead of it, may leave."""
        acked = self._acked_ns
        if not self._nagle:
            return now
        if acked is None and now < self._arrival_ns + self._ack_within_ns:
            acked = self.acked_ns
        return now if acked is None or acked < now else acked

    def left(self, arrives_ns: int) -> None:
        """A small segment leaves that arrives then."""
        self._expire(arrives_ns)
        if arrives_ns - self._came_ns > RTO_MIN_NS + 2 * self._latency_ns:
            self._quick = QUICK_ACKS
        self._arrival_ns = self._came_ns = arrives_ns
        self._acked_ns = None
        self._delayed = self._delays_ack and (self._interactive or not self._quick)
        self._pending = self._delayed
        if not self._delayed and self._quick:
            self._quick -= 1

    def bulk_left(self, arrives_ns: int) -> None:
        """The last of a bulk write leaves that arrives then: no quick ACK is left after it."""
        self._came_ns = max(self._came_ns, arrives_ns)
        self._quick = 0

    def answered(self, leaves_ns: int) -> None:
        """The receiver sends something."""
        self._expire(leaves_ns)
        tick = self._ack_tick_ns or 1
        ticks = (leaves_ns - self._phase_ns) // tick - (self._came_ns - self._phase_ns) // tick
        if 0 <= ticks < -(-self._ack_delay_ns // tick):
            self._interactive = True
        if self._arrival_ns <= leaves_ns:
            self._pending = False

    def _expire(self, by_ns: int) -> None:
        """Let the timer of an ACK that nothing carried along expire, if it did by then."""
        if self._pending and by_ns >= self._arrival_ns + self._ack_delay_ns:
            expires_ns = delayed_ack_ns(
                self._arrival_ns, self._ack_delay_ns, self._ack_tick_ns, self._phase_ns
            )
            if by_ns >= expires_ns:
                self._interactive = self._pending = False

    def acknowledged(self, at_ns: int) -> None:
        """The sender has the last small segment's ACK at `at_ns`: bulk follows."""
        self._acked_ns = at_ns
        self._pending = False

    def tail_left(self, arrives_ns: int) -> None:
        """Bulk ends in a small segment that arrives then; who has read it acknowledges at once."""
        self._arrival_ns = arrives_ns
        self._acked_ns = arrives_ns + self._latency_ns
        self._pending = False

    @property
    def acked_ns(self) -> int:
        """When the sender has the last small segment's ACK, if nothing brings it sooner."""
        if self._acked_ns is None:
            arrived = self._arrival_ns
            if self._delayed:
                arrived = delayed_ack_ns(
                    arrived, self._ack_delay_ns, self._ack_tick_ns, self._phase_ns
                )
            self._acked_ns = arrived + self._latency_ns
        return self._acked_ns

    def ack_rides(self, leaves_ns: int, arrives_ns: int, *, may_hold: bool) -> int | None:
        """A segment the other way, between these times, brings the ACK along.

        Returns when the ACK would have come otherwise, None if this makes no difference.
        `may_hold`: whether small writes may wait for it, beyond what `held_until_ns` tells.
        """
        self.answered(leaves_ns)
        acked = self._acked_ns
        if acked is not None and acked <= arrives_ns:
            return None
        arrived = self._arrival_ns
        if arrived > leaves_ns:
            return None
        if self._delayed and arrives_ns < arrived + self._ack_delay_ns:
            # Sooner than the delayed ACK would have come.
            if self.held_until_ns <= leaves_ns and not may_hold:
                self._acked_ns = arrives_ns
                return None
        elif acked is None and arrives_ns >= arrived + self._ack_within_ns:
            return None
        acked = self.acked_ns
        if acked <= arrives_ns:
            return None
        self._acked_ns = arrives_ns
        return acked
