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

from typing import TYPE_CHECKING, Any

from colosim.engine.clock import agreed, anywhere, choose, everywhere, larger
from colosim.network.tcp import RTO_MIN_NS, delayed_ack_ns

if TYPE_CHECKING:
    from colosim.scenario.network import Network


QUICK_ACKS = 16
"""TCP_MAX_QUICKACKS."""
NONE_NS = -1
"""No time, where a column has some."""


def _unless(other: Any, condition: Any) -> Any:
    """Return a condition without where another holds."""
    if other is True or condition is False:
        return False
    return condition if other is False else agreed(condition & ~other)


class SmallSegments:
    """When the last small segment arrives, when its sender has the ACK, and what waits for that.

    Times may be columns of many points, and what is true or not differ between them; it is a plain
    bool wherever all agree.
    """

    STATE = ("_arrival_ns", "_came_ns", "_quick", "_interactive", "_delayed", "_pending",
        "acked_ns", "held_until_ns")  # fmt: skip

    def __init__(self, network: Network, ack_phase_ns: int) -> None:
        self.nagle = network.nagle
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
        self._silence_ns = RTO_MIN_NS + 2 * latency_ns

    @property
    def left_ns(self) -> int:
        """When the last small segment left."""
        return self._arrival_ns - self._latency_ns

    @property
    def acked_ns(self) -> int:
        """When the sender has the last small segment's ACK, if nothing brings it sooner."""
        if self._acked_ns is None:
            arrived = self._arrival_ns
            if self._delayed is not False:
                arrived = choose(self._delayed, self._expiry_ns(), arrived)
            self._acked_ns = arrived + self._latency_ns
        return self._acked_ns

    @acked_ns.setter
    def acked_ns(self, at_ns: int) -> None:
        self._acked_ns = at_ns

    def may_leave_ns(self, now: int) -> int:
        """Return when a small segment that is written now, with nothing ahead of it, may leave."""
        if not self.nagle:
            return now
        acked = self._acked_ns
        if acked is None:
            if not anywhere(now < self._arrival_ns + self._ack_within_ns):
                return now
            acked = self.acked_ns
        return larger(now, acked)

    def left(self, arrives_ns: int) -> None:
        """A small segment leaves that arrives then."""
        if self._pending is not False:
            self._expire(arrives_ns)
        if anywhere(is_after_silence := arrives_ns - self._came_ns > self._silence_ns):
            self._quick = choose(is_after_silence, QUICK_ACKS, self._quick)
        self._arrival_ns = self._came_ns = arrives_ns
        self._acked_ns = None
        self._delayed = self._delays_ack
        if self._delays_ack and self._interactive is not True:
            self._delayed = agreed(self._interactive | (self._quick == 0))
        self._pending = self._delayed
        if self._delayed is not True:
            self._quick = choose(self._delayed, self._quick, larger(self._quick - 1, 0))

    def bulk_left(self, arrives_ns: int) -> None:
        """The last of a bulk write leaves that arrives then: no quick ACK is left after it."""
        self._came_ns = larger(self._came_ns, arrives_ns)
        self._quick = 0

    def tail_left(self, arrives_ns: int, where: bool = True) -> None:  # noqa: FBT001, FBT002 - a column
        """Bulk ends in a small segment that arrives then; who has read it acknowledges at once."""
        self.acknowledged(arrives_ns + self._latency_ns, where)
        self._arrival_ns = choose(where, arrives_ns, self._arrival_ns)

    def acknowledged(self, at_ns: int, where: bool = True) -> None:  # noqa: FBT001, FBT002
        """The sender has the last small segment's ACK at `at_ns`: bulk follows."""
        self._acked_ns = at_ns if where is True else choose(where, at_ns, self.acked_ns)
        self._pending = _unless(where, self._pending)

    def _expire(self, by_ns: int) -> None:
        """Let the timer of an ACK that nothing carried along expire, if it did by then."""
        if not anywhere(by_ns >= self._arrival_ns + self._ack_delay_ns):
            return
        if anywhere(expired := self._pending & (by_ns >= self._expiry_ns())):
            self._interactive = _unless(expired, self._interactive)
            self._pending = _unless(expired, self._pending)

    def _expiry_ns(self) -> int:
        return delayed_ack_ns(
            self._arrival_ns, self._ack_delay_ns, self._ack_tick_ns, self._phase_ns
        )

    def ack_rides(self, leaves_ns: int, arrives_ns: int, *, may_hold: bool = False) -> int | None:
        """A segment the other way, between these times, brings the ACK along.

        Returns when the ACK would have come otherwise, None if this makes no difference (`NONE_NS`
        at the points of a column at which it does not).  `may_hold`: whether small writes may wait
        for it, beyond what `held_until_ns` tells.
        """
        arrived, acked = self._arrival_ns, self._acked_ns
        rides = arrived <= leaves_ns
        if acked is None and self._delayed is True and not may_hold:
            in_time = (arrives_ns < arrived + self._ack_delay_ns) & (
                self.held_until_ns <= leaves_ns
            )
            if everywhere(rides & in_time):  # sooner than the timer, and nothing waits for it
                self._answers(leaves_ns)
                self._acked_ns, self._pending = arrives_ns, False
                return None
        if self._pending is not False:
            self._expire(leaves_ns)
            self._pending = _unless(rides, self._pending)
        self._answers(leaves_ns)
        if acked is None:
            if not anywhere(rides & (arrives_ns < arrived + self._ack_within_ns)):
                return None
            acked = self.acked_ns
        rides &= acked > arrives_ns
        if not anywhere(rides):
            return None
        self._acked_ns = choose(rides, arrives_ns, acked)
        return choose(rides, acked, NONE_NS)

    def _answers(self, leaves_ns: int) -> None:
        """The receiver sends something: if that is soon, it answers what comes."""
        if self._interactive is True:
            return
        tick_ns, phase_ns = self._ack_tick_ns, self._phase_ns
        ticks = (leaves_ns - phase_ns) // tick_ns - (self._came_ns - phase_ns) // tick_ns
        soon = (ticks >= 0) & (ticks < -(-self._ack_delay_ns // tick_ns))
        self._interactive = agreed(self._interactive | soon)
