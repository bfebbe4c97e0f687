"""One bulk transfer at many points at once: `colosim.network.transfer`, and who waits for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from colosim.network import transfer

if TYPE_CHECKING:
    from colosim.arrays.threads import Call
    from colosim.network.section import Section

MOST_BYTES: Final = 3_037_000_499
"""The square of a larger stream is beyond 63 bits."""
NEVER: Final[Any] = np.int64(1 << 60)


@dataclass(slots=True, kw_only=True, eq=False)
class Transfer(transfer.Transfer):
    """A bulk write whose numbers are columns.

    `put_ns`: when its write began; `reader_ns` and `opens_ns` are `NEVER` until its reader has
    come.  `held`: where Nagle holds its last segment back; `waits`: whether it waits for its reader
    anywhere, before it leaves; `call`: its writer, who waits.
    """

    section: Section
    put_ns: Any
    held: Any
    waits: bool
    call: Call | None = None
    is_fixed: bool = True
    taken: bool = False

    @property
    def arrives(self) -> Any:
        """When the last byte arrives."""
        return self.left_ns(self.size_bytes) + self.latency_ns

    def release(self: Any, where: Any, now: Any) -> Any:
        """Let the last segment go where Nagle holds it back; return when it leaves."""
        self.start_ns = np.where(where, self.filled_from_ns, self.start_ns)
        self.lead_ns = np.where(where, 0, self.lead_ns)
        self.delay_ns, delay = np.where(where, 0, self.delay_ns), self.delay_ns
        left = np.maximum(self.left_ns(self.size_bytes), now)
        self.leave_at(left)
        self.delay_ns = np.where(where, self.delay_ns, delay)
        return left
