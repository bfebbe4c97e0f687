"""Clients that send when they are answered, or may: when, and what for."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from colosim.scenario.service import ClosedLoop
from colosim.service.arrivals import FOLLOWS, FREES, SENDS, Arrivals
from colosim.service.comparison import NEVER
from colosim.service.draws import Works
from colosim.service.waiting import Draw, Request, State, bare
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
        self._counts = service.outstanding is not None
        """Whether few requests of a connection may wait."""
        self._think_ns: int | None = None
        self._arrivals: Arrivals | None = None
        self._planned: list[Event] = []
        """What is planned, in the order of time."""
        if isinstance(service.arrivals, ClosedLoop):
            self._think_ns, count = service.arrivals.think_ns, service.arrivals.clients
            self._state.clients = [
                (self._think_ns * i // count + self.latency_ns, SENDS, i) for i in range(count)
            ]
        else:
            self._arrivals = Arrivals(settings)
        self._differs: set[int] = set()
        """Requests whose answers differ."""
        self._before: State | None = None
        """What was at the resume, once this epoch was begun."""

    def _plan_until(self, until_ns: int) -> None:
        """Let planned requests up to `until_ns` be among the events."""
        planned = self._planned
        while self._arrivals is not None and (not planned or planned[-1][0] <= until_ns):
            planned += self._arrivals.events()

    def _next_ns(self) -> int:
        """Return when the next event of clients comes."""
        state, planned = self._state, self._planned
        at_ns = state.clients[0][0] if state.clients else NEVER
        if state.planned < len(planned):
            at_ns = min(at_ns, planned[state.planned][0])
        return at_ns

    def _next(self) -> Event:
        """Take the next event of clients."""
        state, planned = self._state, self._planned
        if state.planned < len(planned):
            event = planned[state.planned]
            if not state.clients or event < state.clients[0]:
                state.planned += 1
                return event
        return heappop(state.clients)

    def _sends(self, kind: int, connection: int) -> bool:
        """Return whether a request comes to the tap as a connection sends, or may."""
        state = self._state
        if kind == FREES:
            if not state.unsent[connection]:
                state.busy[connection] -= 1
                return False
            state.unsent[connection] -= 1
        elif self._counts:
            if state.busy[connection] >= self._window:
                state.unsent[connection] += 1
                return False
            state.busy[connection] += 1
        return True

    def _arrival(self) -> Request | None:
        """Take the next event of clients; return the request that comes to the tap, if one does."""
        event = self._next()
        self._latest_ns, kind, connection = event[:3]
        if kind > FREES:
            return self._follows(event)
        if not self._sends(kind, connection):
            return None
        number, at_ns, opens = self._state.made, event[0], self._opens
        self._state.made += 1
        flow = number if opens else connection
        return self._follows((at_ns, FOLLOWS, number, connection, flow, at_ns, 0, opens))

    def _follows(self, event: Event) -> Request:
        """Return a request as it comes: the SYN of its connection, or what it is for."""
        request, odd = self._request_of(event), self._state.odd
        if not request.opens and (self._draw.of(request.number)[2] or request.flow in odd):
            self._differs.add(request.number)
            odd.discard(request.flow)
        return request

    def _request_of(self, event: Event) -> Request:
        request = bare(event)
        number = request.number
        takes = self._draw.opening(number) if request.opens else self._draw.of(number)[:2]
        request.left, request.whole = takes
        return request

    def _go_on(self, left_ns: int, request: Request, follows: int = FOLLOWS) -> None:
        """Let a client go on that was answered, if it waits for that."""
        if request.opens or self._counts or self._think_ns is not None:
            heappush(self._state.clients, self._goes_on(left_ns, request, follows))

    def _goes_on(self, left_ns: int, request: Request, follows: int = FOLLOWS) -> Event:
        """Return how a client goes on that was answered; with its request behind a SYN."""
        back_ns = left_ns + 2 * self.latency_ns
        if request.opens:
            return request.event(back_ns, follows, opens=False)
        if self._think_ns is None:
            return back_ns, FREES, request.connection
        return back_ns + self._think_ns, SENDS, request.connection
