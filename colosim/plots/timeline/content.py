"""What of a run goes on which track: its events, locks, messages, memory and checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from colosim.analysis.held_back import LOADED, waits_in
from colosim.plots.curves import curve_of
from colosim.plots.lanes import HELD_BACK, WAITS, Lanes, events_of, named
from colosim.plots.look import FigureError
from colosim.plots.style import labels
from colosim.plots.timeline.trace import Flow, Slice, Thread, Trace, Unit
from colosim.plots.units import int_or_none
from colosim.runs.run import NoTablesError
from colosim.trace import events as ev
from colosim.trace.steps import MAIN_LOOP, PROTOCOL_THREADS, step_column

if TYPE_CHECKING:
    from colosim.plots.lanes import Interval
    from colosim.runs.run import Run

_PIDS = {"primary": 1, "secondary": 2}
_STEPS_MAX = 16
"""In how many steps a counter follows a slope."""
_STEP_BYTES = 16 << 10
_PAGES = {"dirty": "dirty pages", "flushed": "pages flushed from the RAM cache"}
_COMMANDS = (ev.CommandReceived, ev.CommandServed)
_ON_OTHER_TRACKS = (
    ev.MemoryLevel,
    ev.LockWanted,
    ev.LockGot,
    ev.LockReleased,
    ev.Sent,
    ev.Received,
    ev.StreamBegan,
    ev.StreamEnded,
    ev.FailureInjected,
    ev.Staged,
    ev.GuestRunning,
    ev.GuestStopped,
    ev.ProcessChanged,
    ev.WaitBegan,
    ev.WaitEnded,
)
"""What another track or a counter shows."""


def timeline(*runs: Run) -> bytes:
    """Return runs as a Perfetto trace; the same runs are the same bytes.

    A process a host, of several runs with the run's name in front; in it a track for each thread
    (with what it does and what it waits for), the iothread lock by holder and purpose, the guest,
    and a counter for each memory account, socket buffers among them.  An arrow goes from each
    message's sending to its receipt; and from each request of a client to its answer, if the run
    has a table of them.  Times are those of the tables, in ns since COLO was entered.

    :raises FigureError: if a run has no events.
    """
    trace = Trace()
    for index, (label, run) in enumerate(zip(labels(runs), runs, strict=True)):
        if not len(run.events):
            raise FigureError(f"{run!r} has no events to show")
        lanes = Lanes(run, list(events_of(run)))
        of_run = f"{label}, " if len(runs) > 1 else ""
        _draw_pair(lanes, trace, of_run)
        sides = {
            side: _Side(lanes, trace, side, f"{of_run}{side}", pid + len(_PIDS) * index)
            for side, pid in _PIDS.items()
        }
        for side in sides.values():
            side.draw()
        _draw_messages(run, trace, {name: side.protocol_track for name, side in sides.items()})
        _draw_requests(run, trace, of_run)
    return trace.to_bytes()


# ---- what belongs to no host: the transactions, faults and the cluster manager ------------------


def _draw_pair(lanes: Lanes, trace: Trace, of_run: str) -> None:
    name = f"{of_run}checkpoints"
    _draw_slices(trace, trace.track(name), name, list(_checkpoints(lanes)))
    kinds = (ev.FaultStruck, ev.FaultEnded, ev.FailureInjected)
    struck = [(at, str(event)) for at, event, _ in lanes.events if isinstance(event, kinds)]
    seen = [(at, event.what) for at, event, _ in lanes.events if isinstance(event, ev.ByManager)]
    for name, category, instants in (
        ("faults", "fault", struck),
        ("cluster manager", "command", seen),
    ):
        track = trace.track(f"{of_run}{name}") if instants else 0
        for at_ns, what in instants:
            trace.instant(track, at_ns, what, category)


def _checkpoints(lanes: Lanes) -> Iterator[Slice]:
    closed = {
        number: at for at, event, number in lanes.events if isinstance(event, ev.CheckpointEnded)
    }
    for row in lanes.run.checkpoints.to_dict("records"):
        points = [
            int(value)
            for key, value in row.items()
            if str(key).endswith("_at_ns") and int_or_none(value) is not None
        ]
        if not points:
            continue
        number, outcome = int(row["checkpoint"]), str(row["outcome"])
        arguments: dict[str, int | str] = {"outcome": outcome}
        arguments |= _whole_of(row, ("dirty_pages", "pause_ns", "transaction_ns", "wire_bytes"))
        end = None if outcome == "unfinished" else closed.get(number, max(points))
        name = named(lanes.run, number) + ("" if outcome == "committed" else f", {outcome}")
        yield Slice(name, "checkpoint", min(points), end, arguments)


def _whole_of(row: Mapping[Any, Any], keys: Sequence[str]) -> dict[str, int]:
    """Return those values of a row that are there."""
    return {key: value for key in keys if (value := int_or_none(row[key])) is not None}


def _draw_slices(
    trace: Trace, track: int, name: str, slices: list[Slice], process: int | None = None
) -> None:
    """Draw slices; those that overlap others go on tracks of the same name beside it."""
    left = trace.slices(track, slices)
    while left:
        left = trace.slices(trace.track(name, process), left)


class _Side:
    """One host: a process with its threads, lock, guest and counters."""

    def __init__(self, lanes: Lanes, trace: Trace, side: str, name: str, pid: int) -> None:
        self._lanes = lanes
        self._run = lanes.run
        self._trace = trace
        self._side = side
        self._events = list(lanes.of_side(side))
        self._locks = list(lanes.lock(side))
        self._pid = pid
        self._process = trace.process(pid, f"{name}: qemu-system")
        self._threads = self._add_threads()

    @property
    def protocol_track(self) -> int:
        """The track of the thread that runs the protocol."""
        return self._threads[PROTOCOL_THREADS[self._side]]

    def _add_threads(self) -> dict[str, int]:
        commanded = any(isinstance(one.event, _COMMANDS) for one in self._events)
        names = [PROTOCOL_THREADS[self._side], *([MAIN_LOOP] if commanded else [])]
        names += [thread for thread, *_ in self._locks]
        tids = self._pid * 100
        return {
            name: self._trace.thread(
                self._process, Thread(self._pid, tids + index), f"{self._side} {name}"
            )
            for index, name in enumerate(dict.fromkeys(names))
        }

    def draw(self) -> None:
        """Add the tracks."""
        for name, track in self._threads.items():
            found = self._lanes.thread(self._side, name)
            self._draw(
                f"{self._side} {name}",
                found,
                lambda kind: "wait" if kind == WAITS else "step",
                track,
            )
        held = [
            one._replace(what=f"{thread}: {one.what}")
            for thread, _, _, one in self._locks
            if one is not None
        ]
        self._draw("iothread lock", held, lambda _: "iothread lock")
        self._draw("guest", self._lanes.guest(self._side), lambda _: "guest")
        self._draw("process", self._lanes.process(self._side), lambda _: "process")
        self._draw_instants()
        self._draw_pages()
        self._draw_memory()

    def _draw(
        self,
        name: str,
        intervals: Iterable[Interval],
        category_of: Callable[[str], str],
        track: int | None = None,
    ) -> None:
        """Draw intervals as slices, on a track of their own if there is none yet."""
        slices = [Slice(one.what, category_of(one.kind), *one[2:]) for one in intervals]
        if slices:
            track = self._trace.track(name, self._process) if track is None else track
            _draw_slices(self._trace, track, name, slices, self._process)

    # ---- instants ------------------------------------------------------------------------------

    def _draw_instants(self) -> None:
        """Mark commands on the main loop, and whatever no other track tells on one of its own."""
        own: int | None = None
        for at_ns, event, _ in self._events:
            what = event.what if isinstance(event, ev.OnSide) else str(event)
            if isinstance(event, _COMMANDS):
                self._trace.instant(self._threads[MAIN_LOOP], at_ns, what, "command")
            elif not self._is_told(event):
                if own is None:
                    own = self._trace.track("COLO", self._process)
                self._trace.instant(own, at_ns, what, "COLO")

    def _is_told(self, event: ev.Event) -> bool:
        """Whether another track shows an event, or a counter."""
        match event:
            case ev.StepDone(side, step):
                return step_column(side, step) in self._run.checkpoints.columns
            case ev.PagesCounted(_, pages):
                return pages in _PAGES
        return isinstance(event, _ON_OTHER_TRACKS)

    # ---- counters ------------------------------------------------------------------------------

    def _draw_pages(self) -> None:
        for pages, name in _PAGES.items():
            event = ev.PagesCounted(self._side, pages)
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


def _draw_messages(run: Run, trace: Trace, tracks: dict[str, int]) -> None:
    """Mark each sending and receipt on the two threads, and tie them by an arrow."""
    waits = waits_in(run)
    for row in run.messages.to_dict("records"):
        number = trace.next_flow()
        sent, received = int_or_none(row["sent_ns"]), int_or_none(row["received_ns"])
        # Two hosts' clocks may have it received before it was sent: an arrow ends at what is later.
        turned = sent is not None and received is not None and received < sent
        arguments = _whole_of(row, ("checkpoint", "bytes", "written_ns"))
        for end, verb, at_ns, flow_ends in (
            ("from", "sends", sent, turned),
            ("to", "receives", received, not turned),
        ):
            if at_ns is not None:
                held = row["name"] == LOADED and sent in waits
                name = f"{verb} {row['name']}{f' ({HELD_BACK})' if held else ''}"
                track = tracks[str(row[end])]
                flow = Flow(number, ends=flow_ends)
                trace.instant(track, at_ns, name, "message", arguments, flow)


def _draw_requests(run: Run, trace: Trace, of_run: str) -> None:
    """Mark when each request was sent and when its answer came, and tie them by an arrow."""
    try:
        requests = run.requests
    except NoTablesError:
        return
    names = ("clients: requests sent", "clients: answers")
    tracks = [trace.track(f"{of_run}{name}") for name in names]
    for row in requests.to_dict("records"):
        number = trace.next_flow()
        arguments = _whole_of(row, ("connection", "latency_ns", "met_pause", "met_forced"))
        times = (int_or_none(row["sent_ns"]), int_or_none(row["answered_ns"]))
        for track, at_ns, ends in zip(tracks, times, (False, True), strict=True):
            if at_ns is not None:
                name = f"request {row['request']}"
                trace.instant(track, at_ns, name, "request", arguments, Flow(number, ends=ends))
