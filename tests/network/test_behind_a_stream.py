"""What is written behind a stream: in closed form what the exact fluid says, whoever reads when."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from colosim.network.calm import Calm
from colosim.network.direction import Direction
from colosim.network.reference import CHUNK_BYTES
from colosim.trace.events import PRIMARY, SECONDARY
from tests.reference.conversation import WAKE_NS, Conversation, Passes, Told, scenario_of

KIB = 1024
SEND, WINDOW = 400 * KIB, 800 * KIB
MESSAGE = 13
NETWORK = "{latency: 25 us, %s send_buffer: 400 KiB, receive_buffer: 800 KiB, nagle: %s}"

LINKS = ("preset: lab-veth,", "bandwidth: 20 Gbit/s,", "bandwidth: 1 Gbit/s, burst: 0 B,")


@st.composite
def passes(draw: st.DrawFn, least: int, most: int) -> Passes:
    """Draw a bulk write that is no small one, and when its writer and its reader come."""
    size = draw(st.integers(least, most))
    spent = (size * draw(st.integers(50, 1500)) // 1000, size * draw(st.integers(50, 1500)) // 1000)
    before = (
        draw(st.just(0) | st.integers(0, 600_000)),
        draw(st.just(0) | st.integers(0, 3_000_000)),
    )
    return Passes(PRIMARY, size, spent, before)


@st.composite
def talks(draw: st.DrawFn) -> list[Passes]:
    """Draw a stream, and what is written behind it, most of it before the reader comes."""
    message = st.builds(
        Passes,
        st.just(PRIMARY),
        st.just(MESSAGE),
        before_ns=st.tuples(st.integers(0, 100_000), st.integers(0, 300_000)),
    )
    more = st.lists(passes(SEND // 4 + 1, WINDOW) | message, min_size=1, max_size=3)
    return [draw(passes(SEND // 4 + 1, 8000 * KIB)), *draw(more)]


def told(script: list[Passes], network: str, model: str = "fast") -> Told:
    """Return how a conversation goes."""
    return Conversation(scenario_of(network, "[]", model), script).run()


@settings(max_examples=settings().max_examples // 2)
@given(talks(), st.sampled_from(LINKS))
def test_it_ends_when_it_does_as_a_fluid(script: list[Passes], link: str) -> None:
    """Each send and receive ends in the same nanosecond, or the next: a link's time is rounded.

    And a message finds room, and crosses the link, in no time: where its reader is ready in that
    very moment, it may have fallen asleep in the fluid.
    """
    network, disturbed = NETWORK % (link, "false"), list[Direction]()
    disturb = Direction.disturb

    def spy(self: Direction) -> object:
        disturbed.append(self)
        return disturb(self)

    with patch.object(Direction, "disturb", spy):
        calm = told(script, network)
    with patch.object(Calm, "write", lambda *_: None):
        fluid = told(script, network)
    event(f"in closed form: {not disturbed}")
    assert calm.ends.keys() == fluid.ends.keys()
    messages = sum(step.spent_ns is None for step in script)
    tolerance_ns = 2 * len(script) + messages * MESSAGE * 9
    for key, (at_ns, reason) in fluid.ends.items():
        apart_ns = abs(calm.ends[key][0] - at_ns)
        woken = min(messages, round(apart_ns / WAKE_NS))
        assert abs(apart_ns - woken * WAKE_NS) <= tolerance_ns, key
        assert calm.ends[key][1] == reason


@settings(max_examples=settings().max_examples // 4)
@given(passes(1, WINDOW), st.lists(st.integers(0, 3_000_000), min_size=2, max_size=2))
def test_when_a_stream_leaves_does_not_hang_on_its_reader(stream: Passes, late: list[int]) -> None:
    """Whatever is sent behind one that the window takes goes on alike, and in closed form."""
    behind = Passes(PRIMARY, 60 * KIB, (20_000, 30_000))
    ends = []
    with patch.object(Direction, "disturb", side_effect=AssertionError):
        for late_ns in late:
            first = Passes(PRIMARY, stream.size * 9 // 10, stream.spent_ns, (0, late_ns))
            script = [first, Passes(PRIMARY, MESSAGE), behind, Passes(SECONDARY, MESSAGE)]
            ends.append(told(script, NETWORK % (LINKS[0], "true")).ends)
    for one, other in (ends, ends[::-1]):
        for step in range(3):
            assert one[PRIMARY, step] == other[PRIMARY, step]


def test_it_is_taken_and_agrees_with_the_reference() -> None:
    """A writer that finds room, and one that waits for it, within a chunk at each stage."""
    for gap_ns in (50_000, 300_000):
        script = [
            Passes(PRIMARY, 8000 * KIB, (1_600_000, 6_000_000)),
            Passes(PRIMARY, 300 * KIB, (60_000, 300_000), (gap_ns, 0)),
        ]
        network = NETWORK % ("preset: lab-veth,", "false")
        with patch.object(Direction, "disturb", side_effect=AssertionError):
            calm = told(script, network)
        stock = told(script, network, "reference")
        chunk_ns = CHUNK_BYTES * 6_000_000 // (8000 * KIB)
        for key, (at_ns, reason) in stock.ends.items():
            assert calm.ends[key][0] == pytest.approx(at_ns, abs=4 * chunk_ns)
            assert calm.ends[key][1] == reason


@pytest.mark.parametrize("late_ns", [0, 3_000_000])
def test_a_write_behind_fills_up_the_segment_that_nagle_holds_back(late_ns: int) -> None:
    """The end of a stream waits for the ACK of a message before it until more is written."""
    network = "{latency: 1 ms, bandwidth: 10 Gbit/s, nagle: true}"
    script = [
        Passes(PRIMARY, MESSAGE),
        Passes(PRIMARY, 20_000, (1000, 1000), (0, late_ns)),
        Passes(PRIMARY, MESSAGE),
        Passes(PRIMARY, 90_000, (1000, 1000), (500_000, 0)),
    ]
    alone, followed = told(script[:2], network), told(script, network)
    assert alone.ends[SECONDARY, 1][0] == max(3_000_000, 1_001_000 + late_ns + 1000)
    read = max(1_501_000, 1_001_000 + late_ns + 1000)
    assert followed.ends[SECONDARY, 1][0] == read


def test_behind_a_message_that_nagle_holds_back_there_is_no_stream_to_wait_for() -> None:
    """A large write into a small send buffer leaves when the message does."""
    network = "{latency: 1 ms, send_buffer: 16 KiB, nagle: true, delayed_ack: false}"
    script = [Passes(PRIMARY, 13), Passes(PRIMARY, 13), Passes(PRIMARY, 10 * KIB, (1000, 1000))]
    ends = told(script, network).ends
    assert ends["primary", 2] == (1000, "")
    assert ends["secondary", 2] == (4_250_000, "")
