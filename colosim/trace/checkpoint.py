"""Checkpoints as rows of columns: their quantities, steps and points, from parts of the record.

`colosim.trace.quantities` says what they are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import TYPE_CHECKING, Final

import numpy as np

from colosim.trace import events as ev
from colosim.trace.columns import IntColumn, WordColumn, before, joined, last_before
from colosim.trace.events import COMMITTED, OTHER, PRIMARY, SECONDARY
from colosim.trace.purpose import Purpose
from colosim.trace.quantities import (
    CHECKPOINT,
    HOLDS,
    PAUSE,
    REQUEST,
    SPANS,
    START,
    TAKES_OVER,
    WIRE_BYTES,
    is_sent,
)
from colosim.trace.steps import (
    CHECKPOINT_THREAD,
    DEVICE_STREAM,
    MAIN_LOOP,
    POINTS,
    RAM_STREAM,
    STEPS,
    Kind,
    step_column,
)

if TYPE_CHECKING:
    from colosim.trace.columns import Bools, Columns, Ints, Table

UNFINISHED: Final = "unfinished"
"""The outcome of a checkpoint that neither was committed nor aborted."""

WAITS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "primary_handshake_ns": ("primary_request", ("primary_reply",)),
    "primary_loaded_wait_ns": ("primary_received", ("primary_loaded",)),
}
"""What one side waits from one point to another."""
_COUNTED: Final = (
    ("dirty_pages", ev.PagesCounted(PRIMARY, "dirty")),
    ("flush_pages", ev.PagesCounted(SECONDARY, "flushed")),
    ("run_before_ns", ev.GuestStopped(PRIMARY)),
    ("staging_buffer_content_bytes", ev.Staged(PRIMARY)),
)
"""Events whose value is a quantity: of several the last."""
_RAM_STREAM: Final = ev.StreamEnded(PRIMARY, RAM_STREAM)
_DEVICE_STREAM: Final = ev.StreamEnded(PRIMARY, DEVICE_STREAM)


class Checkpoints:
    """Takes a record part by part, each up to the end of a checkpoint, and gives its rows.

    `own_steps`: steps (side, name) that a design has besides those of `colosim.trace.steps`;
    `starts_apart`: whether the first checkpoint is COLO's start, of a kind of its own.
    Rows from a checkpoint on whose pause is not over wait for that, or for `finish`.
    """

    def __init__(
        self, own_steps: tuple[tuple[str, str], ...] = (), *, starts_apart: bool = False
    ) -> None:
        self._starts_apart = starts_apart
        known = ((step.side, step.name) for step in STEPS if step.kind is not Kind.WAITS)
        self._work = frozenset(ev.StepDone(*step) for step in (*known, *own_steps))
        # What a part leaves for the next one.
        self._number = 0
        self._capacity = -1
        self._written_ns = 0
        self._acted_ns = dict.fromkeys(OTHER, 0)
        self._begun_ns: dict[tuple[str, str], int] = {}
        self._taken_over = False
        self._frozen_ns: dict[str, int] = {}
        # The pause that is not over: since when, and the rows from its checkpoint on.
        self._stopped_ns = -1
        self._waiting: list[Table] = []

    def rows(self, part: Columns) -> Table:
        """Return a column for each quantity, with a row for each checkpoint that `part` finishes.

        What a checkpoint does not have is missing.
        """
        rows = _Rows(part)
        self._count(rows)
        self._mark(rows)
        self._spend(rows)
        for name, (begin, ends) in {**WAITS, **SPANS}.items():
            rows.columns[name] = rows.between(begin, ends)
        outcomes = rows.outcomes()
        for name in SPANS:
            if name != PAUSE:
                rows.columns[name].known[:-1] &= outcomes.values == COMMITTED
        number = before(rows.ends, rows.begins, part.value, self._number - 1) + 1
        if len(rows.ends):
            self._number = int(part.value[rows.ends[-1]]) + 1
        open_row = self._pause(rows)
        return self._finished(
            {
                "checkpoint": IntColumn.all(number),
                "outcome": outcomes,
                "kind": WordColumn.of(
                    [CHECKPOINT, START], np.int64(self._starts_apart) * (number == 0)
                ),
                **{name: column[:-1] for name, column in rows.columns.items()},
            },
            open_row,
        )

    def finish(self, end_ns: int) -> Table:
        """Return the rows of the checkpoints whose pause is open at the end of the run."""
        self._end_pause(self._frozen_ns.get(PRIMARY, end_ns))
        waiting, self._waiting = self._waiting, []
        return _stacked(waiting)

    def _pause(self, rows: _Rows) -> int:
        """Put the pauses; return the row from whose checkpoint on the guest does not run again."""
        part, at_ns = rows.part, rows.part.at_ns
        runs = part.places(ev.GuestRunning(PRIMARY))
        if len(runs):
            self._end_pause(int(at_ns[runs[0]]))
        told = part.places(TAKES_OVER)
        until = 0 if self._taken_over else int(np.append(told, len(part))[0])
        self._taken_over = until < len(part)
        stops = rows.first_place(part.places(ev.GuestStopped(PRIMARY)))[:-1]
        resumed = np.append(runs, len(part))[np.searchsorted(runs, stops)]
        paused = (stops < until) & (resumed < len(part))
        stopped_ns = np.append(at_ns, 0)[stops]
        rows.put(PAUSE, np.append(at_ns, 0)[resumed] - stopped_ns, paused)
        frozen_since(self._frozen_ns, part)
        (left,) = np.nonzero((stops < until) & (resumed == len(part)))
        if not len(left):
            return rows.count
        self._stopped_ns = int(stopped_ns[left[0]])
        return int(left[0])

    def _end_pause(self, at_ns: int) -> None:
        """Let the pause that is not over end now."""
        if self._stopped_ns >= 0:
            pause = self._waiting[0][PAUSE]
            assert isinstance(pause, IntColumn)  # noqa: S101 - it was put as one
            pause.values[0], pause.known[0] = at_ns - self._stopped_ns, True
            self._stopped_ns = -1

    def _finished(self, rows: Table, open_row: int) -> Table:
        """Return the rows that need not wait, and keep those that do: from `open_row` on."""
        if self._stopped_ns >= 0 and self._waiting:
            self._waiting.append(rows)
            return {name: column[:0] for name, column in rows.items()}
        found = _stacked([*self._waiting, {name: col[:open_row] for name, col in rows.items()}])
        self._waiting = [{name: column[open_row:] for name, column in rows.items()}]
        if self._stopped_ns < 0:
            self._waiting = []
        return found

    def _count(self, rows: _Rows) -> None:
        """Count pages, bytes and holds."""
        part = rows.part
        sends = part.where(is_sent)
        rows.total(WIRE_BYTES, sends, part.value[sends])
        for name, event in _COUNTED:
            places = part.places(event)
            rows.last(name, places, part.value[places])
        for side, name in HOLDS.items():
            held = part.where(_moves_state(side))
            rows.longest(name, held, part.value[held])
        grown = part.places(ev.MemoryLevel(PRIMARY, "staging_buffer"))
        capacity = before(grown, rows.stops, part.value, self._capacity)
        rows.put("staging_buffer_capacity_bytes", capacity, capacity >= 0)
        self._capacity = int(part.value[grown[-1]]) if len(grown) else self._capacity

    def _mark(self, rows: _Rows) -> None:
        """Mark when points are reached."""
        part, at_ns = rows.part, rows.part.at_ns
        for point in POINTS:
            column = f"{point.full_name}_at_ns"
            places = part.places(*point.events)
            if point.after is not None:
                places = places[
                    places > rows.first_place(part.places(point.after))[rows.of[places]]
                ]
            rows.first(column, places, at_ns[places])
            if point.begins:
                places = part.places(ev.StepDone(point.side, point.begins))
                rows.first(column, places, at_ns[places] - part.value[places])
        # RAM is sent on its own before the size, and as part of the staged vmstate after it.
        streams, device = part.places(_RAM_STREAM, _DEVICE_STREAM), part.places(_DEVICE_STREAM)
        size = rows.first_place(part.places(ev.Sent(PRIMARY, "VMSTATE_SIZE")))
        staged = np.isin(streams, device) | (size[rows.of[streams]] < streams)
        rows.first("primary_sent_at_ns", streams[staged], at_ns[streams[staged]])
        rows.first("primary_ram_sent_at_ns", streams[~staged], at_ns[streams[~staged]])
        # All is saved when the last of it is, as long as the lock is held.
        saved = part.places(ev.Staged(PRIMARY), _RAM_STREAM)
        free = rows.first_place(
            part.places(ev.LockReleased(PRIMARY, CHECKPOINT_THREAD, Purpose.SAVE))
        )
        saved = saved[saved < free[rows.of[saved]]]
        rows.last("primary_saved_at_ns", saved, at_ns[saved])
        # The wait for VMSTATE_RECEIVED begins with the last byte written.
        written = before(streams, rows.stops, at_ns, self._written_ns)
        self._written_ns = int(at_ns[streams[-1]]) if len(streams) else self._written_ns
        received = rows.column("primary_received_at_ns")[:-1]
        waited = received.known & (written >= at_ns[rows.begins])
        rows.put("primary_received_wait_ns", received.values - written, waited)

    def _spend(self, rows: _Rows) -> None:
        """Add up the durations of steps: of work the event's value, of a stream begin to end."""
        part, at_ns = rows.part, rows.part.at_ns
        acts = {side: part.where(self._acts(side)) for side in OTHER}
        for event in part.events:
            places = part.places(event)
            if isinstance(event, ev.StepDone) and event in self._work:
                rows.total(step_column(event.side, event.step), places, part.value[places])
            elif isinstance(event, ev.StreamEnded):
                spent = at_ns[places] - self._begun(event, part, acts[event.side])
                rows.total(step_column(event.side, event.step), places, spent)
        for side, places in acts.items():
            if len(places):
                self._acted_ns[side] = int(at_ns[places[-1]])
        for event in part.events:
            if isinstance(event, ev.StreamBegan):
                begun = part.places(event)[-1]
                ended = part.places(ev.StreamEnded(event.side, event.step))
                if not len(ended) or ended[-1] < begun:
                    self._begun_ns[event.side, event.step] = int(at_ns[begun])

    def _begun(self, ended: ev.StreamEnded, part: Columns, acts: Ints) -> Ints:
        """Return when each of a side's streams of one name began.

        Its writer says so; a reader's has begun when its thread last did something else.
        """
        ends = part.places(ended)
        begun_ns = before(acts, ends, part.at_ns, self._acted_ns[ended.side])
        begins = part.places(ev.StreamBegan(ended.side, ended.step))
        last = last_before(begins, ends)
        fresh = last > np.append(-1, ends[:-1])
        begun_ns = np.where(fresh, part.at_ns[last], begun_ns)
        left_ns = self._begun_ns.pop((ended.side, ended.step), None)
        if left_ns is not None and not fresh[0]:
            begun_ns[0] = left_ns
        return begun_ns

    def _acts(self, side: str) -> Callable[[ev.Event], bool]:
        """Return what is true of what a side's COLO thread does before it may begin to read."""

        def acts(event: ev.Event) -> bool:
            match event:
                case ev.Sent(by) | ev.Received(by) | ev.StreamEnded(by):
                    return by == side
                case ev.LockGot(by, thread):
                    return by == side and thread != MAIN_LOOP
                case ev.StepDone(by):
                    return by == side and event in self._work
            return False

        return acts


def frozen_since(frozen_ns: dict[str, int], part: Columns) -> None:
    """Bring up to date since when each side's process has been frozen, if it is."""
    for place in part.where(lambda event: isinstance(event, ev.ProcessChanged)).tolist():
        match part.events[part.kind[place]]:
            case ev.ProcessChanged(side, "frozen"):
                frozen_ns[side] = int(part.at_ns[place])
            case ev.ProcessChanged(side, "thawed"):
                del frozen_ns[side]


def _moves_state(side: str) -> Callable[[ev.Event], bool]:
    """Return what is true of the ends of a side's holds that save, load or receive state."""
    return lambda event: (
        isinstance(event, ev.LockReleased) and event.side == side and event.purpose.moves_state
    )


def _stacked(tables: list[Table]) -> Table:
    """Return rows one after the other; a column that some have not is missing there."""
    names = dict.fromkeys(name for table in tables for name in table)
    return joined(
        [
            {name: table.get(name, IntColumn.empty(len(table["checkpoint"]))) for name in names}
            for table in tables
        ]
    )


class _Rows:
    """The checkpoints that begin in a part: columns filled with what happens in each.

    `begins` and `stops` are their places, `ends` the places of all ends; `of` says for each event
    in which row it is.  Columns have a row more than there are checkpoints, for what
    happens in none of them.
    """

    def __init__(self, part: Columns) -> None:
        self.part = part
        size = len(part)
        requests = part.places(REQUEST)
        self.ends = ends = part.where(lambda event: isinstance(event, ev.CheckpointEnded))
        # An end with no request since the one before: its request could not be sent.
        alone = ends[last_before(requests, ends) <= np.append(-1, ends)[:-1]]
        self.begins = np.sort(np.append(requests, alone))
        self.count = count = len(self.begins)
        following = np.append(self.begins, size)[1:]
        self._closes = np.append(self.ends, size)[np.searchsorted(self.ends, self.begins)]
        self.stops = np.minimum(self._closes, following)
        latest = np.searchsorted(self.begins, np.arange(size), side="right") - 1
        inside = np.arange(size) < np.append(self.stops, -1)[latest]
        self.of = np.where(inside, latest, count)
        self.columns: dict[str, IntColumn] = {}

    def outcomes(self) -> WordColumn:
        """Return the outcome of each."""
        closed = self._closes == self.stops
        closed &= self._closes < len(self.part)
        outcomes = [getattr(event, "outcome", "") for event in self.part.events]
        kind = np.full(self.count, len(outcomes))
        kind[closed] = self.part.kind[self._closes[closed]]
        return WordColumn.of([*outcomes, UNFINISHED], kind)

    def column(self, name: str) -> IntColumn:
        """Return a column, empty at first."""
        if name not in self.columns:
            self.columns[name] = IntColumn.empty(self.count + 1)
        return self.columns[name]

    def put(self, name: str, values: Ints, known: Bools) -> None:
        """Put a column, with a value for each checkpoint."""
        self.columns[name] = IntColumn(np.append(values, 0), np.append(known, False))

    def first_place(self, places: Ints) -> Ints:
        """Return the first of `places` in each row, one beyond the part if there is none."""
        found = np.full(self.count + 1, len(self.part))
        found[self.of[places[::-1]]] = places[::-1]
        return found

    def first(self, name: str, places: Ints, values: Ints) -> None:
        """Put the first value of each row into a column that has none yet."""
        self.last(name, places[::-1], values[::-1])

    def last(self, name: str, places: Ints, values: Ints) -> None:
        """Put the last value of each row into a column."""
        column, rows = self.column(name), self.of[places]
        column.values[rows] = values
        column.known[rows] = True

    def total(self, name: str, places: Ints, values: Ints) -> None:
        """Add the values of each row to a column."""
        column, rows = self.column(name), self.of[places]
        np.add.at(column.values, rows, values)
        column.known[rows] = True

    def longest(self, name: str, places: Ints, values: Ints) -> None:
        """Put the greatest value of each row into a column."""
        column, rows = self.column(name), self.of[places]
        np.maximum.at(column.values, rows, values)
        column.known[rows] = True

    def between(self, begin: str, ends: tuple[str, ...]) -> IntColumn:
        """Return the times from one point to another, the first of `ends` that is reached."""
        reached = [self.column(f"{end}_at_ns") for end in ends]
        return reduce(IntColumn.or_else, reached) - self.column(f"{begin}_at_ns")
