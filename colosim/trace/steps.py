"""The steps and the points of a checkpoint, for simulated and for measured runs: one table each.

A *step* is what one side does between two *points*; no design has all of either.  Tables name their
columns, figures their lanes and ``colosim steps`` its rows after them.  Logs of real QEMU become
the same events, and so have the same points.  A design may have steps that are not here: they have
no function and span no points.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, Final

from colosim.errors import DesignError
from colosim.trace import events as ev
from colosim.trace.events import PRIMARY, SECONDARY
from colosim.trace.purpose import Purpose

CHECKPOINT_THREAD: Final = "checkpoint thread"
INCOMING_THREAD: Final = "COLO incoming thread"
MAIN_LOOP: Final = "main loop"
PROTOCOL_THREADS: Final = {PRIMARY: CHECKPOINT_THREAD, SECONDARY: INCOMING_THREAD}
"""The thread of each side that runs the protocol (in QEMU: migration thread, COLO incoming)."""

STOP: Final = "stop"
BITMAP_SYNC: Final = "bitmap sync"
VMSTATE_SAVE: Final = "vmstate save"
RAM_STREAM: Final = "RAM stream"
DEVICE_SAVE: Final = "device save"
RAM_TAIL: Final = "RAM tail"
DEVICE_STREAM: Final = "device stream"
RAM_LOAD: Final = "RAM load"
VMSTATE_FILL: Final = "vmstate fill"
DEVICE_FILL: Final = "device fill"
RESET: Final = "reset"
CACHE_FLUSH: Final = "cache flush"
DEVICE_LOAD: Final = "device load"
START: Final = "start"
FAILOVER: Final = "failover"
DISK_DRAIN: Final = "disk drain"
DISK_FLUSH: Final = "disk flush"
BACKGROUND_STREAM: Final = "background stream"
BACKGROUND_LOAD: Final = "background load"
DISK_STEPS: Final = (DISK_DRAIN, DISK_FLUSH)
PROXY_WRITE: Final = "proxy write"
"""A write to a full socket of the proxy, which is no step of a checkpoint."""


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
    (`colosim.trace.checkpoint`).
    """

    side: str
    name: str
    events: tuple[ev.Event, ...] = ()
    after: ev.Event | None = None
    begins: str = ""
    meaning: str = ""

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


def _primary(name: str, *events: ev.Event, **more: Any) -> Point:
    return Point(PRIMARY, name, events, **more)


def _secondary(name: str, *events: ev.Event, **more: Any) -> Point:
    return Point(SECONDARY, name, events, **more)


_REQUEST, _REPLY = "CHECKPOINT_REQUEST", "CHECKPOINT_REPLY"
_SEND, _SIZE = "VMSTATE_SEND", "VMSTATE_SIZE"
_RECEIVED, _LOADED = "VMSTATE_RECEIVED", "VMSTATE_LOADED"
_SAVER = (PRIMARY, CHECKPOINT_THREAD, Purpose.SAVE)
_LOADER = (SECONDARY, INCOMING_THREAD, Purpose.LOAD)

POINTS: Final = (
    _primary("request", ev.Sent(PRIMARY, _REQUEST)),
    _secondary("request", ev.Received(SECONDARY, _REQUEST)),
    _secondary("stopped", ev.GuestStopped(SECONDARY)),
    _secondary("reply", ev.Sent(SECONDARY, _REPLY)),
    _primary("reply", ev.Received(PRIMARY, _REPLY)),
    _primary("stopped", ev.GuestStopped(PRIMARY)),
    _primary("vmstate_send", ev.Sent(PRIMARY, _SEND)),
    _secondary("vmstate_send", ev.Received(SECONDARY, _SEND)),
    _primary("lock_wanted", ev.LockWanted(*_SAVER), ev.LockGot(*_SAVER)),
    _primary("lock_taken", ev.LockGot(*_SAVER)),
    _primary("sync_begin", begins=BITMAP_SYNC),
    _primary("synced", ev.StepDone(PRIMARY, BITMAP_SYNC)),
    _primary("ram_sent", meaning="the RAM stream, sent on its own, ends"),
    _primary("saved", meaning="the last state is staged or sent under the lock"),
    _primary("lock_free", ev.LockReleased(*_SAVER)),
    _primary("size_sent", ev.Sent(PRIMARY, _SIZE)),
    _primary("sent", meaning="the stream of what was staged ends"),
    # Streamed RAM is loaded once its end mark is there, which comes along with the size.
    _secondary(
        "ram_loaded", ev.Received(SECONDARY, _SIZE), after=ev.StreamEnded(SECONDARY, RAM_LOAD)
    ),
    _secondary("size", ev.Received(SECONDARY, _SIZE)),
    _secondary(
        "filled", ev.StreamEnded(SECONDARY, VMSTATE_FILL), ev.StreamEnded(SECONDARY, DEVICE_FILL)
    ),
    _secondary("received", ev.Sent(SECONDARY, _RECEIVED)),
    _primary("received", ev.Received(PRIMARY, _RECEIVED)),
    _secondary("lock_taken", ev.LockGot(*_LOADER)),
    _secondary("reset", ev.StepDone(SECONDARY, RESET)),
    _secondary("flush_begin", begins=CACHE_FLUSH),
    _secondary("flush_end", ev.StepDone(SECONDARY, CACHE_FLUSH)),
    _secondary("lock_free", ev.LockReleased(*_LOADER)),
    _secondary("resumed", ev.GuestRunning(SECONDARY)),
    _secondary("loaded", ev.Sent(SECONDARY, _LOADED)),
    _primary("loaded", ev.Received(PRIMARY, _LOADED)),
    _primary("resumed", ev.GuestRunning(PRIMARY)),
)
"""Points of one transaction, in the order in which they can come."""

_STOP, _SAVE, _START = Purpose.STOP, Purpose.SAVE, Purpose.START
_LOAD, _RECEIVE = Purpose.LOAD, Purpose.RECEIVE
_WORKS, _WRITES, _READS, _WAITS = Kind.WORKS, Kind.WRITES, Kind.READS, Kind.WAITS

STEPS: Final = (
    Step(PRIMARY, "handshake", _WAITS, "request", "reply"),
    Step(PRIMARY, STOP, _WORKS, "reply", "stopped", "vm_stop_force_state", lock=_STOP),
    Step(PRIMARY, BITMAP_SYNC, _WORKS, "sync_begin", "synced", "migration_bitmap_sync", lock=_SAVE),
    Step(
        PRIMARY,
        VMSTATE_SAVE,
        _WORKS,
        "synced",
        "saved",
        "qemu_savevm_state_complete_precopy",
        lock=_SAVE,
    ),
    Step(
        PRIMARY,
        RAM_STREAM,
        _WRITES,
        "synced",
        "ram_sent",
        "qemu_savevm_live_state",
        "qemu_put_buffer",
        lock=_SAVE,
    ),
    Step(PRIMARY, DEVICE_SAVE, _WORKS, "ram_sent", "saved", "qemu_save_device_state", lock=_SAVE),
    Step(PRIMARY, RAM_TAIL, _WRITES, "lock_free", "size_sent", "qemu_fflush"),
    Step(PRIMARY, DEVICE_STREAM, _WRITES, "size_sent", "sent", "qemu_put_buffer"),
    Step(PRIMARY, "received wait", _WAITS, "sent", "received"),
    Step(PRIMARY, "loaded wait", _WAITS, "received", "loaded"),
    Step(PRIMARY, START, _WORKS, "loaded", "resumed", "vm_start", lock=_START),
    Step(SECONDARY, STOP, _WORKS, "request", "stopped", "vm_stop_force_state", lock=_STOP),
    Step(
        SECONDARY,
        RAM_LOAD,
        _READS,
        "vmstate_send",
        "ram_loaded",
        "qemu_load_ram_state",
        "qemu_loadvm_state",
        lock=_RECEIVE,
    ),
    Step(SECONDARY, VMSTATE_FILL, _READS, "size", "filled", "qemu_get_buffer"),
    Step(SECONDARY, DEVICE_FILL, _READS, "size", "filled", "qemu_get_buffer"),
    Step(SECONDARY, RESET, _WORKS, "lock_taken", "reset", "qemu_system_reset", lock=_LOAD),
    Step(
        SECONDARY,
        CACHE_FLUSH,
        _WORKS,
        "flush_begin",
        "flush_end",
        "colo_flush_ram_cache",
        lock=_LOAD,
    ),
    Step(
        SECONDARY,
        DEVICE_LOAD,
        _WORKS,
        "flush_end",
        "lock_free",
        "qemu_load_device_state",
        "qemu_loadvm_state",
        lock=_LOAD,
    ),
    Step(SECONDARY, START, _WORKS, "lock_free", "resumed", "vm_start", lock=_LOAD),
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

_OUTSIDE: Final = tuple((PRIMARY, step) for step in (FAILOVER, BACKGROUND_STREAM, *DISK_STEPS))
"""Steps without a point of a checkpoint: of a failover, between checkpoints, and of a disk."""


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


def check_names(event: ev.Event, own: OwnNames) -> None:
    """Refuse an event with a step or an account of memory that neither is known nor declared.

    :raises DesignError: with the name that was meant, or that is nearest.
    """
    if isinstance(event, ev.StepDone | ev.StreamBegan):
        steps = (*_BY_NAME, *_OUTSIDE, *own.steps)
        name, known = event.step, [of for side, of in steps if side == event.side]
        what, declared = f"step of the {event.side}", f"new_steps = ('{event.side}: {name}',)"
    elif isinstance(event, ev.MemoryLevel):
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
