"""What of a run goes on which track: its events, locks, messages, memory and checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from colosim.plots.bars import thread_bars
from colosim.plots.levels import curve_of
from colosim.plots.rows import rows_of, whole
from colosim.plots.style import FigureError
from colosim.plots.timeline.trace import Slice, Thread, Trace, Unit
from colosim.runs.columns import step_column

if TYPE_CHECKING:
    from collections.abc import Iterator

    from colosim.runs.run import Run

__all__ = ["PROTOCOL_THREADS", "timeline"]

PROTOCOL_THREADS = {"primary": "checkpoint thread", "secondary": "COLO incoming thread"}
"""The thread of each side that runs the protocol (in QEMU: migration thread, COLO incoming)."""

_MAIN_LOOP = "main loop"
_PIDS = {"primary": 1, "secondary": 2}
_STEPS_MAX = 16
"""In how many steps a counter follows a slope."""
_STEP_BYTES = 16 << 10
_GUEST = {"guest running": "guest runs", "guest stopped": "guest stopped", "serves alone": "alone"}
_PROCESS = {"process frozen": "frozen", "process killed": "killed", "process thawed": ""}
_PAGES = {"dirty pages": "dirty pages", "flushed pages": "pages flushed from the RAM cache"}


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
    _Global(run, trace).draw()
    sides = {side: _Side(run, trace, side) for side in PROTOCOL_THREADS}
    for side in sides.values():
        side.draw()
    _draw_messages(run, trace, {name: side.protocol_track for name, side in sides.items()})
    return trace.to_bytes()


class _Said(NamedTuple):
    at_ns: int
    what: str
    value: int


def _said(run: Run, *who: str) -> Iterator[_Said]:
    """Yield the events of a side, or of the fault or the cluster manager."""
    for at_ns, name, value in rows_of(run.events):
        subject, colon, what = name.partition(": ")
        if colon and subject in who:
            yield _Said(int(at_ns), what, int(value))


class _Global:
    """What belongs to no host: the transactions, faults and the cluster manager."""

    def __init__(self, run: Run, trace: Trace) -> None:
        self._run = run
        self._trace = trace

    def draw(self) -> None:
        """Add the tracks."""
        self._draw_checkpoints()
        struck = [(one.at_ns, f"fault: {one.what}") for one in _said(self._run, "fault")]
        struck += [(one.at_ns, f"fault ends: {one.what}") for one in _said(self._run, "fault ends")]
        for side in PROTOCOL_THREADS:
            struck += [
                (one.at_ns, f"{side}: {one.what}")
                for one in _said(self._run, side)
                if one.what.startswith("fault ")
            ]
        self._draw_instants("faults", "fault", sorted(struck, key=lambda pair: pair[0]))
        seen = [(one.at_ns, one.what) for one in _said(self._run, "cluster manager")]
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
            int(value): int(at_ns)
            for at_ns, name, value in rows_of(self._run.events)
            if name in {"checkpoint committed", "checkpoint aborted"}
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

    def __init__(self, run: Run, trace: Trace, side: str) -> None:
        self._run = run
        self._trace = trace
        self._side = side
        self._said = list(_said(run, side))
        locks = run.locks
        self._locks = list(rows_of(locks[locks["side"] == side]))
        self._process = trace.process(_PIDS[side], f"{side}: qemu-system")
        self._threads = self._add_threads()

    @property
    def protocol_track(self) -> int:
        """The track of the thread that runs the protocol."""
        return self._threads[PROTOCOL_THREADS[self._side]]

    def _add_threads(self) -> dict[str, int]:
        commanded = any(one.what.startswith("monitor ") for one in self._said)
        names = [PROTOCOL_THREADS[self._side], *([_MAIN_LOOP] if commanded else [])]
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
        self._draw_states("guest", _GUEST)
        self._draw_states("process", _PROCESS)
        self._draw_instants()
        self._draw_pages()
        self._draw_memory()

    # ---- slices --------------------------------------------------------------------------------

    def _draw_threads(self) -> None:
        own = PROTOCOL_THREADS[self._side]
        slices: dict[str, list[Slice]] = {name: [] for name in self._threads}
        for bar in thread_bars(self._run.events, frozenset(self._run.checkpoints.columns)):
            if bar.lane == f"{self._side} thread":
                category = "wait" if bar.kind == "waits" else "step"
                slices[own].append(Slice(bar.what, category, bar.begin_ns, bar.end_ns))
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

    def _draw_states(self, name: str, words: dict[str, str]) -> None:
        """Draw a track of states, each until the next; an empty word is no state to be shown."""
        slices: list[Slice] = []
        state, since = "", 0
        for at_ns, what, _ in self._said:
            new = words.get(what)
            if new is None or new == state:
                continue
            if state and at_ns > since:
                slices.append(Slice(state, name, since, at_ns))
            state, since = new, at_ns
        if state:
            slices.append(Slice(state, name, since, None))
        if slices:
            track = self._trace.track(name, self._process)
            _draw_slices(self._trace, track, name, slices, self._process)

    # ---- instants ------------------------------------------------------------------------------

    def _draw_instants(self) -> None:
        """Mark commands on the main loop, and whatever no other track tells on one of its own."""
        own: int | None = None
        for at_ns, what, _ in self._said:
            if what.startswith("monitor "):
                self._trace.instant(self._threads[_MAIN_LOOP], at_ns, what, "command")
            elif not self._is_told(what):
                if own is None:
                    own = self._trace.track("COLO", self._process)
                self._trace.instant(own, at_ns, what, "COLO")

    def _is_told(self, what: str) -> bool:
        """Whether another track shows an event, or a counter."""
        begin = what.partition(" ")[0]
        return (
            begin in {"memory", "iothread", "sends", "receives", "fault"}
            or what.endswith((" begins", " ends"))
            or what in {*_PAGES, "staged", "guest running", "guest stopped", *_PROCESS}
            or step_column(self._side, what) in self._run.checkpoints.columns
        )

    # ---- counters ------------------------------------------------------------------------------

    def _draw_pages(self) -> None:
        for event, name in _PAGES.items():
            seen = [one for one in self._said if one.what == event]
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
