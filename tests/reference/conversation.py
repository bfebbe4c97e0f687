"""One connection, two little threads that talk over it by a script, and faults: fast or reference.

The script is one list of what passes in order, each `Passes` written by one side and read by the
other; a side does its part of it, step by step, as a design's verbs do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from colosim.engine.environment import Environment
from colosim.engine.streams import Streams
from colosim.faults.effects import Effects
from colosim.faults.injection import Injector
from colosim.host.host import Host
from colosim.host.process import Thread
from colosim.network.connection import Connection
from colosim.network.direction import Direction
from colosim.network.section import Section
from colosim.network.tcp import StreamError
from colosim.runs.simulation import MODELS
from colosim.scenario import loads
from colosim.trace.events import OTHER, PRIMARY, SECONDARY
from colosim.trace.record import Record

if TYPE_CHECKING:
    from collections.abc import Generator

    from simpy.events import Event

    from colosim.scenario import Scenario

    Steps = Generator[Event, None, None]

SIDES = (PRIMARY, SECONDARY)
HORIZON_NS = 10**13
WAKE_NS = 1000


@dataclass(frozen=True)
class Passes:
    """Something of `size` bytes passes from `sender`.

    `spent_ns`: what a bulk write takes writer and reader alone; None for a message.  `before_ns`:
    what they work before.  `strikes`: a fault in the very instant at which the send has returned.
    """

    sender: str
    size: int
    spent_ns: tuple[int, int] | None = None
    before_ns: tuple[int, int] = (0, 0)
    strikes: str = ""


Ends = dict[tuple[str, int], tuple[int, str]]
"""When each step of a side ended, and how: ``""`` or why it failed."""


@dataclass
class Told:
    """What came of a conversation."""

    ends: Ends = field(default_factory=dict)
    levels: list[tuple[int, ...]] = field(default_factory=list)
    strikes: list[tuple[int, str]] = field(default_factory=list)

    @property
    def end_ns(self) -> int:
        """When the last step ended."""
        return max((at_ns for at_ns, _ in self.ends.values()), default=0)


def scenario_of(network: str, faults: str, model: str) -> Scenario:
    """Return a scenario with a network, faults and a model; the rest is as it comes."""
    text = (
        f"name: x\nmodel: {model}\nguest: {{ram: 16 MiB}}\nnetwork: {network}\nfaults: {faults}\n"
    )
    return loads(text, file="conversation.yaml")


class Conversation:
    """A script over one connection."""

    def __init__(
        self, scenario: Scenario, script: list[Passes], looks_ns: list[int] | None = None
    ) -> None:
        self.env = env = Environment()
        record = Record(env, keep=True)
        lock, direction = MODELS[scenario.model]
        self.hosts = {
            side: Host(
                side,
                env,
                record,
                getattr(scenario.hosts, side).costs,
                scenario.guest,
                scenario.memory,
                lock,
            )
            for side in SIDES
        }
        self.connection = Connection(env, record, scenario.network, 0, direction)
        effects = Effects(env, record, self.hosts, self.connection, {}, drops_commands=False)
        self.injector = Injector(env, record, effects)
        self.script = script
        self.told = Told()
        self.injector.arm(scenario.faults, Streams(1))
        for side in SIDES:
            thread = Thread(self.hosts[side], "thread")
            thread.start(self._run(side, thread))
        for at_ns in looks_ns or ():
            env.call_at(at_ns, self._look)

    def run(self) -> Told:
        """Run to the end and tell what came of it."""
        self.env.drive(HORIZON_NS)
        return self.told

    def _look(self) -> None:
        directions = (self.connection.to_secondary, self.connection.to_primary)
        levels = [
            level
            for one in directions
            for level in (
                one.levels_at(self.env.now, lambda *_: None)
                if isinstance(one, Direction)
                else one.levels_now()
            )
        ]
        self.told.levels.append((self.env.now, *levels))

    def _run(self, side: str, thread: Thread) -> Steps:
        for index, step in enumerate(self.script):
            writes = step.sender == side
            yield thread.work(step.before_ns[not writes])
            key, reason = (side, index), ""
            try:
                yield from self._write(side, step) if writes else self._read(side, step)
            except StreamError as error:
                reason = error.reason
            self.told.ends[key] = (self.env.now, reason)
            if reason:
                return
            if writes and step.strikes:
                self.env.call_at(self.env.now, partial(self._strike, step.strikes))
                yield thread.work(0)

    def _strike(self, what: str) -> None:
        self.told.strikes.append((self.env.now, what))
        self.injector.strike(scenario_of("{}", f"[{{{what}, at: 0 s}}]", "fast").faults[0])

    def _write(self, side: str, step: Passes) -> Steps:
        outgoing, _ = self.connection.of(side)
        spent = step.spent_ns
        waits = (
            outgoing.write(Section(0, step.size), spent[0]) if spent else outgoing.send(step.size)
        )
        if waits is not None:
            yield waits
            outgoing.wrote()

    def _read(self, side: str, step: Passes) -> Steps:
        _, incoming = self.connection.of(side)
        spent = step.spent_ns
        if spent is not None:
            waits = incoming.read(lambda _section: spent[1])
        else:
            waits = incoming.receive(step.size, WAKE_NS)
        if waits is not None:
            yield waits
        incoming.has_read()


__all__ = ["OTHER", "SIDES", "WAKE_NS", "Conversation", "Passes", "Told", "scenario_of"]
