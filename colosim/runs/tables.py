"""The tables of a run, column by column, from its event record.

`Tables` takes the record part by part and returns the rows that each part has finished; it keeps
only what is not finished, so a long run can be written to disk in constant memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from colosim.runs.columns import COLUMNS, checkpoint_columns
from colosim.runs.levels import Levels, SocketLevels, Until
from colosim.trace import events as ev
from colosim.trace.checkpoint import Checkpoints, frozen_since
from colosim.trace.columns import (
    Columns,
    IntColumn,
    WordColumn,
    before,
    last_before,
    match_in_order,
)
from colosim.trace.events import OTHER

if TYPE_CHECKING:
    from colosim.runs.taps import Tap
    from colosim.trace.columns import Ints, Table

    Accounts = tuple[tuple[str, str], ...]

_NONE: Final = -1
"""No place."""
_MESSAGES: Final = ev.Sent | ev.Received | ev.StreamBegan | ev.StreamEnded


class Tables:
    """Turns one run's events into tables.

    Give `feed` the record in parts, each but the last up to the end of a checkpoint, then call
    `finish`.  `taps` listen to the connection.
    `own_steps`: the steps (side, name) that a design has besides `columns.STEPS`; `starts_apart`:
    whether its first checkpoint is COLO's start, of a kind of its own.
    """

    def __init__(
        self,
        *,
        taps: Sequence[Tap] = (),
        own_steps: tuple[tuple[str, str], ...] = (),
        starts_apart: bool = False,
    ) -> None:
        self._columns = {**COLUMNS, "checkpoints": checkpoint_columns(own_steps)}
        self._levels = SocketLevels(taps)
        self._events = 0
        self._checkpoints = Checkpoints(own_steps, starts_apart=starts_apart)
        self._locks = _Locks()
        self._messages = _Messages()

    def feed(self, flat: Sequence[int]) -> dict[str, Table]:
        """Return what rows of each table this part of the record finishes."""
        part = Columns(flat)
        names = [str(event) for event in part.events]
        found: dict[str, Table] = {
            "checkpoints": {**self._checkpoints.rows(part)},
            "memory": self._memory(part),
            "locks": self._locks.rows(part),
            "messages": self._messages.rows(part),
            "events": {
                "time_ns": IntColumn.all(part.at_ns),
                "event": WordColumn.of(names, part.kind),
                "value": IntColumn.all(part.value),
            },
        }
        return {table: self._complete(table, found[table]) for table in self._columns}

    def finish(self, end_ns: int) -> dict[str, Table]:
        """Return the rows of what the end of the run leaves open."""
        waiting = self._checkpoints.finish(end_ns)
        return {
            **({"checkpoints": self._complete("checkpoints", waiting)} if waiting else {}),
            "memory": self._breakpoints([], (), self._levels.rest(end_ns)),
            "locks": self._locks.left(end_ns),
            "messages": self._messages.left(),
        }

    def _complete(self, name: str, table: Table) -> Table:
        """Return a table with all of its columns, in their order."""
        size = len(next(iter(table.values())))
        return {
            column: table[column] if column in table else IntColumn.empty(size)
            for column in self._columns[name]
        }

    def _memory(self, part: Columns) -> Table:
        """Return every breakpoint: held accounts by the record, socket buffers by their levels.

        They are in the order of time within each checkpoint.
        """
        if not len(part):
            return self._breakpoints([], (), [])
        held = part.where(lambda event: isinstance(event, ev.MemoryLevel))
        last = np.unique(
            np.append(
                part.where(lambda event: isinstance(event, ev.CheckpointEnded)), len(part) - 1
            )
        )
        levels = Levels(
            np.searchsorted(last, held),
            part.at_ns[held],
            part.kind[held],
            part.value[held],
            np.zeros(len(held)),
        )
        accounts = tuple(
            (event.side, event.account) if isinstance(event, ev.MemoryLevel) else ("", "")
            for event in part.events
        )
        events = (self._events + last + 1).tolist()
        sockets = self._levels.drain(list(map(Until, part.at_ns[last].tolist(), events)))
        self._events += len(part)
        return self._breakpoints([levels], accounts, sockets)

    def _breakpoints(self, held: list[Levels], accounts: Accounts, sockets: list[Levels]) -> Table:
        """Return breakpoints of held accounts (numbered as `accounts`) and of socket buffers."""
        sockets = [one._replace(account=one.account + len(accounts)) for one in sockets]
        accounts += self._levels.accounts
        empty = Levels(*(np.empty(0, np.int64),) * 4, np.empty(0))
        columns = zip(empty, *held, *sockets, strict=True)
        found = Levels(*(np.concatenate(column) for column in columns))
        order = np.lexsort((found.time_ns, found.turn))
        account = found.account[order]
        return {
            "time_ns": IntColumn.all(found.time_ns[order]),
            "side": WordColumn.of([side for side, _ in accounts], account),
            "account": WordColumn.of([name for _, name in accounts], account),
            "level_bytes": IntColumn.all(found.level_bytes[order]),
            "slope_bytes_per_ns": found.slope_bytes_per_ns[order],
        }


class _Locks:
    """Rows of ``locks``: holds as they are released; what never ends at the end of the run."""

    def __init__(self) -> None:
        self._open = Columns(())
        self._frozen_ns: dict[str, int] = {}

    def rows(self, part: Columns) -> Table:
        """Return the holds that are released in a part, in the order of release."""
        here = part.where(
            lambda event: isinstance(event, ev.LockWanted | ev.LockGot | ev.LockReleased)
        )
        frozen_since(self._frozen_ns, part)
        part = Columns(np.concatenate([self._open.flat, part.flat[here]]))
        found = [np.empty((3, 0), np.int64)]
        left = [np.empty(0, np.int64)]
        for wanted, got, released in _by_holder(part):
            waits, holds = _latest(wanted, got), _latest(got, released)
            found.append(np.stack([released, holds, _waits_of(holds, got, waits)]))
            open_hold = _open_one(got, released)
            left += [open_hold, _waits_of(open_hold, got, waits), _open_one(wanted, got)]
        opened = np.unique(np.concatenate(left))
        self._open = Columns(part.flat[opened[opened >= 0]])
        columns = np.concatenate(found, axis=1)
        released, holds, waits = columns[:, columns[0].argsort()]
        held_ns = part.value[released]
        got_ns = np.where(holds >= 0, part.at_ns[holds], part.at_ns[released] - held_ns)
        return {
            **_holders(part, released),
            "wanted_ns": IntColumn.all(np.where(waits >= 0, part.at_ns[waits], got_ns)),
            "got_ns": IntColumn.all(got_ns),
            "released_ns": IntColumn.all(part.at_ns[released]),
            "held_ns": IntColumn.all(held_ns),
        }

    def left(self, end_ns: int) -> Table:
        """Return holds that never ended, then waits that never ended, in their order.

        Such a hold lasts to the end of the run, or to where its process froze for good.
        """
        part = self._open
        holds = part.where(lambda event: isinstance(event, ev.LockGot))
        waits = np.full(len(part), _NONE)
        idle = [np.empty(0, np.int64)]
        for wanted, got, _ in _by_holder(part):
            waits[got] = _latest(wanted, got)
            idle.append(_open_one(wanted, got))
        places = np.append(holds, np.sort(np.concatenate(idle)))
        since = np.where(waits[places] >= 0, waits[places], places)
        size = len(places)
        held = np.arange(size) < len(holds)
        sides = (getattr(part.events[kind], "side", "") for kind in part.kind[places])
        until_ns = [self._frozen_ns.get(side, end_ns) for side in sides]
        return {
            **_holders(part, places),
            "wanted_ns": IntColumn.all(part.at_ns[since]),
            "got_ns": IntColumn(part.at_ns[places], held),
            "released_ns": IntColumn.empty(size),
            "held_ns": IntColumn(np.array(until_ns, np.int64) - part.at_ns[places], held),
        }


def _waits_of(holds: Ints, got: Ints, waits: Ints) -> Ints:
    """Return the waits before `holds`, which are some of `got`, each with its of `waits`."""
    return np.where(holds >= 0, np.append(waits, _NONE)[np.searchsorted(got, holds)], _NONE)


def _by_holder(part: Columns) -> Iterable[tuple[Ints, Ints, Ints]]:
    """Yield where each thread wants, gets and releases the lock for each purpose."""
    holders = {
        (event.side, event.thread, event.purpose): None
        for event in part.events
        if isinstance(event, ev.LockWanted | ev.LockGot | ev.LockReleased)
    }
    for holder in holders:
        yield (
            part.places(ev.LockWanted(*holder)),
            part.places(ev.LockGot(*holder)),
            part.places(ev.LockReleased(*holder)),
        )


def _holders(part: Columns, places: Ints) -> Table:
    """Return whose lock it is, and which thread's for what."""
    return {
        column: WordColumn.of(
            [str(getattr(event, column, "")) for event in part.events], part.kind[places]
        )
        for column in ("side", "thread", "purpose")
    }


def _latest(places: Ints, ends: Ints) -> Ints:
    """Return the last of `places` between each of `ends` and the one before, `_NONE` if none."""
    found = last_before(places, ends)
    return np.where(found > np.append(_NONE, ends)[:-1], found, _NONE)


def _open_one(places: Ints, ends: Ints) -> Ints:
    """Return the last of `places` if none of `ends` comes after it."""
    return places[-1:] if not len(ends) else places[-1:][places[-1:] > ends[-1]]


class _Messages:
    """Rows of ``messages``, in the order of sending."""

    def __init__(self) -> None:
        self._part = Columns(())
        self._checkpoint: Ints = np.empty(0, np.int64)
        self._number = 0

    def rows(self, part: Columns) -> Table:
        """Return what was sent and received, up to the first that is still under way."""
        here = part.where(lambda event: isinstance(event, _MESSAGES))
        ends = part.where(lambda event: isinstance(event, ev.CheckpointEnded))
        number = before(ends, here, part.value, self._number - 1) + 1
        if len(ends):
            self._number = int(part.value[ends[-1]]) + 1
        self._checkpoint = np.append(self._checkpoint, number)
        self._part = Columns(np.concatenate([self._part.flat, part.flat[here]]))
        under_way = _UnderWay(self._part)
        sent = under_way.sent
        complete = (under_way.written[sent] >= 0) & (under_way.received[sent] >= 0)
        finished = sent[: int(np.append(complete, False).argmin())]
        table = self._table(under_way, finished)
        first = sent[len(finished)] if len(finished) < len(sent) else len(self._part)
        left = under_way.of >= first
        self._checkpoint = self._checkpoint[left]
        self._part = Columns(self._part.flat[left])
        return table

    def left(self) -> Table:
        """Return what was never written or received whole, and what was sent after that."""
        under_way = _UnderWay(self._part)
        return self._table(under_way, under_way.sent)

    def _table(self, under_way: _UnderWay, sent: Ints) -> Table:
        part = self._part
        names = [getattr(e, "message", getattr(e, "step", "")) for e in part.events]
        sides = [getattr(event, "side", "") for event in part.events]
        kind = part.kind[sent]
        written, received = under_way.written[sent], under_way.received[sent]
        return {
            "checkpoint": IntColumn.all(self._checkpoint[sent]),
            "name": WordColumn.of(names, kind),
            "from": WordColumn.of(sides, kind),
            "to": WordColumn.of([OTHER.get(side, "") for side in sides], kind),
            "sent_ns": IntColumn.all(part.at_ns[sent]),
            "written_ns": IntColumn(part.at_ns[written], written >= 0),
            "received_ns": IntColumn(part.at_ns[received], received >= 0),
            "bytes": IntColumn.all(part.value[sent]),
        }


class _UnderWay:
    """Which events send, write and read one and the same message or stream.

    By place of its sending: `written` and `received`; `of`: of what each event is, `_NONE` if it
    found nothing to read.
    """

    def __init__(self, part: Columns) -> None:
        self.sent = part.where(lambda event: isinstance(event, ev.Sent | ev.StreamBegan))
        self.written = np.full(len(part), _NONE)
        self.received = np.full(len(part), _NONE)
        self.of = np.full(len(part), _NONE)
        self.of[self.sent] = self.sent
        reads: dict[str, list[Ints]] = {side: [np.empty(0, np.int64)] for side in OTHER}
        for event in part.events:
            match event:
                case ev.Sent(side, message):
                    sent = part.places(event)
                    self.written[sent] = sent
                    self._pair(sent, part.places(ev.Received(OTHER[side], message)), self.received)
                case ev.StreamEnded(side, step):
                    ended = part.places(event)
                    self._pair(part.places(ev.StreamBegan(side, step)), ended, self.written)
                    reads[side].append(ended[self.of[ended] < 0])
        for side, other in OTHER.items():
            steps = (event for event in part.events if isinstance(event, ev.StreamBegan))
            begun = part.places(*(event for event in steps if event.side == side))
            self._pair(begun, np.sort(np.concatenate(reads[other])), self.received)

    def _pair(self, sent: Ints, got: Ints, end: Ints) -> None:
        """Let each of `got` end the first of `sent` that is not ended yet."""
        turn = match_in_order(sent, got)
        got, turn = got[turn >= 0], turn[turn >= 0]
        end[sent[turn]] = got
        self.of[got] = sent[turn]


def rows_of(table: Table) -> Iterator[tuple[Any, ...]]:
    """Return the rows of a table, None for what is missing."""
    return zip(*(column.tolist() for column in table.values()), strict=True)
