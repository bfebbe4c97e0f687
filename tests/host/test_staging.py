"""The staging buffer grows as QEMU's do: against a loop over every flush."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colosim.engine.environment import Environment
from colosim.engine.ledger import Ledger
from colosim.host.staging import (
    INITIAL_BYTES,
    SLAB_BYTES,
    STRIKES,
    Slabs,
    StagingBuffer,
    qsb_capacity,
    qsb_walked_chunks,
)
from colosim.trace.record import Record

KIB = 1024
MIB = KIB * KIB
FLUSH = 32 * KIB


def grown(capacity: int, needed: int) -> int:
    """Grow a QEMUSizedBuffer to hold `needed` bytes, as qsb_grow does."""
    missing = needed - capacity
    if missing <= 0:
        return capacity
    chunk = 16 * KIB if missing > 16 * KIB else KIB
    while capacity < needed:
        capacity += chunk
    return capacity


def flush_by_flush(capacity: int, content: int) -> int:
    """Write `content` bytes by 32 KiB flushes of the stream buffer."""
    for start in range(0, content, FLUSH):
        capacity = grown(capacity, min(start + FLUSH, content))
    return capacity


def walked(content: int) -> int:
    """Walk to each flush's chunk from chunk 0, as qsb_get_iovec does."""
    return sum(start // (16 * KIB) for start in range(0, content, FLUSH))


CONTENTS = st.lists(st.integers(0, 8 << 20) | st.integers(0, 300 * KIB), min_size=1, max_size=5)


@given(st.sampled_from([INITIAL_BYTES, 64 * KIB, 16 * KIB]), CONTENTS)
def test_capacity_follows_every_flush(initial: int, contents: list[int]) -> None:
    """Over several checkpoints the capacity is the one that writing flush by flush leaves."""
    capacity = reference = initial
    for content in contents:
        capacity = qsb_capacity(capacity, content)
        reference = flush_by_flush(reference, content)
        assert capacity == reference >= content


@given(st.integers(0, 64 << 20))
def test_walked_chunks_follow_every_flush(content: int) -> None:
    """One pass over the content walks as many chunks as scanning from the first at each flush."""
    assert qsb_walked_chunks(content) == walked(content)


@pytest.mark.parametrize(
    ("content", "capacity"), [(67_367_158, 67_371_008), (16_937_206, 16_941_056)]
)
def test_capacity_is_the_measured_one(content: int, capacity: int) -> None:
    """From 4 MiB, the contents of two real checkpoints leave the capacity that QEMU reported."""
    assert qsb_capacity(INITIAL_BYTES, content) == capacity
    assert flush_by_flush(INITIAL_BYTES, content) == capacity


def staging(*, flat: bool) -> tuple[Ledger, StagingBuffer]:
    """Return a staging buffer and the ledger that it is booked on."""
    env = Environment()
    ledger = Ledger("primary", Record(env, keep=True))
    return ledger, StagingBuffer(ledger, flat=flat)


@given(st.booleans(), st.lists(st.tuples(st.booleans(), st.integers(0, 16 << 20)), max_size=6))
def test_a_staging_buffer_never_shrinks(flat: bool, steps: list[tuple[bool, int]]) -> None:  # noqa: FBT001
    """Its capacity is a high-water mark on the ledger, and grows by exactly the fresh bytes."""
    ledger, buffer = staging(flat=flat)
    assert buffer.capacity_bytes == ledger.levels["staging_buffer"] == INITIAL_BYTES
    for at_once, content in steps:
        before = buffer.capacity_bytes
        fresh = buffer.reserve(content) if at_once else buffer.write(content)
        assert fresh == buffer.capacity_bytes - before >= 0
        assert buffer.capacity_bytes == ledger.levels["staging_buffer"] >= content
        assert buffer.content_bytes == content
    buffer.free()
    assert ledger.levels["staging_buffer"] == 0


def test_a_flat_buffer_grows_to_the_byte() -> None:
    """A channel buffer is reallocated to exactly what it must hold."""
    _ledger, buffer = staging(flat=True)
    assert buffer.write(INITIAL_BYTES + 1) == 1
    assert buffer.reserve(INITIAL_BYTES + 5) == 4


@given(st.integers(0, 32 << 20))
def test_a_secondary_grows_in_one_step(content: int) -> None:
    """When SIZE is known, room is made once: 16 KiB chunks if more than one is missing."""
    _ledger, buffer = staging(flat=False)
    buffer.reserve(content)
    assert buffer.capacity_bytes == grown(INITIAL_BYTES, content)


@given(CONTENTS)
def test_slabs_hold_what_is_staged_and_shrink_after_ten_smaller(contents: list[int]) -> None:
    """As many slabs as the largest since the last halving needed, at least one."""
    slabs = Slabs(Ledger("primary", Record(Environment(), keep=False)), flat=True)
    kept, strikes, last = 1, 0, 0
    for content in [*contents, *range(16 * MIB, 2 * MIB, -MIB // 2)]:
        strikes = 0 if content > last else strikes + (content < last)
        last = content
        if strikes == STRIKES:
            kept, strikes = kept // 2, 0
        kept = max(1, kept, -(-content // SLAB_BYTES))
        slabs.write(content)
        assert slabs.capacity_bytes == kept * SLAB_BYTES >= content
