"""What happens in one checkpoint, in the order of the record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from colosim.analysis.timeline import purpose_of
from colosim.plots.lanes import request_of, window_of
from colosim.plots.units import int_or_none, short_time
from colosim.trace import events as ev
from colosim.trace.steps import PROTOCOL_THREADS, step_column

if TYPE_CHECKING:
    from colosim.plots.lanes import Timed
    from colosim.runs.run import Run

SIDES = ("primary", "secondary")
PAIR = ""
"""The side of what concerns neither host alone: a fault, the cluster manager, the commit."""

MESSAGES = frozenset({"sends", "receives", "begins to send", "has sent", "has read"})
"""The kinds of step that a message or stream makes."""


class Step(NamedTuple):
    """Something that happens at a moment, in ns since the request.

    `kind` is one of `MESSAGES`, ``wants``, ``takes``, ``releases`` (the lock), ``guest`` or
    ``does``; `message` is the number of its message, of those that are sent in this checkpoint;
    `event` is what the record says.
    """

    time_ns: int
    side: str
    kind: str
    what: str
    message: int | None
    event: ev.Event

    @property
    def text(self) -> str:
        """What happens, where no arrow says it."""
        match self.kind:
            case "has sent":
                return f"{self.what} sent"
            case "has read":
                return f"{self.what} ends"
            case "sends" | "receives" | "begins to send":
                return f"{self.kind} {self.what}"
        return self.what


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
    table = table.drop(columns="event")
    return table.astype({"time_ns": "int64", "message": "Int64"})


def sequence_of(run: Run, checkpoint: int) -> Sequence:
    """Return what happens in a checkpoint.

    :raises FigureError: if the run has no such checkpoint.
    """
    begin = request_of(run, checkpoint)
    events, end = window_of(run, begin)
    table = run.messages
    sent = table[(table["sent_ns"] >= begin) & ((table["sent_ns"] < end) if end else True)]
    post = _Post(sent.to_dict("records"), begin)
    columns = frozenset(run.checkpoints.columns)
    steps: list[Step] = []
    for one in events:
        found = _step_of(post, one, columns, checkpoint)
        if found is not None:
            side = one.event.side if isinstance(one.event, ev.OnSide) else PAIR
            steps.append(Step(one.at_ns - begin, side, *found, one.event))
    return Sequence(checkpoint, tuple(steps), tuple(post.messages))


class _Post:
    """The messages of a checkpoint, to tell which of them an event is of."""

    def __init__(self, rows: list[dict[Any, Any]], begin_ns: int) -> None:
        self.messages: list[Message] = []
        self._numbers: dict[tuple[str, str, int | None, str], list[int]] = {}
        for number, row in enumerate(rows):
            received = int_or_none(row["received_ns"])
            since = None if received is None else received - begin_ns
            message = Message(row["name"], row["from"], row["to"], int(row["bytes"]), since)
            self.messages.append(message)
            for end in ("sent_ns", "written_ns", "received_ns"):
                read = end == "received_ns"
                side = message.receiver if read else message.sender
                name = "" if read and message.is_stream else message.name
                self._numbers.setdefault((end, side, int_or_none(row[end]), name), []).append(
                    number
                )

    def find(self, end: str, side: str, at_ns: int, name: str) -> int | None:
        """Return the number of the next message with that end; a stream is read without a name."""
        numbers = self._numbers.get((end, side, at_ns, name))
        return numbers.pop(0) if numbers else None


def _step_of(  # noqa: C901 - a case for each kind of event
    post: _Post, one: Timed, columns: frozenset[str], checkpoint: int
) -> tuple[str, str, int | None] | None:
    """Return kind, what and message of the step that an event is, None if it is none."""
    at_ns, event, value = one
    match event:
        case ev.LockWanted() | ev.LockGot() | ev.LockReleased():
            return (*_locked(event, value), None)
        case ev.Sent(side, message):
            return "sends", message, post.find("sent_ns", side, at_ns, message)
        case ev.Received(side, message):
            return "receives", message, post.find("received_ns", side, at_ns, message)
        case ev.StreamBegan(side, step):
            return "begins to send", step, post.find("sent_ns", side, at_ns, step)
        case ev.StreamEnded(side, step):
            return _sent_or_read(post, side, step, at_ns)
        case ev.GuestRunning():
            return "guest", "guest runs", None
        case ev.GuestStopped():
            return "guest", "guest stopped", None
        case ev.PagesCounted(_, "dirty" | "flushed"):
            return "does", f"{value} {event.what}", None
        case (
            ev.MemoryLevel()
            | ev.Staged()
            | ev.WaitBegan()
            | ev.WaitEnded()
            | ev.StepDone(_, "stop" | "start")
        ):
            return None
        case ev.StepDone(side, step) if value and step_column(side, step) in columns:
            return "does", f"{step}, {short_time(value)}", None
        case ev.OnSide():
            return "does", event.what, None
        case ev.CheckpointEnded() | ev.FaultsOver() if value != checkpoint:
            return "does", f"{event} ({value})", None
    return "does", str(event), None


def _sent_or_read(post: _Post, side: str, step: str, at_ns: int) -> tuple[str, str, int | None]:
    """Return whether a stream that ends was sent or read, and which it is."""
    number = post.find("written_ns", side, at_ns, step)
    if number is not None:
        return "has sent", step, number
    return "has read", step, post.find("received_ns", side, at_ns, "")


def _locked(event: ev.LockWanted | ev.LockGot | ev.LockReleased, value: int) -> tuple[str, str]:
    own = event.thread == PROTOCOL_THREADS[event.side]
    who = "" if own else f"{event.thread} "
    to = f" to {purpose_of(event.purpose)}" if own else ""
    match event:
        case ev.LockWanted():
            return "wants", f"{who}waits for the lock{to}"
        case ev.LockGot():
            return "takes", f"{who}takes the lock{to}"
    return "releases", f"{who}releases the lock, {short_time(value)}"
