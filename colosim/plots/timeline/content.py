"""What of a run goes on which track: its events, locks, messages, memory and checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from colosim.plots.lanes import (
    PROTOCOL_THREADS,
    WAITS,
    Timed,
    of_side,
    process_of,
    states,
    thread_steps,
)
from colosim.plots.levels import curve_of
from colosim.plots.rows import rows_of, whole
from colosim.plots.style import FigureError
from colosim.plots.timeline.trace import Slice, Thread, Trace, Unit
from colosim.trace.events import (
    ByManager,
    CheckpointEnded,
    CommandReceived,
    CommandServed,
    Event,
    FailureInjected,
    FaultEnded,
    FaultStruck,
    GuestRunning,
    GuestStopped,
    LockGot,
    LockReleased,
    LockWanted,
    MemoryLevel,
    OnSide,
    PagesCounted,
    ProcessChanged,
    Received,
    Sent,
    ServesAlone,
    Staged,
    StepDone,
    StreamBegan,
    StreamEnded,
    WaitBegan,
    WaitEnded,
)
from colosim.trace.steps import MAIN_LOOP, step_column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from colosim.runs.run import Run

__all__ = ["timeline"]

_PIDS = {"primary": 1, "secondary": 2}
_STEPS_MAX = 16
"""In how many steps a counter follows a slope."""
_STEP_BYTES = 16 << 10
_PAGES = {"dirty": "dirty pages", "flushed": "pages flushed from the RAM cache"}
_COMMANDS = (CommandReceived, CommandServed)
_TOLD = (
    MemoryLevel,
    LockWanted,
    LockGot,
    LockReleased,
    Sent,
    Received,
    StreamBegan,
    StreamEnded,
    FailureInjected,
    Staged,
    GuestRunning,
    GuestStopped,
    ProcessChanged,
    WaitBegan,
    WaitEnded,
)
"""What another track or a counter shows."""


def timeline(run: Run) -> bytes:
    """Return a run as a Perfetto trace; the same run is the same bytes.

    A process a host; in it a track for each thread (with what it does and what it waits for), the
    iothread lock by holder and purpose, the guest, and a counter for each memory account, socket
    buffers among them. An arrow goes from each message's sending to its receipt. Times are those
    of the tables, in ns since COLO was entered.

    :raises FigureError: if the run has no events.
    """
    if not len(run.events):
        raise FigureError(f"{run!r} has no events to show")
    trace = Trace()
    events = [Timed(*one) for one in run.iter_events()]
    _Global(run, events, trace).draw()
    sides = {side: _Side(run, events, trace, side) for side in PROTOCOL_THREADS}
    for side in sides.values():
        side.draw()
    _draw_messages(run, trace, {name: side.protocol_track for name, side in sides.items()})
    return trace.to_bytes()


class _Global:
    """What belongs to no host: the transactions, faults and the cluster manager."""

    def __init__(self, run: Run, events: list[Timed], trace: Trace) -> None:
        self._run = run
        self._events = events
        self._trace = trace

    def draw(self) -> None:
        """Add the tracks."""
        self._draw_checkpoints()
        kinds = (FaultStruck, FaultEnded, FailureInjected)
        struck = [(at, str(event)) for at, event, _ in self._events if isinstance(event, kinds)]
        self._draw_instants("faults", "fault", struck)
        seen = [(at, event.what) for at, event, _ in self._events if isinstance(event, ByManager)]
        self._draw_instants("cluster manager", "command", seen)

    def _draw_instants(self, name: str, category: str, instants: list[tuple[int, str]]) -> None:
        if instants:
            track = self._trace.track(name)
            for at_ns, what in instants:
                self._trace.instant(track, at_ns, what, category)

    def _draw_checkpoints(self) -> None:
        slices = []
        closed = self._closed()
        for row in self._run.checkpoints.to_dict("records"):
            points = [
                int(value)
                for key, value in row.items()
                if str(key).endswith("_at_ns") and whole(value) is not None
            ]
            if not points:
                continue
            number, outcome = int(row["checkpoint"]), str(row["outcome"])
            arguments: dict[str, int | str] = {"outcome": outcome}
            for key in ("dirty_pages", "pause_ns", "transaction_ns", "wire_bytes"):
                value = whole(row[key])
                if value is not None:
                    arguments[key] = value
            end = None if outcome == "unfinished" else closed.get(number, max(points))
            name = f"checkpoint {number}" + ("" if outcome == "committed" else f", {outcome}")
            slices.append(Slice(name, "checkpoint", min(points), end, arguments))
        _draw_slices(self._trace, self._trace.track("checkpoints"), "checkpoints", slices)

    def _closed(self) -> dict[int, int]:
        """Return when each checkpoint was committed or aborted."""
        return {
            number: at_ns
            for at_ns, event, number in self._events
            if isinstance(event, CheckpointEnded)
        }


def _draw_slices(
    trace: Trace, track: int, name: str, slices: list[Slice], process: int | None = None
) -> None:
    """Draw slices; those that overlap others go on tracks of the same name beside it."""
    left = trace.slices(track, slices)
    while left:
        left = trace.slices(trace.track(name, process), left)


class _Side:
    """One host: a process with its threads, lock, guest and counters."""

    def __init__(self, run: Run, events: list[Timed], trace: Trace, side: str) -> None:
        self._run = run
        self._trace = trace
        self._side = side
        self._events = list(of_side(events, side))
        locks = run.locks
        self._locks = list(rows_of(locks[locks["side"] == side]))
        self._process = trace.process(_PIDS[side], f"{side}: qemu-system")
        self._threads = self._add_threads()

    @property
    def protocol_track(self) -> int:
        """The track of the thread that runs the protocol."""
        return self._threads[PROTOCOL_THREADS[self._side]]

    def _add_threads(self) -> dict[str, int]:
        commanded = any(isinstance(one.event, _COMMANDS) for one in self._events)
        names = [PROTOCOL_THREADS[self._side], *([MAIN_LOOP] if commanded else [])]
        names += [row.thread for row in self._locks]
        tids = _PIDS[self._side] * 100
        return {
            name: self._trace.thread(
                self._process, Thread(_PIDS[self._side], tids + index), f"{self._side} {name}"
            )
            for index, name in enumerate(dict.fromkeys(names))
        }

    def draw(self) -> None:
        """Add the tracks."""
        self._draw_threads()
        self._draw_lock()
        self._draw_states("guest", _guest_of)
        self._draw_states("process", process_of)
        self._draw_instants()
        self._draw_pages()
        self._draw_memory()

    # ---- slices --------------------------------------------------------------------------------

    def _draw_threads(self) -> None:
        own = PROTOCOL_THREADS[self._side]
        slices: dict[str, list[Slice]] = {name: [] for name in self._threads}
        columns = frozenset(self._run.checkpoints.columns)
        for one in thread_steps(self._events, self._side, columns):
            category = "wait" if one.kind == WAITS else "step"
            slices[own].append(Slice(one.what, category, one.begin_ns, one.end_ns))
        for row in self._locks:
            wanted, got = whole(row.wanted_ns), whole(row.got_ns)
            if wanted is not None and got != wanted:
                name = f"waits for the iothread lock ({row.purpose})"
                slices[row.thread].append(Slice(name, "wait", wanted, got))
        for name, track in self._threads.items():
            _draw_slices(self._trace, track, f"{self._side} {name}", slices[name], self._process)

    def _draw_lock(self) -> None:
        held = []
        for row in self._locks:
            got = whole(row.got_ns)
            if got is not None:
                name = f"{row.thread}: {row.purpose}"
                held.append(Slice(name, "iothread lock", got, whole(row.released_ns)))
        if held:
            track = self._trace.track("iothread lock", self._process)
            _draw_slices(self._trace, track, "iothread lock", held, self._process)

    def _draw_states(self, name: str, state_of: Callable[[Event], str | None]) -> None:
        """Draw a track of states, each until the next."""
        slices = [
            Slice(one.what, name, one.begin_ns, one.end_ns)
            for one in states(self._events, state_of)
        ]
        if slices:
            track = self._trace.track(name, self._process)
            _draw_slices(self._trace, track, name, slices, self._process)

    # ---- instants ------------------------------------------------------------------------------

    def _draw_instants(self) -> None:
        """Mark commands on the main loop, and whatever no other track tells on one of its own."""
        own: int | None = None
        for at_ns, event, _ in self._events:
            what = event.what if isinstance(event, OnSide) else str(event)
            if isinstance(event, _COMMANDS):
                self._trace.instant(self._threads[MAIN_LOOP], at_ns, what, "command")
            elif not self._is_told(event):
                if own is None:
                    own = self._trace.track("COLO", self._process)
                self._trace.instant(own, at_ns, what, "COLO")

    def _is_told(self, event: Event) -> bool:
        """Whether another track shows an event, or a counter."""
        match event:
            case StepDone(side, step):
                return step_column(side, step) in self._run.checkpoints.columns
            case PagesCounted(_, pages):
                return pages in _PAGES
        return isinstance(event, _TOLD)

    # ---- counters ------------------------------------------------------------------------------

    def _draw_pages(self) -> None:
        for pages, name in _PAGES.items():
            event = PagesCounted(self._side, pages)
            seen = [one for one in self._events if one.event == event]
            if seen:
                track = self._trace.counter_track(self._process, name, Unit.COUNT)
                for one in seen:
                    self._trace.count(track, one.at_ns, one.value)

    def _draw_memory(self) -> None:
        memory = self._run.memory
        accounts = memory.loc[memory["side"] == self._side, "account"]
        for account in sorted(set(accounts)):
            track = self._trace.counter_track(self._process, account, Unit.BYTES)
            for at_ns, level in self._levels(account):
                self._trace.count(track, at_ns, level)

    def _levels(self, account: str) -> Iterator[tuple[int, int]]:
        """Yield the breakpoints of an account, and points on the slopes between them."""
        curve = curve_of(self._run.memory, self._side, account)
        times = [int(at_ns) for at_ns in curve.times_ns]
        for index, at_ns in enumerate(times):
            yield at_ns, round(float(curve.levels[index]))
            lasts = times[index + 1] - at_ns if index + 1 < len(times) else 0
            change = abs(float(curve.slopes[index])) * lasts
            steps = min(_STEPS_MAX, int(change) // _STEP_BYTES, lasts)
            if steps > 1:
                inner = np.array([at_ns + lasts * step // steps for step in range(1, steps)])
                for time_ns, level in zip(inner, curve.at(inner), strict=True):
                    yield int(time_ns), round(float(level))


def _guest_of(event: Event) -> str | None:
    match event:
        case GuestRunning():
            return "guest runs"
        case GuestStopped():
            return "guest stopped"
        case ServesAlone():
            return "alone"
    return None


def _draw_messages(run: Run, trace: Trace, tracks: dict[str, int]) -> None:
    """Mark each sending and receipt on the two threads, and tie them by an arrow."""
    for number, row in enumerate(run.messages.to_dict("records"), start=1):
        sent, received = whole(row["sent_ns"]), whole(row["received_ns"])
        arguments = {
            key: value
            for key in ("checkpoint", "bytes", "written_ns")
            if (value := whole(row[key])) is not None
        }
        name = str(row["name"])
        # Two hosts' clocks may have it received before it was sent: an arrow ends at what is later.
        turned = sent is not None and received is not None and received < sent
        if sent is not None:
            trace.instant(
                tracks[str(row["from"])],
                sent,
                f"sends {name}",
                "message",
                arguments,
                flow=number,
                flow_ends=turned,
            )
        if received is not None:
            trace.instant(
                tracks[str(row["to"])],
                received,
                f"receives {name}",
                "message",
                arguments,
                flow=number,
                flow_ends=not turned,
            )
