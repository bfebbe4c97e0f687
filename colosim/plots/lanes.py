"""Lanes: what goes on from one event of a run to another, for every figure that has a time axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from colosim.plots.rows import whole
from colosim.plots.style import FigureError
from colosim.trace.events import (
    PRIMARY,
    ColoExit,
    CommandReceived,
    CommandServed,
    Event,
    FailureInjected,
    FaultStruck,
    LockGot,
    OnSide,
    ProcessChanged,
    Received,
    Sent,
    StepDone,
    StreamBegan,
    StreamBroken,
    StreamEnded,
)
from colosim.trace.steps import CHECKPOINT_THREAD, INCOMING_THREAD, MAIN_LOOP, step_column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from colosim.runs.run import Run

__all__ = [
    "PROTOCOL_THREADS",
    "Interval",
    "Timed",
    "commands",
    "events_of",
    "failure_of",
    "fault_of",
    "of_side",
    "process_of",
    "request_of",
    "states",
    "thread_steps",
]

PROTOCOL_THREADS: Final = {"primary": CHECKPOINT_THREAD, "secondary": INCOMING_THREAD}
"""The thread of each side that runs the protocol (in QEMU: migration thread, COLO incoming)."""

WAITS: Final = "waits"
_SENT: Final = frozenset({"RAM stream", "device stream"})
_WORK: Final = {
    "vmstate save": "save",
    "device save": "save",
    "RAM load": "load",
    "device load": "load",
    "cache flush": "flush cache",
}
"""What a step of work counts as, where that is not "stop, start, other"."""


class Timed(NamedTuple):
    """An event, when it happens, and its value."""

    at_ns: int
    event: Event
    value: int


class Interval(NamedTuple):
    """Something that takes time; `end_ns` is None if it never ended."""

    what: str
    kind: str
    begin_ns: int
    end_ns: int | None


# ---- which events --------------------------------------------------------------------------------


def of_side(events: Iterable[Timed], side: str) -> Iterator[Timed]:
    """Yield what happens on a side."""
    return (one for one in events if isinstance(one.event, OnSide) and one.event.side == side)


def request_of(run: Run, checkpoint: int) -> int:
    """Return when a checkpoint was requested, in ns since COLO was entered.

    :raises FigureError: if the run has no such checkpoint, or does not show its request.
    """
    rows = run.checkpoints
    rows = rows[rows["checkpoint"] == checkpoint]
    if not len(rows):
        raise FigureError(f"{run!r} has no checkpoint {checkpoint}")
    begin = whole(rows["primary_request_at_ns"].iloc[-1])
    if begin is None:
        raise FigureError(f"{run!r} does not show the request of checkpoint {checkpoint}")
    return begin


def events_of(run: Run, begin_ns: int) -> tuple[list[Timed], int | None]:
    """Return the events from a request on up to the next one, and when that is, if there is one."""
    request = Sent(PRIMARY, "CHECKPOINT_REQUEST")
    found: list[Timed] = []
    for one in map(Timed._make, run.iter_events()):
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
        if isinstance(event, FaultStruck | FailureInjected):
            return at_ns
    raise FigureError(f"no fault struck in {run!r}: there is nothing to wait for")


# ---- from event to event -------------------------------------------------------------------------


def states(
    events: Iterable[Timed], state_of: Callable[[Event], str | None], kind: str = ""
) -> Iterator[Interval]:
    """Yield states, each until the next.

    `state_of` says in which state an event leaves what is looked at: None if in the same, ``""`` if
    in none that is to be shown.
    """
    state, since_ns = "", 0
    for at_ns, event, _ in events:
        new = state_of(event)
        if new is None or new == state:
            continue
        if state and at_ns > since_ns:
            yield Interval(state, kind, since_ns, at_ns)
        state, since_ns = new, at_ns
    if state:
        yield Interval(state, kind, since_ns, None)


def process_of(event: Event) -> str | None:
    """Return in which state an event leaves a process, for `states`."""
    match event:
        case ProcessChanged(_, "thawed"):
            return ""
        case ProcessChanged(_, state):
            return state
    return None


def commands(events: Iterable[Timed]) -> Iterator[Interval]:
    """Yield the monitor's commands from their coming in to their being served."""
    waiting: dict[str, int] = {}
    for at_ns, event, _ in events:
        match event:
            case CommandReceived(_, command):
                waiting[command] = at_ns
            case CommandServed(_, command):
                yield Interval(command, "command", waiting.pop(command, at_ns), at_ns)
    for command, since_ns in waiting.items():
        yield Interval(command, "command", since_ns, None)


def failure_of(event: FailureInjected) -> str:
    """Return which function of which side a fault lets fail."""
    leaks = " and leaks the lock" if event.leaks_lock else ""
    return f"{event.side}: {event.function} fails{leaks}"


def thread_steps(events: Iterable[Timed], side: str, columns: frozenset[str]) -> Iterator[Interval]:
    """Yield what a side's protocol thread does, and what it waits for.

    `columns`: the run's columns of ``checkpoints``; what has none there is no step.
    """
    thread = _Thread(columns)
    for one in of_side(events, side):
        yield from thread.sees(one)
    yield from thread.unfinished()


class _Thread:
    """Follows one side's thread: when it last did something, and which stream it has begun."""

    def __init__(self, columns: frozenset[str]) -> None:
        self._columns = columns
        self._acted_ns: int | None = None
        self._begun: tuple[str, int] | None = None

    def sees(self, one: Timed) -> Iterator[Interval]:
        """Take an event of this side and yield what ends with it, if anything does."""
        at_ns, event, value = one
        match event:
            case Received(_, message):
                if self._acted_ns is not None and at_ns > self._acted_ns:
                    yield Interval(f"waits for {message}", WAITS, self._acted_ns, at_ns)
            case StreamBegan(_, step):
                self._begun = (step, at_ns)
            case StreamEnded(_, step) | StreamBroken(_, step):
                kind = "send" if step in _SENT else "receive"
                yield Interval(step, kind, self._since(at_ns), at_ns)
            case ColoExit() if self._begun is not None:
                step = self._begun[0]
                yield Interval(f"{step} (given up)", "send", self._since(at_ns), at_ns)
            case StepDone(side, step) if value > 0 and step_column(side, step) in self._columns:
                yield Interval(step, _WORK.get(step, "stop, start, other"), at_ns - value, at_ns)
            case LockGot(_, thread) if thread != MAIN_LOOP:
                pass
            case Sent():
                pass
            case _:
                return
        self._acted_ns = at_ns

    def _since(self, at_ns: int) -> int:
        """Return when the stream that ends now began: a reader's when it last did something."""
        begun, self._begun = self._begun, None
        if begun is not None:
            return begun[1]
        return at_ns if self._acted_ns is None else self._acted_ns

    def unfinished(self) -> Iterator[Interval]:
        """Yield the stream that never ended."""
        if self._begun is not None:
            yield Interval(self._begun[0], "send", self._begun[1], None)
