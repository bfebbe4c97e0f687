"""An answer of many segments on its way through the proxy: its time, and TCP that is out of step.

The state that a checkpoint loads has segments that nobody has acknowledged.  The secondary runs
before the primary, whose resume alone lets them out to the client; if it waits longer than a loss
probe does, its guest sends the last of them again (tcp_schedule_loss_probe; read), which no flush
has counted as compared: a mismatch with what the primary sends next (measured, 64 KiB: the traced
secondary's frame is the 442 bytes of an answer's end).

A single segment is sent again 0.2 s later, more than the secondary runs alone.  Under emulation its
guest finds that it has waited that long, though: what it reads as TSC never goes back, whatever was
loaded (cpu_get_ticks_locked; read), so its clock gets ahead with each checkpoint by what it has run
longer than the primary, some 40 ms with a delayed ACK (inferred; measured, 20% of answers
differing: none comes again up to the fifth load, 235 ms ahead, nearly each from the sixth on).
The bytes of an answer that did not differ pass for those of the next: the comparison looks at where
segments end, not at where they begin (colo_mark_tcp_pkt; read), and answers are taken for alike
(assumed; the lab's are).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from colosim.network.tcp import RTO_MIN_NS
from colosim.service.draws import Draws

if TYPE_CHECKING:
    from collections.abc import Iterable

    from colosim.scenario.service import Output, Service

SEGMENT_BYTES: Final = 1448
SEGMENT_NS: Final = {False: 62_000, True: 115_000}
"""What each further segment takes, by `nodelay` (measured, 64 KiB under emulation; with nodelay the
length is a packet of its own)."""
WINDOW: Final = 45
"""Segments under way at once: of a longer answer only the last so many matter (measured, 1 MiB)."""
FIRST_WINDOW: Final = 10
"""Segments that a new connection sends before it waits for an ACK (RFC 6928, and Linux)."""
STAYS_PPM: Final = 740_000
"""How often an answer that a checkpoint flushed, rather than one that was compared, leaves TCP out
of step with the next one (measured, 64 KiB: 45 of 61, the secondary alone for 40 ms and more)."""
_TIMEOUT_MIN_NS: Final = 8_000_000
"""Beyond two round trips of a loss probe: two ticks of a guest's 250 a second (TCP_TIMEOUT_MIN)."""


class ByteStream:
    """What answers of a scenario are on the wire; nothing of it matters where none is compared."""

    def __init__(self, service: Service, output: Output, seed: int, *, compared: bool) -> None:
        self.segments = 1
        if service.protocol == "tcp":
            self.segments = max(1, -(-service.response_bytes // SEGMENT_BYTES))
        further = self.segments - 1 if compared else 0
        segment_ns = SEGMENT_NS[output.nodelay]
        self.transfer_ns = further * segment_ns
        self.tail_ns = min(further, WINDOW) * segment_ns
        round_ns = 2 * service.latency_ns + 2 * output.loopback_ns
        self.probe_ns = 2 * round_ns + _TIMEOUT_MIN_NS
        """After so long without an ACK a guest probes (assumed: the least round trip there is)."""
        self.rto_ns = RTO_MIN_NS + round_ns
        """After so long it sends a single segment again (likewise)."""
        self._draws = Draws(seed, "out of step", np.zeros(1, np.int64))

    def windows(self, before: int) -> int:
        """Return how many windows an answer takes, after so many of its connection.

        The first doubles it until all is out.  The delay ends that (HyStart; assumed, at what
        had then been sent in full windows), and for twenty segments it grows by one
        (bictcp_update before a loss; read).  Measured behind a filter-buffer of 100 ms, 64 KiB:
        three for the first, two for each of the next eight, here seven, then one.
        """
        count = (-(-self.segments // FIRST_WINDOW)).bit_length()
        if not before:
            return count
        window = max(FIRST_WINDOW, FIRST_WINDOW * ((1 << (count - 1)) - 1))
        return -(-self.segments // (window + self.segments * (before - 1) // 20))

    def under_way(self, left_ns: Any) -> Any:
        """Return whether an answer, or each of several, with so long to go is half sent."""
        return (left_ns > 0) & (left_ns < self.tail_ns)

    def out_of_step(self, flushed: Iterable[int]) -> list[int]:
        """Return the connections, of those with flushed answers, whose next answer differs."""
        found = sorted(set(flushed))
        return [one for one, stays in zip(found, self.stays(len(found)), strict=True) if stays]

    def stays(self, count: int) -> list[bool]:
        """Return whether each of so many connections stays out of step."""
        drawn: list[bool] = self._draws.below(STAYS_PPM, count).tolist()
        return drawn
