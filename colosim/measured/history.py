"""A real log told in the simulator's words: one side's events, as a simulated run records them.

Events are those of a simulated run's record (`colosim.trace.events`), so that tables, differences
and the check against a design's protocol need know of one language only.
A step's duration is the time between the two points of the log that stand around it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from colosim.measured.log import (
    BitmapSync,
    CacheFlush,
    FailoverState,
    GuestState,
    MessageReceived,
    MessageSent,
    MigrationState,
    MonitorCommand,
    RamLoaded,
    RunState,
)
from colosim.measured.sides import sides
from colosim.trace.events import (
    CommandServed,
    FailoverChanged,
    GuestRunning,
    GuestStopped,
    MigrationChanged,
    PagesCounted,
    Received,
    Sent,
    ServesAlone,
    StepDone,
    StreamEnded,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from colosim.measured.log import Log, LogEvent
    from colosim.trace.events import OnSide

__all__ = [
    "READY",
    "STAGES",
    "TRACE",
    "Happening",
    "History",
    "of_trace",
]

TRACE, STAGES = "trace", "stages"
"""What kind of log: QEMU's own trace events, or the lab's stage lines."""

READY = "CHECKPOINT_READY"

_NO_NAME = re.compile(r"[^A-Z0-9_]")
_NAME_LIMIT = 64
_MESSAGE_BYTES = {"VMSTATE_SIZE": 12}
_CODE_BYTES = 4
_RUN_STATES = {"9": "running", "15": "colo"}
"""QEMU's numbers of run states, where a log has no names (before 4.2)."""
_COMMANDS = {"x_colo_lost_heartbeat": "x-colo-lost-heartbeat"}


class Happening(NamedTuple):
    """One event of one side: its line, its time if the log has it, and its value."""

    line: int
    time_ns: int | None
    event: OnSide
    value: int


@dataclass(frozen=True, slots=True)
class History:
    """What one side's log tells.

    ``shows`` has the kinds of step that this log would show if they happened, beside messages:
    ``guest``, ``bitmap sync``, ``RAM load``, ``cache flush``.  ``entered``: the log has the entry
    into COLO, so its first checkpoint is seen from its beginning.  ``wire_bytes``: by number of the
    checkpoint, bytes sent to the secondary, where the log has them.
    """

    side: str
    source: str
    kind: str
    happenings: tuple[Happening, ...]
    shows: frozenset[str]
    entered: bool
    lines: int
    other_events: int
    unknown_lines: int
    truncated: bool
    wire_bytes: dict[int, int] = field(default_factory=dict)

    @property
    def has_times(self) -> bool:
        """Whether every event has a time."""
        return all(one.time_ns is not None for one in self.happenings)

    def provenance(self) -> dict[str, Any]:
        """Return what a manifest says of this log."""
        return {
            "source": self.source,
            "side": self.side,
            "kind": self.kind,
            "lines": self.lines,
            "other_events": self.other_events,
            "unknown_lines": self.unknown_lines,
            "truncated": self.truncated,
            "times": self.has_times,
        }


def message_name(message: str) -> str:
    """Return a message's name as the designs spell it, ``?`` for what no name has."""
    return _NO_NAME.sub("?", message.upper().replace("-", "_"))[:_NAME_LIMIT]


def _state(state: str) -> str:
    return state[:_NAME_LIMIT]


class _Teller:
    """Turns the typed events of one side into happenings, one after the other."""

    def __init__(self, side: str, events: tuple[LogEvent, ...]) -> None:
        self.told: list[Happening] = []
        self._side = side
        self._states = any(isinstance(event, GuestState) for event in events)
        self._running_since: int | None = None
        self._last: OnSide | None = None
        self._message_ns: int | None = None
        self._flush: tuple[int | None, int] | None = None
        self._sync: int | None = None
        self._counter = _DirtyCounter()
        self._failover = False

    def tell(self, event: LogEvent) -> None:
        """Add what `event` says."""
        for kind, method in _TOLD:
            if isinstance(event, kind):
                method(self, event)
                return

    def add(self, event: LogEvent, told: OnSide, value: int = 0) -> None:
        """Add what a line of the log means."""
        self.told.append(Happening(event.line, event.time_ns, told, value))

    def sent(self, event: MessageSent) -> None:
        """A message was sent."""
        name = self._name(event.message)
        self._message(event, Sent(self._side, name))

    def received(self, event: MessageReceived) -> None:
        """A message was read."""
        name = self._name(event.message)
        self._message(event, Received(self._side, name))

    def _message(self, event: LogEvent, told: Sent | Received) -> None:
        self._last, self._message_ns = told, event.time_ns
        self.add(event, told, _MESSAGE_BYTES.get(told.message, _CODE_BYTES))

    def _name(self, message: str) -> str:
        name = message_name(message)
        if name == READY:
            self._failover = False  # entered anew
        return name

    def guest(self, event: GuestState) -> None:
        """COLO stopped or started the guest."""
        self._guest(event, running=event.running)

    def _guest(self, event: LogEvent, *, running: bool) -> None:
        spent = _since(self._message_ns, event.time_ns)
        if running:
            self._running_since = event.time_ns
            if self._last == Received(self._side, "VMSTATE_LOADED"):
                self.add(event, StepDone(self._side, "start"), spent)
            self.add(event, GuestRunning(self._side))
        else:
            match self._last:
                case Received(_, "CHECKPOINT_REPLY" | "CHECKPOINT_REQUEST"):
                    self.add(event, StepDone(self._side, "stop"), spent)
            ran_ns = _since(self._running_since, event.time_ns)
            self.add(event, GuestStopped(self._side), ran_ns)

    def run_state(self, event: RunState) -> None:
        """Take a run state where no COLO event tells of the guest: in a failover, or in no log."""
        if self._states and not self._failover:
            return
        state = _RUN_STATES.get(event.new, event.new)
        if state in {"running", "colo"}:
            self._guest(event, running=state == "running")
        if state == "running" and self._failover:
            self.add(event, ServesAlone(self._side))

    def migration(self, event: MigrationState) -> None:
        """The migration's state changed."""
        self.add(event, MigrationChanged(self._side, _state(event.state)))

    def failover(self, event: FailoverState) -> None:
        """The failover's state changed."""
        self._failover = True
        self.add(event, FailoverChanged(self._side, _state(event.state)))

    def sync(self, event: BitmapSync) -> None:
        """A bitmap sync began or ended."""
        if event.dirty_pages is None:
            self._sync = event.time_ns
            self._counter.begins(event.time_ns)
            return
        spent = _since(self._sync, event.time_ns)
        self.add(event, StepDone(self._side, "bitmap sync"), spent)
        pages = self._counter.ends(event.time_ns, event.dirty_pages)
        if pages is not None:
            self.add(event, PagesCounted(self._side, "dirty"), pages)

    def flush(self, event: CacheFlush) -> None:
        """A cache flush began or ended."""
        if event.dirty_pages is not None:
            self._flush = (event.time_ns, event.dirty_pages)
            return
        begun, pages = self._flush or (None, -1)
        self._flush = None
        self.add(event, StepDone(self._side, "cache flush"), _since(begun, event.time_ns))
        if pages >= 0:
            self.add(event, PagesCounted(self._side, "flushed"), pages)

    def loaded(self, event: RamLoaded) -> None:
        """A RAM stream was read to its end."""
        self.add(event, StreamEnded(self._side, "RAM load"))

    def command(self, event: MonitorCommand) -> None:
        """A monitor command was served."""
        if event.begin and event.command in _COMMANDS:
            self.add(event, CommandServed(self._side, _COMMANDS[event.command]))
        elif event.begin and event.command == "yank":
            self.add(event, CommandServed(self._side, "yank", out_of_band=True))


_TOLD: tuple[tuple[type[LogEvent], Callable[[_Teller, Any], None]], ...] = (
    (MessageSent, _Teller.sent),
    (MessageReceived, _Teller.received),
    (GuestState, _Teller.guest),
    (RunState, _Teller.run_state),
    (MigrationState, _Teller.migration),
    (FailoverState, _Teller.failover),
    (BitmapSync, _Teller.sync),
    (CacheFlush, _Teller.flush),
    (RamLoaded, _Teller.loaded),
    (MonitorCommand, _Teller.command),
)


def _since(begun: int | None, ended: int | None) -> int:
    return 0 if begun is None or ended is None else max(0, ended - begun)


class _DirtyCounter:
    """Dirty pages of one sync, from a counter that QEMU resets about once a second.

    After a sync that ends more than 1 s after the last reset it begins again from 0
    (migration_bitmap_sync in migration/ram.c).  Without times nothing can be said.
    """

    def __init__(self) -> None:
        self._counted = 0
        self._reset_ns: int | None = None

    def begins(self, time_ns: int | None) -> None:
        """A sync begins: the first one starts the period."""
        if self._reset_ns is None:
            self._reset_ns = time_ns

    def ends(self, time_ns: int | None, counter: int) -> int | None:
        """A sync ends with this counter; return its own pages."""
        if time_ns is None:
            return None
        pages = counter - self._counted if counter >= self._counted else counter
        self._counted = counter
        if self._reset_ns is None or time_ns > self._reset_ns + 10**9:
            self._counted = 0
            self._reset_ns = time_ns
        return pages


_ENTRY_STATES = {"setup", "active", "colo"}


def of_trace(log: Log) -> list[History]:
    """Return the history of a trace log's side, or of both if it has two in it.

    :raises colosim.errors.LogError: if the log does not show whose it is.
    """
    return [_history(log, side, events) for side, events in sides(log)]


def _history(log: Log, side: str, events: tuple[LogEvent, ...]) -> History:
    teller = _Teller(side, events)
    for event in events:
        teller.tell(event)
    return History(
        side=side,
        source=log.source,
        kind=TRACE,
        happenings=tuple(teller.told),
        shows=frozenset(_shown(events)),
        entered=any(
            (isinstance(event, MigrationState) and event.state in _ENTRY_STATES)
            or (
                isinstance(event, MessageSent | MessageReceived)
                and message_name(event.message) == READY
            )
            for event in events
        ),
        lines=log.lines,
        other_events=log.other_events,
        unknown_lines=log.unknown_lines,
        truncated=log.truncated,
    )


def _shown(events: tuple[LogEvent, ...]) -> Iterator[str]:
    for event in events:
        if isinstance(event, GuestState | RunState):
            yield "guest"
        elif isinstance(event, BitmapSync):
            yield "bitmap sync"
        elif isinstance(event, RamLoaded):
            yield "RAM load"
        elif isinstance(event, CacheFlush):
            yield "cache flush"
