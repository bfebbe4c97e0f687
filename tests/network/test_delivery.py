"""What a send call has taken is delivered, whatever becomes of the sender's process."""

from __future__ import annotations

import pytest

from colosim.designs.registry import load_design
from colosim.runs.run import simulate
from colosim.runs.simulation import Simulation, protocol_of
from colosim.scenario import Scenario, loads
from colosim.trace.events import OTHER, CallFailed, Received, WaitBegan, WaitEnded

SECTIONS = {"savevm_state_begin": "QEMU_VM_SECTION_START"}
"""What is sent by a step that has a name of its own."""
DESIGNS = ("qsb", "split", "device-first", "flat", "qemu-3.1", "qemu-5.1", "qemu-11")


def scenario(fault: str, network: str = "") -> Scenario:
    """Return a scenario with one fault, the inside of a YAML mapping."""
    return loads(
        f"""
name: delivery
checkpoints: 4
checkpoint_delay: 500 ms
guest: {{ram: 512 MiB, dirty: {{pages: 16386}}}}
hosts: {{preset: lab-qemu25}}
network: {{preset: lab-veth, send_buffer: 4 MiB, receive_buffer: 2 MiB{network}}}
faults: [{{{fault}}}]
"""
    )


def sends(design: str) -> list[tuple[str, str]]:
    """Return (side, step) of every message and set-up section that a checkpoint sends."""
    steps = protocol_of(load_design(design), scenario("freeze: secondary, at: 1000 s"))
    return [(step.side, step.name) for step in steps if step.kind == "sends"]


@pytest.mark.parametrize("kind", ["freeze", "kill"])
@pytest.mark.parametrize("design", DESIGNS)
def test_a_message_whose_send_has_returned_arrives(design: str, kind: str) -> None:
    """A sender that stands still in the instant of its send is no other than one a moment later.

    For every message of every design, plainly and where Nagle holds it back.
    """
    messages = sends(design)
    assert len(messages) >= 6
    for side, message in messages:
        at = f"at: {{checkpoint: 2, step: '{side}: after {message}'}}"
        for network in ("", ", nagle: false"):
            run = simulate(scenario(f"{kind}: {side}, {at}", network), design)
            got = [event for _, event, _ in run.simulation.record]  # type: ignore[union-attr]
            name = SECTIONS.get(message, message)
            assert got.count(Received(OTHER[side], name)) == 3, (side, message, network)


def test_what_a_killed_process_had_queued_is_sent_before_the_stream_ends() -> None:
    """With nothing unread its kernel sends the rest, and only then ends the stream.

    The primary dies as its last byte of device state has found room: over a slow link the
    secondary still gets all of it, and says so into a connection that is answered by a reset.
    """
    text = "kill: primary, at: {checkpoint: 2, step: 'primary: after device stream'}"
    simulation = Simulation(scenario(text, ", bandwidth: 40 Mbit/s"), "split").run()
    names = [
        str(event)
        for _, event, _ in simulation.record
        if not isinstance(event, WaitBegan | WaitEnded)
    ]
    begun = len(names) - names[::-1].index("primary: process killed")
    assert [name for name in names[begun:] if name.startswith("secondary: ")][:5] == [
        "secondary: RAM load ends",
        "secondary: RAM load ends",
        "secondary: receives VMSTATE_SIZE",
        "secondary: device fill ends",
        "secondary: sends VMSTATE_RECEIVED",
    ]


def test_unread_bytes_make_a_killed_process_reset_the_connection() -> None:
    """The secondary dies with RAM unread: the primary's blocked send fails by a reset."""
    text = "kill: secondary, at: {checkpoint: 2, step: 'secondary: RAM load', progress: 40%}"
    simulation = Simulation(scenario(text), "split").run()
    failed = CallFailed("primary", "send", "connection reset")
    assert failed in [event for _, event, _ in simulation.record]
