"""The plain trace log of a QEMU, of any version that had COLO, read into its events.

Such a log comes from ``-trace 'colo_*' -trace migrate_set_state -trace 'migration_bitmap_sync*'
-trace runstate_set -D FILE``.  An event may be written as

* ``13074@1795397505.096507:colo_send_message Send 'vmstate-send' message``  (log backend, always so
  before QEMU 5.1, later with ``-msg timestamp=on``)
* ``colo_send_message Send 'vmstate-send' message``  (later, without it)
* ``2026-01-17T10:00:00.096507Z colo_send_message Send 'vmstate-send' message``  (QEMU 11 with
  ``-msg timestamp=on``)
* ``colo_send_message 12.345 pid=13074 msg=b'vmstate-send'``  (simpletrace.py; the number is the
  time since the event before, in microseconds)

Beside trace events, or without any, it may have the monitor's (`colosim.measured.qmp`): their names
are in capitals.  Lines may be quoted as in a mail (``> ``) and wrapped, or as a
web page has them (``&gt;``).

Anything else on a line, before an event or on lines of its own, is not an error: trace events of
other subsystems are counted, and so are lines that are no event at all.  A last line that was cut
off in the middle of an event is dropped and reported.  Message names of older series
(``checkpoint-new``, ``COLO_COMMAND_...``) are given by their present names.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape
from itertools import islice
from typing import Final, NamedTuple

from colosim.errors import LogError
from colosim.measured import qmp
from colosim.measured.lines import LINE_BYTES_MAX, decoded
from colosim.measured.rows import Rows


class LogEvent(NamedTuple):
    """An event: its line (1-based), its name, where known its time and thread, and its words.

    ``time_ns`` counts from what the log's clock counts from: the epoch, or with simpletrace.py the
    log's first event.  ``words``: of a message its present name as the designs spell it
    (``VMSTATE_SEND``), of a state change the states (old and new where the log has both), of
    pages their number, of another event the rest of its line.
    """

    line: int
    name: str
    time_ns: int | None
    thread: int | None
    words: tuple[str, ...] = ()


def of_monitor(events: Iterable[LogEvent]) -> bool:
    """Return whether events are of a monitor alone, none of a trace."""
    return all(event.name.isupper() for event in events)


def log_events(events: Iterable[LogEvent] = ()) -> Rows[LogEvent]:
    """Return events in little memory."""
    return Rows(LogEvent, ("line", "time_ns", "thread"), events)


def drop_strays(events: Rows[LogEvent]) -> None:
    """Take the time from an event that is hours away from those around it, which are close.

    A clock is not set there and back between two lines.  The first and the last event have one
    neighbour only, and may be long before or after it: such a time goes if it is years away.
    """
    places, times = array("q"), array("q")
    for place, event in enumerate(events):
        if event.time_ns is not None:
            places.append(place)
            times.append(event.time_ns)
    around = zip(times, islice(times, 1, None), islice(times, 2, None), strict=False)
    strays = [
        place
        for place, (before, own, after) in enumerate(around, start=1)
        if _is_far(own, before, after, _CLOSE_NS)
    ]
    for own, before, after in ((0, 1, 2), (-1, -3, -2)) if times[2:3] else ():
        if _is_far(times[own], times[before], times[after], KNOWN_LIMIT):
            strays.append(own)
    for stray in strays:
        events[places[stray]] = events[places[stray]]._replace(time_ns=None)


def _is_far(own: int, before: int, after: int, limit: int) -> bool:
    """Whether a time is so far from two others, which are in order and close to each other."""
    return 0 <= after - before < _CLOSE_NS and not before - limit < own < after + limit


class UnknownLine(NamedTuple):
    """A line without any event."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Log:
    """What one log file holds.

    ``other_events`` counts lines that hold an event of no interest here, ``unknown_lines`` those
    that hold none (blank ones apart); ``unknown`` has the first few of these.  ``multifd``: RAM was
    sent through channels of its own, as events of theirs show.  ``monitor``: the file of whose
    events of the monitor its own are part.
    """

    source: str
    events: Sequence[LogEvent]
    lines: int
    other_events: int
    unknown_lines: int
    unknown: tuple[UnknownLine, ...]
    truncated: bool
    multifd: bool = False
    monitor: str = ""


_OF_COLO: Final = {qmp.STOP, qmp.RESUME, qmp.COLO_EXIT}
KNOWN_LIMIT: Final = 1 << 58
"""No time of a log, no duration and no number of bytes is as large (9 years, 256 PiB)."""
_CLOSE_NS: Final = 3600 * 10**9
_UNKNOWN_KEPT: Final = 5
_NAME_LIMIT: Final = 64

_HEAD: Final = re.compile(
    r"(?:(?P<thread>\d+)@(?P<seconds>\d+)\.(?P<fraction>\d{1,9}):|(?<![\w.-]))"
    r"(?P<name>colo_\w+|runstate_set|migrate_set_state|migration_bitmap_sync_(?:start|end)"
    r"|ram_load_complete|qmp_(?:enter|exit)_\w+)(?=\s|$)"
)
_DATE: Final = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)"
    r"(?:[.,](?P<fraction>\d{1,9}))?(?P<zone>Z|[+-]\d\d:?\d\d)?"
)
_OTHER: Final = re.compile(
    r"\d+@\d+\.\d+:\w+"
    rf"|^{_DATE.pattern}\s+[a-z]\w*(?!\S)"
    r"|^[a-z][a-z0-9]*(?:_[a-z0-9]+)+(?!\S)"
)
"""An event of another subsystem in one of the spellings."""
_MARKS: Final = re.compile(r"^(?:\s?>)+ ?")
"""What a mail puts in front of a line that it quotes."""
_FRESH: Final = re.compile(rf"\d+@\d|{_DATE.pattern}|\s*$")
"""How a line begins that does not go on with the one before."""
_MULTIFD: Final = re.compile(r"\bmultifd_(?:send|recv|new_send)\w*")
_SIMPLE: Final = re.compile(r"\s*(?P<delta>\d+(?:\.\d+)?)(?:\s+pid=(?P<thread>\d+))?(?P<rest>.*)")
_QUOTED: Final = re.compile(r"'(?P<word>[^']*)'")
_ASSIGNED: Final = re.compile(r"(?P<key>\w+)=b?(?P<quote>['\"]?)(?P<value>[\w.-]*)(?P=quote)")

_NOW: Final = {"colo_put_cmd": "colo_send_message", "colo_get_cmd": "colo_receive_message"}
"""Trace names of older series, and the present ones."""
_OLD_MESSAGES: Final = {
    "CHECKPOINT_NEW": "CHECKPOINT_REQUEST",
    "CHECKPOINT_SUSPENDED": "CHECKPOINT_REPLY",
    "CHECKPOINT_SEND": "VMSTATE_SEND",
    "CHECKPOINT_RECEIVED": "VMSTATE_RECEIVED",
    "CHECKPOINT_LOADED": "VMSTATE_LOADED",
}


def parse(lines: Iterable[str], source: str = "log") -> Log:
    """Read a log from its lines; every line but a cut-off last one ends with a newline.

    :raises LogError: if no line holds a COLO event.
    """
    reader = _Reader()
    events = log_events()
    unknown: list[UnknownLine] = []
    number = other_events = unknown_lines = 0
    truncated = multifd = False
    for number, text, whole in _unwrapped(lines):
        found = list(reader.events(number, text, whole=whole))
        events.extend(found)
        if found or not text.strip():
            continue
        if not whole and _looks_cut(text):
            truncated = True
        elif _OTHER.search(text) or qmp.is_message(text):
            other_events += 1
            multifd = multifd or bool(_MULTIFD.search(text))
        else:
            unknown_lines += 1
            if len(unknown) < _UNKNOWN_KEPT:
                unknown.append(UnknownLine(number, text[:200]))
    if not any(event.name.startswith("colo_") or event.name in _OF_COLO for event in events):
        raise LogError(
            f"{source}: no COLO event in {number} lines; "
            "was QEMU started with -trace 'colo_*' and this file as its -D? Of a monitor's events "
            "STOP, RESUME and COLO_EXIT tell of COLO"
        )
    drop_strays(events)
    return Log(
        source,
        events,
        number,
        other_events,
        unknown_lines,
        tuple(unknown),
        truncated,
        multifd,
    )


def _unwrapped(lines: Iterable[str]) -> Iterator[tuple[int, str, bool]]:
    """Yield each line's number, its text, and whether it has its end.

    An event that a mail has wrapped, or a tool has printed over several lines, is one line, with
    the number of its last.
    """
    begun, place = "", 0
    for number, line in enumerate(decoded(lines), start=1):
        text = _MARKS.sub("", unescape(line[:LINE_BYTES_MAX].rstrip("\r\n")))
        whole = line.endswith("\n")
        joined = f"{begun} {text.strip()}"
        if begun and _goes_on(text, joined):
            text = joined
        elif begun:
            yield place, begun, True
        begun = ""
        if whole and len(text) < LINE_BYTES_MAX and _is_open(text):
            begun, place = text, number
        else:
            yield number, text, whole
    if begun:
        yield place, begun, True


def _is_open(text: str) -> bool:
    """Whether the last event of a line lacks some of its words."""
    heads = list(_HEAD.finditer(text))
    if not heads:
        return qmp.is_open(text)
    return _words_of(heads[-1], text[heads[-1].end() :]) is None


def _goes_on(text: str, joined: str) -> bool:
    """Whether a line goes on with the event that the one before has begun; `joined` are both."""
    fresh = _FRESH.match(text) or qmp.begins(text) or _HEAD.search(text)
    return not fresh and (qmp.is_open(joined) or not _is_open(joined))


def _looks_cut(text: str) -> bool:
    """Whether a line without its newline is an event, or the head of one, that was cut off."""
    cut = re.fullmatch(r"\d+(?:@[\d.]*(?::\w*)?)?", text)
    return bool(_HEAD.search(text) or cut or qmp.is_open(text))


class _Reader:
    """Reads lines into events; remembers the clock of simpletrace.py, which counts differences."""

    def __init__(self) -> None:
        self._elapsed_ns = 0
        self._said: qmp.Said | None = None

    def events(self, number: int, text: str, *, whole: bool) -> Iterator[LogEvent]:
        """Yield the events of a line: mostly none or one, two where writes of two threads met."""
        heads = list(_HEAD.finditer(text))
        if not heads:
            yield from self._monitors(number, text)
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
            words = _words_of(head, rest)
            if words is not None:
                yield LogEvent(number, _name_of(head), time_ns, thread, words)

    def _monitors(self, number: int, text: str) -> Iterator[LogEvent]:
        """Yield what a monitor says; libvirt writes the same event more than once."""
        told = qmp.said(text)
        if told is None or (told == self._said and told.time_ns is not None):
            return
        self._said = told
        time_ns = _date_ns(text) if told.time_ns is None else told.time_ns
        yield LogEvent(number, told.name, time_ns, None, told.words)


def _name_of(head: re.Match[str]) -> str:
    return _NOW.get(head["name"], head["name"])


def _words_of(head: re.Match[str], rest: str) -> tuple[str, ...] | None:
    return _WORDS.get(_name_of(head), _rest)(rest.strip())


def _closed(rest: str) -> bool:
    """Whether an event's text cannot go on: a number at its end may have lost digits."""
    return rest.endswith(("'", "message", "cmd", ")", "}"))


def _stamp(head: re.Match[str], before: str) -> tuple[int | None, int | None]:
    if head["thread"]:
        fraction = head["fraction"].ljust(9, "0")
        return int(head["seconds"]) * 10**9 + int(fraction), int(head["thread"])
    return _date_ns(before), None


def _date_ns(text: str) -> int | None:
    """Return the time of the last date in a text, since the epoch, None if it has none."""
    date = None
    for date in _DATE.finditer(text):  # noqa: B007 - the last date is the event's own
        pass
    if date is None:
        return None
    try:
        moment = datetime.fromisoformat(date["date"] + (date["zone"] or "+00:00"))
    except ValueError:
        return None
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    fraction = (date["fraction"] or "").ljust(9, "0")
    return (since.days * 86_400 + since.seconds) * 10**9 + int(fraction)


def _decimal_ns(text: str, exponent: int) -> int:
    whole, _, fraction = text.partition(".")
    return int(whole + fraction.ljust(exponent, "0")[:exponent])


# ---- the words of an event: None where its arguments are not as they must be ---------------------

_Words = tuple[str, ...] | None


def _rest(rest: str) -> _Words:
    return (rest,) if rest else ()


def _none(_rest_of_line: str) -> _Words:
    return ()


def _message(rest: str) -> _Words:
    """Return the one word of a message: quoted in the log backend, assigned in simpletrace."""
    assigned = (found["value"] for found in _ASSIGNED.finditer(rest) if found["key"] == "msg")
    quoted = (found["word"] for found in _QUOTED.finditer(rest))
    word = next(assigned, None) or next(quoted, None)
    if word is None:
        return None
    name = re.sub(r"[^A-Z0-9_]", "?", word.upper().replace("-", "_"))[:_NAME_LIMIT]
    for prefix in ("COLO_MESSAGE_", "COLO_COMMAND_", "COLO_"):
        name = name.removeprefix(prefix)
    return (_OLD_MESSAGES.get(name, name),)


def _guest(rest: str) -> _Words:
    words = [found["word"] for found in _QUOTED.finditer(rest)]
    states = {"run": "run", "running": "run", "stop": "stop", "stopped": "stop"}
    match words:
        case [_, new] if new in states:
            return (states[new],)
    return None


_RUN_STATES: Final = re.compile(
    r"current_run_state[ =](?P<old>\d+)(?: \((?P<old_name>[\w-]+)\))?.*?"
    r"new_state[ =](?P<new>\d+)(?: \((?P<new_name>[\w-]+)\))?"
)
"""The old state is there from QEMU 2.12 on, the names from 4.2 on."""


def _run_state(rest: str) -> _Words:
    if found := _RUN_STATES.search(rest):
        return found["old_name"] or found["old"], found["new_name"] or found["new"]
    return _state(rest)


def _state(rest: str) -> _Words:
    found = re.search(r"new[ _]state[ =]b?'?(?P<state>[\w-]+)", rest)
    return None if found is None else (found["state"][:_NAME_LIMIT],)


def _pages(rest: str) -> _Words:
    found = re.search(r"dirty_pages[ =](?P<pages>0x[0-9a-fA-F]+|\d+)", rest)
    if found is None:
        return None
    return (str(int(found["pages"], 16 if found["pages"].startswith("0x") else 10)),)


def _exit_code(rest: str) -> _Words:
    found = re.search(r"exit_code[ =](?P<code>-?\d+)", rest)
    return ("0",) if found is None else (found["code"],)


_WORDS: Final[dict[str, Callable[[str], _Words]]] = {
    "colo_send_message": _message,
    "colo_receive_message": _message,
    "colo_vm_state_change": _guest,
    "colo_failover_set_state": _state,
    "colo_flush_ram_cache_begin": _pages,
    "colo_flush_ram_cache_end": _none,
    "migration_bitmap_sync_start": _none,
    "migration_bitmap_sync_end": _pages,
    "runstate_set": _run_state,
    "migrate_set_state": _state,
    "ram_load_complete": _exit_code,
}
