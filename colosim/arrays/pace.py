"""How fast one direction carries bytes at each point: as `colosim.network.pace.Pace` has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from colosim.arrays.column import plain, some
from colosim.engine.clock import NS_PER_S, larger, smaller
from colosim.network.tcp import RTO_MIN_NS, slow_start_ns

if TYPE_CHECKING:
    from colosim.arrays.column import Column, Ints


class Pace:
    """Latency, rate, token bucket and buffers of a direction, as arrays.

    `rate` is in payload bytes a second, where `limited`; `burst` bytes pass a full token bucket.
    """

    def __init__(self, network: Any, zero: Column) -> None:
        # As columns, which notice an overflow.
        latency, rtt = zero + network.latency_ns, 2 * (zero + network.latency_ns)
        window = smaller(zero + network.send_buffer_bytes, network.receive_buffer_bytes)
        by_window = window * NS_PER_S * (rtt > 0) // larger(rtt, 1)
        rate, burst = by_window, zero
        if network.bandwidth_bytes_per_s is not None:
            link = zero + network.bandwidth_bytes_per_s * network.payload_bytes
            link = larger(link // network.frame_bytes, 1)
            by_link = (rtt == 0) | (link <= by_window)
            rate = by_window + (link - by_window) * by_link
            has_burst = by_link & (window > network.burst_bytes + link * rtt // NS_PER_S)
            # Times a second, as it is taken later: in a column too large a product is noticed.
            burst = zero + network.burst_bytes * NS_PER_S // NS_PER_S * has_burst
        self.limited, self.rate = plain(rate > 0), plain(larger(rate, 1))
        self.latency, self.rtt, self._window = plain(latency), plain(rtt), plain(window)
        self.burst, self.has_burst = plain(burst), bool(some(burst))
        self.send_buffer = plain(zero + network.send_buffer_bytes)
        self.receive_buffer = plain(zero + network.receive_buffer_bytes)
        self.mss = plain(zero + network.mss_bytes)
        self._starts_slowly = network.slow_start_after_idle

    def link_ns(self, amount: Ints) -> Ints:
        """Return the time that `amount` bytes take on the link alone; 0 without a limit."""
        return np.where(self.limited, -(-amount * NS_PER_S // self.rate), 0)

    def tokens(self, missing_ns: Ints) -> Ints:
        """Return how many bytes pass the token bucket at once, so long before it is full."""
        return np.maximum(0, self.burst - np.maximum(0, missing_ns) * self.rate // NS_PER_S)

    def slow_start_ns(self, amount: Ints, write_ns: Ints, idle_ns: Ints) -> Ints:
        """Return what slow start after idleness puts `amount` bytes off by, in ns."""
        if not self._starts_slowly or not some(idle_ns >= RTO_MIN_NS):
            return 0
        writer = np.maximum(1, amount * NS_PER_S // np.maximum(write_ns, 1))
        is_slower = write_ns > amount * NS_PER_S // self.rate
        rate: Any = np.where(is_slower, writer, self.rate)
        return slow_start_ns(amount, rate, self._window, self.rtt, idle_ns, self.mss)
