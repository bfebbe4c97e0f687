"""Clients that send when they are answered, or may: when, and what for."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from colosim.scenario.service import ClosedLoop
from colosim.service.arrivals import Arrivals
from colosim.service.comparison import NEVER
from colosim.service.draws import Works
from colosim.service.waiting import FOLLOWS, FREES, SENDS, Draw, Request, State
from colosim.service.workload import Workload

if TYPE_CHECKING:
    from colosim.service.draws import Times
    from colosim.service.waiting import Event
    from colosim.service.workload import Settings


class WaitingClients(Workload):
    """Clients of a closed loop, or of an open one that lets few requests of a connection wait."""

    def __init__(self, settings: Settings, on_answers: Callable[[Times, Times], None]) -> None:
        super().__init__(settings, on_answers)
        service = settings.service
        opening = None
        if service.handshake is not None:
            like = service.model_copy(update={"time": service.handshake})
            opening = Works(like, settings.seed, 0, stall=False, of="handshake")
        self._opens = opening is not None
        self._draw = Draw(self.works, self.divergence, opening)
        self._state = State()
        self._window = service.outstanding or NEVER
        self._think_ns: int | None = None
        self._planned: Arrivals | None = None
        if isinstance(service.arrivals, ClosedLoop):
            self._think_ns, count = service.arrivals.think_ns, service.arrivals.clients
            self._state.clients = [
                (self._think_ns * i // count + self.latency_ns, SENDS, i) for i in range(count)
            ]
        else:
            self._planned = Arrivals(settings)
        self._differs: set[int] = set()
        """Requests whose answers differ."""
        self._before: State | None = None
        """What was at the resume, once this epoch was begun."""

    def _plan_until(self, until_ns: int) -> None:
        """Let planned requests up to `until_ns` be among the events."""
        if self._planned is not None:
            for at_ns, connection in self._planned.until(until_ns):
                for state in (self._state, self._before):
                    if state is not None:
                        heappush(state.clients, (at_ns, SENDS, connection))

    def _sends(self) -> bool:
        """Take the next event of clients; return whether a request comes to the tap."""
        state = self._state
        self._latest_ns, kind, connection = heappop(state.clients)
        if kind == FREES:
            if not state.unsent[connection]:
                state.busy[connection] -= 1
                return False
            state.unsent[connection] -= 1
        elif self._think_ns is None and kind == SENDS:
            if state.busy[connection] >= self._window:
                state.unsent[connection] += 1
                return False
            state.busy[connection] += 1
        return True

    def _arrival(self) -> Request | None:
        """Take the next event of clients; return the request that comes to the tap, if one does."""
        state = self._state
        at_ns, kind, connection = state.clients[0]
        if not self._sends():
            return None
        if kind == FOLLOWS:
            request = state.opened.pop(connection)
            request.came = at_ns
            return self._opening(request) if request.opens else self._asks(request)
        number = state.made
        state.made += 1
        if self._opens:
            return self._opening(Request(number, connection, number, at_ns, at_ns, opens=True))
        return self._asks(Request(number, connection, connection, at_ns, at_ns))

    def _opening(self, request: Request) -> Request:
        """Let a request be the SYN of its connection."""
        request.left, request.whole = self._draw.opening(request.number)
        return request

    def _asks(self, request: Request) -> Request:
        """Let a request be for what it is for."""
        number, odd = request.number, self._state.odd
        request.left, request.whole, differs = self._draw.of(number)
        if differs or request.flow in odd:
            self._differs.add(number)
            odd.discard(request.flow)
        return request

    def _goes_on(self, left_ns: int, connection: int) -> Event:
        """Return how a client goes on that was answered; with its request behind a SYN."""
        back_ns = left_ns + 2 * self.latency_ns
        if connection < 0:
            return back_ns, FOLLOWS, -1 - connection
        if self._think_ns is None:
            return back_ns, FREES, connection
        return back_ns + self._think_ns, SENDS, connection
