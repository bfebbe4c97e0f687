"""The iothread lock: one owner, first come first served, every hold kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colosim.engine.environment import Environment
from colosim.errors import InvariantError
from colosim.host.lock import IothreadLock
from colosim.trace.events import LockGot, LockReleased, LockWanted
from colosim.trace.purpose import Purpose
from colosim.trace.record import Record

if TYPE_CHECKING:
    from collections.abc import Generator

    from simpy.events import Event


class FakeThread:
    """A thread by name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.waits_for = ""

    def __str__(self) -> str:
        """Return the name."""
        return self.name


def contend(
    visits: list[tuple[int, int]],
) -> tuple[list[tuple[int, int, int]], IothreadLock, Record]:
    """Let each thread want the lock at a time and keep it for a while; return who held when."""
    env = Environment()
    record = Record(env, keep=True)
    lock = IothreadLock("primary", env, record)
    holds: list[tuple[int, int, int]] = []

    def body(number: int, at_ns: int, hold_ns: int) -> Generator[Event, None, None]:
        thread = FakeThread(f"thread {number}")
        yield env.timeout(at_ns)
        yield from lock.acquire(thread, "save")  # type: ignore[arg-type]
        assert lock.owner is thread  # type: ignore[comparison-overlap]
        since = env.now
        yield env.timeout(hold_ns)
        lock.release(thread)  # type: ignore[arg-type]
        holds.append((number, since, env.now))

    for number, (at_ns, hold_ns) in enumerate(visits):
        env.process(body(number, at_ns, hold_ns))
    env.drive(10**9)
    record.close()
    return holds, lock, record


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), max_size=8))
def test_the_lock_goes_to_who_wanted_it_first(visits: list[tuple[int, int]]) -> None:
    """Holds follow each other in the order of arrival, none overlaps, none is late."""
    holds, lock, record = contend(visits)
    order = sorted(range(len(visits)), key=lambda number: (visits[number][0], number))
    expected, free_at = [], 0
    for number in order:
        at_ns, hold_ns = visits[number]
        since = max(at_ns, free_at)
        free_at = since + hold_ns
        expected.append((number, since, free_at))
    # Holds of no length in one instant may be done in another order than the processes started.
    assert sorted(holds) == sorted(expected)
    assert [hold[1:] for hold in holds] == [hold[1:] for hold in expected]
    assert lock.owner is None
    released = [value for _, event, value in record if isinstance(event, LockReleased)]
    assert sorted(released) == sorted(hold_ns for _, hold_ns in visits)


def test_wanting_getting_and_releasing_are_recorded() -> None:
    """The record has each wait's and each hold's length."""
    _holds, _lock, record = contend([(0, 10), (4, 5)])
    first = ("primary", "thread 0", Purpose.SAVE)
    second = ("primary", "thread 1", Purpose.SAVE)
    assert list(record) == [
        (0, LockGot(*first), 0),
        (4, LockWanted(*second), 0),
        (10, LockReleased(*first), 10),
        (10, LockGot(*second), 6),
        (15, LockReleased(*second), 5),
    ]


def test_a_thread_cannot_take_or_give_what_it_must_not() -> None:
    """Taking the lock twice, or releasing another's, breaks an invariant by name."""
    env = Environment()
    lock = IothreadLock("primary", env, Record(env, keep=False))
    owner, other = FakeThread("owner"), FakeThread("other")
    assert not list(lock.acquire(owner, "save"))  # type: ignore[arg-type]
    with pytest.raises(InvariantError, match="owner: takes a lock that it holds"):
        next(lock.acquire(owner, "load"))  # type: ignore[arg-type]
    with pytest.raises(InvariantError, match="other: releases a lock that it lacks"):
        lock.release(other)  # type: ignore[arg-type]
