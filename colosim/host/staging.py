"""The staging buffer: how a QEMUSizedBuffer and a QIOChannelBuffer grow, what walking costs.

Both start at 4 MiB and never shrink during COLO: their size is a high-water mark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from colosim.engine.clock import larger, smaller

if TYPE_CHECKING:
    from colosim.engine.ledger import Ledger

KIB = 1024
INITIAL_BYTES = 4 * KIB * KIB
"""COLO_BUFFER_BASE_SIZE (migration/colo.c)."""
SLAB_BYTES = 5 * KIB * KIB
"""A slab of micro-checkpointing's staging area (its log: 5,242,880; docs/mc.txt)."""
STRIKES = 10
"""So many smaller checkpoints in a row halve it; docs/mc.txt has "N strikes", 10 is assumed."""
STREAM_BUFFER_BYTES = 32 * KIB
"""IO_BUF_SIZE of a QEMUFile (migration/qemu-file.c)."""
QSB_CHUNK_BYTES = KIB
QSB_MAX_CHUNK_BYTES = 16 * KIB
"""QSB_CHUNK_SIZE and QSB_MAX_CHUNK_SIZE (migration/qemu-file-buf.c)."""


def _grown_by(missing: int) -> int:
    """Return what a QEMUSizedBuffer allocates when `missing` bytes do not fit (qsb_grow)."""
    missing = larger(missing, 0)
    more = QSB_MAX_CHUNK_BYTES - QSB_CHUNK_BYTES
    chunk = QSB_CHUNK_BYTES + more * (missing > QSB_MAX_CHUNK_BYTES)
    return -(-missing // chunk) * chunk


def qsb_capacity(capacity: int, content: int) -> int:
    """Return a QEMUSizedBuffer's capacity after `content` bytes were written by 32 KiB flushes.

    After the first flush that grows it, every further full flush adds exactly 32 KiB, so only
    the first and the last are computed.
    """
    flush = STREAM_BUFFER_BYTES
    first_end = smaller(content, (capacity // flush + 1) * flush)
    capacity += _grown_by(first_end - capacity)
    capacity += (content - first_end) // flush * flush
    return capacity + _grown_by(content - capacity)


def qsb_walked_chunks(content: int) -> int:
    """Return how many 16 KiB chunks `qsb_get_iovec` walks over while `content` passes once.

    It scans from chunk 0 at each 32 KiB flush: 0 + 2 + 4 + ... = flushes squared (less one).
    """
    flushes = -(-content // STREAM_BUFFER_BYTES)
    return flushes * (flushes - 1)


class StagingBuffer:
    """One staging buffer: its capacity is on the ledger's account ``staging_buffer``."""

    initial_bytes = INITIAL_BYTES

    def __init__(self, ledger: Ledger, *, flat: bool) -> None:
        self._ledger = ledger
        self.flat = flat
        self.capacity_bytes = self.initial_bytes
        self.content_bytes = 0
        ledger.hold("staging_buffer", self.initial_bytes)

    def write(self, content: int) -> int:
        """Stage `content` bytes by stream-buffer flushes; return how many bytes are fresh."""
        self.content_bytes = content
        capacity = self.capacity_bytes
        return self._grow(
            larger(content, capacity) if self.flat else qsb_capacity(capacity, content)
        )

    def reserve(self, content: int) -> int:
        """Make room for `content` bytes in one step, as the secondary does when it knows SIZE."""
        self.content_bytes = content
        capacity = self.capacity_bytes
        return self._grow(
            larger(content, capacity) if self.flat else capacity + _grown_by(content - capacity)
        )

    def _grow(self, after: int) -> int:
        fresh = after - self.capacity_bytes
        self.capacity_bytes = after
        self._ledger.hold("staging_buffer", after)
        return fresh

    def free(self) -> None:
        """Give the buffer back, as COLO's exit does."""
        self._ledger.hold("staging_buffer", 0)


class Slabs(StagingBuffer):
    """A staging area of slabs: it grows on demand and shrinks again, never below one slab.

    A checkpoint smaller than the one before is a strike, a larger one begins anew; after
    `STRIKES` of them half of the slabs are given back, but for those in use (docs/mc.txt).  At
    worst, with every page dirty, it is as large as the guest's RAM.
    """

    initial_bytes = SLAB_BYTES

    def __init__(self, ledger: Ledger, *, flat: bool) -> None:
        super().__init__(ledger, flat=flat)
        self._strikes = 0

    def write(self, content: int) -> int:
        """Stage `content` bytes; return how many bytes of slabs are fresh."""
        before, self.content_bytes = self.content_bytes, content
        strikes = (self._strikes + (content < before)) * (content <= before)
        self._strikes = strikes * (strikes < STRIKES)
        slabs = self.capacity_bytes // SLAB_BYTES // (1 + (strikes >= STRIKES))
        needed = larger(1, -(-content // SLAB_BYTES))
        return larger(0, self._grow(larger(slabs, needed) * SLAB_BYTES))

    def reserve(self, content: int) -> int:
        """Make room for `content` bytes, as `write` does."""
        return self.write(content)


class NoStaging(StagingBuffer):
    """That of a design which stages nothing."""

    initial_bytes = 0
