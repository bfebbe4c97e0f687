"""The stage lines of the lab's QEMU 2.5 and 2.7: ``TS SECONDS STAGE VALUE rss_kib KIB``.

Those binaries had print statements instead of traces.  The lines show the iothread lock too, which
no trace of QEMU's does.  Lines of any other form (errors that QEMU prints) are counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from colosim.measured.events import REQUEST, STAGES, History, SideEvent, clocked, side_events, since
from colosim.measured.log import Log, LogEvent, UnknownLine, drop_strays, log_events
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
from colosim.trace.steps import (
    BITMAP_SYNC,
    CACHE_FLUSH,
    CHECKPOINT_THREAD,
    DEVICE_FILL,
    DEVICE_LOAD,
    DEVICE_SAVE,
    DEVICE_STREAM,
    INCOMING_THREAD,
    RAM_LOAD,
    RAM_STREAM,
    RESET,
    START,
    STOP,
    VMSTATE_FILL,
    VMSTATE_SAVE,
)

if TYPE_CHECKING:
    from colosim.trace.events import OnSide

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
    stages = log_events()
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
    drop_strays(stages)
    return Log(source, stages, number, 0, unknown_lines, tuple(unknown), truncated)


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
    events, backwards = clocked(log.events, lambda event: event.name in _BEGINS)
    decoder = _Decoder(side, split=split)
    for line, name, time_ns, _, words in events:
        if name[0] in {own, "F"}:
            value, resident_kib = map(int, words)
            decoder.decode(_Stage(line, name, time_ns, value), resident_kib * 1024)
    return History(
        side=side,
        kind=STAGES,
        log=replace(log, events=()),
        events=decoder.events,
        backwards=backwards,
        untimed=tuple(event.line for event in log.events if event.time_ns is None),
        wire_bytes=decoder.wire_bytes,
    )


class _Stage(NamedTuple):
    """One stage: its line (1-based), CLOCK_MONOTONIC, and the value printed beside it."""

    line: int
    name: str
    time_ns: int | None
    value: int


class _Value(NamedTuple):
    """The value of an event: that of the stage, or of an earlier one of the same checkpoint."""

    of: str = ""


class _Since(NamedTuple):
    """The value of an event: the time since an earlier stage of the same checkpoint."""

    stage: str


_P, _S = PRIMARY, SECONDARY
_VALUE: Final = _Value()
_CODE, _CODE_AND_SIZE = 4, 12
_BEGINS: Final = {"P_BEGIN": Sent(_P, REQUEST), "S_REQ": Received(_S, REQUEST)}
"""What begins a checkpoint on each side."""

_Meaning = tuple[tuple["OnSide", "int | _Value | _Since"], ...]


def _meanings(*, split: bool) -> dict[str, _Meaning]:
    """Return what each stage means, and the value of each event; a split design streams RAM."""
    if split:
        stream, fill, saved = DEVICE_STREAM, DEVICE_FILL, DEVICE_SAVE
        loaded: _Meaning = ()
    else:
        stream, fill, saved = RAM_STREAM, VMSTATE_FILL, VMSTATE_SAVE
        loaded = ((StepDone(_S, RAM_LOAD), _Since("S_RESET")),)
    return {
        **{name: ((event, _CODE),) for name, event in _BEGINS.items()},
        "P_REPLY": ((Received(_P, "CHECKPOINT_REPLY"), _CODE),),
        "P_STOPPED": (
            (StepDone(_P, STOP), _Since("P_REPLY")),
            (GuestStopped(_P), _Since("P_STARTED")),
        ),
        "P_BQL_WANT": ((LockWanted(*_SAVE), 0),),
        "P_BQL_GOT": ((LockGot(*_SAVE), _Since("P_BQL_WANT")),),
        "P_SYNCED": (
            (StepDone(_P, BITMAP_SYNC), _Since("P_BQL_GOT")),
            (PagesCounted(_P, "dirty"), _VALUE),
        ),
        "P_SAVED": (
            (StepDone(_P, saved), _Since("P_RAM_STREAMED" if split else "P_SYNCED")),
            (Staged(_P), _VALUE),
        ),
        "P_BQL_REL": (
            (MemoryLevel(_P, "staging_buffer"), _VALUE),
            (LockReleased(*_SAVE), _Since("P_BQL_GOT")),
            (StreamBegan(_P, stream), _Value("P_SAVED")),
        ),
        "P_SENT": ((StreamEnded(_P, stream), _VALUE),),
        "P_RECEIVED": ((Received(_P, "VMSTATE_RECEIVED"), _CODE),),
        "P_LOADED": ((Received(_P, "VMSTATE_LOADED"), _CODE),),
        "P_STARTED": ((StepDone(_P, START), _Since("P_LOADED")), (GuestRunning(_P), 0)),
        "S_VMSTATE_SEND": ((Received(_S, "VMSTATE_SEND"), _CODE),),
        "S_RAM_LOADED": ((StreamEnded(_S, RAM_LOAD), _VALUE),),
        "S_SIZE": ((Received(_S, "VMSTATE_SIZE"), _CODE_AND_SIZE),),
        "S_FILLED": (
            (MemoryLevel(_S, "staging_buffer"), _VALUE),
            (StreamEnded(_S, fill), _Value("S_SIZE")),
        ),
        "S_BQL_GOT": ((LockGot(*_LOAD), 0),),
        "S_RESET": ((StepDone(_S, RESET), _Since("S_BQL_GOT")),),
        "S_FLUSH_BEGIN": loaded,
        "S_FLUSH_END": (
            (StepDone(_S, CACHE_FLUSH), _Since("S_FLUSH_BEGIN")),
            (PagesCounted(_S, "flushed"), _Value("S_FLUSH_BEGIN")),
        ),
        "S_BQL_REL": (
            (StepDone(_S, DEVICE_LOAD), _Since("S_FLUSH_END")),
            (LockReleased(*_LOAD), _Since("S_BQL_GOT")),
        ),
        "S_LOADED_SENT": ((Sent(_S, "VMSTATE_LOADED"), _CODE),),
    }


SHOWN: Final = frozenset(
    event
    for split in (True, False)
    for meaning in _meanings(split=split).values()
    for event, _ in meaning
    if not isinstance(event, StepDone | StreamBegan | LockWanted | MemoryLevel | PagesCounted)
) | {
    StreamEnded(_P, RAM_STREAM),
    StepDone(_P, BITMAP_SYNC),
    StepDone(_S, RESET),
    StepDone(_S, CACHE_FLUSH),
}
"""What each line shows of a checkpoint in whatever design: always all of it, in the same order."""


class _Decoder:
    """Tells of one side's stages; ``split``: RAM is streamed before the size, not staged."""

    def __init__(self, side: str, *, split: bool) -> None:
        self.side = side
        self.events = side_events()
        self.wire_bytes: dict[int, int] = {}
        self._meanings = _meanings(split=split)
        self._split = split
        self._at: dict[str, _Stage] = {}
        self._checkpoint = -1
        self._ram_begin = -1
        self._levels: dict[OnSide, int | None] = {}

    def decode(self, stage: _Stage, resident_bytes: int) -> None:
        """Add what a stage says."""
        self._add(stage, MemoryLevel(self.side, "process_resident"), resident_bytes)
        if stage.name in _BEGINS:
            self._at = {name: at for name, at in self._at.items() if name == "P_STARTED"}
            self._checkpoint += 1
        for event, value in self._meanings.get(stage.name, ()):
            if isinstance(value, int):
                self._add(stage, event, value)
            elif isinstance(value, _Value):
                self._add(stage, event, self._value(value.of) if value.of else stage.value)
            elif value.stage in self._at or not isinstance(event, StepDone):
                self._add(stage, event, self._since(value.stage, stage))
        self._tell_streams(stage)
        self._tell_end(stage)
        self._at[stage.name] = stage

    def _add(self, stage: _Stage, event: OnSide, value: int | None = 0) -> None:
        """Add an event; of a level of memory only if it changed."""
        if isinstance(event, MemoryLevel):
            if self._levels.get(event) == value:
                return
            self._levels[event] = value
        self.events.append(SideEvent(stage.line, stage.time_ns, event, value))

    def _since(self, earlier: str, stage: _Stage) -> int | None:
        begun = self._at.get(earlier)
        return None if begun is None else since(begun.time_ns, stage.time_ns)

    def _value(self, name: str) -> int | None:
        before = self._at.get(name)
        return None if before is None else before.value

    def _tell_streams(self, stage: _Stage) -> None:
        """Tell of bytes: values of the primary's stages count all that it has sent."""
        sent = self._value("P_BEGIN")
        match stage.name:
            case "P_SYNCED" if self._split:
                self._ram_begin = len(self.events)
                self._add(stage, StreamBegan(PRIMARY, RAM_STREAM), None)
            case "P_RAM_STREAMED":
                amount = None if sent is None else max(0, stage.value - sent - _MESSAGES_BEFORE_RAM)
                if self._ram_begin >= 0:
                    begun = self.events[self._ram_begin]
                    self.events[self._ram_begin] = begun._replace(value=amount)
                self._add(stage, StreamEnded(PRIMARY, RAM_STREAM), amount)
            case "P_STARTED" if sent is not None:
                self.wire_bytes[self._checkpoint] = stage.value - sent

    def _tell_end(self, stage: _Stage) -> None:
        """Tell of the end of COLO on this side."""
        match stage.name:
            case "P_LOOP_EXIT" | "S_LOOP_EXIT":
                self._add(stage, ColoExit(self.side, "request" if stage.value else "error"))
            case "F_QMP":
                self._add(stage, CommandServed(self.side, "x-colo-lost-heartbeat"))
            case "F_BH":
                self._add(stage, FailoverChanged(self.side, "handling"))
            case "F_P_DONE" | "F_S_DONE":
                self._add(stage, FailoverChanged(self.side, "completed"))
            case "F_P_RESUMED" | "F_S_RESUMED":
                self._add(stage, GuestRunning(self.side))
                self._add(stage, ServesAlone(self.side))
