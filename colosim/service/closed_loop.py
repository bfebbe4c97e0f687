"""Clients that wait for answers before they send: request after request, in the order of time.

What a client sends hangs on when it was answered, and so on the comparison.  An epoch is gone
through to where the comparison will ask for a checkpoint, or the timer may; once its stop is known,
on from there, or from the resume if that lies behind.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Final

import numpy as np

from colosim.scenario.service import BUFFERED, COMPARED, DIRECT, ClosedLoop
from colosim.service.arrivals import BLOCK, Arrivals
from colosim.service.comparison import NEVER
from colosim.service.draws import Works
from colosim.service.waiting import FOLLOWS, FREES, SENDS, Draw, Request, State, as_arrays
from colosim.service.workload import TAP_FRAMES, Workload

if TYPE_CHECKING:
    from colosim.service.draws import Times
    from colosim.service.workload import Settings


NS_PER_S: Final = 10**9


class ClosedClients(Workload):
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
        self._taken = 0
        self._again: list[tuple[Request, int, int]] = []
        """What the secondary executes once more, when its copy came, and what that takes."""
        self._held: list[tuple[Request, int]] = []
        """What waits for the pair, and when it is through the loopback."""
        self._differs: set[int] = set()
        self._drifted: set[int] = set()
        """Those among them that differ for the guests have drifted apart, in this epoch."""
        self._looks_ahead = False
        self._before: tuple[State, list[tuple[Request, int]]] | None = None
        """What was at the resume, while this epoch is gone through ahead of time."""
        self._latest_ns = self._last_ns = 0
        """When the last event came that was gone through, and up to when scans were."""
        self._left_ns = 0
        """When an answer left last in this epoch."""
        self._out: list[tuple[Request, int]] = []
        self._clear()

    def _clear(self) -> None:
        self._frames: list[tuple[int, int, int, Request]] = []
        """When an answer comes, of which side, in which order, and to what."""
        self._count = 0
        self._sent: dict[int, Request] = {}
        """Answered by the primary's guest, and still in the comparison."""
        self._mirrored: list[tuple[Request, int, int]] = []

    # ---- clients -------------------------------------------------------------------------------

    def _plan_until(self, until_ns: int) -> None:
        """Let planned requests up to `until_ns` be among the events."""
        if self._planned is not None:
            for at_ns, connection in self._planned.until(until_ns):
                heappush(self._state.clients, (at_ns, SENDS, connection))

    def _arrival(self) -> Request | None:
        """Take the next event of clients; return the request that comes to the tap, if one does."""
        state = self._state
        at_ns, kind, connection = heappop(state.clients)
        if kind == FOLLOWS:
            request = state.opened.pop(connection)
            request.came = at_ns
            return self._opening(request) if request.opens else self._asks(request)
        if kind == FREES:
            if not state.unsent[connection]:
                state.busy[connection] -= 1
                return None
            state.unsent[connection] -= 1
        elif self._think_ns is None:
            if state.busy[connection] >= self._window:
                state.unsent[connection] += 1
                return None
            state.busy[connection] += 1
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

    def _leave(self, request: Request, at_ns: int) -> None:
        """Let an answer leave, after which its client goes on."""
        back, self._left_ns = at_ns + 2 * self.latency_ns, max(at_ns, self._left_ns)
        if request.opens:
            request.opens = False
            self._state.opened[request.number] = request
            heappush(self._state.clients, (back, FOLLOWS, request.number))
            return
        self._out.append((request, at_ns))
        event = (back, FREES) if self._think_ns is None else (back + self._think_ns, SENDS)
        heappush(self._state.clients, (*event, request.connection))

    def _leave_or_wait(self, request: Request, at_ns: int) -> None:
        """Let an answer leave, or wait for a tick of the filter in a later epoch."""
        if at_ns <= self._stop_at:
            self._leave(request, at_ns)
        else:
            self._held.append((request, at_ns - self.shift_ns))

    def _wait_on(self) -> None:
        """Let what waits for a tick of the filter leave, or wait on."""
        if self.mode == BUFFERED:
            held, self._held = self._held, []
            for answered, guest_ns in held:
                self._leave_or_wait(answered, guest_ns + self.shift_ns)

    def _answer_all(self) -> None:
        if self._out:
            left = np.array([left_ns for _, left_ns in self._out], np.int64)
            over = as_arrays([request for request, _ in self._out])
            self._out.clear()
            self.answer(over, slice(None), left - self.hop_ns)

    def copies_by(self, at_ns: int) -> int:
        """Return how many requests this epoch has mirrored up to then."""
        return len(self._copies_until(at_ns))

    def copy_at(self, index: int) -> int | None:
        """Return when this epoch mirrors its request `index`, None if that is not known to come."""
        found, ahead_ns = -1, NS_PER_S
        while True:
            copies = self._copies_until(self.run_ns + ahead_ns)
            if len(copies) > index:
                return copies[index]
            if len(copies) == found:
                return None  # every client waits (assumed, if none sends for that long)
            found, ahead_ns = len(copies), 8 * ahead_ns

    def _copies_until(self, until_ns: int) -> list[int]:
        """Return when requests are mirrored up to then, if nothing stops the guests."""
        self._go_back()
        self._plan_until(until_ns)
        self._before = self._state.copied(), list(self._held)
        self._start(until_ns, NEVER if self.mute_ns is None else self.mute_ns)
        self._go_through()
        self._go_back()
        copies = (came_ns - self.mirror_ns for _, came_ns, _ in self._mirrored)
        return [max(self.run_ns, at_ns) for at_ns in copies if at_ns <= until_ns]

    # ---- an epoch ------------------------------------------------------------------------------

    def forces(self, until_ns: int) -> tuple[int, str] | None:
        """Return when the comparison asks for a checkpoint, up to `until_ns`, and why."""
        if self.mode != COMPARED:
            return None
        self._go_back()
        self._plan_until(until_ns)
        self._before = self._state.copied(), list(self._held)
        self._looks_ahead = True
        self._start(until_ns, NEVER if self.mute_ns is None else self.mute_ns)
        self._go_through()
        self._looks_ahead = False
        notified = self.comparison.notified
        return notified[0] if notified and notified[0][0] <= until_ns else None

    def _go_back(self) -> None:
        """Forget what was gone through ahead of time."""
        if self._before is not None:
            self._state, self._held = self._before
            self._before = None
            self._out.clear()

    def _go_to_stop(self) -> None:
        """Go through to the stops: on from where the look ahead has come, or from the resume."""
        stop, secondary_stop = self.stop_ns, self.secondary_stop_ns
        gone_ns = max(self._latest_ns, self._left_ns)
        if self._before is None or gone_ns > min(stop, secondary_stop):
            self._go_back()
            self._plan_until(stop)
            self._start(stop, secondary_stop)
        else:
            held_before = len(self._before[1])
            self._before = None
            self._plan_until(stop)
            self._stop_at, self._secondary_stop_at = stop, secondary_stop
            notified = self.comparison.notified
            notified[:] = [one for one in notified if one[0] <= stop]
            last = (stop + self.hop_ns, secondary_stop + self.echo_ns)
            late = sorted(one for one in self._frames if one[0] > last[one[1]])
            self._frames = [one for one in self._frames if one[0] <= last[one[1]]]
            heapify(self._frames)
            undone = [request for _, side, _, request in late if not side]
            for request in undone:
                del self._sent[request.number]
            early = self._drifted & {request.number for request in undone}
            self._drifted -= early
            self._differs -= early
            queue, self._state.queue = [*undone, *self._state.queue], []
            if queue:
                self._free_ns = queue[0].free_ns
            for request in queue:
                self._serve(request, max(request.came, self.run_ns))
            passed, self._held[held_before:] = self._held[held_before:], []
            for request, left_ns in passed:
                self._leave_or_hold(request, left_ns)
        self._go_through()

    def _start(self, stop_ns: int, secondary_stop_ns: int) -> None:
        """Begin an epoch at the resume: with what both guests have, and what came in the pause."""
        comparison, state, run = self.comparison, self._state, self.run_ns
        comparison.clear()
        self._clear()
        self._differs.difference_update(self._drifted)
        self._drifted.clear()
        queue, state.queue = state.queue, []
        self._stop_at, self._secondary_stop_at = stop_ns, secondary_stop_ns
        self._free_ns = run
        self.start_copies()
        for request in queue[: self._taken]:
            self._execute_copy(request, self.secondary_run_ns, request.left)
        for request, came_ns, whole in self._again:
            self._execute_copy(request, came_ns, whole, surplus=True)
        for index, request in enumerate(queue):
            came_ns = max(request.came, run)
            if index >= self._taken:
                self._mirror(request, request.came if index == self._taken else came_ns)
            self._serve(request, came_ns)
        self._wait_on()
        self._last_ns = self._latest_ns = self._left_ns = run - 1

    def _go_through(self) -> None:
        """Go to the stops; ahead of time, to the first request for a checkpoint at most."""
        comparison, state, stop_ns = self.comparison, self._state, self._stop_at
        while True:
            arrives_ns = state.clients[0][0] if state.clients else NEVER
            comes_ns = self._frames[0][0] if self._frames else NEVER
            if arrives_ns <= min(comes_ns, stop_ns):
                self._latest_ns = arrives_ns
                request_or_none = self._arrival()
                if request_or_none is not None:
                    self._mirror(request_or_none, arrives_ns)
                    self._serve(request_or_none, arrives_ns)
                continue
            if self._looks_ahead and comparison.notified:
                return
            if comes_ns == NEVER or (self._looks_ahead and comes_ns > stop_ns):
                break
            comparison.scan(self._last_ns, min(comes_ns - 1, stop_ns))
            self._last_ns = min(comes_ns - 1, stop_ns)
            if self._looks_ahead and comparison.notified:
                return
            at_ns, side, _, answered = heappop(self._frames)
            self._latest_ns = at_ns
            self._frame(at_ns, side, answered)
        comparison.scan(self._last_ns, stop_ns)
        self._last_ns = stop_ns

    def _serve(self, request: Request, came_ns: int) -> None:
        """Let the primary serve a request, as far as it comes before its stop."""
        free, pace = self._free_ns, self.pace_ns
        request.free_ns = free
        begun = max(came_ns, free) if pace is None else came_ns
        done = max(begun + request.left, free)
        self._free_ns = done + (pace or 0)
        if done <= self._stop_at:
            drifted = done >= self.drifted_ns and not request.opens
            if drifted and request.number not in self._differs:
                self._drifted.add(request.number)
                self._differs.add(request.number)
            self._sent[request.number] = request
            self._send(done + self.hop_ns, 0, request)
            return
        if not self._looks_ahead:
            request.left = max(0, request.left - max(0, self._stop_at - begun))
            if not request.opens and self.stream.under_way(request.left):
                self._differs.add(request.number)
        self._state.queue.append(request)

    def _mirror(self, request: Request, at_ns: int) -> None:
        """Send a copy to the secondary."""
        if self.mode == COMPARED:
            came_ns = at_ns + self.mirror_ns
            self._mirrored.append((request, came_ns, request.whole))
            self._execute_copy(request, came_ns, request.whole)

    def _execute_copy(
        self, request: Request, came_ns: int, work_ns: int, *, surplus: bool = False
    ) -> None:
        """Let the secondary serve a request, as far as it comes before its stop."""
        if self.mode != COMPARED:
            return
        done = self.execute_copy(came_ns, work_ns)
        if done <= self._secondary_stop_at and not (surplus and not self.newest_first):
            self._send(done + self.echo_ns, 1, request)

    def _send(self, at_ns: int, side: int, request: Request) -> None:
        self._count += 1
        heappush(self._frames, (at_ns, side, self._count, request))

    def _frame(self, at_ns: int, side: int, request: Request) -> None:
        """Take an answer where it goes."""
        comparison = self.comparison
        if self.mode in {DIRECT, BUFFERED}:
            self._leave_or_wait(self._sent.pop(request.number), self.tick_after(at_ns))
            return
        if self.mode != COMPARED:
            return
        take = comparison.secondary_frame if side else comparison.primary_frame
        differs = () if request.opens else self._differs  # a SYN's answer has nothing in it
        take(at_ns, request.number, request.flow, differs)
        for released_ns, released in comparison.released:
            self._leave_or_hold(self._sent.pop(released), released_ns + self.hop_ns)
        comparison.released.clear()

    def _leave_or_hold(self, request: Request, left_ns: int) -> None:
        """Let an answer leave if it is through the loopback before the stop."""
        if left_ns <= self._stop_at:
            self._leave(request, left_ns)
        else:
            self._held.append((request, left_ns))

    # ---- stop, commit, begin -------------------------------------------------------------------

    def _stop(self) -> None:
        self._go_to_stop()
        self.dropped += len(self.comparison.dropped)
        self.lose(as_arrays([self._sent.pop(number) for number in self.comparison.dropped]))
        self._held += [(request, 0) for request in self._sent.values()]
        flushed = (one.flow for one in self._sent.values() if not self._opens)
        for flow in self.stream.out_of_step(flushed):
            following = next((one for one in self._state.queue if one.flow == flow), None)
            if following is None:
                self._state.odd.add(flow)
            else:
                self._differs.add(following.number)
        self.held_peak = max(self.held_peak, len(self._held))
        self._taken = len(self._state.queue)
        self.copied += len(self._mirrored)
        self._again = [one for one in self._mirrored if one[1] > self.copies_until_ns]
        self._answer_all()

    def _let_go(self, at_ns: int) -> None:
        if self.mode == BUFFERED:
            return
        self._held.sort(
            key=lambda one: self.leaving_order(one[0].number, one[0].connection, one[1])[::-1]
        )
        left_ns = at_ns
        for request, through_ns in self._held:
            if through_ns > at_ns:
                self._leave(request, through_ns)
            else:
                self._leave(request, left_ns)
                left_ns += self.tap_ns
        self._held.clear()
        self._answer_all()

    def _begin(self) -> None:
        state, run, self._before = self._state, self.run_ns, None
        self._plan_until(run)
        while state.clients and state.clients[0][0] <= run:
            request = self._arrival()
            if request is None:
                continue
            if len(state.queue) > self._taken + TAP_FRAMES:
                self.dropped += 1
                self.lose(as_arrays([request]))
            else:
                state.queue.append(request)
        if self.stop_ns >= 0:
            for request in (*state.queue, *(request for request, _ in self._held)):
                self.met_pause += not request.met
                request.met |= self.met
        if self.committed:
            self._let_go(run)
        if len(self._differs) > BLOCK:
            alive = {request.number for request in state.queue}
            self._differs &= alive | {request.number for request, *_ in self._again}

    def _forget(self, until_ns: int) -> None:
        """Lose what has come, or let it come once more.

        A client that never hears again sends nothing more (assumed).
        """
        state = self._state
        self._plan_until(until_ns)
        while state.clients and state.clients[0][0] <= until_ns:
            request = self._arrival()
            if request is not None:
                state.queue.append(request)
        if self.retransmits:
            self._resend([*state.queue, *(request for request, _ in self._held)], until_ns)
        else:
            self._lose_all()
            for some in (state.busy, state.unsent, state.opened):
                some.clear()
        state.queue.clear()
        self._held.clear()
        self._again, self._taken = [], 0

    def _resend(self, lost: list[Request], until_ns: int) -> None:
        """Let what is not answered come once more, to a survivor that serves from then on."""
        came = self.resend(np.array([one.came for one in lost], np.int64), until_ns)
        for request, at_ns in zip(lost, came.tolist(), strict=True):
            self._state.opened[request.number] = request
            heappush(self._state.clients, (at_ns, FOLLOWS, request.number))

    def _close(self, end_ns: int) -> None:  # noqa: ARG002 - they send when they are answered
        self._lose_all()
        self.requests = self._state.made

    def _lose_all(self) -> None:
        held = (request for request, _ in self._held)
        self.lose(as_arrays([*self._state.queue, *held, *self._state.opened.values()]))
