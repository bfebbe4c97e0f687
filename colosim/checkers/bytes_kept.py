"""Bytes are kept: what is read was sent, in that order and size, and no buffer makes any."""

from __future__ import annotations

from collections import deque
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from colosim.checkers.checker import Checker, Pair
from colosim.checkers.violation import Broken
from colosim.trace.events import OTHER, Received, Sent, StreamBegan, StreamEnded

if TYPE_CHECKING:
    from fractions import Fraction

    from colosim.checkers.checker import Handler
    from colosim.network.ends import Ends
    from colosim.trace.events import Event

STREAM = ""
"""Stands for the name of a bulk stream: its two ends call it by names of their own."""


class _Way:
    """What is on its way from one side to the other, by the record."""

    __slots__ = ("read", "receiver", "sender", "sent", "unread", "writing")

    def __init__(self, sender: str) -> None:
        self.sender = sender
        self.receiver = OTHER[sender]
        self.sent = self.read = 0
        self.unread: deque[tuple[str, int]] = deque()
        self.writing: dict[str, int] = {}

    def sends(self, name: str, _at_ns: int, amount: int) -> None:
        """A message goes into the sender's socket."""
        self.unread.append((name, amount))
        self.sent += amount

    def begins(self, step: str, _at_ns: int, amount: int) -> None:
        """The sender begins to write a stream; it is sent once its last byte is."""
        self.writing[step] = amount
        self.unread.append((STREAM, amount))

    def reads(self, name: str, step: str, _at_ns: int, amount: int) -> None:
        """The receiver has read a message or a stream: what was sent first."""
        unread = self.unread
        first = unread.popleft() if unread else None
        if first != (name, amount):
            raise Broken(
                self.receiver, f"reads {step} of {amount} B, but {_next_sent(self.sender, first)}"
            )
        self.read += amount


class BytesKept(Checker):
    """Each message and each bulk stream is read whole, once, in the order of sending."""

    rule = "bytes are kept"

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        self._from = {side: _Way(side) for side in OTHER}

    def on(self, event: Event) -> Handler | None:
        """Watch messages that are sent and received, and both ends of bulk streams."""
        match event:
            case Sent(side, message):
                return partial(self._from[side].sends, message)
            case Received(side, message):
                return partial(self._from[OTHER[side]].reads, message, message)
            case StreamBegan(side, step):
                return partial(self._from[side].begins, step)
            case StreamEnded(side, step):
                return partial(self._ends, side, step)
        return None

    def _ends(self, side: str, step: str, at_ns: int, amount: int) -> None:
        """A stream ends for its writer if it has begun, else for its reader."""
        way = self._from[side]
        begun = way.writing.pop(step, None)
        if begun is None:
            self._from[OTHER[side]].reads(STREAM, step, at_ns, amount)
        elif begun != amount:
            raise Broken(side, f"has written {amount} B of {step}, but began with {begun} B")
        else:
            way.sent += amount

    def finish(self) -> None:
        """Hold the counters of both directions against what was seen to be sent and read."""
        connection = self.pair.connection
        for direction in (connection.to_secondary, connection.to_primary):
            way = self._from[direction.sender]
            ends = connection.all_of(direction)
            for side, done, seen, counted in (
                (way.sender, "sent", way.sent, sum(one.bytes_written for one in ends)),
                (way.receiver, "read", way.read, sum(one.bytes_read for one in ends)),
            ):
                if seen > counted:
                    raise Broken(
                        side,
                        f"{done} {seen} B by the record, but {counted} B by the counter of its"
                        " socket",
                    )
            for one in ends:
                _hold_fluid(one)


def _hold_fluid(direction: Ends) -> None:
    """Hold the counters of a disturbed direction against each other.

    :raises Broken: if a byte arrived that had not left, or the like.
    """
    fluid = direction.fluid
    if fluid is None:
        return
    counters: dict[str, Fraction | int] = {
        "asked to be written": fluid.writes.goal,
        "written": fluid.written,
        "left the sender": fluid.left,
        "arrived": fluid.arrived.value,
        "read": fluid.read,
    }
    names = list(counters)
    for before, after in pairwise(names):
        if counters[after] > counters[before]:
            raise Broken(
                direction.name,
                f"{counters[after]} B {after}, but only {counters[before]} B {before}",
            )


def _next_sent(sender: str, first: tuple[str, int] | None) -> str:
    if first is None:
        return f"the {sender} has sent nothing that is not read"
    name, amount = first
    return f"the {sender} sent {name or 'a stream'} of {amount} B first"
