"""An answer of many segments on its way through the proxy: its time, and TCP that is out of step.

The state that a checkpoint loads has the answer half sent.  The secondary then sends the end of it,
or once more what was flushed already, which is a mismatch with what the primary sends meanwhile
(read: colo_compare_tcp takes segments by where they end; measured: 64 KiB and 1 MiB).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

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
STAYS_PPM: Final = 740_000
"""How often an answer that a checkpoint flushed, rather than one that was compared, leaves TCP out
of step with the next one (measured, 64 KiB: 45 of 61)."""


class ByteStream:
    """What answers of a scenario are on the wire; nothing of it matters where none is compared."""

    def __init__(self, service: Service, output: Output, seed: int, *, compared: bool) -> None:
        further = 0
        if compared and service.protocol == "tcp":
            further = max(0, -(-service.response_bytes // SEGMENT_BYTES) - 1)
        segment_ns = SEGMENT_NS[output.nodelay]
        self.transfer_ns = further * segment_ns
        self.tail_ns = min(further, WINDOW) * segment_ns
        self._draws = Draws(seed, "out of step", np.zeros(1, np.int64))

    def under_way(self, left_ns: Any) -> Any:
        """Return whether an answer, or each of several, with so long to go is half sent."""
        return (left_ns > 0) & (left_ns < self.tail_ns)

    def out_of_step(self, flushed: Iterable[int]) -> list[int]:
        """Return the connections, of those with flushed answers, whose next answer differs."""
        if not self.tail_ns:
            return []
        found = sorted(set(flushed))
        return [one for one, stays in zip(found, self.stays(len(found)), strict=True) if stays]

    def stays(self, count: int) -> list[bool]:
        """Return whether each of so many connections stays out of step."""
        drawn: list[bool] = self._draws.below(STAYS_PPM, count).tolist()
        return drawn
