"""The event record: what it keeps, and what its digest stands for."""

from __future__ import annotations

import hashlib
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colosim.trace.events import Event, GuestRunning, LockGot, Sent
from colosim.trace.purpose import Purpose
from colosim.trace.record import Record, code_of, event_of, name_of

SENT = Sent("primary", "VMSTATE_SEND")
GOT = LockGot("secondary", "COLO incoming thread", Purpose.LOAD)
EVENTS = st.lists(
    st.tuples(
        st.integers(0, 1000),
        st.sampled_from((SENT, GOT, GuestRunning("primary"))),
        st.integers(-(2**63), 2**63 - 1),
    )
)


class Clock:
    """A clock that is set by hand."""

    now = 0


def recorded(events: list[tuple[int, Event, int]], close_every: int, *, keep: bool) -> Record:
    """Record `events` (delay, event, value), closing a chunk after every few."""
    clock = Clock()
    record = Record(clock, keep=keep)
    for number, (delay, event, value) in enumerate(events, 1):
        clock.now += delay
        record.add(code_of(event), value)
        if not number % close_every:
            record.close()
    record.close()
    return record


@given(EVENTS, st.integers(1, 5))
def test_the_digest_is_that_of_the_packed_events(
    events: list[tuple[int, Event, int]], close_every: int
) -> None:
    """SHA-256 over time, code and value as little-endian 64-bit integers, however it is chunked."""
    packed, now = b"", 0
    for delay, event, value in events:
        now += delay
        packed += struct.pack("<qqq", now, zlib.crc32(str(event).encode()), value)
    for keep in (True, False):
        assert recorded(events, close_every, keep=keep).digest == hashlib.sha256(packed).hexdigest()


@given(EVENTS, st.integers(1, 5))
def test_a_kept_record_reads_back(events: list[tuple[int, Event, int]], close_every: int) -> None:
    """Iterating gives every event's time, name and value; a record that is not kept gives none."""
    expected, now = [], 0
    for delay, event, value in events:
        now += delay
        expected.append((now, event, value))
    assert list(recorded(events, close_every, keep=True)) == expected
    assert list(recorded(events, close_every, keep=False)) == []


def test_sinks_see_each_chunk_once() -> None:
    """A sink gets every closed chunk, flat, and no empty ones."""
    record = Record(Clock(), keep=False)
    seen: list[list[int]] = []
    record.sinks.append(lambda chunk: seen.append(list(chunk)))
    code = code_of(SENT)
    record.add(code, 7)
    record.close()
    record.close()
    record.add(code)
    record.add(code, 2)
    record.close()
    assert seen == [[0, code, 7], [0, code, 0, 0, code, 2]]


def test_an_open_chunk_is_not_in_the_digest() -> None:
    """The digest stands for closed chunks only."""
    record = Record(Clock(), keep=True)
    empty = record.digest
    record.add(code_of(SENT))
    assert record.digest == empty
    record.close()
    assert record.digest != empty


def test_a_code_is_that_of_the_sentence_and_leads_back() -> None:
    """Given as such or by its sentence an event has one code, and the code has both."""
    code = zlib.crc32(b"primary: sends VMSTATE_SEND")
    assert code_of(SENT) == code_of(str(SENT)) == code
    assert (name_of(code), event_of(code)) == (str(SENT), SENT)
    with pytest.raises(KeyError):
        name_of(-1)


def test_two_names_with_one_code_are_refused() -> None:
    """Names that collide are named, so that one can be changed ("plumless" is "buckeroo")."""
    code_of("plumless")
    with pytest.raises(ValueError, match=r"'plumless' and 'buckeroo' share the code 1306201125"):
        code_of("buckeroo")
