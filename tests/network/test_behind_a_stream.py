"""A large write behind a stream that is being read: in closed form what the exact fluid says."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from colosim.network.calm import Calm
from colosim.network.direction import Direction
from colosim.network.reference import CHUNK_BYTES
from colosim.trace.events import PRIMARY
from tests.reference.conversation import Conversation, Passes, Told, scenario_of

KIB = 1024
NETWORK = "{latency: 25 us, %s send_buffer: 400 KiB, receive_buffer: 800 KiB, nagle: %s}"

LINKS = ("preset: lab-veth,", "bandwidth: 20 Gbit/s,")


@st.composite
def talks(draw: st.DrawFn) -> list[Passes]:
    """Draw a stream, a large write right behind it, and often more behind that."""
    stream, write = (
        draw(st.integers(600 * KIB, 8000 * KIB)),
        draw(st.integers(101 * KIB, 400 * KIB)),
    )

    def takes(size: int, least: int, most: int) -> int:
        return size * draw(st.integers(least, most)) // 1000

    script = [
        Passes(PRIMARY, stream, (takes(stream, 50, 400), takes(stream, 400, 1500)), (0, 20_000)),
        Passes(
            PRIMARY,
            write,
            (takes(write, 50, 400), takes(write, 100, 1500)),
            (draw(st.integers(0, 300_000)), draw(st.integers(0, 50_000))),
        ),
    ]
    if draw(st.booleans()):
        script.append(Passes(PRIMARY, 13, before_ns=(draw(st.integers(0, 100_000)), 1000)))
    return script


def told(script: list[Passes], network: str, model: str = "fast") -> Told:
    """Return how a conversation goes."""
    return Conversation(scenario_of(network, "[]", model), script).run()


@settings(max_examples=settings().max_examples // 2)
@given(
    talks(),
    st.sampled_from(LINKS),
    st.sampled_from(["true", "false"]),
)
def test_it_ends_when_it_does_as_a_fluid(script: list[Passes], link: str, nagle: str) -> None:
    """Each send and receive ends in the same nanosecond, or the next: a link's time is rounded.

    A message finds room at once; in the fluid, when as many bytes as it has have been read.
    """
    network = NETWORK % (link, nagle)
    begin, taken = Calm._left_behind_stream_ns, list[bool]()

    def spy(self: Calm, amount: int, write_ns: int) -> object:
        found = begin(self, amount, write_ns)
        taken.append(found is not None)
        return found

    with patch.object(Calm, "_left_behind_stream_ns", spy):
        calm = told(script, network)
    with patch.object(Calm, "_left_behind_stream_ns", lambda *_: None):
        fluid = told(script, network)
    event(f"in closed form: {any(taken)}")
    assert calm.ends.keys() == fluid.ends.keys()
    for key, (at_ns, reason) in fluid.ends.items():
        early_ns = 13 * 1500 // 1000 + 1 if key == (PRIMARY, 2) else 0
        assert -early_ns <= calm.ends[key][0] - at_ns <= 1, key
        assert calm.ends[key][1] == reason


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


def test_behind_a_message_that_nagle_holds_back_there_is_no_stream_to_wait_for() -> None:
    """A large write into a small send buffer leaves when the message does."""
    network = "{latency: 1 ms, send_buffer: 16 KiB, nagle: true, delayed_ack: false}"
    script = [Passes(PRIMARY, 13), Passes(PRIMARY, 13), Passes(PRIMARY, 10 * KIB, (1000, 1000))]
    ends = told(script, network).ends
    assert ends["primary", 2] == (1000, "")
    assert ends["secondary", 2] == (4_249_000, "")
