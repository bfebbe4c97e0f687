"""The stage lines of the lab's QEMU 2.5 and 2.7: ``TS SECONDS STAGE VALUE rss_kib KIB``.

Those binaries had print statements instead of traces.  The lines show the iothread lock too, which
no trace of QEMU's does.  Lines of any other form (errors that QEMU prints) are counted.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from colosim.measured.events import REQUEST, STAGES, Happening, History, clocked, since
from colosim.measured.log import Log, LogEvent, UnknownLine
from colosim.trace.events import (
    PRIMARY,
    SECONDARY,
    ColoExit,
    CommandServed,
    FailoverChanged,
    GuestRunning,
    GuestStopped,
    LockGot,
    LockReleased,
    LockWanted,
    MemoryLevel,
    PagesCounted,
    Received,
    Sent,
    ServesAlone,
    Staged,
    StepDone,
    StreamBegan,
    StreamEnded,
)
from colosim.trace.purpose import Purpose
from colosim.trace.steps import CHECKPOINT_THREAD, INCOMING_THREAD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from colosim.trace.events import OnSide

__all__ = ["of_stages", "parse_stages", "side_of", "streams_ram"]

_STAGE: Final = re.compile(
    r"TS (?P<seconds>\d{1,12})\.(?P<fraction>\d{1,9}) (?P<name>[PSF]_[A-Z_]{1,30}) "
    r"(?P<value>\d{1,18}) rss_kib (?P<rss>\d{1,12})",
    re.ASCII,
)
_UNKNOWN_KEPT: Final = 5
_NS: Final = 10**9
_SAVE: Final = (PRIMARY, CHECKPOINT_THREAD, Purpose.SAVE)
_LOAD: Final = (SECONDARY, INCOMING_THREAD, Purpose.LOAD)
_MESSAGES_BEFORE_RAM: Final = 8
"""CHECKPOINT_REQUEST and VMSTATE_SEND, which the counter of streamed bytes includes."""


def parse_stages(lines: Iterable[str], source: str) -> Log:
    """Read stage lines, each an event whose words are its value and the resident set in KiB.

    The log may have none.
    """
    stages: list[LogEvent] = []
    unknown: list[UnknownLine] = []
    number = unknown_lines = 0
    truncated = False
    for number, line in enumerate(lines, start=1):
        text = line.rstrip("\r\n")
        found = _STAGE.fullmatch(text)
        if not line.endswith("\n") and (found or text.startswith("TS ")):
            truncated = True
        elif found:
            time_ns = int(found["seconds"]) * _NS + int(found["fraction"].ljust(9, "0"))
            words = found["value"], found["rss"]
            stages.append(LogEvent(number, found["name"], time_ns, None, words))
        elif text.strip():
            unknown_lines += 1
            if len(unknown) < _UNKNOWN_KEPT:
                unknown.append(UnknownLine(number, text[:200]))
    return Log(source, tuple(stages), number, 0, unknown_lines, tuple(unknown), truncated)


def side_of(log: Log) -> str | None:
    """Return which side wrote stage lines, None if no stage of either is there."""
    first = (event.name[0] for event in log.events if event.name[0] in "PS")
    return {"P": PRIMARY, "S": SECONDARY}.get(next(first, ""))


def streams_ram(log: Log) -> bool:
    """Tell whether RAM was streamed before the size rather than staged."""
    return any(event.name in {"P_RAM_STREAMED", "S_RAM_LOADED"} for event in log.events)


def of_stages(log: Log, side: str, *, split: bool) -> History:
    """Return the history of one side; `split`: RAM was streamed, as stages of either side show."""
    own = side[0].upper()
    events, backwards = clocked(log.events, lambda event: event.name in {"P_BEGIN", "S_REQ"})
    teller = _Teller(side, split=split)
    for event in events:
        if event.name[0] in {own, "F"}:
            value, resident_kib = map(int, event.words)
            teller.tell(Stage(event.line, event.name, event.time_ns, value, resident_kib * 1024))
    return History(
        side=side,
        kind=STAGES,
        log=log,
        happenings=tuple(teller.told),
        backwards=backwards,
        wire_bytes=teller.wire_bytes,
    )


class Stage(NamedTuple):
    """One stage: its line (1-based), CLOCK_MONOTONIC, value, and the resident set in bytes."""

    line: int
    name: str
    time_ns: int | None
    value: int
    resident_bytes: int


class _Teller:
    """Tells of one side's stages; ``split``: RAM is streamed before the size, not staged."""

    def __init__(self, side: str, *, split: bool) -> None:
        self.side = side
        self.told: list[Happening] = []
        self.wire_bytes: dict[int, int] = {}
        self._split = split
        self._at: dict[str, Stage] = {}
        self._checkpoint = -1
        self._stream_begin = -1
        self._capacity = -1
        self._resident = -1
        self._failover = False

    def tell(self, stage: Stage) -> None:
        """Add what `stage` says."""
        if stage.resident_bytes != self._resident:
            self._resident = stage.resident_bytes
            self.add(stage, MemoryLevel(self.side, "process_resident"), self._resident)
        tell = _TOLD.get(stage.name)
        if tell is not None:
            tell(self, stage)
        self._at[stage.name] = stage

    def add(self, stage: Stage, event: OnSide, value: int | None = 0) -> None:
        """Add what a line of the log means."""
        self.told.append(Happening(stage.line, stage.time_ns, event, value))

    def since(self, earlier: str, stage: Stage) -> int | None:
        """Return the time since a stage of the same checkpoint, None if it was not reached."""
        before = self._at.get(earlier)
        return None if before is None else since(before.time_ns, stage.time_ns)

    def value_at(self, name: str) -> int | None:
        """Return the value of a stage of the same checkpoint, None if it was not reached."""
        before = self._at.get(name)
        return None if before is None else before.value

    def capacity(self, stage: Stage) -> None:
        """Note the staging buffer's size, if it changed."""
        if stage.value != self._capacity:
            self._capacity = stage.value
            self.add(stage, MemoryLevel(self.side, "staging_buffer"), stage.value)

    # ---- primary -------------------------------------------------------------------------------

    def begin(self, stage: Stage) -> None:
        """The request is about to be sent."""
        started = self._at.get("P_STARTED")
        self._at = {"P_STARTED": started} if started is not None else {}
        self._checkpoint += 1
        self.add(stage, Sent(PRIMARY, REQUEST), 4)

    def stopped(self, stage: Stage) -> None:
        """The guest is stopped."""
        self.add(stage, StepDone(PRIMARY, "stop"), self.since("P_REPLY", stage))
        self.add(stage, GuestStopped(PRIMARY), self.since("P_STARTED", stage))

    def taken(self, stage: Stage) -> None:
        """The lock is taken to save."""
        self.add(stage, LockGot(*_SAVE), self.since("P_BQL_WANT", stage))

    def synced(self, stage: Stage) -> None:
        """The dirty pages are known; a split design begins to stream them."""
        self.add(stage, StepDone(PRIMARY, "bitmap sync"), self.since("P_BQL_GOT", stage))
        self.add(stage, PagesCounted(PRIMARY, "dirty"), stage.value)
        if self._split:
            self._begin_stream(stage, "RAM stream", None)

    def _begin_stream(self, stage: Stage, step: str, amount: int | None) -> None:
        self._stream_begin = len(self.told)
        self.add(stage, StreamBegan(PRIMARY, step), amount)

    def streamed(self, stage: Stage) -> None:
        """The last page is in the socket."""
        sent = self.value_at("P_BEGIN")
        amount = None if sent is None else max(0, stage.value - sent - _MESSAGES_BEFORE_RAM)
        if self._stream_begin >= 0:
            self.told[self._stream_begin] = self.told[self._stream_begin]._replace(value=amount)
        self.add(stage, StreamEnded(PRIMARY, "RAM stream"), amount)

    def saved(self, stage: Stage) -> None:
        """Everything is saved."""
        if self._split:
            step, begin = "device save", "P_RAM_STREAMED"
        else:
            step, begin = "vmstate save", "P_SYNCED"
        self.add(stage, StepDone(PRIMARY, step), self.since(begin, stage))
        self.add(stage, Staged(PRIMARY), stage.value)

    def freed(self, stage: Stage) -> None:
        """The lock is free, and the staged content is sent from now on."""
        self.capacity(stage)
        self.add(stage, LockReleased(*_SAVE), self.since("P_BQL_GOT", stage))
        self._begin_stream(stage, self._staged, self.value_at("P_SAVED"))

    @property
    def _staged(self) -> str:
        return "device stream" if self._split else "RAM stream"

    def sent(self, stage: Stage) -> None:
        """The staged content is in the socket."""
        self.add(stage, StreamEnded(PRIMARY, self._staged), stage.value)

    def started(self, stage: Stage) -> None:
        """The guest runs again."""
        self.add(stage, StepDone(PRIMARY, "start"), self.since("P_LOADED", stage))
        self.add(stage, GuestRunning(PRIMARY))
        sent = self.value_at("P_BEGIN")
        if sent is not None:
            self.wire_bytes[self._checkpoint] = stage.value - sent

    # ---- secondary -----------------------------------------------------------------------------

    def request(self, stage: Stage) -> None:
        """The request was read."""
        self._at = {}
        self.add(stage, Received(SECONDARY, REQUEST), 4)

    def filled(self, stage: Stage) -> None:
        """The staging buffer is filled."""
        self.capacity(stage)
        step = "device fill" if self._split else "vmstate fill"
        self.add(stage, StreamEnded(SECONDARY, step), self.value_at("S_SIZE"))

    def flush_begins(self, stage: Stage) -> None:
        """The flush begins; where RAM was staged, the time since the reset was its load."""
        if not self._split:
            self.add(stage, StepDone(SECONDARY, "RAM load"), self.since("S_RESET", stage))

    def flush_ends(self, stage: Stage) -> None:
        """The RAM cache is in guest RAM."""
        self.add(stage, StepDone(SECONDARY, "cache flush"), self.since("S_FLUSH_BEGIN", stage))
        pages = self.value_at("S_FLUSH_BEGIN")
        if pages is not None:
            self.add(stage, PagesCounted(SECONDARY, "flushed"), pages)

    def loaded(self, stage: Stage) -> None:
        """The lock is free after the load."""
        if "S_FLUSH_END" in self._at:
            self.add(stage, StepDone(SECONDARY, "device load"), self.since("S_FLUSH_END", stage))
        self.add(stage, LockReleased(*_LOAD), self.since("S_BQL_GOT", stage))

    # ---- the end -------------------------------------------------------------------------------

    def exits(self, stage: Stage) -> None:
        """The COLO thread leaves its loop; the value says whether a failover was asked for."""
        self.add(stage, ColoExit(self.side, "request" if stage.value else "error"))

    def resumed(self, stage: Stage) -> None:
        """The guest runs, on this side alone."""
        self.add(stage, GuestRunning(self.side))
        self.add(stage, ServesAlone(self.side))


def _means(event: OnSide, value: int | None = None) -> Callable[[_Teller, Stage], None]:
    """Return what adds an event, with the stage's value unless one is given."""

    def tell(teller: _Teller, stage: Stage) -> None:
        teller.add(stage, event, stage.value if value is None else value)

    return tell


def _after(event: OnSide, earlier: str) -> Callable[[_Teller, Stage], None]:
    """Return what adds an event with the time since an earlier stage."""

    def tell(teller: _Teller, stage: Stage) -> None:
        teller.add(stage, event, teller.since(earlier, stage))

    return tell


def _failover(state: str) -> Callable[[_Teller, Stage], None]:
    """Return what adds that the failover is in this state."""
    return lambda teller, stage: teller.add(stage, FailoverChanged(teller.side, state))


def _served(teller: _Teller, stage: Stage) -> None:
    teller.add(stage, CommandServed(teller.side, "x-colo-lost-heartbeat"))


_TOLD: dict[str, Callable[[_Teller, Stage], None]] = {
    "P_BEGIN": _Teller.begin,
    "P_REPLY": _means(Received(PRIMARY, "CHECKPOINT_REPLY"), 4),
    "P_STOPPED": _Teller.stopped,
    "P_BQL_WANT": _means(LockWanted(*_SAVE), 0),
    "P_BQL_GOT": _Teller.taken,
    "P_SYNCED": _Teller.synced,
    "P_RAM_STREAMED": _Teller.streamed,
    "P_SAVED": _Teller.saved,
    "P_BQL_REL": _Teller.freed,
    "P_SENT": _Teller.sent,
    "P_RECEIVED": _means(Received(PRIMARY, "VMSTATE_RECEIVED"), 4),
    "P_LOADED": _means(Received(PRIMARY, "VMSTATE_LOADED"), 4),
    "P_STARTED": _Teller.started,
    "P_LOOP_EXIT": _Teller.exits,
    "S_REQ": _Teller.request,
    "S_VMSTATE_SEND": _means(Received(SECONDARY, "VMSTATE_SEND"), 4),
    "S_RAM_LOADED": _means(StreamEnded(SECONDARY, "RAM load")),
    "S_SIZE": _means(Received(SECONDARY, "VMSTATE_SIZE"), 12),
    "S_FILLED": _Teller.filled,
    "S_BQL_GOT": _means(LockGot(*_LOAD), 0),
    "S_RESET": _after(StepDone(SECONDARY, "reset"), "S_BQL_GOT"),
    "S_FLUSH_BEGIN": _Teller.flush_begins,
    "S_FLUSH_END": _Teller.flush_ends,
    "S_BQL_REL": _Teller.loaded,
    "S_LOADED_SENT": _means(Sent(SECONDARY, "VMSTATE_LOADED"), 4),
    "S_LOOP_EXIT": _Teller.exits,
    "F_QMP": _served,
    "F_BH": _failover("handling"),
    "F_P_DONE": _failover("completed"),
    "F_S_DONE": _failover("completed"),
    "F_P_RESUMED": _Teller.resumed,
    "F_S_RESUMED": _Teller.resumed,
}
