"""The iothread lock: one owner, first come first served or barging, every hold kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colosim.engine.environment import Environment
from colosim.errors import InvariantError
from colosim.host.lock import IothreadLock
from colosim.host.reference_lock import ReferenceLock
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


Visit = tuple[int, list[tuple[int, int]]]
"""When a thread first wants the lock, and for each hold its length and the gap after it."""


def contend(
    threads: list[Visit], kind: type[IothreadLock] = IothreadLock, *, barging: bool = False
) -> tuple[list[tuple[int, int, int]], IothreadLock, Record]:
    """Let each thread hold the lock as its visit says; return who held when."""
    env = Environment()
    record = Record(env, keep=True)
    lock = kind("primary", env, record, barging=barging)
    holds: list[tuple[int, int, int]] = []

    def body(
        number: int, at_ns: int, visits: list[tuple[int, int]]
    ) -> Generator[Event, None, None]:
        thread = FakeThread(f"thread {number}")
        yield env.timeout(at_ns)
        for hold_ns, gap_ns in visits:
            yield from lock.acquire(thread, "save")  # type: ignore[arg-type]
            assert lock.owner is thread  # type: ignore[comparison-overlap]
            since = env.now
            yield env.timeout(hold_ns)
            lock.release(thread)  # type: ignore[arg-type]
            holds.append((number, since, env.now))
            yield env.timeout(gap_ns)

    for number, (at_ns, visits) in enumerate(threads):
        env.process(body(number, at_ns, visits))
    env.drive(10**9)
    record.close()
    return holds, lock, record


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), max_size=8))
def test_the_lock_goes_to_who_wanted_it_first(visits: list[tuple[int, int]]) -> None:
    """Holds follow each other in the order of arrival, none overlaps, none is late."""
    holds, lock, record = contend([(at_ns, [(hold_ns, 0)]) for at_ns, hold_ns in visits])
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
    _holds, _lock, record = contend([(0, [(10, 0)]), (4, [(5, 0)])])
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
    lock = IothreadLock("primary", env, Record(env, keep=False), barging=False)
    owner, other = FakeThread("owner"), FakeThread("other")
    assert not list(lock.acquire(owner, "save"))  # type: ignore[arg-type]
    with pytest.raises(InvariantError, match="owner: takes a lock that it holds"):
        next(lock.acquire(owner, "load"))  # type: ignore[arg-type]
    with pytest.raises(InvariantError, match="other: releases a lock that it lacks"):
        lock.release(other)  # type: ignore[arg-type]


def test_by_barging_whoever_asks_before_the_waiter_has_woken_up_is_first() -> None:
    """Asked again within 20 us the lock stays with its thread; the waiter is woken once more."""
    visits: list[Visit] = [(0, [(10_000, 19_000), (10_000, 21_000), (0, 0)]), (5_000, [(7_000, 0)])]
    assert contend(visits)[0] == [
        (0, 0, 10_000),
        (1, 10_000, 17_000),
        (0, 29_000, 39_000),
        (0, 60_000, 60_000),
    ]
    holds, lock, _ = contend(visits, barging=True)
    # Woken at 10 us it finds the lock taken at 30 us; woken at 39 us it has it at 59 us.
    assert holds == [
        (0, 0, 10_000),
        (0, 29_000, 39_000),
        (1, 59_000, 66_000),
        (0, 86_000, 86_000),
    ]
    assert lock.contested


@pytest.mark.parametrize(("gap_ns", "contested"), [(0, True), (20_000, True), (20_001, False)])
def test_a_handover_is_contested_for_20_us(gap_ns: int, *, contested: bool) -> None:
    """Whoever asks again within 20 us, while another waits, might have had the lock first."""
    waits: Visit = (5, [(100_000, 0)])
    assert contend([(0, [(9, gap_ns), (0, 0)]), waits])[1].contested == contested
    # Nobody waited for it: it was not handed on.
    assert not contend([(0, [(9, gap_ns), (0, 0)])])[1].contested


VISITS = st.lists(
    st.tuples(
        st.integers(0, 60_000),
        st.lists(st.tuples(st.integers(0, 40_000), st.integers(0, 40_000)), max_size=5),
    ),
    max_size=4,
)


@given(VISITS, st.booleans())
def test_the_lock_is_that_of_the_stock_resource(visits: list[Visit], barging: bool) -> None:  # noqa: FBT001 - drawn
    """Over a `simpy.Resource` every thread holds the lock at the same times, in either order."""
    fast, slow = (contend(visits, kind, barging=barging) for kind in (IothreadLock, ReferenceLock))
    assert sorted(fast[0]) == sorted(slow[0])
    assert fast[1].contested == slow[1].contested


@given(VISITS)
def test_the_choice_is_none_where_nobody_waits(visits: list[Visit]) -> None:
    """A run in which no thread ever waits is the same run, event by event, with either choice."""
    (_, fifo, record), (_, barging, other) = (
        contend(visits, barging=choice) for choice in (False, True)
    )
    if not any(isinstance(event, LockWanted) for _, event, _ in record):
        assert list(record) == list(other)
        assert [fifo.contested, barging.contested] == [False, False]
