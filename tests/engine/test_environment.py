"""The environment: why it stops, what it counts, and waits that are handed over."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from simpy.exceptions import Interrupt

from colosim.engine.environment import Environment, hand_over, pending

if TYPE_CHECKING:
    from collections.abc import Generator

    from simpy.events import Event, Process


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
    """Steps of ticks and of onlookers are steps, but not the pair's events."""
    env = Environment()
    env.tick(1)
    env.onlooker(2)
    env.call_at(3, lambda: None, onlooker=True)
    env.call_at(4, lambda: None)
    assert env.periodic_events == 1
    env.drive(100)
    assert (env.steps, env.onlooker_steps, env.events, env.periodic_events) == (4, 3, 1, 0)


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


def waiting(env: Environment, event: Event, log: list[tuple[int, str]]) -> Process:
    """Run a process that waits for `event`, and log how it goes on."""

    def body() -> Generator[Event, None, None]:
        try:
            yield event
        except (ConnectionError, Interrupt) as error:
            log.append((env.now, str(error)))
        else:
            log.append((env.now, "went on"))

    return env.process(body())


@pytest.mark.parametrize("ends", [[10, 20], [20, 10], [10, 30, 20]])
def test_a_wait_is_handed_over_to_another_event(ends: list[int]) -> None:
    """Who waits goes on with the last event that took over, be it sooner or later than others."""
    env, log = Environment(), list[tuple[int, str]]()
    event = env.event()
    waiting(env, event, log)

    def move(end_ns: int) -> None:
        nonlocal event
        event = hand_over(event, env.timeout(end_ns - env.now))

    for at_ns, end_ns in enumerate(ends, 1):
        env.call_at(at_ns, partial(move, end_ns))
    env.drive(100)
    assert log == [(ends[-1], "went on")]
    assert not pending(event)


def test_what_was_taken_back_happens_without_effect() -> None:
    """Handed over to an event that is not scheduled, a process waits, whatever was set before."""
    env, log = Environment(), list[tuple[int, str]]()
    first: Event = env.timeout(10)
    waiting(env, first, log)
    env.call_at(1, lambda: later.append(hand_over(first, env.event())))
    later: list[Event] = []
    env.drive(100)
    assert (log, env.now) == ([], 10)
    env.call_at(50, lambda: hand_over(later[0], env.event()).fail(ConnectionError("reset")))
    env.drive(100)
    assert log == [(50, "reset")]


def test_an_interrupt_finds_what_a_moved_process_waits_for() -> None:
    """A process that was handed over can be interrupted, and goes on only once."""
    env, log = Environment(), list[tuple[int, str]]()
    event = env.timeout(10)
    process = waiting(env, event, log)
    env.call_at(1, lambda: hand_over(event, env.timeout(20)))
    env.call_at(5, lambda: process.interrupt("enough"))
    env.drive(100)
    assert log == [(5, "Interrupt('enough')")]
