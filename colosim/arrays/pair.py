"""A pair at many points at once, as long as nothing fails: both sides of a design on columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from colosim.arrays.column import Refused, column, everywhere, plain, some
from colosim.arrays.direction import Direction
from colosim.arrays.threads import Environment, Thread
from colosim.designs.disk import Disk, connect
from colosim.designs.frame import primary_thread, secondary_thread
from colosim.designs.sides import sides_of
from colosim.engine.streams import Streams
from colosim.host.guest import dirty_pages
from colosim.host.host import Host, hosts_of
from colosim.host.lock import IothreadLock
from colosim.network.connection import Connection, ack_phase_ns
from colosim.trace.events import COMMITTED, OTHER, SECONDARY, CheckpointEnded, LockGot
from colosim.trace.record import Record

if TYPE_CHECKING:
    from colosim.arrays.column import Column
    from colosim.designs.design import Design
    from colosim.scenario.model import Scenario
    from colosim.trace.purpose import Purpose
    from colosim.trace.steps import OwnNames

_COMMIT = CheckpointEnded(COMMITTED)
CONTENDED = "two threads want the iothread lock"


class Lock(IothreadLock):
    """The iothread lock, as long as no two threads want it at once."""

    _last: Any = None
    _free_since: Any = 0

    def acquire(self, thread: Any, purpose: Purpose) -> Any:
        """Take the lock.

        :raises Refused: if a thread has it.
        """
        if self.owner is not None:
            raise Refused(CONTENDED)
        if self._last not in {None, thread}:
            thread.env.refuse(self._free_since >= thread.now, CONTENDED)
        self.owner, self.purpose, self.since_ns = thread, purpose, thread.now
        self._record.add(self._codes[LockGot, thread.name, purpose], 0)
        return ()

    def release(self, thread: Any, *, sleeps: bool = False) -> None:
        """Give it back."""
        super().release(thread, sleeps=sleeps)
        self._last, self._free_since = thread, thread.now


def _differ(one: Any, other: Any) -> bool:
    return bool(some(plain(one) != plain(other)))


class ArrayHost(Host):
    """One side of the pair."""

    def thread(self, name: str) -> Any:
        """Return a new thread of the process."""
        return Thread(self, name)

    @staticmethod
    def remembered(function: Any) -> Any:
        """Return `function` with a memory of its latest answer: columns cannot be looked up."""
        latest: tuple[Any, ...] = ()
        answer: Any = None

        def remembering(*given: Any) -> Any:
            nonlocal latest, answer
            if not latest or any(map(_differ, given, latest)):
                latest, answer = given, function(*given)
            return answer

        return remembering


class NoFailover:
    """A failover that nobody asks for."""

    requested = relaunching = loading = False
    sleeper = None

    def __getattr__(self, name: str) -> Any:
        """Refuse what only the simulation has."""
        raise Refused(f"a design that uses failover.{name}")


class Pair:
    """A design under a scenario, of whose numbers some are columns of so many points."""

    def __init__(self, scenario: Scenario, design: Design, own: OwnNames, points: int) -> None:
        self.env = Environment(points)
        env: Any = self.env
        self.record = record = Record(env, keep=False, own=own)
        self.design, self.checkpoints = design, scenario.checkpoints or 0
        self.ends: list[Column] = []
        self.sent_at_end: Any = 0
        """What the primary sends in the instant of the end, before its first wait."""
        self._yields = 0
        traits, network, seed = design.traits, scenario.network, scenario.seed
        phase_ns = ack_phase_ns(network, seed)
        kind: Any = Direction
        hosts = hosts_of(scenario, env, record, Lock, ArrayHost)
        for host in hosts.values():
            host.guest.dirty_after = dirty_pages(scenario.guest, Streams(seed))
        connection = Connection(env, record, network, phase_ns, kind, traits.channels)
        disk = None
        if scenario.disk is not None:
            linked = connect(env, record, network, scenario.disk, phase_ns, kind)
            disk = Disk(scenario.disk, hosts, linked, lambda *_: None)
        none: Any = NoFailover
        sides = sides_of(traits, scenario, seed, hosts, connection, {s: none() for s in OTHER})
        self.primary, self.secondary = sides
        self.primary.disk = self.secondary.disk = disk
        self.primary.on_end = self._checkpoint_ends
        self.starts_apart = traits.starts_apart(kvm=hosts[SECONDARY].kvm)

    def run(self) -> None:
        """Run to the end of the last checkpoint.

        :raises Refused: if the design is not for arrays.
        :raises Diverged: where the points do not take the same way.
        :raises OutOfRange: where a number is too large.
        """
        env, primary, secondary = self.env, self.primary, self.secondary
        threads: tuple[Any, Any] = (primary.thread, secondary.thread)
        primary.host.guest.run()
        if self.design.traits.secondary_runs:
            secondary.host.guest.run()
        primary.thread.start(primary_thread(self.design, primary))
        secondary.thread.start(secondary_thread(self.design, secondary))
        if not env.drive(lambda: len(self.ends) == self.checkpoints):
            env.part_writers()
            raise Refused("threads wait for each other")
        self._count_next_request(threads[0])
        # Up to the end of the run the secondary still does what counts.
        threads[0].stop()
        env.drive(lambda: everywhere(threads[1].now > self.ends[-1]))
        threads[1].stop()

    def _count_next_request(self, thread: Any) -> None:
        calls = [call for call in self.env.calls if call.thread is thread and call.sends]
        if calls and thread.yields == self._yields + 1:
            self.sent_at_end = calls[0].amount * np.asarray(thread.now == self.ends[-1])

    def _checkpoint_ends(self) -> None:
        primary, thread = self.primary, self.env.running
        self._yields = thread.yields
        if not bool(column(primary.running_ns) > primary.begun_ns):
            raise Refused("a checkpoint at whose end the guest does not run again")
        self.ends.append(thread.now)
        self.record.note(_COMMIT, primary.checkpoint)
