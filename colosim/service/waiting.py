"""What belongs to a request of clients that wait for answers, and what these go on with."""

from __future__ import annotations

from collections import defaultdict, deque
from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from colosim.service.arrivals import BLOCK
from colosim.service.requests import Requests, no_requests

if TYPE_CHECKING:
    from colosim.service.draws import Divergence, Works

SENDS, FREES, FOLLOWS = range(3)
_KEPT_BLOCKS: Final = 64

Event = tuple[int, int, int]
"""When by the clock of the tap, what, and of which connection; what follows, of which request."""


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
    free_ns: int = 0
    """When the primary was free for it."""


@dataclass(slots=True)
class State:
    """All that goes on from epoch to epoch."""

    clients: list[Event] = field(default_factory=list)
    """When a connection sends, or may send again."""
    busy: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    """Requests of a connection that wait for an answer."""
    unsent: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    """Requests of a connection that wait to be sent."""
    queue: list[Request] = field(default_factory=list)
    """What the primary has not done, in order."""
    opened: dict[int, Request] = field(default_factory=dict)
    """Requests whose connection is open, and which are under way."""
    made: int = 0
    odd: set[int] = field(default_factory=set)
    """Connections whose next answer differs."""

    def copied(self) -> State:
        """Return a copy that an epoch may change."""
        busy, unsent = defaultdict(int, self.busy), defaultdict(int, self.unsent)
        queue, opened = (
            list(map(copy, self.queue)),
            {n: copy(one) for n, one in self.opened.items()},
        )
        return State(list(self.clients), busy, unsent, queue, opened, self.made, set(self.odd))


class Draw:
    """What belongs to a request by its number; old blocks are forgotten."""

    def __init__(self, works: Works, divergence: Divergence, opening: Works | None = None) -> None:
        self._works, self._divergence, self._opening = works, divergence, opening
        self._blocks: deque[list[list[int]]] = deque(maxlen=_KEPT_BLOCKS)
        self._drawn = 0

    def _of(self, number: int) -> list[int]:
        block, index = divmod(number, BLOCK)
        while block >= self._drawn:
            drawn = [*self._works.take(BLOCK), self._divergence.take(self._drawn * BLOCK, BLOCK)]
            if self._opening is not None:
                drawn += self._opening.take(BLOCK)
            self._blocks.append([one.tolist() for one in drawn])
            self._drawn += 1
        return [one[index] for one in self._blocks[block - self._drawn]]

    def of(self, number: int) -> tuple[int, int, bool]:
        """Return how long a request takes either guest, and whether its answers differ."""
        work, whole, differs, *_ = self._of(number)
        return work, whole, bool(differs)

    def opening(self, number: int) -> tuple[int, int]:
        """Return how long the handshake before it takes either guest."""
        *_, work, whole = self._of(number)
        return work, whole


def as_arrays(some: list[Request]) -> Requests:
    """Return what is to be told of requests that are over."""
    over = no_requests()
    over.number = np.array([one.number for one in some], np.int64)
    over.arrived = np.array([one.arrived for one in some], np.int64)
    over.connection = np.array([one.connection for one in some], np.int64)
    over.met = np.array([one.met for one in some], np.int64)
    return over
