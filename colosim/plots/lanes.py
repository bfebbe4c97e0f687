"""Lanes: what goes on from one event of a run to another, for every figure that has a time axis.

Whoever draws time asks here for its intervals; nothing else in this room pairs events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from colosim.analysis.held_back import LOADED, waits_in
from colosim.plots.curves import curve_of, end_of
from colosim.plots.look import FigureError
from colosim.plots.units import int_or_none, rows_of
from colosim.trace import events as ev
from colosim.trace.events import COMMITTED, PRIMARY, SECONDARY
from colosim.trace.quantities import CHECKPOINT, START
from colosim.trace.steps import (
    CACHE_FLUSH,
    DEVICE_LOAD,
    DEVICE_SAVE,
    PROTOCOL_THREADS,
    RAM_LOAD,
    STEPS,
    VMSTATE_SAVE,
    Kind,
    step_column,
)

if TYPE_CHECKING:
    import pandas as pd

    from colosim.runs.run import Run

BUFFERS: Final = {
    "primary send buffer": (PRIMARY, "socket_send_buffer"),
    "secondary receive buffer": (SECONDARY, "socket_receive_buffer"),
    "primary disk buffer": (PRIMARY, "disk_send_buffer"),
    "secondary disk buffer": (SECONDARY, "disk_receive_buffer"),
}
"""Lanes of socket buffers, and the accounts of memory that say how full they are."""

WAITS: Final = "waits"
HELD_BACK: Final = "delayed ACK"
"""What a message stood for before it left."""
_WORK: Final = {
    VMSTATE_SAVE: "save",
    DEVICE_SAVE: "save",
    RAM_LOAD: "load",
    DEVICE_LOAD: "load",
    CACHE_FLUSH: "flush cache",
}
"""What a step of work counts as, where that is not "stop, start, other"."""


class Timed(NamedTuple):
    """An event, when it happens, and its value."""

    at_ns: int
    event: ev.Event
    value: int


class Interval(NamedTuple):
    """Something that takes time; `end_ns` is None if it never ended.

    `kind` is the kind of thing that it is, for its look.
    """

    what: str
    kind: str
    begin_ns: int
    end_ns: int | None


class Level(NamedTuple):
    """How full a buffer is, in bytes: a straight line from begin to end."""

    begin_ns: int
    end_ns: int | None
    begin_bytes: int
    end_bytes: int


# ---- which events --------------------------------------------------------------------------------


def events_of(run: Run) -> Iterator[Timed]:
    """Yield a run's events."""
    return map(Timed._make, run.iter_events())


def request_of(run: Run, checkpoint: int) -> int:
    """Return when a checkpoint was requested, in ns since COLO was entered.

    :raises FigureError: if the run has no such checkpoint, or does not show its request.
    """
    rows = run.checkpoints
    rows = rows[rows["checkpoint"] == checkpoint]
    if not len(rows):
        raise FigureError(f"{run!r} has no checkpoint {checkpoint}")
    begin = int_or_none(rows["primary_request_at_ns"].iloc[-1])
    if begin is None:
        raise FigureError(f"{run!r} does not show the request of checkpoint {checkpoint}")
    return begin


def window_of(run: Run, begin_ns: int) -> tuple[list[Timed], int | None]:
    """Return the events from a request on up to the next one, and when that is, if there is one."""
    request = ev.Sent(PRIMARY, "CHECKPOINT_REQUEST")
    found: list[Timed] = []
    for one in events_of(run):
        if one.event == request:
            if found:
                return found, one.at_ns
            if one.at_ns == begin_ns:
                found.append(one)
        elif found:
            found.append(one)
    return found, None


def fault_of(run: Run) -> int:
    """Return when the first fault struck, in ns.

    :raises FigureError: if none did.
    """
    for at_ns, event, _ in run.iter_events():
        if isinstance(event, ev.FaultStruck | ev.FailureInjected):
            return at_ns
    raise FigureError(f"no fault struck in {run!r}: there is nothing to wait for")


def counted(run: Run) -> pd.DataFrame:
    """Return the checkpoints that statistics count: committed after warm-up and COLO's start."""
    rows = run.checkpoints
    rows = rows[(rows["outcome"] == COMMITTED) & (rows["kind"] == CHECKPOINT)]
    return rows[rows["checkpoint"] >= run.scenario.warmup]


def named(run: Run, checkpoint: int) -> str:
    """Return what a checkpoint is called: ``checkpoint 3``, or COLO's start."""
    kinds = run.checkpoints.loc[run.checkpoints["checkpoint"] == checkpoint, "kind"]
    return "checkpoint 0, COLO's start" if (kinds == START).any() else f"checkpoint {checkpoint}"


def typical_checkpoint(run: Run) -> int:
    """Return the committed checkpoint after the warm-up whose pause is the median (nearest rank).

    A run that committed none has its first checkpoint as the typical one.

    :raises FigureError: if it began none.
    """
    rows = run.checkpoints
    if not len(rows):
        raise FigureError(f"{run!r} began no checkpoint")
    chosen = counted(run)
    if not len(chosen):
        chosen = rows[rows["outcome"] == COMMITTED]
    if not len(chosen):
        return int(rows["checkpoint"].iloc[0])
    ordered = chosen.sort_values("pause_ns", kind="stable")
    return int(ordered["checkpoint"].iloc[(len(ordered) - 1) // 2])


# ---- from event to event -------------------------------------------------------------------------


@dataclass(frozen=True)
class Lanes:
    """The lanes of a run, of all its `events` or of some that follow one another."""

    run: Run
    events: list[Timed]

    def of_side(self, side: str) -> Iterator[Timed]:
        """Yield what happens on a side."""
        return (
            one
            for one in self.events
            if isinstance(one.event, ev.OnSide) and one.event.side == side
        )

    def marks(self) -> Iterator[tuple[str, int, str]]:
        """Yield faults and what the manager did: ``fault`` or ``cluster manager``, when, what."""
        for at_ns, event, _ in self.events:
            match event:
                case ev.FaultStruck(kind, target):
                    yield "fault", at_ns, f"{kind} {target}"
                case ev.FailureInjected(side, function, leaks_lock):
                    leaks = " and leaks the lock" if leaks_lock else ""
                    yield "fault", at_ns, f"{side}: {function} fails{leaks}"
                case ev.ByManager():
                    yield "cluster manager", at_ns, event.what

    def guest(self, side: str) -> Iterator[Interval]:
        """Yield when a side's guest runs, is stopped, serves alone."""
        return self._states(side, _guest_of)

    def process(self, side: str) -> Iterator[Interval]:
        """Yield when a side's process is frozen or killed."""
        return self._states(side, _process_of)

    def _states(self, side: str, state_of: Callable[[ev.Event], str | None]) -> Iterator[Interval]:
        """Yield states, each until the next.

        `state_of` says in which state an event leaves what is looked at: None if in the same,
        ``""`` if in none that is to be shown.
        """
        state, since_ns = "", 0
        for at_ns, event, _ in self.of_side(side):
            new = state_of(event)
            if new is None or new == state:
                continue
            if state and at_ns > since_ns:
                yield Interval(state, state, since_ns, at_ns)
            state, since_ns = new, at_ns
        if state:
            yield Interval(state, state, since_ns, None)

    def commands(self, side: str) -> Iterator[Interval]:
        """Yield the monitor's commands from their coming in to their being served."""
        waiting: dict[str, int] = {}
        for at_ns, event, _ in self.of_side(side):
            match event:
                case ev.CommandReceived(_, command):
                    waiting[command] = at_ns
                case ev.CommandServed(_, command):
                    yield Interval(command, "command", waiting.pop(command, at_ns), at_ns)
        for command, since_ns in waiting.items():
            yield Interval(command, "command", since_ns, None)

    def thread(  # noqa: C901, PLR0912 - a case for each kind of event
        self, side: str, thread: str
    ) -> Iterator[Interval]:
        """Yield what a thread does and what it waits for, each as it ends, the endless ones last.

        A wait within a stream that it writes is part of that stream; the wait for a stream that it
        reads is the reading.
        """
        columns = frozenset(self.run.checkpoints.columns)
        reads = self._reads(side)
        is_protocol = thread == PROTOCOL_THREADS[side]
        begun: dict[str, Interval] = {}
        for at_ns, event, value in self.of_side(side):
            match event:
                case ev.WaitBegan(_, who, what) if who == thread and what not in begun:
                    begun[what] = _wait(what, reads, at_ns, None)
                case ev.WaitEnded(_, who, what) if who == thread:
                    if what not in begun or begun[what].kind != "send":
                        begun.pop(what, None)
                        if value:
                            yield _wait(what, reads, at_ns - value, at_ns)
                case ev.LockWanted(_, who, purpose) if who == thread:
                    begun["lock"] = _wait(f"the iothread lock ({purpose})", reads, at_ns, None)
                case ev.LockGot(_, who, purpose) if who == thread:
                    begun.pop("lock", None)
                    if value:
                        what = f"the iothread lock ({purpose})"
                        yield _wait(what, reads, at_ns - value, at_ns)
                case ev.StreamBegan(_, step) if is_protocol:
                    begun[step] = Interval(step, "send", at_ns, None)
                case ev.StreamEnded(_, step) | ev.StreamBroken(_, step) if (
                    is_protocol and step in begun
                ):
                    yield begun.pop(step)._replace(end_ns=at_ns)
                case ev.ColoExit() if is_protocol:
                    for step in [name for name, one in begun.items() if one.kind == "send"]:
                        given_up = begun.pop(step)
                        yield given_up._replace(what=f"{step} (given up)", end_ns=at_ns)
                case ev.StepDone(_, step) if is_protocol and value:
                    if step_column(side, step) in columns:
                        kind = _WORK.get(step, "stop, start, other")
                        yield Interval(step, kind, at_ns - value, at_ns)
        yield from begun.values()

    def _reads(self, side: str) -> set[str]:
        """Return the bulk streams that a side reads."""
        ended = {
            one.event.step for one in self.of_side(side) if isinstance(one.event, ev.StreamEnded)
        }
        begun = {
            one.event.step for one in self.of_side(side) if isinstance(one.event, ev.StreamBegan)
        }
        return ended - begun | {
            step.name for step in STEPS if (step.side, step.kind) == (side, Kind.READS)
        }

    def lock(self, side: str) -> Iterator[tuple[str, str, Interval | None, Interval | None]]:
        """Yield who wanted a side's iothread lock for what, when they waited for it and had it."""
        locks = self.run.locks
        for row in rows_of(locks[locks["side"] == side]):
            wanted, got = int_or_none(row.wanted_ns), int_or_none(row.got_ns)
            waits = None if wanted is None or got == wanted else Interval("", WAITS, wanted, got)
            held = None
            if got is not None:
                held = Interval(row.purpose, "lock held", got, int_or_none(row.released_ns))
            yield row.thread, row.purpose, waits, held

    def wire(self) -> Iterator[Interval]:
        """Yield messages and streams, from their first byte sent to their last byte read."""
        messages, waits = self.run.messages, waits_in(self.run)
        for row in rows_of(messages[messages["sent_ns"].notna()]):
            kind = "message" if row.name.isupper() else "send"
            held = row.name == LOADED and int(row.sent_ns) in waits
            what = f"{row.name} ({HELD_BACK})" if held else row.name
            yield Interval(what, kind, int(row.sent_ns), int_or_none(row.received_ns))

    def buffer(self, lane: str, begin_ns: int) -> Iterator[Level]:
        """Yield how full one of `BUFFERS` is, from `begin_ns` on."""
        curve = curve_of(self.run.memory, *BUFFERS[lane])
        if not len(curve.times_ns):
            return
        last_ns = max(end_of(self.run), int(curve.times_ns[-1]))
        inner = curve.times_ns[(curve.times_ns > begin_ns) & (curve.times_ns < last_ns)]
        times = np.array([begin_ns, *inner, last_ns], dtype=np.int64)
        after = np.rint(curve.at(times)).astype(int).tolist()
        before = np.rint(curve.at(times, before=True)).astype(int).tolist()
        pieces = zip(pairwise(times.tolist()), after, before[1:], strict=False)
        for (since_ns, until_ns), low, high in pieces:
            yield Level(since_ns, until_ns, low, high)
        if after[-1]:
            yield Level(last_ns, None, after[-1], after[-1])


def _wait(what: str, reads: set[str], begin_ns: int, end_ns: int | None) -> Interval:
    if what in reads:
        return Interval(what, "receive", begin_ns, end_ns)
    return Interval(f"waits for {what}", WAITS, begin_ns, end_ns)


def _guest_of(event: ev.Event) -> str | None:
    match event:
        case ev.GuestStopped():
            return "guest stopped"
        case ev.GuestRunning():
            return "guest runs"
        case ev.ServesAlone():
            return "serves alone"
    return None


def _process_of(event: ev.Event) -> str | None:
    match event:
        case ev.ProcessChanged(_, "thawed"):
            return ""
        case ev.ProcessChanged(_, state):
            return state
    return None
