"""One bulk transfer at many points at once: the formulas of `colosim.network.transfer`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from colosim.arrays.column import some

if TYPE_CHECKING:
    from colosim.arrays.column import Ints, Masks
    from colosim.arrays.threads import Call
    from colosim.network.section import Section

MOST_BYTES: Final = 3_037_000_499
"""The square of a larger stream is beyond 63 bits."""


def ceil_div(a: Ints, b: Ints) -> Ints:
    """Return a / b, rounded up."""
    return -(-a // b)


def _shares(whole: Ints, part: Ints, of: Ints) -> tuple[Ints, Ints]:
    """Return whole * part / of to within 1, and what is left over: exactly, for shares of 50 bits.

    The product may be beyond 63 bits: it and what is taken off it wrap around alike.
    """
    share = (whole.astype(float) * part / of).astype(np.int64)
    return share, whole * part - share * of


def ceil_share(whole: Ints, part: Ints, of: Ints) -> Ints:
    """Return whole * part / of, rounded up."""
    share, rest = _shares(whole, part, of)
    return share + (rest > 0) + (rest > of)


def floor_share(whole: Ints, part: Ints, of: Ints) -> Ints:
    """Return whole * part / of, rounded down."""
    share, rest = _shares(whole, part, of)
    return share - (rest < 0) + (rest >= of)


@dataclass(eq=False, slots=True)
class Transfer:
    """A bulk write, as `colosim.network.transfer.Transfer` has it; `reader` is -1 before it came.

    `begun`: when its write began; `filled_from`: when it begins to fill the send buffer; `ahead`:
    its size where others are written behind it, else 0; `call`: its writer, who waits.
    """

    section: Section
    size: Ints
    write_ns: Ints
    link_ns: Ints
    latency: Ints
    send_buffer: Ints
    receive_buffer: Ints
    begun: Ints
    start: Ints
    filled_from: Ints
    reader: Ints
    read_ns: Ints
    read_end: Ints
    ahead: Ints
    head: Ints | None = None
    call: Call | None = None
    is_stream: bool = True
    is_fixed: bool = False

    def left(self, amount: Ints) -> Ints:
        """When the first `amount` bytes have left the sender."""
        size, taken, carried = self.size, self.write_ns, self.link_ns
        if amount is not size:
            taken = ceil_share(taken, amount, size)
        if self.head is not None:
            past_head = amount - self.head
            carried = np.where(past_head > 0, ceil_share(carried, past_head, size), 0)
        elif amount is not size:
            carried = ceil_share(carried, amount, size)
        since = self.start + np.maximum(taken, carried)
        over = amount - self.receive_buffer
        if not some(over > 0):
            return since
        opened = np.maximum(self.start + self.latency, self.reader) + self.latency
        opened = opened + ceil_share(self.read_ns, over, self.size)
        return np.where(over > 0, np.maximum(since, opened), since)

    def written(self) -> Ints:
        """When the last byte is in the send buffer."""
        over = self.size - self.send_buffer
        if not some(over > 0):
            return self.filled_from + self.write_ns
        blocked = self.left(np.maximum(over, 1)) - self.start
        return self.filled_from + np.where(
            over > 0, np.maximum(self.write_ns, blocked), self.write_ns
        )

    def left_bytes(self, at: Ints) -> Ints:
        """How many bytes have left the sender at `at`, rounded down; its reader has come."""
        since = np.maximum(at - self.start, 0)
        left = self.size
        head: Any = 0 if self.head is None else self.head
        for taken, ahead in ((self.write_ns, 0), (self.link_ns, head)):
            whole = np.maximum(taken, 1)
            moved = floor_share(self.size, np.minimum(since, whole), whole)
            left = np.where(taken > 0, np.minimum(left, ahead + moved), left)
        window, whole = self.receive_buffer, np.maximum(self.read_ns, 1)
        later = at - np.maximum(self.reader, self.start + self.latency) - self.latency
        read = floor_share(self.size, np.clip(later, 0, whole), whole)
        opened = np.where((later > 0) & (self.read_ns == 0), left, window + read)
        return np.where(at < self.start, 0, np.where(left > window, np.minimum(left, opened), left))

    def read_at(self, amount: Ints) -> Ints:
        """When the first `amount` bytes have been read; its reader has come."""
        begun = np.maximum(self.reader, self.start + self.latency)
        taken = begun + ceil_share(self.read_ns, amount, self.size)
        end: Ints = np.maximum(taken, self.left(amount) + self.latency)
        return end

    def read_bytes(self, at: Ints) -> Ints:
        """How many bytes have been read at `at`, rounded down."""
        since = at - np.maximum(self.reader, self.start + self.latency)
        arrived, whole = self.left_bytes(at - self.latency), np.maximum(self.read_ns, 1)
        read = floor_share(self.size, np.clip(since, 0, whole), whole)
        read = np.where(self.read_ns > 0, np.minimum(arrived, read), arrived)
        return np.where(since < 0, 0, read)

    def needs_reader(self) -> Masks:
        """Where the writer cannot end before the reader has come."""
        return self.size > self.send_buffer + self.receive_buffer

    def blocks_before(self, reader: Ints) -> Masks:
        """Where a reader that comes then finds the window closed."""
        window, latency = np.minimum(self.receive_buffer, self.size), self.latency
        since = reader + latency - self.start
        reached = ceil_share(self.write_ns, window, self.size) <= since
        past_head = window if self.head is None else np.maximum(0, window - self.head)
        reached &= ceil_share(self.link_ns, past_head, self.size) <= since
        return (self.size > self.receive_buffer) & (since > 2 * latency) & reached
