"""A guest's replicated writes, an event for each thing that happens to each of them."""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PER_RATE = 10**15


class Writes:
    """Link and server serve one write after the other; what is due by a call happens before it.

    `speeds`: what a write takes on the link, under way, in the server and back, in ns.
    """

    def __init__(self, rate: int, depth: int, speeds: tuple[int, int, int, int]) -> None:
        self.rate, self.depth, self.speeds = rate, depth, speeds
        self.latencies: list[int] = []
        self.now = self.issued = self.out = self.ran = self.since = 0
        self.running = self.away = False
        self.last_answer = self.last_arrival = 0
        self.unsent: deque[int] = deque()
        self.unserved: deque[int] = deque()
        self.sending = self.serving = False
        self.events: list[tuple[int, int, Callable[[], None]]] = []
        self.count = 0

    def at(self, time: int, act: Callable[[], None]) -> None:
        """Let something happen."""
        self.count += 1
        heappush(self.events, (time, self.count, act))

    def go(self, until: int) -> None:
        """Let all happen that does up to then."""
        while self.events and self.events[0][0] <= until:
            self.now, _, act = heappop(self.events)
            act()
        self.now = until

    def due(self) -> int:
        """Return when the next write is due."""
        asked = (self.issued + 1) * PER_RATE // self.rate
        return self.since + max(0, asked - self.ran)

    def issue(self) -> None:
        """Issue a write if one is due and may be out."""
        if self.running and self.out < self.depth and self.due() <= self.now:
            self.issued += 1
            self.out += 1
            self.unsent.append(self.now)
            self.send()
            self.timer()

    def timer(self) -> None:
        """Look again when the next is due."""
        if self.running:
            self.at(max(self.now, self.due()), self.issue)

    def send(self) -> None:
        """Begin to send the next, if the link is free."""
        if self.sending or not self.unsent:
            return
        self.sending = True
        issued = self.unsent.popleft()

        def left() -> None:
            self.sending = False
            self.last_arrival = max(self.last_arrival, self.now + self.speeds[1])
            self.at(self.last_arrival, arrives)
            self.send()

        def arrives() -> None:
            self.unserved.append(issued)
            self.serve()

        self.at(self.now + self.speeds[0], left)

    def serve(self) -> None:
        """Begin to serve the next, if the server is there and free."""
        if self.serving or self.away or not self.unserved:
            return
        self.serving = True
        issued = self.unserved.popleft()

        def done() -> None:
            self.serving = False
            self.last_answer = max(self.last_answer, self.now + self.speeds[3])
            self.at(self.last_answer, answered)
            self.serve()

        def answered() -> None:
            self.latencies.append(self.now - issued)
            self.out -= 1
            self.issue()

        self.at(self.now + self.speeds[2], done)

    # ---- what happens to it --------------------------------------------------------------------

    def run(self) -> None:
        """Let the guest run."""
        self.running, self.since = True, self.now
        self.timer()

    def stop(self) -> None:
        """Stop the guest."""
        self.running = False
        self.ran += self.now - self.since

    def set_away(self, away: bool) -> None:  # noqa: FBT001 - as it is called in one place
        """Let the server begin with nothing, or go on."""
        self.away = away
        self.serve()
