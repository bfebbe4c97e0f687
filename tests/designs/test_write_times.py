"""The guest's writes, worked out an epoch at a time, beside an event for each."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from colosim.designs.write_times import NEVER, Speeds, WriteTimes
from colosim.scenario.disk import Writes
from tests.reference.writes import Writes as Reference

US, MS = 10**3, 10**6
spans = st.one_of(st.integers(0, 3), st.integers(20, 2000).map(lambda us: us * US + 1))
speeds = st.tuples(spans, spans, spans, spans).map(lambda four: Speeds(*four))
steps = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 20), st.integers(1, 400).map(lambda part: part * 200 * US + 3)),
        st.one_of(st.sampled_from(["guest", "server", "look"]), speeds),
    ),
    min_size=4,
    max_size=14,
)


@settings(max_examples=5 * settings().max_examples)
@given(
    rate=st.integers(100, 6000).map(lambda per_s: per_s * 10**6 + 7),
    depth=st.integers(1, 16),
    first=speeds,
    script=steps,
)
def test_writes_are_answered_as_an_event_for_each_has_it(
    rate: int, depth: int, first: Speeds, script: list[tuple[int, str | Speeds]]
) -> None:
    """Guest and server come and go, speeds change: the same latencies, and the same drain."""
    latencies: list[int] = []
    times = WriteTimes(
        Writes(rate=rate, depth=depth), first, lambda took, count: latencies.extend([took] * count)
    )
    slow = Reference(rate, depth, first)
    now = 0
    times.run(now)
    slow.run()
    for gap, what in (*script, (0, "back"), (0, "stand")):
        now += gap
        slow.go(now)
        if isinstance(what, Speeds):
            times.set_speeds(now, what)
            slow.speeds = what
        elif what == "server" or (what == "back" and slow.away):
            times.set_away(now, away=not times.away)
            slow.set_away(not slow.away)
            slow.go(now)
        elif what == "guest" or (what == "stand" and slow.running):
            (times.stop if times.running else times.run)(now)
            (slow.stop if slow.running else slow.run)()
            slow.go(now)
        times.settle(now)
        assert (times.issued, times.out) == (slow.issued, slow.out)
        assert sorted(latencies) == sorted(slow.latencies)
    drained = times.drained_ns
    slow.go(NEVER)
    times.settle(NEVER)
    assert times.out == slow.out == 0
    assert sorted(latencies) == sorted(slow.latencies)
    assert drained in {0, slow.last_answer}
