"""One bulk transfer at many points at once: `colosim.network.transfer`, and who waits for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from colosim.arrays.column import some
from colosim.network import transfer

if TYPE_CHECKING:
    from colosim.arrays.column import Ints
    from colosim.arrays.threads import Call
    from colosim.network.section import Section

MOST_BYTES: Final = 3_037_000_499
"""The square of a larger stream is beyond 63 bits."""
NEVER: Final = np.int64(1 << 60)


def floor_share(whole: Ints, part: Ints, of: Ints) -> Ints:
    """Return whole * part / of, rounded down, for a part of `of` and a whole of 32 bits."""
    high, low = part >> 16, part & 0xFFFF
    share, rest = np.divmod(whole * high, of)
    return (share << 16) + ((rest << 16) + whole * low) // of


@dataclass(slots=True, kw_only=True, eq=False)
class Transfer(transfer.Transfer):
    """A bulk write whose numbers are columns.

    `put_ns`: when its write began; `read_end`: when it is read, if that is known; `ahead`: its size
    where others are written behind it, else 0; `call`: its writer, who waits.
    """

    section: Section
    put_ns: Any
    read_end: Any
    ahead: Any
    call: Call | None = None
    is_stream: bool = True
    is_fixed: bool = False

    def as_of(self, now_ns: Any) -> Any:
        """Return what was known of it then: of a reader to come, nothing."""
        later: Any = self.reader_ns > now_ns
        if not some(later):
            return self
        known: Any = {"reader_ns": -1, "read_ns": 0, "read_end": NEVER}
        return replace(
            self, **{name: np.where(later, of, getattr(self, name)) for name, of in known.items()}
        )

    def read_bytes(self, at_ns: Any) -> Any:
        """How many bytes have been read at `at_ns`, rounded down; its reader has come."""
        since, size = at_ns - self.begun_ns, self.size_bytes
        sent_ns = at_ns - self.latency_ns - self.start_ns
        left = np.minimum(size, self._moved(sent_ns, self.write_ns))
        left = np.minimum(left, self.head_bytes + self._moved(sent_ns, self.link_ns))
        opened_ns = since - 2 * self.latency_ns
        opened = self.receive_buffer_bytes + self._moved(opened_ns, self.read_ns) * (opened_ns > 0)
        read = np.minimum(np.minimum(left, opened), self._moved(since, self.read_ns))
        return read * (since >= 0) * (sent_ns >= 0)

    def _moved(self, since_ns: Any, whole_ns: Any) -> Ints:
        """How much a stage moves in a time that needs `whole_ns` for all: all, if that is 0."""
        size: Any = self.size_bytes
        part: Any = np.clip(since_ns, 0, whole_ns)
        return floor_share(size, part, np.maximum(whole_ns, 1)) + size * (whole_ns == 0)
