"""The record's events, times and sizes in words for people."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Told", "duration", "moment_of", "place", "purpose_of", "seconds", "size", "tell"]

MS, S = 1_000_000, 1_000_000_000
MIB = 1 << 20


class Told(NamedTuple):
    """An event in words: who does it (a side, or the fault, manager or pair), and what."""

    who: str
    what: str


def duration(time_ns: int) -> str:
    """Return a duration as people read it: ms up to ten seconds, s beyond."""
    return f"{time_ns / MS:.3f} ms" if abs(time_ns) < 10 * S else f"{time_ns / S:.3f} s"


def seconds(time_ns: int) -> str:
    """Return a setting in seconds."""
    return f"{time_ns / S:g} s"


def moment_of(time_ns: int) -> str:
    """Return a point in time, in seconds since COLO was entered."""
    return f"{time_ns / S:.6f} s"


def size(amount: int) -> str:
    """Return an amount of bytes: MiB from one on, else bytes."""
    return f"{amount / MIB:.2f} MiB" if amount >= MIB else f"{amount} B"


_FAULTS = {
    "freeze": "the {0}'s process freezes; its kernel goes on",
    "thaw": "the {0}'s process is to go on",
    "kill": "the {0}'s process is killed",
    "vanish": "{1} vanishes: nothing comes back from it",
    "heal": "{1} heals",
    "slow": "{1} gets slow",
    "fail": "a function of the {0} is to fail",
    "busy": "the {0}'s main loop is busy with what is none of COLO's",
    "disconnect": "the cluster manager loses its connection to the {0}'s monitor",
}
_PURPOSES = {
    "stop": "stop the guest",
    "start": "start the guest",
    "monitor": "serve the monitor",
    "failover": "fail over",
    "save": "save the state",
    "load": "load the state",
    "receive": "receive RAM",
    "busy": "do work of its own",
}
_SAID = {
    "guest running": "guest runs",
    "process frozen": "its threads stop",
    "process thawed": "its threads go on",
    "process killed": "its kernel tears its memory down, then resets",
    "connection timed out": "its kernel gives the connection up: timed out",
    "RAM stream broken": "the send of the RAM stream fails",
    "monitor serves yank out of band": "yank, served out of band, without the lock",
    "COLO exit (error)": "leaves COLO with an error",
    "COLO exit (request)": "leaves COLO on request",
    "serves alone": "serves alone",
    "failover postponed (loading)": "postpones the failover: it is just loading a checkpoint",
    "main loop schedules failover bottom half, again": "asks for the postponed failover again",
}
#: Events that only say again what another one beside them says.
_LEFT_OUT = {"stop", "start", "bitmap sync", "failover"}
#: Work whose event has its duration.
_WORK = {
    "device save",
    "vmstate save",
    "reset",
    "RAM load",
    "cache flush",
    "device load",
}


def place(where: str) -> str:
    """Return the network, or the host of a side."""
    return "the network" if where == "network" else f"the {where}'s host"


def purpose_of(purpose: str) -> str:
    """Return what a lock is held for, as a verb."""
    return _PURPOSES.get(purpose, purpose)


def _lock(done: str, thread: str, purpose: str, value: int) -> str:
    if done == "wanted":
        return f"{thread} waits for the iothread lock ({purpose})"
    if done == "got":
        late = f", after {duration(value)}" if value else ""
        return f"{thread} takes the iothread lock ({purpose}){late}"
    return f"{thread} releases the lock, {duration(value)}"


def _served(command: str, wait_ns: int) -> str:
    return f"monitor serves {command}, " + (f"after {duration(wait_ns)}" if wait_ns else "at once")


_PATTERNS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], int], str]], ...] = (
    (
        re.compile(r"iothread lock (wanted|got|released) by (.+) for (\S+)"),
        lambda match, value: _lock(match[1], match[2], match[3], value),
    ),
    (re.compile(r"(sends|receives) ([A-Z_]+)"), lambda match, _: match[0]),
    (re.compile(r"(.+) begins"), lambda match, value: f"{match[1]} begins: {size(value)}"),
    (re.compile(r"(.+) ends"), lambda match, _: match[0]),
    (re.compile(r"dirty pages"), lambda _, value: f"{value} dirty pages"),
    (re.compile(r"flushed pages"), lambda _, value: f"{value} pages from the RAM cache"),
    (re.compile(r"staged"), lambda _, value: f"{size(value)} in the staging buffer"),
    (re.compile(r"guest stopped"), lambda _, value: f"guest stops, had run {duration(value)}"),
    (
        re.compile(r"monitor serves (\S+)"),
        lambda match, value: _served(match[1], value),
    ),
)


def tell(name: str, value: int) -> Told | None:
    """Return an event of the record in words, or None if it is bookkeeping."""
    subject, colon, what = name.partition(": ")
    if not colon or subject in {"fault", "fault ends", "cluster manager"}:
        return _of_nobody(subject, what, value)
    if what.startswith("fault "):
        return Told("fault", f"the {subject}'s {what.removeprefix('fault ')}")
    if what.startswith("memory ") or what in _LEFT_OUT:
        return None
    return Told(subject, _of_side(what, value))


def _of_nobody(subject: str, what: str, value: int) -> Told:
    """Return an event that is neither side's in words."""
    if subject == "faults end":
        return Told("fault", "all faults end")
    if subject == "fault":
        kind, _, where = what.partition(" ")
        return Told("fault", _FAULTS.get(kind, what).format(where, place(where)))
    if subject == "fault ends":
        return Told("fault", f"{place(what.removesuffix(' is as before'))} is as before")
    if subject == "cluster manager":
        return Told("manager", _manager(what))
    return Told("pair", subject.replace("checkpoint ", f"checkpoint {value} "))


def _manager(what: str) -> str:
    lost, verb, _ = what.partition(" is lost")
    return f"takes the {lost} for lost" if verb else what.replace("powers ", "powers the ")


def _of_side(what: str, value: int) -> str:
    if what in _SAID:
        return _SAID[what]
    if what in _WORK:
        return f"{what}, {duration(value)}"
    for pattern, words in _PATTERNS:
        match = pattern.fullmatch(what)
        if match:
            return words(match, value)
    return f"{what} ({value})" if value else what
