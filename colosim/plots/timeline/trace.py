"""A Perfetto trace under way: tracks, and what happens on them, as TrackEvent packets.

The numbers are those of the fields in Perfetto's ``trace_packet.proto``, ``track_event.proto``,
``track_descriptor.proto`` and their kin; they never change.  The same calls give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from operator import itemgetter
from typing import NamedTuple

from colosim.plots.timeline.protobuf import block, fixed64, number, text

Arguments = Mapping[str, int | str]

_PACKET = 1
_TIMESTAMP, _SEQUENCE, _EVENT, _INTERNED, _FLAGS, _TRACK = 8, 10, 11, 12, 13, 60
_CLEARED, _NEEDED = 1, 2
_ONE_SEQUENCE = number(_SEQUENCE, 1)
_EXPLICIT_ORDER = 3


class _Type(IntEnum):
    """TrackEvent.Type."""

    BEGIN = 1
    END = 2
    INSTANT = 3
    COUNTER = 4


class Unit(IntEnum):
    """CounterDescriptor.Unit."""

    COUNT = 2
    BYTES = 3


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread's place in its process."""

    pid: int
    tid: int


class Flow(NamedTuple):
    """An arrow, by its number, and whether it ends here."""

    number: int
    ends: bool


@dataclass(frozen=True, slots=True)
class Slice:
    """Something that takes time on a track; `end_ns` is None if it never ended."""

    name: str
    category: str
    begin_ns: int
    end_ns: int | None
    arguments: Arguments = field(default_factory=dict)


class Trace:
    """Collects packets; `to_bytes` puts them in the order of time."""

    def __init__(self) -> None:
        self._descriptors: list[bytes] = []
        self._events: list[tuple[int, bytes, str | None]] = []
        self._flows = 0

    # ---- tracks --------------------------------------------------------------------------------

    def process(self, pid: int, name: str) -> int:
        """Add a process, whose tracks stand in the order in which they are added; return its id."""
        process = number(1, pid) + text(6, name)
        return self._track(block(3, process) + number(11, _EXPLICIT_ORDER))

    def thread(self, process: int, thread: Thread, name: str) -> int:
        """Add a thread's track and return its id."""
        content = number(1, thread.pid) + number(2, thread.tid) + text(5, name)
        return self._track(number(5, process) + block(4, content))

    def track(self, name: str, process: int | None = None) -> int:
        """Add a track of slices and instants, of a process or of its own, and return its id."""
        return self._track(text(2, name) + self._place(process))

    def counter_track(self, process: int, name: str, unit: Unit) -> int:
        """Add a counter's track and return its id."""
        return self._track(text(2, name) + self._place(process) + block(8, number(3, unit)))

    def _place(self, process: int | None) -> bytes:
        if process is None:
            return b""
        return number(5, process) + number(12, len(self._descriptors))

    def _track(self, content: bytes) -> int:
        uuid = len(self._descriptors) + 1
        self._descriptors.append(block(_TRACK, number(1, uuid) + content))
        return uuid

    def next_flow(self) -> int:
        """Return the number of another arrow."""
        self._flows += 1
        return self._flows

    # ---- what happens on them ------------------------------------------------------------------

    def slices(self, track: int, slices: Sequence[Slice]) -> list[Slice]:
        """Draw slices on a track, each inside those that contain it.

        Returns those left out: a slice cannot begin inside of another and end after it.
        """
        left: list[Slice] = []
        open_: list[Slice] = []
        for one in sorted(slices, key=_outer_first):
            while open_ and _ends(open_[-1]) <= one.begin_ns:
                self._end(track, open_.pop())
            if open_ and _ends(open_[-1]) < _ends(one):
                left.append(one)
                continue
            self._add(one.begin_ns, _Type.BEGIN, track, one.name, _details(one))
            open_.append(one)
        while open_:
            self._end(track, open_.pop())
        return left

    def _end(self, track: int, one: Slice) -> None:
        if one.end_ns is not None:
            self._add(one.end_ns, _Type.END, track)

    def instant(
        self,
        track: int,
        at_ns: int,
        name: str,
        category: str,
        arguments: Arguments | None = None,
        flow: Flow | None = None,
    ) -> None:
        """Mark a moment on a track, the end of an arrow if there is a `flow`."""
        details = text(22, category) + _annotations(arguments or {})
        if flow is not None:
            details += fixed64(48 if flow.ends else 47, flow.number)
        self._add(at_ns, _Type.INSTANT, track, name, details)

    def count(self, track: int, at_ns: int, value: int) -> None:
        """Set a counter."""
        self._add(at_ns, _Type.COUNTER, track, None, number(30, value))

    def _add(
        self, at_ns: int, kind: _Type, track: int, name: str | None = None, details: bytes = b""
    ) -> None:
        self._events.append((at_ns, number(9, kind) + number(11, track) + details, name))

    # ---- bytes ---------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """Return the trace; what happens at one time keeps its order on each track.

        Times are ns since the first event if one is before 0, which no trace can have.
        """
        return b"".join(block(_PACKET, packet + _ONE_SEQUENCE) for packet in self._packets())

    def _packets(self) -> Iterator[bytes]:
        for index, descriptor in enumerate(self._descriptors):
            yield descriptor if index else descriptor + number(_FLAGS, _CLEARED)
        names: dict[str, int] = {}
        events = sorted(self._events, key=itemgetter(0))
        zero = min(0, events[0][0]) if events else 0
        for at_ns, event, name in events:
            packet = number(_TIMESTAMP, at_ns - zero) + number(_FLAGS, _NEEDED)
            content = event
            if name is not None:
                if name not in names:
                    names[name] = len(names) + 1
                    known = number(1, names[name]) + text(2, name)
                    packet += block(_INTERNED, block(2, known))
                content += number(10, names[name])
            yield packet + block(_EVENT, content)


def _ends(one: Slice) -> float:
    return float("inf") if one.end_ns is None else one.end_ns


def _outer_first(one: Slice) -> tuple[int, float]:
    return one.begin_ns, -_ends(one)


def _details(one: Slice) -> bytes:
    return text(22, one.category) + _annotations(one.arguments)


def _annotations(arguments: Arguments) -> bytes:
    return b"".join(
        block(4, text(10, name) + (text(6, value) if isinstance(value, str) else number(4, value)))
        for name, value in arguments.items()
    )
