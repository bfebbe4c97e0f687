"""What belongs to a request of clients that wait for answers, and what these go on with."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from colosim.service.arrivals import BLOCK, FOLLOWS
from colosim.service.requests import Requests, no_requests

if TYPE_CHECKING:
    from colosim.service.draws import Divergence, Works

_KEPT_BLOCKS: Final = 64

Event = tuple[int, ...]
"""When by the clock of the tap, what, of which connection.  What follows has its number there, and
then its connection, its flow, when it arrived, what it has met, and whether it is a SYN."""

Block = tuple[int, Any, Any, Any, *tuple[Any, ...]]
"""Number of the first request, then lists: what each takes the primary, and the secondary; whether
its answers differ; what the handshake takes either, if there is one."""


@dataclass(slots=True)
class Request:
    """A request that has come to the tap."""

    number: int
    connection: int
    flow: int
    """Whose frames it is compared among: its connection's, or those of the one that it opens."""
    arrived: int
    came: int
    """When it came to the tap, or before it the SYN of its connection, if that is not answered."""
    left: int = 0
    """What the primary still has to do."""
    whole: int = 0
    """What it is in all to the secondary, which gets a copy of it."""
    met: int = 0
    opens: bool = False
    """Whether this is still the SYN."""

    def event(self, at_ns: int, kind: int = FOLLOWS, *, opens: bool) -> Event:
        """Return that it comes then, once more or for what it is for."""
        whose = self.connection, self.flow, self.arrived
        return at_ns, kind, self.number, *whose, self.met, opens

    def with_left(self, left: int) -> Request:
        """Return it with so much to do."""
        whose = self.number, self.connection, self.flow, self.arrived, self.came
        return Request(*whose, left, self.whole, self.met, self.opens)


def bare(event: Event) -> Request:
    """Return what follows, but not what it takes."""
    at_ns, _, number, connection, flow, arrived, met, opens = event
    return Request(number, connection, flow, arrived, at_ns, met=met, opens=bool(opens))


@dataclass(slots=True)
class State:
    """All that goes on from epoch to epoch."""

    clients: list[Event] = field(default_factory=list)
    """When a connection sends, or may send again."""
    planned: int = 0
    """How many of the planned events have been, beside those."""
    busy: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    """Requests of a connection that wait for an answer."""
    unsent: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    """Requests of a connection that wait to be sent."""
    queue: list[Request] = field(default_factory=list)
    """What the primary has not done, in order."""
    made: int = 0
    odd: set[int] = field(default_factory=set)
    """Connections whose next answer differs."""

    def copied(self) -> State:
        """Return a copy that an epoch may change; it leaves the requests as they are."""
        busy, unsent = defaultdict(int, self.busy), defaultdict(int, self.unsent)
        parts = list(self.clients), self.planned, busy, unsent, list(self.queue)
        return State(*parts, self.made, set(self.odd))


@dataclass(slots=True)
class Rows:
    """Requests of an epoch whose answers come in order, in the order in which they came.

    First those of the state's queue.
    """

    events: list[Event] = field(default_factory=list)
    """As what they came."""
    mine: list[int] = field(default_factory=list)
    """When the primary's answer comes."""
    theirs: list[int] = field(default_factory=list)
    """When the secondary's comes, where they are compared."""
    leaves: list[int] = field(default_factory=list)
    """When both have come."""
    goes_on: list[Event] = field(default_factory=list)
    """How the client goes on after that."""
    last_theirs: dict[int, int] = field(default_factory=dict)
    """Of each connection when the secondary's last answer comes."""

    free_ns: int = -1
    """When the primary's guest is free that has done what is forgotten."""

    def forget(self, count: int, rests_ns: int) -> None:
        """Forget the first of them; the guest rests so long after the last."""
        self.free_ns = self.mine[count - 1] + rests_ns
        for part in (self.events, self.mine, self.leaves, self.goes_on):
            del part[:count]


class Draw:
    """What belongs to a request by its number; old blocks are forgotten."""

    def __init__(self, works: Works, divergence: Divergence, opening: Works | None = None) -> None:
        self._works, self._divergence, self._opening = works, divergence, opening
        self._blocks: deque[Block] = deque(maxlen=_KEPT_BLOCKS)
        self._drawn = 0

    def block(self, number: int) -> Block:
        """Return the block of a request."""
        index = number // BLOCK
        while index >= self._drawn:
            first = self._drawn * BLOCK
            drawn = [*self._works.take(BLOCK), self._divergence.take(first, BLOCK)]
            if self._opening is not None:
                drawn += self._opening.take(BLOCK)
            self._blocks.append((first, *(one.tolist() for one in drawn)))
            self._drawn += 1
        return self._blocks[index - self._drawn]

    def of(self, number: int) -> tuple[int, int, bool]:
        """Return how long a request takes either guest, and whether its answers differ."""
        first, work, whole, differs, *_ = self.block(number)
        return work[number - first], whole[number - first], differs[number - first]

    def opening(self, number: int) -> tuple[int, int]:
        """Return how long the handshake before it takes either guest."""
        first, *_, work, whole = self.block(number)
        return work[number - first], whole[number - first]


def as_arrays(some: list[Request]) -> Requests:
    """Return what is to be told of requests that are over."""
    over = no_requests()
    over.number = np.array([one.number for one in some], np.int64)
    over.arrived = np.array([one.arrived for one in some], np.int64)
    over.connection = np.array([one.connection for one in some], np.int64)
    over.met = np.array([one.met for one in some], np.int64)
    return over
