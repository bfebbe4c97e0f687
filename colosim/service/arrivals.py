"""When the requests of an open loop are sent."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from math import gcd
from typing import TYPE_CHECKING, Final

import numpy as np

from colosim.scenario.service import MeasuredArrivals, Poisson
from colosim.service.draws import PER_RATE, Draws, exponential

if TYPE_CHECKING:
    from colosim.service.draws import Times
    from colosim.service.workload import Settings

BLOCK: Final = 4096
FAR_NS: Final = 1 << 60
"""When requests come of which there are none."""
SENDS, FREES, FOLLOWS_FIRST, FOLLOWS, FOLLOWS_LAST = range(5)
"""A connection sends; it may, for it was answered; what follows a SYN, or comes once more.  In one
ns that is first which follows an answer let out as the guest resumes, last one let out after that.
"""


class Arrivals:
    """The requests of an open loop, a block at a time."""

    def __init__(self, settings: Settings) -> None:
        service = settings.service
        self.made = 0
        self._connections, self._latency_ns = service.connections, service.latency_ns
        self._last_ns = 0
        arrivals = service.arrivals
        self._sent: Times | None = None
        self._gaps: Draws | None = None
        if isinstance(arrivals, MeasuredArrivals):
            self._sent = np.array(arrivals.sent_ns, np.int64)
        else:
            self._rate = arrivals.rate  # type: ignore[union-attr]
            if isinstance(arrivals, Poisson):
                mean = max(1, PER_RATE // self._rate)
                self._gaps = Draws(settings.seed, "arrivals", exponential(mean))

    def block(self) -> tuple[Times, Times]:
        """Return the numbers of the next requests, and when they are sent."""
        number = np.arange(self.made, self.made + BLOCK, dtype=np.int64)
        if self._sent is not None:
            known = self._sent[self.made : self.made + BLOCK]
            sent = np.concatenate((known, FAR_NS + number[len(known) :]))
        elif self._gaps is None:
            shared = gcd(PER_RATE, self._rate)
            period, rate = PER_RATE // shared, self._rate // shared
            base, rest = divmod((self.made + 1) * period, rate)
            each, part = divmod(period, rate)
            steps = np.arange(BLOCK, dtype=np.int64)
            sent = base + steps * each + (rest + steps * part) // rate
        else:
            sent = self._last_ns + np.cumsum(self._gaps.take(BLOCK))
        self.made += BLOCK
        self._last_ns = int(sent[-1])
        return number, sent

    def events(self) -> Iterator[tuple[int, int, int]]:
        """Return when the next come to the tap, `SENDS`, and of which connections."""
        number, sent = self.block()
        arrived = (sent + self._latency_ns).tolist()
        return zip(arrived, repeat(SENDS), (number % self._connections).tolist(), strict=False)
