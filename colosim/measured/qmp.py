"""What a monitor says: events of QMP, and the commands of its transcript.

An event stands anywhere in a line, behind a prompt, a date, or the name of a function of libvirt's:

* ``{"timestamp": {"seconds": 1795397505, "microseconds": 96507}, "event": "STOP"}``, as QMP has it;
  in single quotes, or over several lines, as qmp-shell prints it
* ``event STOP at 1795397505.096507 for domain 'colo'``  (virsh qemu-monitor-event)
* ``2026-01-17 10:00:00.096+0000: event STOP for domain 'colo'``  (the same with --timestamp; then
  the time is virsh's own, in milliseconds)
* ``2026-01-17 10:00:00.096+0000: event 'lifecycle' for domain 'colo': Suspended Paused``  (virsh
  event, with --timestamp or, without times, not): libvirt's word for STOP (qemuProcessHandleStop)
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

STOP: Final = "STOP"
RESUME: Final = "RESUME"
COLO_EXIT: Final = "COLO_EXIT"
MIGRATION: Final = "MIGRATION"
NEXT_ROUND: Final = "MIGRATION_PASS"
SHUTDOWN: Final = "SHUTDOWN"
COMMAND: Final = "EXECUTE"
"""Not an event: a command that was sent."""

_QUOTE: Final = r"u?\\?[\"']"
"""As QMP, Python, or a message that stands in a string has it."""
_EVENT: Final = re.compile(rf"{_QUOTE}event{_QUOTE}\s*:\s*{_QUOTE}(?P<name>[A-Z][A-Z0-9_]*)")
_VIRSH: Final = re.compile(
    r"\bevent '?(?P<name>[A-Za-z][\w-]*)'?(?: at (?P<seconds>\d{1,12})\.(?P<fraction>\d{1,9}))?"
    r" for domain\b(?:.*?: (?P<state>[A-Z]\w+))?"
)
_STATES: Final = {"Suspended": STOP, "Resumed": RESUME, "Shutdown": SHUTDOWN, "Stopped": SHUTDOWN}
"""What libvirt calls QEMU's events (virshDomainEventToString)."""
_COMMAND: Final = re.compile(
    rf"{_QUOTE}(?:execute|exec-oob){_QUOTE}\s*:\s*{_QUOTE}(?P<name>[\w-]+)"
)
_MESSAGE: Final = re.compile(
    rf"\{{\s*{_QUOTE}"
    rf"(?:timestamp|event|data|execute|exec-oob|arguments|return|error|QMP|id){_QUOTE}\s*:"
)
_FIELDS: Final = {COLO_EXIT: ("mode", "reason"), MIGRATION: ("status",)}
_KEPT: Final = {STOP, RESUME, NEXT_ROUND, SHUTDOWN, *_FIELDS}


class Said(NamedTuple):
    """An event or a command of interest: its name, its time if it is there, and its words.

    Words: the mode and reason of a COLO_EXIT, the status of a MIGRATION, a command's name.
    """

    name: str
    time_ns: int | None
    words: tuple[str, ...] = ()


def said(text: str) -> Said | None:
    """Return what a line says of COLO, None if it is nothing or not whole."""
    if found := _EVENT.search(text):
        seconds, micros = _field(text, "seconds"), _field(text, "microseconds")
        known = seconds.isdecimal() and micros.isdecimal()
        time_ns = int(seconds) * 10**9 + int(micros) * 1000 if known else None
    elif found := _VIRSH.search(text):
        seconds, fraction = found["seconds"], found["fraction"]
        time_ns = int(seconds) * 10**9 + int(fraction.ljust(9, "0")) if seconds else None
    elif found := _COMMAND.search(text):
        return Said(COMMAND, None, (found["name"],))
    name = found["name"] if found else ""
    if found and name == "lifecycle":
        name = _STATES.get(found["state"], "")
    words = tuple(_field(text, key) for key in _FIELDS.get(name, ()))
    return Said(name, time_ns, words) if name in _KEPT and all(words) else None


def begins(text: str) -> bool:
    """Whether a message of QMP's begins at the beginning of a line."""
    return bool(_MESSAGE.match(text))


def is_message(text: str) -> bool:
    """Whether a line has a message of QMP's, or an event as virsh writes it."""
    return bool(_MESSAGE.search(text) or _VIRSH.search(text))


def is_open(text: str) -> bool:
    """Whether a message of QMP's goes on in the next line."""
    if text.strip() != "{" and not is_message(text):
        return False
    bare = re.sub(r"\"(?:[^\"\\]|\\.)*\"", "", text)
    return bare.count("{") > bare.count("}")


def _field(text: str, key: str) -> str:
    found = re.search(rf"{_QUOTE}{key}{_QUOTE}\s*:\s*(?:{_QUOTE})?(?P<value>[\w-]{{1,40}})", text)
    return found["value"] if found else ""
