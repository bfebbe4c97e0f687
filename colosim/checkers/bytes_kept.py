"""Bytes are kept: what is read was sent, in that order and size, and no buffer makes any."""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from operator import itemgetter
from typing import TYPE_CHECKING

from colosim.checkers.checker import Checker, Pair, Unrepeatable
from colosim.checkers.violation import Broken
from colosim.network.connection import OTHER

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from fractions import Fraction

    from colosim.checkers.checker import Handler, Repeat
    from colosim.network.direction import Direction

__all__ = ["BytesKept"]

TWO = 2
STREAM = ""
"""Stands for the name of a bulk stream: its two ends call it by names of their own."""


class BytesKept(Checker):
    """Each message and each bulk stream is read whole, once, in the order of sending."""

    rule = "bytes are kept"

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        self._unread: dict[str, deque[tuple[str, int]]] = {side: deque() for side in OTHER}
        self._writing: dict[str, dict[str, int]] = {side: {} for side in OTHER}
        self._sent = dict.fromkeys(OTHER, 0)
        self._read = dict.fromkeys(OTHER, 0)

    def handler(self, subject: str, what: str) -> Handler | None:
        """Watch messages that are sent and received, and both ends of bulk streams."""
        if subject not in OTHER:
            return None
        verb, _, name = what.partition(" ")
        if verb == "sends":
            return self._sends(subject, name)
        if verb == "receives":
            return self._receives(subject, name)
        if what.endswith(" begins"):
            return self._begins(subject, what.removesuffix(" begins"))
        if what.endswith(" ends"):
            return self._ends(subject, what.removesuffix(" ends"))
        return None

    def _sends(self, side: str, name: str) -> Handler:
        unread, sent = self._unread[side], self._sent

        def sends(_at_ns: int, amount: int) -> None:
            unread.append((name, amount))
            sent[side] += amount

        return sends

    def _begins(self, side: str, step: str) -> Handler:
        unread, writing, sent = self._unread[side], self._writing[side], self._sent

        def begins(_at_ns: int, amount: int) -> None:
            unread.append((STREAM, amount))
            writing[step] = amount
            sent[side] += amount

        return begins

    def _ends(self, side: str, step: str) -> Handler:
        """Return the handler of a stream's end: the writer's if it has begun, else the reader's."""
        writing = self._writing[side]
        reads = self._reads(side, STREAM, step)

        def ends(at_ns: int, amount: int) -> None:
            begun = writing.pop(step, None)
            if begun is None:
                reads(at_ns, amount)
            elif begun != amount:
                raise Broken(side, f"has written {amount} B of {step}, but began with {begun} B")

        return ends

    def _receives(self, side: str, name: str) -> Handler:
        return self._reads(side, name, name)

    def _reads(self, side: str, name: str, step: str) -> Handler:
        sender = OTHER[side]
        unread, read = self._unread[sender], self._read

        def reads(_at_ns: int, amount: int) -> None:
            first = unread.popleft() if unread else None
            if first != (name, amount):
                raise Broken(side, f"reads {step} of {amount} B, but {_told(sender, first)}")
            read[sender] += amount

        return reads

    def state(self) -> Hashable:
        """At rest all that was sent is read."""
        return not any((*self._unread.values(), *self._writing.values())) or None

    def repeats(self, names: Sequence[tuple[str, str]]) -> Repeat:
        """Bytes sent and read, and those of both ends of a write, are equal again, one by one."""
        written: dict[str, list[int]] = {side: [] for side in OTHER}
        read: dict[str, list[int]] = {side: [] for side in OTHER}
        begun: dict[tuple[str, str], int] = {}
        equal: list[tuple[int, int]] = []
        for number, (side, what) in enumerate(names):
            if side not in OTHER:
                continue
            value = 3 * number + 2
            verb, _, word = what.rpartition(" ")
            if what.startswith("sends ") or word == "begins":
                written[side].append(value)
                begun[side, verb] = value
            elif word == "ends" and (side, verb) in begun:
                equal.append((begun.pop((side, verb)), value))
            elif word == "ends" or what.startswith("receives "):
                read[OTHER[side]].append(value)
        for side in OTHER:
            equal += zip(written[side], read[side], strict=True)
        if min(len(equal), *(len(places) for places in written.values())) < TWO:
            return Unrepeatable()  # an itemgetter of one place gives no tuple
        return _SameBytes(equal, written, (self._sent, self._read))

    def finish(self) -> None:
        """Hold the counters of both directions against what was seen to be sent and read."""
        connection = self.pair.connection
        for direction in (connection.to_secondary, connection.to_primary):
            sender = direction.sender
            if self._sent[sender] > direction.bytes_written:
                raise Broken(
                    sender,
                    f"sent {self._sent[sender]} B by the record, but {direction.bytes_written} B"
                    f" by the counter of its socket",
                )
            if self._read[sender] > direction.bytes_read:
                raise Broken(
                    direction.receiver,
                    f"read {self._read[sender]} B by the record, but {direction.bytes_read} B by"
                    f" the counter of its socket",
                )
            _hold_fluid(direction)


class _SameBytes:
    """A chunk whose messages and streams are those of one before, of whatever sizes."""

    def __init__(
        self,
        equal: list[tuple[int, int]],
        written: dict[str, list[int]],
        totals: tuple[dict[str, int], dict[str, int]],
    ) -> None:
        self._firsts = itemgetter(*(first for first, _ in equal))
        self._seconds = itemgetter(*(second for _, second in equal))
        self._written = {side: itemgetter(*places) for side, places in written.items()}
        self._sent, self._read = totals

    def fits(self, chunk: Sequence[int]) -> bool:
        """Tell whether each is read with as many bytes as it was sent."""
        return bool(self._firsts(chunk) == self._seconds(chunk))

    def count(self, chunk: Sequence[int]) -> None:
        """Count the bytes of both directions."""
        for side, places in self._written.items():
            amount = sum(places(chunk))
            self._sent[side] += amount
            self._read[side] += amount


def _hold_fluid(direction: Direction) -> None:
    """Hold the counters of a disturbed direction against each other.

    :raises Broken: if a byte arrived that had not left, or the like.
    """
    if direction.disturbed is None:
        return
    fluid = direction.disturbed.fluid
    counters: dict[str, Fraction | int] = {
        "asked to be written": fluid.write_goal,
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


def _told(sender: str, first: tuple[str, int] | None) -> str:
    if first is None:
        return f"the {sender} has sent nothing that is not read"
    name, amount = first
    return f"the {sender} sent {name or 'a stream'} of {amount} B first"
