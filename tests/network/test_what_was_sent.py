"""What a send has taken is the kernel's: it arrives, whatever happens to the sender afterwards."""

from __future__ import annotations

import pytest

from colosim.runs.run import simulate
from colosim.scenario import loads
from tests.reference.conversation import Conversation, Passes, scenario_of

MODELS = ("fast", "reference")
KIB = 1024
SMALL_BUFFERS = (
    "{latency: 500 us, bandwidth: 100 MB/s, send_buffer: 64 KiB, receive_buffer: 64 KiB}"
)


def hung_with(model: str, pages: int, buffers: str, at: str) -> str:
    """Return the verdict of `split` whose secondary freezes at `at`."""
    text = f"""
name: freeze
model: {model}
designs: [split]
checkpoints: 8
checkpoint_delay: 500 ms
guest: {{ram: 512 MiB, dirty: {{pages: {pages}}}}}
hosts: {{preset: lab-qemu25}}
network: {{preset: lab-veth, {buffers}}}
faults: [{{freeze: secondary, at: {at}}}]
manager: {{heartbeat: 1 s, timeout: 3 s, policy: lost-heartbeat, fence: false}}
"""
    return simulate(loads(text, file="freeze.yaml"), "split", tables=False).verdict


@pytest.mark.parametrize("model", MODELS)
def test_a_freeze_in_the_instant_of_a_send_is_as_one_a_microsecond_later(model: str) -> None:
    """The primary gets the reply and hangs in its stream: write() had taken it."""
    step = '{checkpoint: 3, step: "secondary: after CHECKPOINT_REPLY"}'
    buffers = "send_buffer: 16 KiB, receive_buffer: 16 KiB"
    assert hung_with(model, 64, buffers, step) == "hung"
    later = "send_buffer: 4 MiB, receive_buffer: 2 MiB"
    assert hung_with(model, 16386, later, "2.262572 s") == "hung"


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("fault", ["freeze: primary", "kill: primary"])
@pytest.mark.parametrize("before", ["nothing", "a stream"])
@pytest.mark.parametrize("bulk", [False, True])
def test_what_a_send_took_in_this_instant_arrives(
    model: str, fault: str, before: str, *, bulk: bool
) -> None:
    """A message or a bulk write, alone or behind what is still under way, is read whole."""
    script = [Passes("primary", 60 * KIB, (10, 200_000))] if before == "a stream" else []
    script.append(
        Passes("primary", 20 * KIB if bulk else 4, (0, 0) if bulk else None, strikes=fault)
    )
    told = Conversation(scenario_of(SMALL_BUFFERS, "[]", model), script).run()
    assert told.ends["secondary", len(script) - 1][1] == ""


@pytest.mark.parametrize("model", MODELS)
def test_a_write_behind_a_backlog_that_has_returned_is_in_its_buffer(model: str) -> None:
    """The next one works at once on what it writes, not when the backlog has left."""
    network = "{latency: 500 us, bandwidth: 1 GB/s, receive_buffer: 16 KiB, nagle: false}"
    script = [
        Passes("primary", 200 * KIB, (0, 60_000)),
        Passes("primary", 3 * KIB, (1000, 16_000), before_ns=(300_000, 0)),
        Passes("primary", 300 * KIB, (6_000_000, 300_000)),
    ]
    told = Conversation(scenario_of(network, "[]", model), script).run()
    assert told.ends["primary", 2] == (301_000 + 6_000_000, "")


@pytest.mark.parametrize("model", MODELS)
def test_a_write_meets_a_window_that_what_is_not_read_keeps_closed(model: str) -> None:
    """All of the first has left, its reader is slow: the second fits into no buffer yet."""
    network = "{latency: 25 us, bandwidth: 1 GB/s, send_buffer: 64 KiB, receive_buffer: 1 MiB}"
    script = [
        Passes("primary", 1000 * KIB, (0, 100_000_000)),
        Passes("primary", 1000 * KIB, (0, 100_000_000)),
    ]
    told = Conversation(scenario_of(network, "[]", model), script).run()
    blocked_ns = told.ends["primary", 1][0] - told.ends["primary", 0][0]
    assert 90_000_000 < blocked_ns < 100_000_000
