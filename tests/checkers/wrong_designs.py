"""Designs that break a safety rule each, and a run of one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colosim.checkers import Violation
from colosim.designs.messages import (
    CHECKPOINT_REPLY,
    CHECKPOINT_REQUEST,
    VMSTATE_LOADED,
    VMSTATE_RECEIVED,
    VMSTATE_SEND,
    Message,
)
from colosim.designs.remus import Remus
from colosim.designs.split import Split
from colosim.runs.run import Run, simulate
from colosim.scenario import loads
from colosim.trace.purpose import Purpose

if TYPE_CHECKING:
    from collections.abc import Callable

    from colosim.designs.design import Design, Steps
    from colosim.designs.primary import Primary
    from colosim.designs.secondary import Secondary
    from colosim.runs.simulation import Simulation

SMALL = """
name: planted
checkpoints: 4
checkpoint_delay: 50 ms
guest: {ram: 64 MiB, dirty: {pages: 500}}
hosts: {preset: lab-qemu25}
network: {preset: lab-veth}
"""


def run_of(
    design: type[Design],
    more: str = "",
    prepare: Callable[[Simulation], None] | None = None,
) -> Run:
    """Run a design with every checker on."""
    scenario = loads(SMALL + more, known_designs=("split",))
    return simulate(scenario, design, prepare=prepare)


def violation_of(run: Run) -> Violation:
    """Return the violation that a run ended with."""
    assert run.verdict == "violated", run.summary
    assert run.simulation is not None
    violation = run.simulation.violation
    assert isinstance(violation, Violation)
    return violation


class Wrong(Split):
    """The reviewed design, to be broken."""

    name = "wrong"

    def __init_subclass__(cls) -> None:
        """Name each after what is wrong with it."""
        cls.name = cls.__name__.lower()

    def checkpoint(self, p: Primary) -> Steps:
        """As `split`, with the places to break in methods of their own."""
        yield from p.send(CHECKPOINT_REQUEST)
        yield from p.receive(CHECKPOINT_REPLY)
        with (yield from p.lock("stop")):
            yield from p.stop_guest()
        yield from p.send(VMSTATE_SEND)
        yield from p.savevm_state_begin()
        with (yield from p.lock(Purpose.SAVE)):
            yield from self.save(p)
        yield from p.send_size()
        yield from p.send_staged()
        yield from self.end(p)

    def end(self, p: Primary) -> Steps:
        """Wait for both answers, then let the guest run."""
        yield from p.receive(VMSTATE_RECEIVED)
        yield from p.receive(VMSTATE_LOADED)
        yield from p.start_guest()

    def load(self, s: Secondary) -> Steps:
        """As `split`, with the end to break in a method of its own."""
        yield from s.receive(CHECKPOINT_REQUEST)
        yield from s.send(CHECKPOINT_REPLY)
        yield from s.receive(VMSTATE_SEND)
        yield from s.loadvm_state_begin()
        yield from s.load_ram()
        yield from s.receive_size()
        yield from s.fill_staging()
        yield from self.load_state(s)

    def load_state(self, s: Secondary) -> Steps:
        """Load under the lock between the two answers."""
        yield from s.send(VMSTATE_RECEIVED)
        with (yield from s.lock(Purpose.LOAD)):
            yield from s.reset()
            yield from s.flush_cache()
            yield from s.load_device_state()
        yield from s.send(VMSTATE_LOADED)


class Impatient(Wrong):
    """Takes a lock that it has."""

    def save(self, p: Primary) -> Steps:
        """Take the lock once more, under the lock."""
        yield from p.lock(Purpose.SAVE)


class Thief(Wrong):
    """Takes a lock whose owner it has forgotten."""

    def save(self, p: Primary) -> Steps:
        """Save, forget the owner, then take the lock."""
        yield from super().save(p)
        p.host.lock.owner = None
        yield from p.lock("start")


class Greedy(Wrong):
    """Reads more than was sent."""

    def load(self, s: Secondary) -> Steps:
        """Take the request for longer than it is."""
        yield from s.receive(Message(CHECKPOINT_REQUEST.name, 8))
        yield s.env.event()


class Doubled(Wrong):
    """Loads one checkpoint's device state twice."""

    def load_state(self, s: Secondary) -> Steps:
        """Load, and load again."""
        with (yield from s.lock(Purpose.LOAD)):
            yield from s.load_device_state()
            yield from s.load_device_state()


class Torn(Wrong):
    """Waits for the primary between device state and RAM."""

    flush = Message("FLUSH")

    def end(self, p: Primary) -> Steps:
        """Tell the secondary when to flush."""
        yield from p.receive(VMSTATE_RECEIVED)
        yield from p.send(self.flush)
        yield from p.receive(VMSTATE_LOADED)
        yield from p.start_guest()

    def load_state(self, s: Secondary) -> Steps:
        """Load device state, and RAM when told to."""
        yield from s.load_device_state()
        yield from s.send(VMSTATE_RECEIVED)
        yield from s.receive(self.flush)
        yield from s.flush_cache()
        yield from s.send(VMSTATE_LOADED)


class Eager(Wrong):
    """Lets the guest run before the secondary has loaded."""

    def end(self, p: Primary) -> Steps:
        """Start between the two answers."""
        yield from p.receive(VMSTATE_RECEIVED)
        yield from p.start_guest()
        yield from p.receive(VMSTATE_LOADED)


class Liar(Wrong):
    """Says that it has loaded what it has not."""

    def load_state(self, s: Secondary) -> Steps:
        """Answer first, load afterwards."""
        yield from s.send(VMSTATE_RECEIVED)
        yield from s.send(VMSTATE_LOADED)


class Hasty(Remus):
    """Lets output leave that the secondary has no state for."""

    name = "hasty"

    def checkpoint(self, p: Primary) -> Steps:
        """Stop, copy, resume, send, and go on."""
        yield from p.send(CHECKPOINT_REQUEST)
        with (yield from p.lock(Purpose.SAVE)):
            yield from p.stop_guest()
            yield from p.save_vmstate()
            yield from p.start_guest()
        yield from p.send(VMSTATE_SEND)
        p.acknowledged()


class Promising(Remus):
    """Acknowledges what has not come."""

    name = "promising"

    def load(self, s: Secondary) -> Steps:
        """Answer the size."""
        yield from s.receive(CHECKPOINT_REQUEST)
        yield from s.receive(VMSTATE_SEND)
        yield from s.receive_size()
        yield from s.send(VMSTATE_RECEIVED)
        yield s.env.event()


class Undead(Wrong):
    """Saves by a process of its own, which no freeze stops."""

    def save(self, p: Primary) -> Steps:
        """Let a child process save, a second later."""
        yield p.env.process(self.save_later(p))

    def save_later(self, p: Primary) -> Steps:
        """Save after a timeout."""
        yield p.env.timeout(10**9)
        yield from super().save(p)
