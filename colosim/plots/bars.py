"""What a checkpoint's time goes into, as bars on lanes: guest, threads, locks and wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from colosim.plots.rows import rows_of, whole
from colosim.plots.style import FigureError
from colosim.runs.columns import step_column

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from colosim.runs.run import Run

__all__ = [
    "LANES",
    "Bar",
    "bars_of",
    "events_from",
    "request_of",
    "thread_bars",
    "typical_checkpoint",
]

LANES = (
    "primary guest",
    "primary thread",
    "primary lock",
    "wire",
    "secondary thread",
    "secondary lock",
)
"""The lanes of one checkpoint, from top to bottom."""

_REQUEST = "primary: sends CHECKPOINT_REQUEST"
_KIND_OF = {
    "vmstate save": "save",
    "device save": "save",
    "RAM stream": "send",
    "device stream": "send",
    "vmstate fill": "receive",
    "device fill": "receive",
    "device load": "load",
    "cache flush": "flush cache",
}


class Bar(NamedTuple):
    """Something that takes time, on a lane; `end_ns` is None if it never ended."""

    lane: str
    what: str
    kind: str
    begin_ns: int
    end_ns: int | None


def typical_checkpoint(run: Run) -> int:
    """Return the committed checkpoint after the warm-up whose pause is the median (nearest rank).

    A run that committed none has its first checkpoint as the typical one.

    :raises FigureError: if it began none.
    """
    rows = run.checkpoints
    if not len(rows):
        raise FigureError(f"{run!r} began no checkpoint")
    committed = rows[rows["outcome"] == "committed"]
    warm = committed[committed["checkpoint"] >= run.scenario.warmup]
    chosen = warm if len(warm) else committed
    if not len(chosen):
        return int(rows["checkpoint"].iloc[0])
    ordered = chosen.sort_values("pause_ns", kind="stable")
    return int(ordered["checkpoint"].iloc[(len(ordered) - 1) // 2])


def bars_of(run: Run, checkpoint: int) -> list[Bar]:
    """Return a checkpoint's bars, lane by lane, since its request.

    :raises FigureError: if the run has no such checkpoint.
    """
    begin = request_of(run, checkpoint)
    events, end = events_from(run, begin)
    bars = [
        *_guest_bars(events),
        *thread_bars(events, frozenset(run.checkpoints.columns)),
        *_lock_bars(run, begin, end),
        *_wire_bars(run, begin, end),
    ]
    shifted = [
        bar._replace(
            begin_ns=bar.begin_ns - begin,
            end_ns=None if bar.end_ns is None else bar.end_ns - begin,
        )
        for bar in bars
    ]
    return sorted(shifted, key=lambda bar: (LANES.index(bar.lane), bar.begin_ns))


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


def events_from(run: Run, begin: int) -> tuple[pd.DataFrame, int | None]:
    """Return the events from a request on up to the next one, and when that is, if there is one."""
    events = run.events
    requests = events.index[events["event"] == _REQUEST]
    first = requests[events.loc[requests, "time_ns"] == begin][0]
    later = requests[requests > first]
    if not len(later):
        return events.loc[first:], None
    return events.loc[first : later[0] - 1], int(events.loc[later[0], "time_ns"])


def _guest_bars(events: pd.DataFrame) -> Iterator[Bar]:
    stopped: int | None = None
    for at_ns, name, _ in rows_of(events):
        if name == "primary: guest stopped":
            stopped = int(at_ns)
        elif name == "primary: guest running" and stopped is not None:
            yield Bar("primary guest", "guest stopped", "guest stopped", stopped, int(at_ns))
            stopped = None
    if stopped is not None:
        yield Bar("primary guest", "guest stopped", "guest stopped", stopped, None)


def thread_bars(events: pd.DataFrame, columns: frozenset[str]) -> Iterator[Bar]:
    """Yield what the two threads do, and for what they wait, from the event record."""
    threads = {side: _Thread(side, columns) for side in ("primary", "secondary")}
    for at_ns, name, value in rows_of(events):
        side, _, what = name.partition(": ")
        if side in threads:
            yield from threads[side].sees(int(at_ns), what, int(value))
    for thread in threads.values():
        yield from thread.unfinished()


class _Thread:
    """Follows one side's thread: when it last did something, and which stream it has begun."""

    def __init__(self, side: str, columns: frozenset[str]) -> None:
        self.side = side
        self.lane = f"{side} thread"
        self.columns = columns
        self.acted: int | None = None
        self.begun: tuple[str, int] | None = None

    def sees(self, at_ns: int, what: str, value: int) -> Iterator[Bar]:
        """Take an event of this side and yield the bar that ends with it, if one does."""
        verb, _, message = what.partition(" ")
        step, _, done = what.rpartition(" ")
        if verb == "receives":
            if self.acted is not None and at_ns > self.acted:
                yield Bar(self.lane, f"waits for {message}", "waits", self.acted, at_ns)
        elif done == "begins":
            self.begun = (step, at_ns)
        elif done in {"ends", "broken"}:
            yield Bar(self.lane, step, _KIND_OF.get(step, "receive"), self._since(at_ns), at_ns)
        elif what.startswith("COLO exit") and self.begun is not None:
            yield Bar(self.lane, f"{self.begun[0]} (given up)", "send", self._since(at_ns), at_ns)
        elif step_column(self.side, what) in self.columns and value > 0:
            kind = "load" if what == "RAM load" else _KIND_OF.get(what, "stop, start, other")
            yield Bar(self.lane, what, kind, at_ns - value, at_ns)
        elif verb != "sends" and not _took_lock(what):
            return
        self.acted = at_ns

    def _since(self, at_ns: int) -> int:
        """Return when the stream that ends now began: a reader's when it last did something."""
        begun, self.begun = self.begun, None
        if begun is not None:
            return begun[1]
        return at_ns if self.acted is None else self.acted

    def unfinished(self) -> Iterator[Bar]:
        """Yield the stream that never ended."""
        if self.begun is not None:
            yield Bar(self.lane, self.begun[0], "send", self.begun[1], None)


def _took_lock(what: str) -> bool:
    return what.startswith("iothread lock got by ") and "main loop" not in what


def _lock_bars(run: Run, begin: int, end: int | None) -> Iterator[Bar]:
    locks = run.locks
    taken = locks[locks["got_ns"].notna() & (locks["got_ns"] >= begin)]
    if end is not None:
        taken = taken[taken["got_ns"] < end]
    for row in rows_of(taken.sort_values("got_ns", kind="stable")):
        released = whole(row.released_ns)
        yield Bar(f"{row.side} lock", row.purpose, "lock held", int(row.got_ns), released)


def _wire_bars(run: Run, begin: int, end: int | None) -> Iterator[Bar]:
    messages = run.messages
    sent = messages[messages["sent_ns"] >= begin]
    if end is not None:
        sent = sent[sent["sent_ns"] < end]
    for row in rows_of(sent):
        kind = "message" if row.name.isupper() else "send"
        yield Bar("wire", row.name, kind, int(row.sent_ns), whole(row.received_ns))
