"""How fast one direction carries bytes: its link, the window over a round trip, slow start."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING

from colosim.engine.clock import NS_PER_S, PPM, anywhere, choose, larger, smaller
from colosim.network.tcp import RTO_MIN_NS, slow_start_ns

if TYPE_CHECKING:
    from colosim.scenario.network import Network

_MOST_HALVINGS = 60
_slow_start_ns = lru_cache(4096)(slow_start_ns)


class Pace:
    """Latency, bandwidth and token bucket of a direction, from the scenario and a fault's factors.

    `bandwidth` is in payload bytes a second: what the link carries of them, and at most a window a
    round trip (None: no limit).  `burst_bytes` pass a full token bucket at once, which takes
    `burst_ns` to fill.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._factors_ppm = (PPM, PPM)
        self._set()

    def set_factors(self, bandwidth_ppm: int, latency_ppm: int) -> None:
        """Multiply the scenario's bandwidth and latency by these millionths."""
        self._factors_ppm = (bandwidth_ppm, latency_ppm)
        self._set()

    def has_factors(self, bandwidth_ppm: int, latency_ppm: int) -> bool:
        """Whether these are the factors in force."""
        return self._factors_ppm == (bandwidth_ppm, latency_ppm)

    def _set(self) -> None:
        network = self._network
        # In their lowest terms, so that columns have no larger products than they need.
        faster, later = (Fraction(ppm, PPM) for ppm in self._factors_ppm)
        self.latency_ns = network.latency_ns * later.numerator // later.denominator
        rtt_ns = self.rtt_ns = 2 * self.latency_ns
        window = self._window_bytes = smaller(
            network.send_buffer_bytes, network.receive_buffer_bytes
        )
        self.bandwidth: int | None = window * NS_PER_S // rtt_ns if rtt_ns else None
        self.burst_bytes = 0
        if network.bandwidth_bytes_per_s is not None:
            payload = network.bandwidth_bytes_per_s * network.payload_bytes * faster.numerator
            link = larger(1, payload // (network.frame_bytes * faster.denominator))
            is_link = self.bandwidth is None or link <= self.bandwidth
            has_burst = is_link & (window > network.burst_bytes + link * rtt_ns // NS_PER_S)
            self.burst_bytes = network.burst_bytes * has_burst
            self.bandwidth = link if self.bandwidth is None else smaller(link, self.bandwidth)
        self.burst_ns = (
            0 if self.bandwidth is None else self.burst_bytes * NS_PER_S // self.bandwidth
        )
        self._keeps_window = not network.slow_start_after_idle

    def link_ns(self, amount: int) -> int:
        """Return the time in ns that `amount` bytes take on the link alone; 0 without a limit."""
        return 0 if self.bandwidth is None else -(-amount * NS_PER_S // self.bandwidth)

    def tokens(self, missing_ns: int) -> int:
        """Return how many bytes pass the token bucket at once, so long before it is full."""
        if self.bandwidth is None:
            return 0
        return larger(0, self.burst_bytes - larger(0, missing_ns) * self.bandwidth // NS_PER_S)

    def slow_start_ns(self, amount: int, write_ns: int, idle_ns: int) -> int:
        """Return what slow start after `idle_ns` without bulk puts off `amount` bytes by, in ns.

        It is the time of the rounds in which the window let less leave than link and writer do; the
        writer alone takes `write_ns`.
        """
        if self._keeps_window or self.bandwidth is None or not anywhere(idle_ns >= RTO_MIN_NS):
            return 0
        is_slower = write_ns > amount * NS_PER_S // self.bandwidth
        writer = larger(1, amount * NS_PER_S // larger(write_ns, 1))
        rate = choose(is_slower, writer, self.bandwidth)
        of = _slow_start_ns if type(idle_ns) is int else slow_start_ns
        # Only whole times of `RTO_MIN_NS` count, and not many: like restarts share the answer.
        idle_ns = smaller(idle_ns // RTO_MIN_NS, _MOST_HALVINGS) * RTO_MIN_NS
        return of(amount, rate, self._window_bytes, self.rtt_ns, idle_ns, self._network.mss_bytes)
