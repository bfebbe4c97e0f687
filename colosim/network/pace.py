"""How fast one direction carries bytes: its link, the window over a round trip, slow start."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from colosim.engine.clock import NS_PER_S, PPM
from colosim.network.tcp import (
    INITIAL_WINDOW_SEGMENTS,
    RTO_MIN_NS,
    keeps_window_ns,
    slow_start_ns,
)

if TYPE_CHECKING:
    from colosim.scenario.network import Network

NEVER_NS = 1 << 63

_slow_start_ns = lru_cache(4096)(slow_start_ns)


class Pace:
    """Latency, bandwidth and token bucket of a direction, from the scenario and a fault's factors.

    `bandwidth` is in payload bytes a second: what the link carries of them, and at most a window a
    round trip (None: no limit).  `burst_bytes` pass a full token bucket at once.
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
        bandwidth_ppm, latency_ppm = self._factors_ppm
        self.latency_ns = network.latency_ns * latency_ppm // PPM
        rtt_ns = 2 * self.latency_ns
        window = self._window_bytes = min(network.send_buffer_bytes, network.receive_buffer_bytes)
        by_window = window * NS_PER_S // rtt_ns if rtt_ns else None
        self.burst_bytes = 0
        self.bandwidth: int | None = by_window
        if network.bandwidth_bytes_per_s is not None:
            payload = network.bandwidth_bytes_per_s * network.payload_bytes * bandwidth_ppm
            bandwidth = max(1, payload // (network.frame_bytes * PPM))
            if by_window is None or bandwidth <= by_window:
                self.bandwidth = bandwidth
                in_flight = bandwidth * rtt_ns // NS_PER_S
                if window > network.burst_bytes + in_flight:
                    self.burst_bytes = network.burst_bytes
        # Beyond so many halvings of the window in idleness it is as small as it gets.
        self._most_halvings = (window // (INITIAL_WINDOW_SEGMENTS * network.mss_bytes)).bit_length()
        self._keeps_window_ns = NEVER_NS
        if network.slow_start_after_idle and self.bandwidth is not None and rtt_ns:
            idle_ns = keeps_window_ns(self.bandwidth, window, rtt_ns, network.mss_bytes)
            if idle_ns is not None:
                self._keeps_window_ns = idle_ns

    def link_ns(self, amount: int) -> int:
        """Return the time in ns that `amount` bytes take on the link alone; 0 without a limit."""
        return 0 if self.bandwidth is None else -(-amount * NS_PER_S // self.bandwidth)

    def slow_start_ns(self, amount: int, write_ns: int, idle_ns: int) -> int:
        """Return what slow start after `idle_ns` without bulk puts off `amount` bytes by, in ns.

        It is the time of the rounds in which the window let less leave than link and writer do; the
        writer alone takes `write_ns`.
        """
        if idle_ns < self._keeps_window_ns or self.bandwidth is None:
            return 0
        rate = self.bandwidth
        if write_ns * rate > amount * NS_PER_S:
            rate = max(1, amount * NS_PER_S // write_ns)
        # Only whole times of `RTO_MIN_NS` count, and not many: like restarts share the answer.
        halvings = min(idle_ns // RTO_MIN_NS, self._most_halvings)
        return _slow_start_ns(
            amount,
            rate,
            self._window_bytes,
            2 * self.latency_ns,
            halvings * RTO_MIN_NS,
            self._network.mss_bytes,
        )
