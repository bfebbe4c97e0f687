"""The steps and the points of a checkpoint, for simulated and for measured runs: one table each.

A *step* is what one side does between two *points*; no design has all of either.  Tables name their
columns, figures their lanes and ``colosim steps`` its rows after them, and the lab's logs of real
QEMU spell the same points in ways of their own.  A design may have steps that are not here: they
have no function and span no points.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from colosim.errors import DesignError
from colosim.trace.events import (
    PRIMARY,
    SECONDARY,
    Event,
    GuestRunning,
    GuestStopped,
    LockGot,
    LockReleased,
    LockWanted,
    MemoryLevel,
    Received,
    Sent,
    StepDone,
    StreamBegan,
    StreamEnded,
)
from colosim.trace.purpose import Purpose

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "ACCOUNTS",
    "CHECKPOINT_THREAD",
    "DISK_DRAIN",
    "DISK_FLUSH",
    "DISK_STEPS",
    "INCOMING_THREAD",
    "MAIN_LOOP",
    "POINTS",
    "STEPS",
    "Kind",
    "OwnNames",
    "Point",
    "Step",
    "check_names",
    "misspelt",
    "step_column",
    "step_of",
]

CHECKPOINT_THREAD: Final = "checkpoint thread"
INCOMING_THREAD: Final = "COLO incoming thread"
MAIN_LOOP: Final = "main loop"
DISK_DRAIN: Final = "disk drain"
DISK_FLUSH: Final = "disk flush"
DISK_STEPS: Final = (DISK_DRAIN, DISK_FLUSH)


class Kind(StrEnum):
    """What a thread does in a step."""

    WORKS = "works"
    WRITES = "writes"
    """It writes a bulk stream, and may wait for room in the socket buffers."""
    READS = "reads"
    """It reads a bulk stream, and may wait for its bytes."""
    WAITS = "waits"
    """It waits for its peer's message."""


@dataclass(frozen=True, slots=True)
class Point:
    """A moment of a checkpoint on one side.

    `events`: what marks it, whichever comes first (after `after`, if that is given); `begins`: the
    step of work that begins with it; `meaning`: what it is where more than one event decides
    (`colosim.trace.checkpoint`).  `qemu25` and `qemu72`: its name in the logs of the lab's QEMU 2.5
    (2.7) and 7.2, ``""`` where they do not have it.
    """

    side: str
    name: str
    events: tuple[Event, ...] = ()
    after: Event | None = None
    begins: str = ""
    meaning: str = ""
    qemu25: str = ""
    qemu72: str = ""

    @property
    def full_name(self) -> str:
        """The name with the side in front: ``primary_saved``."""
        return f"{self.side}_{self.name}"

    @property
    def stage(self) -> str:
        """The name that measured runs have for it: ``p_saved``."""
        return f"{self.side[0]}_{self.name}"


@dataclass(frozen=True, slots=True)
class Step:
    """What one side does from one point to another.

    `function` is what does it in QEMU (the series of 2015 and 2016, and mainline: migration/colo.c,
    savevm.c, ram.c, qemu-file.c), `staged_function` where the whole vmstate is staged, ``""`` if it
    is the same.  `lock`: what the iothread lock is held for meanwhile, in designs that hold it.
    """

    side: str
    name: str
    kind: Kind
    begin: str
    end: str
    function: str = ""
    staged_function: str = ""
    lock: Purpose | None = None


def _primary(name: str, *events: Event, **more: Any) -> Point:
    return Point(PRIMARY, name, events, **more)


def _secondary(name: str, *events: Event, **more: Any) -> Point:
    return Point(SECONDARY, name, events, **more)


_REQUEST, _REPLY = "CHECKPOINT_REQUEST", "CHECKPOINT_REPLY"
_SEND, _SIZE = "VMSTATE_SEND", "VMSTATE_SIZE"
_RECEIVED, _LOADED = "VMSTATE_RECEIVED", "VMSTATE_LOADED"
_SAVER = (PRIMARY, CHECKPOINT_THREAD, Purpose.SAVE)
_LOADER = (SECONDARY, INCOMING_THREAD, Purpose.LOAD)

POINTS: Final = (
    _primary("request", Sent(PRIMARY, _REQUEST), qemu25="P_BEGIN", qemu72="p_send_request"),
    _secondary("request", Received(SECONDARY, _REQUEST), qemu25="S_REQ", qemu72="s_recv_request"),
    _secondary("stopped", GuestStopped(SECONDARY), qemu72="s_vm_stopped"),
    _secondary("reply", Sent(SECONDARY, _REPLY), qemu72="s_send_reply"),
    _primary("reply", Received(PRIMARY, _REPLY), qemu25="P_REPLY", qemu72="p_recv_reply"),
    _primary("stopped", GuestStopped(PRIMARY), qemu25="P_STOPPED", qemu72="p_vm_stopped"),
    _primary("vmstate_send", Sent(PRIMARY, _SEND), qemu72="p_send_vmstate_send"),
    _secondary(
        "vmstate_send",
        Received(SECONDARY, _SEND),
        qemu25="S_VMSTATE_SEND",
        qemu72="s_recv_vmstate_send",
    ),
    _primary("lock_wanted", LockWanted(*_SAVER), LockGot(*_SAVER), qemu25="P_BQL_WANT"),
    _primary("lock_taken", LockGot(*_SAVER), qemu25="P_BQL_GOT"),
    _primary("sync_begin", begins="bitmap sync", qemu72="p_sync_start"),
    _primary("synced", StepDone(PRIMARY, "bitmap sync"), qemu25="P_SYNCED", qemu72="p_sync_end"),
    _primary("ram_sent", meaning="the RAM stream, sent on its own, ends", qemu25="P_RAM_STREAMED"),
    _primary("saved", meaning="the last state is staged or sent under the lock", qemu25="P_SAVED"),
    _primary("lock_free", LockReleased(*_SAVER), qemu25="P_BQL_REL"),
    _primary("size_sent", Sent(PRIMARY, _SIZE), qemu72="p_send_vmstate_size"),
    _primary("sent", meaning="the stream of what was staged ends", qemu25="P_SENT"),
    # Streamed RAM is loaded once its end mark is there, which comes along with the size.
    _secondary(
        "ram_loaded",
        Received(SECONDARY, _SIZE),
        after=StreamEnded(SECONDARY, "RAM load"),
        qemu25="S_RAM_LOADED",
        qemu72="s_ram_loaded",
    ),
    _secondary("size", Received(SECONDARY, _SIZE), qemu25="S_SIZE", qemu72="s_recv_vmstate_size"),
    _secondary(
        "filled",
        StreamEnded(SECONDARY, "vmstate fill"),
        StreamEnded(SECONDARY, "device fill"),
        qemu25="S_FILLED",
    ),
    _secondary("received", Sent(SECONDARY, _RECEIVED), qemu72="s_send_received"),
    _primary(
        "received", Received(PRIMARY, _RECEIVED), qemu25="P_RECEIVED", qemu72="p_recv_received"
    ),
    _secondary("lock_taken", LockGot(*_LOADER), qemu25="S_BQL_GOT"),
    _secondary("reset", StepDone(SECONDARY, "reset"), qemu25="S_RESET"),
    _secondary("flush_begin", begins="cache flush", qemu25="S_FLUSH_BEGIN", qemu72="s_flush_begin"),
    _secondary(
        "flush_end",
        StepDone(SECONDARY, "cache flush"),
        qemu25="S_FLUSH_END",
        qemu72="s_flush_end",
    ),
    _secondary("lock_free", LockReleased(*_LOADER), qemu25="S_BQL_REL"),
    _secondary("resumed", GuestRunning(SECONDARY), qemu72="s_vm_resumed"),
    _secondary("loaded", Sent(SECONDARY, _LOADED), qemu25="S_LOADED_SENT", qemu72="s_send_loaded"),
    _primary("loaded", Received(PRIMARY, _LOADED), qemu25="P_LOADED", qemu72="p_recv_loaded"),
    _primary("resumed", GuestRunning(PRIMARY), qemu25="P_STARTED", qemu72="p_vm_resumed"),
)
"""Points of one transaction, in the order in which they can come."""

_STOP, _SAVE, _START = Purpose.STOP, Purpose.SAVE, Purpose.START
_LOAD, _RECEIVE = Purpose.LOAD, Purpose.RECEIVE
_WORKS, _WRITES, _READS, _WAITS = Kind.WORKS, Kind.WRITES, Kind.READS, Kind.WAITS

STEPS: Final = (
    Step(PRIMARY, "handshake", _WAITS, "request", "reply"),
    Step(PRIMARY, "stop", _WORKS, "reply", "stopped", "vm_stop_force_state", lock=_STOP),
    Step(
        PRIMARY, "bitmap sync", _WORKS, "sync_begin", "synced", "migration_bitmap_sync", lock=_SAVE
    ),
    Step(
        PRIMARY,
        "vmstate save",
        _WORKS,
        "synced",
        "saved",
        "qemu_savevm_state_complete_precopy",
        lock=_SAVE,
    ),
    Step(
        PRIMARY,
        "RAM stream",
        _WRITES,
        "synced",
        "ram_sent",
        "qemu_savevm_live_state",
        "qemu_put_buffer",
        lock=_SAVE,
    ),
    Step(PRIMARY, "device save", _WORKS, "ram_sent", "saved", "qemu_save_device_state", lock=_SAVE),
    Step(PRIMARY, "device stream", _WRITES, "size_sent", "sent", "qemu_put_buffer"),
    Step(PRIMARY, "received wait", _WAITS, "sent", "received"),
    Step(PRIMARY, "loaded wait", _WAITS, "received", "loaded"),
    Step(PRIMARY, "start", _WORKS, "loaded", "resumed", "vm_start", lock=_START),
    Step(SECONDARY, "stop", _WORKS, "request", "stopped", "vm_stop_force_state", lock=_STOP),
    Step(
        SECONDARY,
        "RAM load",
        _READS,
        "vmstate_send",
        "ram_loaded",
        "qemu_load_ram_state",
        "qemu_loadvm_state",
        lock=_RECEIVE,
    ),
    Step(SECONDARY, "vmstate fill", _READS, "size", "filled", "qemu_get_buffer"),
    Step(SECONDARY, "device fill", _READS, "size", "filled", "qemu_get_buffer"),
    Step(SECONDARY, "reset", _WORKS, "lock_taken", "reset", "qemu_system_reset", lock=_LOAD),
    Step(
        SECONDARY,
        "cache flush",
        _WORKS,
        "flush_begin",
        "flush_end",
        "colo_flush_ram_cache",
        lock=_LOAD,
    ),
    Step(
        SECONDARY,
        "device load",
        _WORKS,
        "flush_end",
        "lock_free",
        "qemu_load_device_state",
        "qemu_loadvm_state",
        lock=_LOAD,
    ),
    Step(SECONDARY, "start", _WORKS, "lock_free", "resumed", "vm_start", lock=_LOAD),
)
"""Steps with a duration.  ``handshake`` is request sent to reply read, ``received wait`` from the
last byte written to VMSTATE_RECEIVED, ``loaded wait`` from there to VMSTATE_LOADED."""

ACCOUNTS: Final = {
    "staging_buffer": "capacity of the buffer for staged state; 0 in a design without one",
    "ram_cache": "the secondary's copy of guest RAM",
    "dirty_bitmap": "a bit for each page of guest RAM",
    "cache_bitmap": "a bit for each page of the RAM cache",
    "stream_buffers": "buffers of 32 KiB between state and socket",
    "socket_send_buffer": "what is written and has not left the host yet",
    "socket_receive_buffer": "what has arrived and is not read yet",
    "disk_send_buffer": "of the disk's connection: as the socket's",
    "disk_receive_buffer": "of the disk's connection: as the socket's",
    "channel_1_send_buffer": "of the first multifd channel; the others likewise, by number",
    "channel_1_receive_buffer": "of the first multifd channel; the others likewise, by number",
}
"""The accounts of a host's memory; a design may have others of its own."""

_OUTSIDE: Final = ((PRIMARY, "failover"), *((PRIMARY, step) for step in DISK_STEPS))
"""Steps without a point of a checkpoint: of a failover, and of a disk, which few pairs have."""


@dataclass(frozen=True, slots=True)
class OwnNames:
    """What a design has besides `STEPS` (side, name) and `ACCOUNTS`, as it declares it."""

    steps: tuple[tuple[str, str], ...] = ()
    accounts: tuple[str, ...] = ()


# 'device svae' is 0.91 like 'device save', 'restart' 0.83 like 'start', whose names are both good.
_LIKENESS_MIN: Final = 0.85
_BY_NAME: Final = {(step.side, step.name): step for step in STEPS}


def step_of(side: str, name: str) -> Step | None:
    """Return a side's step by its name, None if it is a design's own."""
    return _BY_NAME.get((side, name))


def misspelt(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that `name` is a misspelling of, None if it is one or a new name.

    A misspelling has as many words, and nearly all letters in their places.
    """
    alike = {other.casefold(): other for other in known if _words(other) == _words(name)}
    near = get_close_matches(name.casefold(), alike, n=1, cutoff=_LIKENESS_MIN)
    return None if name in alike.values() or not near else alike[near[0]]


def _words(name: str) -> int:
    return len(name.replace("_", " ").split())


def check_names(event: Event, own: OwnNames) -> None:
    """Refuse an event with a step or an account of memory that neither is known nor declared.

    :raises DesignError: with the name that was meant, or that is nearest.
    """
    if isinstance(event, StepDone | StreamBegan):
        steps = (*_BY_NAME, *_OUTSIDE, *own.steps)
        name, known = event.step, [of for side, of in steps if side == event.side]
        what, declared = f"step of the {event.side}", f"new_steps = ('{event.side}: {name}',)"
    elif isinstance(event, MemoryLevel):
        name, known = event.account, [*ACCOUNTS, *own.accounts]
        what, declared = "account of memory", f"new_accounts = ('{name}',)"
    else:
        return
    if name in known:
        return
    if meant := misspelt(name, known):
        raise DesignError(f"{name!r} is no {what}; did you mean {meant!r}?")
    (near,) = get_close_matches(name, known, n=1, cutoff=0)
    raise DesignError(
        f"{name!r} is no {what} (nearest: {near!r}); a design that adds it has {declared}"
    )


def step_column(side: str, step: str) -> str:
    """Return the column that has a step's duration."""
    word = "".join(c if c.isalnum() else "_" for c in step.lower())
    return f"{side}_{word}_ns"
