"""What happens in one checkpoint, in the order of the record."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from colosim.analysis.wording import purpose_of
from colosim.plots.bars import events_from, request_of
from colosim.plots.rows import rows_of, whole
from colosim.plots.units import short_time
from colosim.runs.columns import step_column

if TYPE_CHECKING:
    from collections.abc import Iterator

    from colosim.runs.run import Run

__all__ = ["MESSAGES", "PAIR", "SIDES", "Message", "Sequence", "Step", "data", "sequence_of"]

SIDES = ("primary", "secondary")
PAIR = ""
"""The side of what concerns neither host alone: a fault, the cluster manager, the commit."""

MESSAGES = frozenset({"sends", "receives", "begins to send", "has sent", "has read"})
"""The kinds of step that a message or stream makes."""

_LOCK = re.compile(r"iothread lock (wanted|got|released) by (.+) for (\S+)")
_LEFT_OUT = {"staged", "stop", "start"}
_GUEST = {"guest running": "guest runs"}


class Step(NamedTuple):
    """Something that happens at a moment, in ns since the request.

    `kind` is one of `MESSAGES`, ``wants``, ``takes``, ``releases`` (the lock), ``guest`` or
    ``does``; `message` is the number of its message, of those that are sent in this checkpoint.
    """

    time_ns: int
    side: str
    kind: str
    what: str
    message: int | None = None


class Message(NamedTuple):
    """A message or stream, and its bytes; what was never read has no such time."""

    name: str
    sender: str
    receiver: str
    size_bytes: int
    received_ns: int | None

    @property
    def is_stream(self) -> bool:
        """Whether it is bulk data and no message of the protocol."""
        return not self.name.isupper()


class Sequence(NamedTuple):
    """One checkpoint: its number, its steps in order, its messages in the order of sending."""

    checkpoint: int
    steps: tuple[Step, ...]
    messages: tuple[Message, ...]


def data(run: Run, checkpoint: int) -> pd.DataFrame:
    """Return what happens in a checkpoint, in the order of the record.

    Columns: ``time_ns`` (since the request), ``side`` (empty: the pair), ``kind``, ``what`` and
    ``message`` (its number in this checkpoint, from 0; empty for what is no message).

    :raises FigureError: if the run has no such checkpoint.
    """
    table = pd.DataFrame(sequence_of(run, checkpoint).steps, columns=list(Step._fields))
    return table.astype({"time_ns": "int64", "message": "Int64"})


def sequence_of(run: Run, checkpoint: int) -> Sequence:
    """Return what happens in a checkpoint.

    :raises FigureError: if the run has no such checkpoint.
    """
    begin = request_of(run, checkpoint)
    events, end = events_from(run, begin)
    table = run.messages
    sent = table[(table["sent_ns"] >= begin) & ((table["sent_ns"] < end) if end else True)]
    post = _Post(sent.to_dict("records"))
    steps: list[Step] = []
    for at_ns, name, value in rows_of(events):
        side, colon, what = str(name).partition(": ")
        if side not in SIDES:
            side, what = PAIR, str(name)
            if not colon:
                what = f"{name} ({value})" if value != checkpoint else str(name)
        found = _step(run, post, side, what, (int(at_ns), int(value)))
        steps += [step._replace(time_ns=step.time_ns - begin) for step in found]
    return Sequence(checkpoint, tuple(steps), tuple(post.messages(begin)))


class _Post:
    """The messages of a checkpoint, to tell which of them an event is of."""

    def __init__(self, rows: list[dict[Any, Any]]) -> None:
        self._rows = rows
        self._seen: set[tuple[int, str]] = set()

    def messages(self, begin: int) -> Iterator[Message]:
        """Yield them."""
        for row in self._rows:
            received = whole(row["received_ns"])
            since = None if received is None else received - begin
            yield Message(row["name"], row["from"], row["to"], int(row["bytes"]), since)

    def find(self, end: str, side: str, at_ns: int, name: str | None) -> int | None:
        """Return the number of the first message with that column, time and side."""
        where = "to" if end == "received_ns" else "from"
        for number, row in enumerate(self._rows):
            if (
                row[where] == side
                and whole(row[end]) == at_ns
                and (row["name"] == name if name else not str(row["name"]).isupper())
                and (number, end) not in self._seen
            ):
                self._seen.add((number, end))
                return number
        return None


def _step(run: Run, post: _Post, side: str, what: str, moment: tuple[int, int]) -> Iterator[Step]:
    """Yield the step that an event is, if it is one; `moment` is its time and value."""
    at_ns, value = moment
    lock = _LOCK.fullmatch(what)
    if lock is not None:
        yield Step(at_ns, side, *_locked(lock, value))
    elif what.startswith(("sends ", "receives ")) or what.endswith((" begins", " ends")):
        yield _sent_or_read(post, side, what, at_ns)
    elif what.startswith("guest "):
        yield Step(at_ns, side, "guest", _GUEST.get(what, what))
    elif what in {"dirty pages", "flushed pages"}:
        yield Step(at_ns, side, "does", f"{value} {what}")
    elif not what.startswith("memory ") and what not in _LEFT_OUT:
        is_work = value and step_column(side, what) in run.checkpoints.columns
        yield Step(at_ns, side, "does", f"{what}, {short_time(value)}" if is_work else what)


def _sent_or_read(post: _Post, side: str, what: str, at_ns: int) -> Step:
    """Return the step of a message or stream, and which it is."""
    verb, _, message = what.partition(" ")
    if verb in {"sends", "receives"}:
        end = "sent_ns" if verb == "sends" else "received_ns"
        return Step(at_ns, side, verb, message, post.find(end, side, at_ns, message))
    name, _, done = what.rpartition(" ")
    if done == "begins":
        return Step(at_ns, side, "begins to send", name, post.find("sent_ns", side, at_ns, name))
    number = post.find("written_ns", side, at_ns, name)
    if number is not None:
        return Step(at_ns, side, "has sent", name, number)
    return Step(at_ns, side, "has read", name, post.find("received_ns", side, at_ns, None))


def _locked(lock: re.Match[str], value: int) -> tuple[str, str]:
    done, thread, purpose = lock.groups()
    own = thread in {"checkpoint thread", "COLO incoming thread"}
    who = "" if own else f"{thread} "
    to = f" to {purpose_of(purpose)}" if own else ""
    if done == "wanted":
        return "wants", f"{who}waits for the lock{to}"
    if done == "got":
        return "takes", f"{who}takes the lock{to}"
    return "releases", f"{who}releases the lock, {short_time(value)}"
