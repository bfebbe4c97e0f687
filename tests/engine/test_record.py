"""The event record: what it keeps, and what its digest stands for."""

from __future__ import annotations

import hashlib
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colosim.engine.environment import Environment
from colosim.engine.record import Record, code_of, name_of

NAMES = ("test: one", "test: two", "test: three")
EVENTS = st.lists(
    st.tuples(st.integers(0, 1000), st.sampled_from(NAMES), st.integers(-(2**63), 2**63 - 1))
)


def recorded(events: list[tuple[int, str, int]], close_every: int, *, keep: bool) -> Record:
    """Record `events` (delay, name, value), closing a chunk after every few."""
    env = Environment()
    record = Record(env, keep=keep)
    for number, (delay, name, value) in enumerate(events, 1):
        env._now += delay
        record.add(code_of(name), value)
        if not number % close_every:
            record.close()
    record.close()
    return record


@given(EVENTS, st.integers(1, 5))
def test_the_digest_is_that_of_the_packed_events(
    events: list[tuple[int, str, int]], close_every: int
) -> None:
    """SHA-256 over time, code and value as little-endian 64-bit integers, however it is chunked."""
    packed, now = b"", 0
    for delay, name, value in events:
        now += delay
        packed += struct.pack("<qqq", now, zlib.crc32(name.encode()), value)
    for keep in (True, False):
        assert recorded(events, close_every, keep=keep).digest == hashlib.sha256(packed).hexdigest()


@given(EVENTS, st.integers(1, 5))
def test_a_kept_record_reads_back(events: list[tuple[int, str, int]], close_every: int) -> None:
    """Iterating gives every event's time, name and value; a record that is not kept gives none."""
    expected, now = [], 0
    for delay, name, value in events:
        now += delay
        expected.append((now, name, value))
    assert list(recorded(events, close_every, keep=True)) == expected
    assert list(recorded(events, close_every, keep=False)) == []


def test_sinks_see_each_chunk_once() -> None:
    """A sink gets every closed chunk, flat, and no empty ones."""
    env = Environment()
    record = Record(env, keep=False)
    seen: list[list[int]] = []
    record.sinks.append(lambda chunk: seen.append(list(chunk)))
    code = code_of("test: one")
    record.add(code, 7)
    record.close()
    record.close()
    record.add(code)
    record.add(code, 2)
    record.close()
    assert seen == [[0, code, 7], [0, code, 0, 0, code, 2]]


def test_an_open_chunk_is_not_in_the_digest() -> None:
    """The digest stands for closed chunks only."""
    record = Record(Environment(), keep=True)
    empty = record.digest
    record.add(code_of("test: one"))
    assert record.digest == empty
    record.close()
    assert record.digest != empty


def test_codes_do_not_depend_on_the_order_of_names() -> None:
    """A name's code is its CRC-32, and leads back to the name."""
    assert code_of("test: two") == zlib.crc32(b"test: two")
    assert name_of(code_of("test: two")) == "test: two"
    with pytest.raises(KeyError):
        name_of(-1)


def test_two_names_with_one_code_are_refused() -> None:
    """Names that collide are named, so that one can be changed ("plumless" is "buckeroo")."""
    code_of("plumless")
    with pytest.raises(ValueError, match=r"'plumless' and 'buckeroo' share the code 1306201125"):
        code_of("buckeroo")
