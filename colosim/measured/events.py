"""A real log as typed events: what one side did, in the words of a simulated run's record.

Events are those of `colosim.trace.events`, so that tables, summaries, figures and the check against
a design's protocol know one language only.  A step's duration is the time between the two points
of the log that stand around it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from colosim.measured import qmp
from colosim.measured.log import log_events, of_monitor
from colosim.measured.rows import Rows
from colosim.trace.events import (
    ColoExit,
    CommandServed,
    FailoverChanged,
    FunctionFailed,
    GuestRunning,
    GuestStopped,
    MigrationChanged,
    OperatorSends,
    PagesCounted,
    Received,
    Sent,
    ServesAlone,
    StepDone,
    StreamEnded,
)
from colosim.trace.steps import BITMAP_SYNC, CACHE_FLUSH, RAM_LOAD, START, STOP

if TYPE_CHECKING:
    from colosim.measured.log import Log, LogEvent
    from colosim.trace.events import OnSide

TRACE, STAGES, MONITOR = "trace", "stages", "monitor"
"""What kind of log: QEMU's own trace events, the lab's stage lines, or a monitor's events alone."""
OF_MONITOR: Final = "events of QEMU's monitor"
"""The kind of an imported run that shows a monitor's events alone."""

READY: Final = "CHECKPOINT_READY"
REQUEST: Final = "CHECKPOINT_REQUEST"

_MESSAGE_BYTES: Final = {"VMSTATE_SIZE": 12}
_CODE_BYTES: Final = 4
_RUN_STATES: Final = {"9": "running", "15": "colo"}
"""QEMU's numbers of run states, where a log has no names (before 4.2)."""
_ENTRY_STATES: Final = {"setup", "active", "colo"}
_COMMANDS: Final = {"x-colo-lost-heartbeat", "yank"}
_SHOWS: Final = {
    "colo_vm_state_change": "guest",
    "runstate_set": "guest",
    qmp.STOP: "guest",
    qmp.RESUME: "guest",
    qmp.MIGRATION: "migration",
    "migrate_set_state": "migration",
    "migration_bitmap_sync_start": BITMAP_SYNC,
    "migration_bitmap_sync_end": BITMAP_SYNC,
    "ram_load_complete": RAM_LOAD,
    "colo_flush_ram_cache_begin": CACHE_FLUSH,
    "colo_flush_ram_cache_end": CACHE_FLUSH,
}


class SideEvent(NamedTuple):
    """One event of one side: its line, its time and its value, None where the log has none."""

    line: int
    time_ns: int | None
    event: OnSide
    value: int | None


def side_events(events: Iterable[SideEvent] = ()) -> Rows[SideEvent]:
    """Return events in little memory."""
    return Rows(SideEvent, ("line", "time_ns", "value"), events)


@dataclass(frozen=True, slots=True)
class History:
    """What one side's log tells of one COLO session.

    ``shows`` has the kinds of step that this log would show if they happened, beside messages:
    ``guest``, ``migration``, ``bitmap sync``, ``RAM load``, ``cache flush``.  ``entered``: the log
    has the entry into COLO, so its first checkpoint is seen from its beginning.  ``timed``: most
    events of the log have a time.  ``untimed``: the lines of those that have none in such a log,
    commands of a transcript apart.  ``backwards``: the lines at which its clock ran backwards; from
    there to the next checkpoint no event has a time.  ``wire_bytes``: by number of the checkpoint,
    bytes sent to the secondary, where the log has them.
    """

    side: str
    kind: str
    log: Log
    events: Sequence[SideEvent]
    shows: frozenset[str] = frozenset()
    entered: bool = False
    timed: bool = True
    untimed: tuple[int, ...] = ()
    backwards: tuple[int, ...] = ()
    wire_bytes: dict[int, int] = field(default_factory=dict)

    @property
    def steady(self) -> bool:
        """Whether its times are whole, so that they tell an order."""
        return not self.backwards and not self.untimed

    def provenance(self) -> dict[str, Any]:
        """Return what a manifest says of this log; no path of this machine."""
        return {
            "source": Path(self.log.source).name,
            "monitor": Path(self.log.monitor).name or None,
            "side": self.side,
            "kind": self.kind,
            "lines": self.log.lines,
            "other_events": self.log.other_events,
            "unknown_lines": self.log.unknown_lines,
            "truncated": self.log.truncated,
            "times": self.timed,
            "no_time_at_lines": list(self.untimed),
            "clock_ran_backwards_at_lines": list(self.backwards),
            "multifd": self.log.multifd,
        }


def clocked(
    events: Iterable[LogEvent], begins: Callable[[LogEvent], bool]
) -> tuple[Rows[LogEvent], tuple[int, ...]]:
    """Return events on a clock that never runs backwards, and the lines at which it did.

    What a clock says after it was set back cannot be told from a duration, so events from there
    on have no time, until one `begins` a checkpoint; then the clock goes on from where it was.
    """
    found, backwards = log_events(), []
    latest = shift = 0
    lost = False
    for event in events:
        if event.time_ns is None:
            found.append(event)
            continue
        time_ns = event.time_ns + shift
        if found and time_ns < latest:
            backwards.append(event.line)
            shift += latest - time_ns
            time_ns = latest
            lost = True
        latest = time_ns
        lost = lost and not begins(event)
        found.append(event._replace(time_ns=None if lost else time_ns))
    return found, tuple(backwards)


def of_trace(log: Log, side: str, events: Sequence[LogEvent]) -> History:
    """Return the history of one side of a trace log, or of a monitor's events, from its events."""
    names = {event.name for event in events}
    kind = MONITOR if of_monitor(events) else TRACE
    begins = qmp.STOP if kind == MONITOR else REQUEST
    on_clock, backwards = clocked(events, lambda event: begins in {event.name, *event.words})
    untimed = [e.line for e in events if e.time_ns is None and e.name != qmp.COMMAND]
    timed = 2 * len(untimed) < len(events)
    decoder = _Decoder(side, names)
    for event in on_clock:
        if decode := _DECODERS.get(event.name):
            decode(decoder, event)
    return History(
        side=side,
        kind=kind,
        log=replace(log, events=()),
        events=decoder.events,
        shows=frozenset(_SHOWS[name] for name in names & _SHOWS.keys()),
        entered=any(_enters(event) for event in events),
        timed=timed,
        untimed=tuple(untimed) if timed else (),
        backwards=backwards,
    )


def _enters(event: LogEvent) -> bool:
    return event.words == (READY,) or (
        event.name == "migrate_set_state" and event.words[-1] in _ENTRY_STATES
    )


class _Decoder:
    """Turns the events of one side's log into typed events, one after the other.

    `names` are those of all its events.  When the guest stops and runs is told by COLO's own
    events; by run states where there are none; by the monitor's where there are no run states.
    """

    def __init__(self, side: str, names: Collection[str]) -> None:
        self.events = side_events()
        self._side = side
        self._shows_guest = "colo_vm_state_change" in names
        self._shows_states = self._shows_guest or "runstate_set" in names
        self._shows_migration = "migrate_set_state" in names
        self._in_colo = not {qmp.MIGRATION, "migrate_set_state"} & set(names)
        self._by_operator = False
        self._quits = False
        self._running_since: int | None = None
        self._last: OnSide | None = None
        self._message_ns: int | None = None
        self._flush: tuple[int | None, int] | None = None
        self._sync: int | None = None
        self._counter = _DirtyCounter()
        self._failover = False

    def add(self, event: LogEvent, told: OnSide, value: int | None = 0) -> None:
        """Add what a line of the log means."""
        self.events.append(SideEvent(event.line, event.time_ns, told, value))

    def message(self, event: LogEvent) -> None:
        """A message was sent or read."""
        (name,) = event.words
        if name == READY:
            self._failover = False  # entered anew
        kind = Sent if event.name == "colo_send_message" else Received
        self._last, self._message_ns = kind(self._side, name), event.time_ns
        self.add(event, self._last, _MESSAGE_BYTES.get(name, _CODE_BYTES))

    def guest(self, event: LogEvent) -> None:
        """COLO stopped or started the guest."""
        self._guest(event, running=event.words == ("run",))

    def _guest(self, event: LogEvent, *, running: bool) -> None:
        spent = since(self._message_ns, event.time_ns)
        if running:
            self._running_since = event.time_ns
            if self._last == Received(self._side, "VMSTATE_LOADED"):
                self.add(event, StepDone(self._side, START), spent)
            self.add(event, GuestRunning(self._side))
        else:
            match self._last:
                case Received(_, "CHECKPOINT_REPLY" | "CHECKPOINT_REQUEST"):
                    self.add(event, StepDone(self._side, STOP), spent)
            ran_ns = since(self._running_since, event.time_ns)
            self.add(event, GuestStopped(self._side), ran_ns)

    def run_state(self, event: LogEvent) -> None:
        """Take a run state where no COLO event tells of the guest: in a failover, or in no log."""
        if self._shows_guest and not self._failover:
            return
        state = _RUN_STATES.get(event.words[-1], event.words[-1])
        if state in {"running", "colo"}:
            self._guest(event, running=state == "running")
        if state == "running" and self._failover:
            self.add(event, ServesAlone(self._side))

    def migration(self, event: LogEvent) -> None:
        """The migration's state changed; a failover on the primary completes it."""
        state = event.words[-1]
        if event.name == qmp.MIGRATION:
            if self._shows_migration:
                return
            self._failover = self._failover or (self._in_colo and state == "completed")
        self._in_colo = self._in_colo or state == "colo"
        self.add(event, MigrationChanged(self._side, state))

    def monitor_guest(self, event: LogEvent) -> None:
        """The monitor says that the guest stops or runs.

        What is before COLO, or what an operator does, is no checkpoint's.
        """
        running = event.name == qmp.RESUME
        if self._shows_states or not self._in_colo:
            return
        if not self._by_operator:
            self._guest(event, running=running)
            if running and self._failover:
                self.add(event, ServesAlone(self._side))
        self._by_operator = self._by_operator and not running

    def colo_exit(self, event: LogEvent) -> None:
        """COLO is left; a guest that runs after that serves alone, if QEMU does not quit."""
        mode, reason = event.words
        if mode in {self._side, "none"}:
            self._failover = self._failover or not self._quits
            self.add(event, ColoExit(self._side, reason))

    def shutdown(self, _event: LogEvent) -> None:
        """QEMU quits, or the guest powers itself off."""
        self._quits = True

    def command(self, event: LogEvent) -> None:
        """A command was sent to the monitor."""
        (command,) = event.words
        self._by_operator = self._by_operator or command == "stop"
        if command in _COMMANDS:
            self.add(event, OperatorSends(self._side, command))

    def failover(self, event: LogEvent) -> None:
        """The failover's state changed."""
        self._failover = True
        self.add(event, FailoverChanged(self._side, event.words[-1]))

    def sync_begins(self, event: LogEvent) -> None:
        """A bitmap sync begins."""
        self._sync = event.time_ns
        self._counter.begins(event.time_ns)

    def sync_ends(self, event: LogEvent) -> None:
        """A bitmap sync has ended."""
        begun, self._sync = self._sync, None
        spent = since(begun, event.time_ns)
        self.add(event, StepDone(self._side, BITMAP_SYNC), spent)
        ended = begun if event.time_ns is None else event.time_ns
        pages = self._counter.ends(ended, int(event.words[0]))
        if pages is not None:
            self.add(event, PagesCounted(self._side, "dirty"), pages)

    def flush_begins(self, event: LogEvent) -> None:
        """A cache flush begins."""
        self._flush = event.time_ns, int(event.words[0])

    def flush_ends(self, event: LogEvent) -> None:
        """A cache flush has ended."""
        begun, pages = self._flush or (None, None)
        self._flush = None
        self.add(event, StepDone(self._side, CACHE_FLUSH), since(begun, event.time_ns))
        if pages is not None:
            self.add(event, PagesCounted(self._side, "flushed"), pages)

    def loaded(self, event: LogEvent) -> None:
        """A RAM stream was read to its end, or to an error."""
        ended = event.words == ("0",)
        told = StreamEnded if ended else FunctionFailed
        self.add(event, told(self._side, RAM_LOAD))

    def lost_heartbeat(self, event: LogEvent) -> None:
        """The monitor serves the command that begins a failover."""
        self.add(event, CommandServed(self._side, "x-colo-lost-heartbeat"))

    def yank(self, event: LogEvent) -> None:
        """The monitor shuts connections down, out of band."""
        self.add(event, CommandServed(self._side, "yank", out_of_band=True))


_DECODERS: Final[dict[str, Callable[[_Decoder, LogEvent], None]]] = {
    "colo_send_message": _Decoder.message,
    "colo_receive_message": _Decoder.message,
    "colo_vm_state_change": _Decoder.guest,
    "runstate_set": _Decoder.run_state,
    "migrate_set_state": _Decoder.migration,
    "colo_failover_set_state": _Decoder.failover,
    "migration_bitmap_sync_start": _Decoder.sync_begins,
    "migration_bitmap_sync_end": _Decoder.sync_ends,
    "colo_flush_ram_cache_begin": _Decoder.flush_begins,
    "colo_flush_ram_cache_end": _Decoder.flush_ends,
    "ram_load_complete": _Decoder.loaded,
    "qmp_enter_x_colo_lost_heartbeat": _Decoder.lost_heartbeat,
    "qmp_enter_yank": _Decoder.yank,
    qmp.STOP: _Decoder.monitor_guest,
    qmp.RESUME: _Decoder.monitor_guest,
    qmp.MIGRATION: _Decoder.migration,
    qmp.COLO_EXIT: _Decoder.colo_exit,
    qmp.SHUTDOWN: _Decoder.shutdown,
    qmp.COMMAND: _Decoder.command,
}


def since(begun: int | None, ended: int | None) -> int | None:
    """Return the time between two points of a log, None if either has none."""
    return None if begun is None or ended is None else ended - begun


class _DirtyCounter:
    """Dirty pages of one sync, from a counter that QEMU resets about once a second.

    After a sync that ends more than 1 s after the last reset it begins again from 0
    (migration_bitmap_sync in migration/ram.c).  Without times, or once the clock was set back,
    nothing can be said.
    """

    def __init__(self) -> None:
        self._counted: int | None = 0
        self._reset_ns: int | None = None

    def begins(self, time_ns: int | None) -> None:
        """A sync begins: the first one starts the period."""
        if self._reset_ns is None:
            self._reset_ns = time_ns

    def ends(self, time_ns: int | None, counter: int) -> int | None:
        """A sync ends with this counter; return its own pages."""
        if time_ns is None or self._counted is None:
            self._counted = None
            return None
        pages = counter - self._counted if counter >= self._counted else counter
        self._counted = counter
        if self._reset_ns is None or time_ns > self._reset_ns + 10**9:
            self._counted = 0
            self._reset_ns = time_ns
        return pages
