"""`model: reference`: the timers of a sender's kernel, each a stock SimPy process that waits.

Retransmission, probes of a closed window and of an idle connection: each goes on timer by timer
and counts what is not answered.  Probes are periodic and keep no run alive.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from colosim.network.ends import KEEPALIVE_PROBE, RETRANSMISSION, WINDOW_PROBE, Ends
from colosim.network.tcp import NEVER_NS, give_up_ns, retransmissions_ns, window_probe_ns

if TYPE_CHECKING:
    from simpy.events import Event

    from colosim.scenario.network import Keepalive

    Steps = Generator[Event, Any, Any]


class TimedEnds(Ends):
    """Ends whose sender finds out by its timers that its peer is gone, or back."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        env, keepalive = self.env, self.network.keepalive
        self.up, self.probed = env.event(), env.event()
        self.down = self.probing = False
        self.first_loss_ns: int | None = None
        self.cuts = self.out_bytes = self.heard_ns = 0
        if keepalive is not None:
            env.process(self._keep_alive(keepalive))
        env.pending_timeouts.append(self._awaits_answers)

    @staticmethod
    def happens(event: Event) -> Event:
        """Let an event happen, and return the next of its kind."""
        event.succeed()
        return event.env.event()

    def _awaits_answers(self) -> bool:
        """Whether probes are about to find out that nobody answers, or have been enough."""
        if self.write_error is not None:
            return False
        limited = self.down or self.network.user_timeout_ns is not None
        return (self.probing and limited) or (self.down and self.network.keepalive is not None)

    def mend(self) -> None:
        """Let the link carry again: with the next retransmission, if there is one."""
        self.env.process(self._mend(self.cuts, self.first_loss_ns))

    def _mend(self, cuts: int, first_ns: int | None) -> Steps:
        if first_ns is not None:
            since_ns = self.env.now - first_ns
            again_ns = retransmissions_ns(self.network.rto_ns, since_ns)[-1]
            yield self.env.timeout(again_ns - since_ns)
        elif self.probing:
            yield self.probed
        if self.cuts == cuts:
            self.down, self.first_loss_ns = False, None
            self.up = self.happens(self.up)

    def time_out(self, first_ns: int) -> Steps:
        """Give up when what was lost at `first_ns` has been sent again for too long."""
        network = self.network
        after_ns = give_up_ns(network.rto_ns, network.retries2)
        if network.user_timeout_ns is not None:
            after_ns = min(after_ns, network.rto_ns + network.user_timeout_ns)
        yield self.env.timeout(after_ns)
        if self.first_loss_ns == first_ns:
            self.give_up()

    def probe(self, room: Event) -> Steps:
        """Probe a closed window, ever more seldom, until it opens or nobody has answered."""
        network, env = self.network, self.env
        yield env.timeout(2 * self.pace.latency_ns)
        self.probing, unanswered, backoff, ends_ns = not room.triggered, 0, 0, NEVER_NS
        while self.probing and self.write_error is None:
            at_ns = min(window_probe_ns(network, backoff, env.now), ends_ns)
            yield room | env.tick(at_ns - env.now)
            if room.triggered:
                return
            if unanswered == network.retries2 or env.now == ends_ns:
                self.give_up()
            elif not backoff and network.user_timeout_ns is not None:
                ends_ns = env.now + network.user_timeout_ns
            self.probed = self.happens(self.probed)
            unanswered = unanswered + 1 if self.down else 0
            backoff += 1

    def _keep_alive(self, keepalive: Keepalive) -> Steps:
        """Probe an idle connection until nobody has answered."""
        env, unanswered, wait_ns = self.env, 0, keepalive.idle_ns
        while self.write_error is None:
            yield env.tick(wait_ns)
            silent_ns = env.now - self.heard_ns
            wait_ns = keepalive.idle_ns if self.out_bytes else keepalive.idle_ns - silent_ns
            if wait_ns > 0:
                continue
            timeout_ns, wait_ns = self.network.user_timeout_ns, keepalive.interval_ns
            if (unanswered and timeout_ns is not None and silent_ns >= timeout_ns) or (
                timeout_ns is None and unanswered == keepalive.probes
            ):
                self.give_up()
            elif self.down:
                unanswered += 1
            else:
                unanswered, self.heard_ns = 0, env.now

    @property
    def retry(self) -> str:
        """By what the sender's kernel would find out that the peer is back or gone."""
        if self.probing:
            return WINDOW_PROBE
        return RETRANSMISSION if self.out_bytes else KEEPALIVE_PROBE
