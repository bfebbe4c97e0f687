"""The plain trace log of a QEMU, of any version that had COLO, read into typed events.

Such a log comes from ``-trace 'colo_*' -trace migrate_set_state -trace 'migration_bitmap_sync*'
-trace runstate_set -D FILE``.  An event may be written as

* ``13074@1795397505.096507:colo_send_message Send 'vmstate-send' message``  (log backend, always so
  before QEMU 5.1, later with ``-msg timestamp=on``)
* ``colo_send_message Send 'vmstate-send' message``  (later, without it)
* ``2026-01-17T10:00:00.096507Z colo_send_message Send 'vmstate-send' message``  (a log whose lines
  carry a date)
* ``colo_send_message 12.345 pid=13074 msg=b'vmstate-send'``  (simpletrace.py; the number is the
  time since the event before, in microseconds)

Anything else on a line, before an event or on lines of its own, is not an error: trace events that
say nothing of COLO are counted, and so are lines that are no trace event at all.  A last line that
was cut off in the middle of an event is dropped and reported.
Message names of older series (``checkpoint-new``, ``COLO_COMMAND_...``) are given by their present
names.
"""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from colosim.errors import LogError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from os import PathLike

__all__ = [
    "BitmapSync",
    "CacheFlush",
    "ColoEvent",
    "FailoverState",
    "GuestState",
    "Log",
    "LogEvent",
    "MessageReceived",
    "MessageSent",
    "MigrationState",
    "MonitorCommand",
    "RamLoaded",
    "RunState",
    "UnknownLine",
    "parse",
    "read",
]


@dataclass(frozen=True, slots=True)
class LogEvent:
    """An event: its line (1-based), its trace name, and where known its time and thread.

    ``time_ns`` counts from what the log's clock counts from: the epoch, or with simpletrace.py the
    log's first event.  None in a log without times.
    """

    line: int
    name: str
    time_ns: int | None
    thread: int | None


@dataclass(frozen=True, slots=True)
class MessageSent(LogEvent):
    """A COLO message was written and flushed; ``message`` is its present name, as in QAPI."""

    message: str


@dataclass(frozen=True, slots=True)
class MessageReceived(LogEvent):
    """A COLO message was read."""

    message: str


@dataclass(frozen=True, slots=True)
class GuestState(LogEvent):
    """COLO stopped or started this side's guest (colo_vm_state_change)."""

    running: bool


@dataclass(frozen=True, slots=True)
class RunState(LogEvent):
    """The run state changed; states by name, or by number where that is all the log has."""

    old: str | None
    new: str


@dataclass(frozen=True, slots=True)
class MigrationState(LogEvent):
    """The migration state changed; by name, or by number in QEMU before 2.9."""

    state: str


@dataclass(frozen=True, slots=True)
class FailoverState(LogEvent):
    """The failover state changed."""

    state: str


@dataclass(frozen=True, slots=True)
class BitmapSync(LogEvent):
    """The dirty bitmap's sync began (``dirty_pages`` None) or ended.

    QEMU prints a counter that it resets about once a second, not the pages of this sync alone.
    """

    dirty_pages: int | None


@dataclass(frozen=True, slots=True)
class CacheFlush(LogEvent):
    """The flush of the RAM cache into guest RAM began (with its pages) or ended (None)."""

    dirty_pages: int | None


@dataclass(frozen=True, slots=True)
class RamLoaded(LogEvent):
    """The secondary has read one whole RAM stream."""


@dataclass(frozen=True, slots=True)
class MonitorCommand(LogEvent):
    """The monitor began to serve a command such as ``x_colo_lost_heartbeat``, or had served it."""

    command: str
    begin: bool


@dataclass(frozen=True, slots=True)
class ColoEvent(LogEvent):
    """A COLO event that has no type of its own; ``arguments`` is the rest of its line."""

    arguments: str


@dataclass(frozen=True, slots=True)
class UnknownLine:
    """A line without any event that is known here."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Log:
    """What one side's log holds.

    ``side`` is ``primary`` or ``secondary`` as the directions of the messages show, None if they
    show nothing (or both: two sides in one file).  ``other_events`` counts lines that hold a trace
    event of no interest here, ``unknown_lines`` those that hold none (blank ones apart);
    ``unknown`` has the first few of these.
    """

    source: str
    events: tuple[LogEvent, ...]
    lines: int
    other_events: int
    unknown_lines: int
    unknown: tuple[UnknownLine, ...]
    truncated: bool
    side: str | None

    @property
    def has_times(self) -> bool:
        """Whether every event has a time."""
        return all(event.time_ns is not None for event in self.events)


_UNKNOWN_KEPT = 5
_LINE_LIMIT = 4096

_HEAD = re.compile(
    r"(?:(?P<thread>\d+)@(?P<seconds>\d+)\.(?P<fraction>\d{1,9}):|(?<![\w.-]))"
    r"(?P<name>colo_\w+|runstate_set|migrate_set_state|migration_bitmap_sync_(?:start|end)"
    r"|ram_load_complete|qmp_(?:enter|exit)_\w+)(?=\s|$)"
)
_OTHER = re.compile(r"\d+@\d+\.\d+:\w+")
_DATE = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)"
    r"(?:[.,](?P<fraction>\d{1,9}))?(?P<zone>Z|[+-]\d\d:?\d\d)?"
)
_SIMPLE = re.compile(r"\s*(?P<delta>\d+(?:\.\d+)?)(?:\s+pid=(?P<thread>\d+))?(?P<rest>.*)")
_QUOTED = re.compile(r"'(?P<word>[^']*)'")
_ASSIGNED = re.compile(r"(?P<key>\w+)=b?(?P<quote>['\"]?)(?P<value>[\w.-]*)(?P=quote)")

_OLD_MESSAGES = {
    "checkpoint-new": "checkpoint-request",
    "checkpoint-suspended": "checkpoint-reply",
    "checkpoint-send": "vmstate-send",
    "checkpoint-received": "vmstate-received",
    "checkpoint-loaded": "vmstate-loaded",
}
_FROM_PRIMARY = {
    "checkpoint-request",
    "vmstate-send",
    "vmstate-size",
    "guest-shutdown",
    "migrate-ram-background",
}
_FROM_SECONDARY = {"checkpoint-ready", "checkpoint-reply", "vmstate-received", "vmstate-loaded"}


def read(path: str | PathLike[str]) -> Log:
    """Read a log from a file, also a gzipped one.

    :raises LogError: if it cannot be read, or holds no COLO event.
    """
    file = Path(path)
    try:
        if file.suffix == ".gz":
            with gzip.open(file, "rt", encoding="utf-8", errors="replace") as lines:
                return parse(lines, source=str(path))
        with file.open(encoding="utf-8", errors="replace") as lines:
            return parse(lines, source=str(path))
    except (OSError, EOFError) as error:
        raise LogError(f"{path}: cannot be read: {error}") from error


def parse(lines: Iterable[str], source: str = "log") -> Log:
    """Read a log from its lines; every line but a cut-off last one ends with a newline.

    :raises LogError: if no line holds a COLO event.
    """
    reader = _Reader()
    events: list[LogEvent] = []
    unknown: list[UnknownLine] = []
    other_events = 0
    unknown_lines = 0
    truncated = False
    number = 0
    for number, line in enumerate(lines, start=1):
        text = line[:_LINE_LIMIT].rstrip("\r\n")
        whole = line.endswith("\n")
        found = list(reader.events(number, text, whole=whole))
        events += found
        if found or not text.strip():
            continue
        if not whole and reader.looks_cut(text):
            truncated = True
        elif _OTHER.search(text):
            other_events += 1
        else:
            unknown_lines += 1
            if len(unknown) < _UNKNOWN_KEPT:
                unknown.append(UnknownLine(number, text[:200]))
    if not any(event.name.startswith("colo_") for event in events):
        raise LogError(
            f"{source}: no COLO event in {number} lines; "
            "was QEMU started with -trace 'colo_*' and this file as its -D?"
        )
    return Log(
        source=source,
        events=tuple(events),
        lines=number,
        other_events=other_events,
        unknown_lines=unknown_lines,
        unknown=tuple(unknown),
        truncated=truncated,
        side=_side(events),
    )


class _Reader:
    """Reads lines into events; remembers the clock of simpletrace.py, which counts differences."""

    def __init__(self) -> None:
        self._elapsed_ns = 0

    def events(self, number: int, text: str, *, whole: bool) -> Iterator[LogEvent]:
        """Yield the events of a line: mostly none or one, two where writes of two threads met."""
        heads = list(_HEAD.finditer(text))
        for index, head in enumerate(heads):
            last = index + 1 == len(heads)
            end = len(text) if last else heads[index + 1].start()
            rest = text[head.end() : end].strip()
            if last and not whole and not _closed(rest):
                return
            time_ns, thread = _stamp(head, text[: head.start()])
            if time_ns is None and (simple := _SIMPLE.fullmatch(rest)):
                self._elapsed_ns += _decimal_ns(simple["delta"], exponent=3)
                time_ns = self._elapsed_ns
                thread = int(simple["thread"]) if simple["thread"] else None
                rest = simple["rest"].strip()
            event = _typed(head["name"], rest, number, time_ns, thread)
            if event is not None:
                yield event

    @staticmethod
    def looks_cut(text: str) -> bool:
        """Whether a line without its newline is an event, or the head of one, that was cut off."""
        return bool(_HEAD.search(text) or re.fullmatch(r"\d+(?:@[\d.]*(?::\w*)?)?", text))


def _closed(rest: str) -> bool:
    """Whether an event's text cannot go on: a number at its end may have lost digits."""
    return rest.endswith(("'", "message", "cmd", ")", "}"))


def _stamp(head: re.Match[str], before: str) -> tuple[int | None, int | None]:
    if head["thread"]:
        fraction = head["fraction"].ljust(9, "0")
        return int(head["seconds"]) * 10**9 + int(fraction), int(head["thread"])
    date = None
    for date in _DATE.finditer(before):  # noqa: B007 - the last date is the event's own
        pass
    if date is None:
        return None, None
    try:
        moment = datetime.fromisoformat(date["date"] + (date["zone"] or "+00:00"))
    except ValueError:
        return None, None
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    since = moment - epoch
    fraction = (date["fraction"] or "").ljust(9, "0")
    return (since.days * 86_400 + since.seconds) * 10**9 + int(fraction), None


def _decimal_ns(text: str, exponent: int) -> int:
    whole, _, fraction = text.partition(".")
    return int(whole + fraction.ljust(exponent, "0")[:exponent])


def _typed(
    name: str, rest: str, line: int, time_ns: int | None, thread: int | None
) -> LogEvent | None:
    """Return the event of this trace name, None if its arguments are not as they must be."""
    if command := re.fullmatch(r"qmp_(?P<phase>enter|exit)_(?P<command>\w+)", name):
        begin = command["phase"] == "enter"
        return MonitorCommand(line, name, time_ns, thread, command["command"], begin)
    make = _TYPES.get(name)
    if make is None:
        return ColoEvent(line, name, time_ns, thread, rest)
    try:
        return make(rest, (line, name, time_ns, thread))
    except ValueError:
        return None


_Place = tuple[int, str, int | None, int | None]


def _word(rest: str, key: str) -> str:
    """Return the one word of an event: quoted in the log backend, assigned in simpletrace."""
    for found in _ASSIGNED.finditer(rest):
        if found["key"] == key:
            return found["value"]
    quoted = _QUOTED.search(rest)
    if quoted is None:
        raise ValueError(rest)
    return quoted["word"]


def _message(rest: str) -> str:
    name = _word(rest, "msg").lower().replace("_", "-")
    for prefix in ("colo-message-", "colo-command-", "colo-"):
        name = name.removeprefix(prefix)
    return _OLD_MESSAGES.get(name, name)


def _sent(rest: str, place: _Place) -> LogEvent:
    return MessageSent(*place, message=_message(rest))


def _received(rest: str, place: _Place) -> LogEvent:
    return MessageReceived(*place, message=_message(rest))


def _guest_state(rest: str, place: _Place) -> LogEvent:
    words = [found["word"] for found in _QUOTED.finditer(rest)]
    new = words[-1] if words else ""
    if new not in {"run", "stop", "running", "stopped"}:
        raise ValueError(rest)
    return GuestState(*place, running=new.startswith("run"))


_RUN_STATES = re.compile(
    r"current_run_state[ =](?P<old>\d+)(?: \((?P<old_name>[\w-]+)\))?.*?"
    r"new_state[ =](?P<new>\d+)(?: \((?P<new_name>[\w-]+)\))?"
)


def _run_state(rest: str, place: _Place) -> LogEvent:
    if found := _RUN_STATES.search(rest):
        return RunState(
            *place, old=found["old_name"] or found["old"], new=found["new_name"] or found["new"]
        )
    return RunState(*place, old=None, new=_new_state(rest))


def _new_state(rest: str) -> str:
    found = re.search(r"new[ _]state[ =]b?'?(?P<state>[\w-]+)", rest)
    if found is None:
        raise ValueError(rest)
    return found["state"]


def _migration_state(rest: str, place: _Place) -> LogEvent:
    return MigrationState(*place, state=_new_state(rest))


def _failover_state(rest: str, place: _Place) -> LogEvent:
    return FailoverState(*place, state=_new_state(rest))


def _dirty_pages(rest: str) -> int:
    found = re.search(r"dirty_pages[ =](?P<pages>0x[0-9a-fA-F]+|\d+)", rest)
    if found is None:
        raise ValueError(rest)
    return int(found["pages"], 0) if found["pages"].startswith("0x") else int(found["pages"])


_TYPES: dict[str, Callable[[str, _Place], LogEvent]] = {
    "colo_send_message": _sent,
    "colo_put_cmd": _sent,
    "colo_receive_message": _received,
    "colo_get_cmd": _received,
    "colo_vm_state_change": _guest_state,
    "colo_failover_set_state": _failover_state,
    "colo_flush_ram_cache_begin": lambda rest, place: CacheFlush(
        *place, dirty_pages=_dirty_pages(rest)
    ),
    "colo_flush_ram_cache_end": lambda _, place: CacheFlush(*place, dirty_pages=None),
    "migration_bitmap_sync_start": lambda _, place: BitmapSync(*place, dirty_pages=None),
    "migration_bitmap_sync_end": lambda rest, place: BitmapSync(
        *place, dirty_pages=_dirty_pages(rest)
    ),
    "runstate_set": _run_state,
    "migrate_set_state": _migration_state,
    "ram_load_complete": lambda _, place: RamLoaded(*place),
}


def _side(events: Iterable[LogEvent]) -> str | None:
    sides = set()
    for event in events:
        if isinstance(event, MessageSent | MessageReceived):
            sent = isinstance(event, MessageSent)
            if event.message in _FROM_PRIMARY:
                sides.add("primary" if sent else "secondary")
            elif event.message in _FROM_SECONDARY:
                sides.add("secondary" if sent else "primary")
    return sides.pop() if len(sides) == 1 else None
