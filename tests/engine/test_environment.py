"""The environment: why it stops, what it counts, and waits that move."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from colosim.engine.environment import Environment, Wait

if TYPE_CHECKING:
    from collections.abc import Generator

    from simpy.events import Event


def beat(env: Environment, period_ns: int) -> Generator[Event, None, None]:
    """Tick for ever."""
    while True:
        yield env.tick(period_ns)


def test_a_run_stops_when_it_is_told_to() -> None:
    """`finish` ends the run after the present event, and what is left stays."""
    env = Environment()
    env.call_at(5, env.finish)
    env.call_at(5, lambda: pytest.fail("the run went on"))
    assert (env.drive(100), env.now, env.events) == ("finished", 5, 1)


def test_a_run_with_nothing_left_is_quiet() -> None:
    """An empty queue is no success: the run says that nothing is left."""
    env = Environment()
    assert (env.drive(100), env.now) == ("quiet", 0)
    env.call_at(7, lambda: None)
    assert (env.drive(100), env.now) == ("quiet", 7)


def test_periodic_events_do_not_keep_a_run_alive() -> None:
    """With heartbeats and probes only, the run is over; work beside them is still done."""
    env = Environment()
    for period_ns in (3, 5):
        env.process(beat(env, period_ns))
    done: list[int] = []
    env.call_at(20, lambda: done.append(env.now))
    assert (env.drive(1_000), done) == ("quiet", [20])
    assert env.now == 20


def test_a_run_does_not_go_past_its_horizon() -> None:
    """An event at the horizon happens, one after it does not."""
    env = Environment()
    done: list[int] = []
    for at_ns in (10, 11):
        env.call_at(at_ns, lambda: done.append(env.now))
    assert (env.drive(10), done) == ("horizon", [10])
    assert (env.drive(11), done) == ("quiet", [10, 11])


def test_onlookers_are_counted_apart() -> None:
    """Steps of ticks and of calls apart are steps, but not the pair's events."""
    env = Environment()
    env.tick(1)
    env.apart(2)
    env.call_at(3, lambda: None, apart=True)
    env.call_at(4, lambda: None)
    assert env.periodic == 1
    env.drive(100)
    assert (env.steps, env.steps_apart, env.events, env.periodic) == (4, 3, 1, 0)


def test_an_error_that_nobody_handles_ends_the_run() -> None:
    """An exception in a process comes out of `drive`, and the steps so far are counted."""
    env = Environment()

    def body() -> Generator[Event, None, None]:
        yield env.timeout(3)
        message = "broken"
        raise ValueError(message)

    env.process(body())
    with pytest.raises(ValueError, match="broken"):
        env.drive(100)
    assert (env.now, env.steps) == (3, 3)


def waiting(env: Environment, wait: Wait, log: list[tuple[int, str]]) -> None:
    """Run a process that waits, and log how it goes on."""

    def body() -> Generator[Event, None, None]:
        try:
            yield wait
        except ConnectionError as error:
            log.append((env.now, str(error)))
        else:
            log.append((env.now, "went on"))

    env.process(body())


@pytest.mark.parametrize("ends", [[10, 20], [20, 10], [10, 30, 20]])
def test_the_end_of_a_wait_moves(ends: list[int]) -> None:
    """The end set last counts, be it sooner or later than the ones before."""
    env = Environment()
    wait, log = Wait(env), list[tuple[int, str]]()
    waiting(env, wait, log)
    for at_ns, end_ns in enumerate(ends, 1):
        env.call_at(at_ns, partial(wait.end_at, end_ns))
    env.drive(100)
    assert log == [(ends[-1], "went on")]
    assert wait.over


def test_a_suspended_wait_waits_until_an_end_is_set_again() -> None:
    """Taking the end back leaves the process waiting, whatever was set before."""
    env = Environment()
    wait, log = Wait(env), list[tuple[int, str]]()
    waiting(env, wait, log)
    env.call_at(1, lambda: wait.end_at(10))
    env.call_at(2, wait.suspend)
    env.drive(100)
    assert (log, wait.over) == ([], False)
    env.call_at(50, lambda: wait.end_at(40))
    env.drive(100)
    assert log == [(50, "went on")]


def test_a_failed_wait_raises_at_once_and_only_once() -> None:
    """A failure is final: a second one, a new end or a freeze at that instant change nothing."""
    env = Environment()
    wait, log = Wait(env), list[tuple[int, str]]()
    waiting(env, wait, log)

    def strike() -> None:
        wait.break_off(ConnectionError("reset"))
        assert wait.over
        wait.break_off(ConnectionError("timed out"))
        wait.end_at(70)
        wait.suspend()

    env.call_at(1, lambda: wait.end_at(60))
    env.call_at(30, strike)
    env.drive(100)
    assert log == [(30, "reset")]


def test_a_wait_that_was_moved_is_not_used_again() -> None:
    """One that ended as first set is; a moved one not, before or after that time has come."""
    env = Environment()
    plain, moved, log = Wait(env, 5), Wait(env, 5), list[tuple[int, str]]()
    waiting(env, moved, log)
    env.call_at(1, partial(moved.end_at, 20))
    seen = [env.call_at(at_ns, lambda: None) for at_ns in (4, 10, 30)]
    again: list[Wait] = []
    for one in seen:
        one.callbacks.append(lambda _event: again.append(moved.again()))
    env.drive(100)
    assert log == [(20, "went on")]
    assert plain.again() is plain
    assert not any(one is moved for one in again)
