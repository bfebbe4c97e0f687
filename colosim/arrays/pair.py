"""A pair at many points at once: both sides of a design, driven on columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from colosim.arrays.column import Refused, column
from colosim.arrays.direction import Direction
from colosim.arrays.draws import leads
from colosim.arrays.host import Host, Ledger, Lock, Stub
from colosim.arrays.threads import Environment
from colosim.designs.disk import Disk, connect
from colosim.designs.frame import primary_thread, secondary_thread
from colosim.designs.sides import sides_of
from colosim.host.guest import Guest
from colosim.host.host import STREAM_BUFFERS_BYTES, bitmap_bytes
from colosim.host.monitor import Monitor
from colosim.network.connection import Connection
from colosim.scenario.presets import KVM
from colosim.trace.events import OTHER, PRIMARY, SECONDARY, GuestRunning, GuestStopped
from colosim.trace.purpose import Purpose
from colosim.trace.quantities import HOLDS, PAUSE, REQUEST, SPANS, WIRE_BYTES, is_sent, span
from colosim.trace.record import code_of, event_of
from colosim.trace.steps import POINTS, OwnNames, check_names

if TYPE_CHECKING:
    from colosim.arrays.column import Column, Ints
    from colosim.designs.design import Design
    from colosim.scenario.model import Scenario
    from colosim.trace.events import Event

DEAF: Final = "monitor_deaf_ns"
TIE: Final = "both ends act in one instant"
NONE: Final = -1
"""The longest hold where there is none."""
_SPANNED: Final = {point for begin, ends in SPANS.values() for point in (begin, *ends)}
_POINTS: Final = tuple(point for point in POINTS if point.full_name in _SPANNED)


class Seen:
    """The record, of which is kept only what the quantities of checkpoints are made of."""

    keep = False

    def __init__(self, env: Environment, own: OwnNames) -> None:
        self.env = env
        self.own = own
        self.pending = self
        self.sides: dict[str, Any] = {}
        self.sent: Any = 0
        self.runs: list[Column] = []
        """When the primary's guest was let run."""
        self.stops: list[Column] = []
        self.points: dict[tuple[str, int], Column] = {}
        """When a side reached a point in its so-and-so-manieth checkpoint."""
        self.sent_before: dict[int, Any] = {}
        self._after: set[tuple[Event, int]] = set()
        self._handlers: dict[int, list[Callable[[Any], None]]] = {}

    def code(self, event: Event) -> int:
        """Return the code of an event of this design.

        :raises DesignError: as `colosim.trace.record.Record.code`.
        """
        check_names(event, self.own)
        return code_of(event)

    def note(self, event: Event, value: Any = 0) -> None:
        """Note that `event` happens now."""
        self.add(self.code(event), value)

    def extend(self, noted: tuple[Any, int, Any]) -> None:
        """Note an event with its time, which is now."""
        self.add(noted[1], noted[2])

    def add(self, code: int, value: Any = 0) -> None:
        """Note that `code` happens now."""
        handlers = self._handlers.get(code)
        if handlers is None:
            handlers = self._handlers[code] = list(self._of(event_of(code)))
        for handle in handlers:
            handle(value)

    def _of(self, event: Event) -> Iterator[Callable[[Any], None]]:
        """Yield what is done with an event."""
        if event == REQUEST:
            yield self._begin
        if is_sent(event):
            yield self._send
        if event == GuestStopped(PRIMARY):
            yield lambda _: self.stops.append(self.env.now)
        if event == GuestRunning(PRIMARY):
            yield lambda _: self.runs.append(self.env.now)
        for point in _POINTS:
            if event in point.events:
                yield self._reach(point.side, point.full_name, point.after)
            if event == point.after:
                yield self._mark(event, point.side)

    def _begin(self, _value: Any) -> None:
        self.sent_before.setdefault(self.sides[PRIMARY].checkpoint, self.sent)

    def _send(self, amount: Any) -> None:
        self.sent = self.sent + amount

    def _mark(self, event: Event, side: str) -> Callable[[Any], None]:
        return lambda _value: self._after.add((event, self.sides[side].checkpoint))

    def _reach(self, side: str, name: str, after: Event | None) -> Callable[[Any], None]:
        def reach(_value: Any) -> None:
            if not self.sent_before:
                return  # before the first request
            number = self.sides[side].checkpoint
            if side == PRIMARY and number not in self.sent_before:
                return
            if after is None or (after, number) in self._after:
                self.points.setdefault((name, number), self.env.now)

        return reach


class Pair:
    """A design under a scenario, of whose numbers some are columns of so many points.

    `ack_phase_ns`: where the grid of delayed ACKs lies.
    """

    def __init__(
        self,
        scenario: Scenario,
        design: Design,
        own: OwnNames,
        *,
        points: int,
        ack_phase_ns: Any,
    ) -> None:
        self.env = env = Environment(points)
        self.seen = seen = Seen(env, own)
        self.design = design
        self.ends: list[Column] = []
        self._wire: list[Any] = []
        self._yields = 0
        self._checkpoints = scenario.checkpoints
        traits, guest = design.traits, scenario.guest
        stand_ins: Any = (env, seen, Direction)
        clock, record, direction = stand_ins
        connection = Connection(
            clock, record, scenario.network, ack_phase_ns, direction, traits.channels
        )
        kinds = sides_of(traits, guest.late_writes_pages_per_s)
        sides = {}
        for side, kind in zip(OTHER, kinds, strict=True):
            model = getattr(scenario.hosts, side)
            host = Host(
                "host",
                env=env,
                side=side,
                costs=model.costs,
                guest_model=guest,
                record=seen,
                kvm=model.accelerator == KVM,
                guest=Guest(side, clock, record, guest),
                frozen=False,
                spread=None,
                ledger=Ledger(),
                lock=Lock(env),
            )
            process: Any = host
            process.monitor = Monitor(process, process.lock)
            host.ledger.hold("dirty_bitmap", bitmap_bytes(guest.ram_bytes))
            host.ledger.hold("stream_buffers", STREAM_BUFFERS_BYTES)
            failover = Stub(
                "failover", requested=False, relaunching=False, loading=False, sleeper=None
            )
            ledger: Any = host.ledger
            staging = traits.staging(ledger, flat=traits.flat_staging)
            name = "checkpoint thread" if side == PRIMARY else "COLO incoming thread"
            made: Any = kind
            sides[side] = made(
                traits, host, host.thread(name), *connection.of(side), staging, failover
            )
        seen.sides = sides
        self.primary, self.secondary = sides[PRIMARY], sides[SECONDARY]
        if scenario.disk is not None:
            linked = connect(
                clock, record, scenario.network, scenario.disk, ack_phase_ns, direction
            )
            hosts = {side: one.host for side, one in sides.items()}
            self.primary.disk = self.secondary.disk = Disk(
                scenario.disk, hosts, linked, lambda *_: None
            )
        env.has_channels = traits.channels > 0
        if traits.channels:
            channels = connection.all_of(connection.to_secondary)[1:]
            self.primary.open_channels(channels, partial(leads, scenario))
            self.secondary.open_channels(channels)
        if traits.ram_cache:
            ledger = self.secondary.host.ledger
            ledger.hold("ram_cache", guest.ram_bytes)
            ledger.hold("cache_bitmap", bitmap_bytes(guest.ram_bytes))
        self.primary.delay_ns = scenario.checkpoint_delay_ns
        self.primary.on_end = self._checkpoint_ends

    def run(self) -> None:
        """Run to the end of the last checkpoint.

        :raises Refused: if the design is not for arrays.
        :raises Diverged: where the points do not take the same way.
        :raises OutOfRange: where a number is too large.
        """
        env, primary, secondary = self.env, self.primary, self.secondary
        primary.host.guest.run()
        if self.design.traits.secondary_runs:
            secondary.host.guest.run()
        primary.thread.start(primary_thread(self.design, primary))
        secondary.thread.start(secondary_thread(self.design, secondary))
        if not env.drive(lambda: len(self.ends) == self._checkpoints):
            raise Refused("threads wait for each other")
        self._count_next_request()
        # Up to the end of the run the secondary still does what counts.
        primary.thread.stop()
        env.drive(lambda: bool((np.asarray(secondary.thread.now) > self.ends[-1]).all()))
        for thread in (primary.thread, secondary.thread):
            thread.stop()

    def _count_next_request(self) -> None:
        """Count what the primary sends in the instant of the end, before its first wait."""
        thread = self.primary.thread
        calls = [call for call in self.env.calls if call.thread is thread and call.sends]
        if calls and thread.yields == self._yields + 1:
            at_once = np.asarray(thread.now == self.ends[-1])
            self.seen.sent = self.seen.sent + calls[0].amount * at_once

    def _checkpoint_ends(self) -> None:
        primary = self.primary
        self._yields = primary.thread.yields
        if not bool(column(primary.running_ns) > primary.begun_ns):
            raise Refused("a checkpoint at whose end the guest does not run again")
        self.ends.append(self.env.now)
        self._wire.append(self.seen.sent - self.seen.sent_before.get(primary.checkpoint, 0))

    # ---- what came of it ----------------------------------------------------------------------

    def quantities(self) -> dict[str, Ints]:
        """Return (checkpoint, point) of each quantity of `colosim.trace.quantities`; NONE: none."""
        count, seen = len(self.ends), self.seen
        if len(seen.stops) != count or len(seen.sent_before) < count:
            raise Refused("a checkpoint without one request and one pause")
        found: dict[str, list[Any]] = {name: [] for name in SPANS}
        for number in range(count):
            points: dict[str, Any] = {
                name: at for (name, of), at in seen.points.items() if of == number
            }
            begin = points["primary_request"]
            for name, at in points.items():
                if name.startswith(SECONDARY):
                    outside = (at <= begin) | (at >= self.ends[number])
                    self.env.refuse(np.asarray(outside), "a checkpoint that overlaps the next")
            for name in SPANS:
                spent = span(name, points)
                found[name].append(NONE if spent is None else spent)
        found[PAUSE] = [
            ran - stopped for stopped, ran in zip(seen.stops, seen.runs[1:], strict=True)
        ]
        found[WIRE_BYTES] = self._wire
        for side, name in HOLDS.items():
            found[name] = self._longest(side, lambda purpose: purpose.moves_state)
        deaf = [self._longest(side, lambda of: of is not Purpose.MONITOR) for side in OTHER]
        found[DEAF] = [np.maximum(*both) for both in zip(*deaf, strict=True)]
        found[DEAF][:-1] = [np.maximum(0, longest) for longest in found[DEAF][:-1]]
        return {name: self._rows(values) for name, values in found.items()}

    def _rows(self, values: list[Any]) -> Ints:
        rows = np.empty((len(values), len(self.env.begin)), np.int64)
        for row, value in zip(rows, values, strict=True):
            row[:] = value
        return rows

    def deaf_longest(self) -> Ints:
        """Return the longest time in which a monitor was deaf, up to the end of the run."""
        longest = np.zeros(len(self.env.begin), np.int64)
        for side in (self.primary, self.secondary):
            for purpose, since, until in self._holds(side.name):
                if purpose is not Purpose.MONITOR:
                    longest = np.maximum(longest, np.minimum(until, self.ends[-1]) - since)
        return longest

    def _holds(self, side: str) -> Iterator[tuple[Purpose, Ints, Ints]]:
        """Yield purpose, begin and end of every hold; one that is open ends after the run."""
        lock: Lock = (self.primary if side == PRIMARY else self.secondary).host.lock
        for purpose, since, until in lock.holds:
            yield purpose, np.asarray(since), np.asarray(until)
        if lock.owner is not None:
            begin = np.asarray(lock.since)
            yield lock.purpose, begin, np.maximum(begin, np.asarray(self.ends[-1]) + 1)

    def _longest(self, side: str, counts: Callable[[Purpose], bool]) -> list[Ints]:
        """Return the longest hold that ended in each checkpoint, and last the one that is open."""
        begins = [np.asarray(self.seen.points["primary_request", k]) for k in range(len(self.ends))]
        ends = [np.asarray(end) for end in self.ends]
        longest = [np.full(len(self.env.begin), NONE)] * (len(ends) + 1)
        number = 0
        for purpose, since, until in self._holds(side):
            if not counts(purpose):
                continue
            if side == SECONDARY:
                self.env.refuse(since == ends[-1], TIE)
            while number + 1 < len(ends) and (until > ends[number]).all():
                number += 1
            if ((until > begins[number]) & (until < ends[number])).all():
                longest[number] = np.maximum(longest[number], until - since)
                continue
            for k in range(number, len(ends)):
                if side == SECONDARY:
                    self.env.refuse((until == ends[k]) | (until == begins[k]), TIE)
                inside = (until > begins[k]) & (until <= ends[k])
                longest[k] = np.maximum(longest[k], np.where(inside, until - since, NONE))
                if (until <= ends[k]).all():
                    break
            else:
                is_open = (since <= ends[-1]) & (until > ends[-1])
                held = np.where(is_open, ends[-1] - since, NONE)
                longest[-1] = np.maximum(longest[-1], held)
        return longest
