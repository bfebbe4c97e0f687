"""Requests one after the other, their answers frame by frame through the comparison.

Exact whatever happens; `colosim.service.closed_loop` goes through most of an epoch faster.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from operator import attrgetter
from typing import TYPE_CHECKING

import numpy as np

from colosim.scenario.service import BUFFERED, COMPARED, DIRECT, HELD
from colosim.service.arrivals import BLOCK, FOLLOWS, FOLLOWS_FIRST, FOLLOWS_LAST, FREES
from colosim.service.comparison import NEVER
from colosim.service.requests import no_requests
from colosim.service.waiting import Request, Rows, as_arrays, bare
from colosim.service.waiting_clients import WaitingClients
from colosim.service.workload import TAP_FRAMES

if TYPE_CHECKING:
    from colosim.service.draws import Times
    from colosim.service.waiting import Event
    from colosim.service.workload import Settings

Waits = list[tuple[Request, int]]
"""Requests, and until when their answers wait."""
Copies = list[tuple[Request, int, int]]
"""Of what, when they come to the secondary, and what they take there."""


class FrameByFrame(WaitingClients):
    """Clients that send when they are answered, or may.

    An epoch begins with requests whose answers come in order, `Rows`; the rest goes frame by frame.
    """

    def __init__(self, settings: Settings, on_answers: Callable[[Times, Times], None]) -> None:
        super().__init__(settings, on_answers)
        self._taken = 0
        self._again: Copies = []
        """What the secondary executes once more."""
        self._held: Waits = []
        """What waits for the pair, and when it is through the loopback."""
        self._drifted: set[int] = set()
        """Of those whose answers differ the ones that do so as the guests drifted apart."""
        self._stop_at = self._secondary_stop_at = 0
        """When the guests stop, as far as it is known."""
        self._frames: list[tuple[int, int, int, Request]] = []
        """When an answer comes, of which side, in which order, and to what."""
        self._count = 0
        self._answers: Counter[int] = Counter()
        """Of each connection, behind a filter-buffer."""
        self._sent: dict[int, Request] = {}
        """Answered by the primary's guest, and still in the comparison."""
        self._mirrored: Copies = []
        self._out: Waits = []
        """Answered, and when that left the tap."""
        self._gone = self._settled = 0
        """How many of this epoch's are answered in order, and have at least left the comparison."""
        self._anew()

    def _anew(self) -> None:
        """Begin an epoch, or begin it once more."""
        if self._before is not None:
            self._state, self._before = self._before, None
        self._rows = Rows()
        self._limit_ns, self._latest_ns = NEVER, -1
        """Before when arrivals are gone through, and when the last event of clients came."""
        self._asks_ns = self._rest_ns = NEVER
        """When frames are out of order, such that a checkpoint is asked for at once or not."""
        self._started, self._free_ns = False, self.run_ns
        self.start_copies()

    # ---- the guests ----------------------------------------------------------------------------

    def _do(self, came_ns: int, work_ns: int) -> int:
        """Return when the primary's guest has done its next request."""
        begun = came_ns if self.pace_ns is not None else max(came_ns, self._free_ns)
        done_ns = max(begun + work_ns, self._free_ns)
        self._free_ns = done_ns + (self.pace_ns or 0)
        return done_ns

    def _copy_of(self, index: int, request: Request) -> tuple[int, int]:
        """Return when the secondary can begin with request `index` of an epoch, and what it takes.

        With what was in the state at once; the first request of the pause was mirrored as it came,
        the others as the primary's guest ran.
        """
        if index < self._taken:
            return self.secondary_run_ns, request.left
        at_ns = request.came if index == self._taken else max(request.came, self.run_ns)
        return at_ns + self.mirror_ns, request.whole

    def _repeat(self) -> None:
        """Let the secondary execute once more what was in the state already."""
        sent = set(self.sent_again)
        for request, came_ns, work_ns in self._again if self.mode == COMPARED else ():
            done_ns = self.execute_copy(came_ns, work_ns)
            sends = self.newest_first or request.number in sent
            sent.discard(request.number)
            if sends and done_ns <= self._secondary_stop_at:
                self._send(done_ns + self.echo_ns, 1, request)

    # ---- frame by frame ------------------------------------------------------------------------

    def _go_by_frames(self, since_ns: int, *, first: bool = False) -> None:
        """Go to the stops, from `since_ns` on frame by frame; before that answers come in order.

        With `first` to the first request for a checkpoint at most.
        """
        rows, state, taken, hop_ns = self._rows, self._state, self._taken, self.hop_ns
        self._plan_until(self._stop_at)
        self.comparison.clear()
        for kept in (self._frames, self._sent, self._mirrored):
            kept.clear()
        self._differs.difference_update(self._drifted)
        self._drifted.clear()
        settled = self._settled = bisect_left(rows.leaves, since_ns)
        gone = 0
        if self.mode != HELD:
            gone = bisect_right(rows.leaves, self._stop_at - hop_ns, 0, settled)
        self._leave_in_order(gone)
        self._take_back([*rows.goes_on[gone:], *self._wait_on()])
        rest = [self._request(i) for i in range(gone, max(len(rows.leaves), len(state.queue)))]
        state.queue = []
        held = zip(rest, rows.leaves[gone:settled], strict=False)
        through = self.mode != HELD
        self._held += [(request, (leaves + hop_ns) * through) for request, leaves in held]
        self._free_ns = max(self.run_ns, rows.free_ns)
        self.start_copies()
        if settled:
            rests_ns = self.pace_ns or 0
            self._free_ns = rows.mine[settled - 1] - hop_ns + rests_ns
            if self.mode == COMPARED:
                self.copies = settled + len(self._again) * (settled > taken)
                self.copies_free_ns = rows.theirs[settled - 1] - self.echo_ns + rests_ns
        for index, request in enumerate(rest[settled - gone :], settled):
            if index == taken:
                self._repeat()
            if self.mode == COMPARED:
                self._execute_copy(index, request)
            self._serve(request, max(request.came, self.run_ns))
        if settled <= taken == gone + len(rest):
            self._repeat()
        self._go_through(first=first)

    def _leave_in_order(self, gone: int) -> None:
        """Let the first answers leave that come in order."""
        self._gone = gone
        if self.on_over is not None:
            some = [(self._request(i, over=True), self._rows.leaves[i]) for i in range(gone)]
            self._out += [(one, left + self.hop_ns) for one, left in some if not one.opens]

    def _request(self, index: int, *, over: bool = False) -> Request:
        """Return one of this epoch's; of one that is `over` nobody asks any more what it takes."""
        if index < len(self._state.queue):
            return self._state.queue[index]
        event = self._rows.events[index]
        return bare(event) if over else self._request_of(event)

    def _take_back(self, events: list[Event]) -> None:
        """Take back how clients go on whose answers do not leave up to the stop, or as expected."""
        clients = self._state.clients
        if expected := Counter(events):
            kept = []
            for event in clients:
                if expected[event]:
                    expected[event] -= 1
                else:
                    kept.append(event)
            heapify(kept)
            clients[:] = kept

    def _go_through(self, *, first: bool) -> None:
        """Go on with arrivals and frames."""
        comparison, stop_ns, last_ns = self.comparison, self._stop_at, -1
        while True:
            arrives_ns = self._next_ns()
            comes_ns = self._frames[0][0] if self._frames else NEVER
            if arrives_ns <= min(comes_ns, stop_ns):
                request_or_none = self._arrival()
                if request_or_none is not None:
                    if self.mode == COMPARED:
                        self._execute_copy(NEVER, request_or_none)
                    self._serve(request_or_none, arrives_ns)
                continue
            if first and comparison.notified:
                return
            if comes_ns == NEVER or (first and comes_ns > stop_ns):
                break
            comparison.scan(last_ns, min(comes_ns - 1, stop_ns))
            last_ns = min(comes_ns - 1, stop_ns)
            if first and comparison.notified:
                return
            at_ns, side, _, answered = heappop(self._frames)
            self._frame(at_ns, side, answered)
        comparison.scan(last_ns, stop_ns)

    def _serve(self, request: Request, came_ns: int) -> None:
        """Let the primary serve a request, as far as it comes before its stop."""
        begun = came_ns if self.pace_ns is not None else max(came_ns, self._free_ns)
        done = self._do(came_ns, request.left)
        if done <= self._stop_at:
            drifted = done >= self.drifted_ns and not request.opens
            if drifted and request.number not in self._differs:
                self._drifted.add(request.number)
                self._differs.add(request.number)
            self._sent[request.number] = request
            self._send(done + self.hop_ns, 0, request)
            return
        left = max(0, request.left - max(0, self._stop_at - begun))
        self._state.queue.append(request.with_left(left))

    def _execute_copy(self, index: int, request: Request) -> None:
        """Let the secondary serve a request, as far as it comes before its stop."""
        came_ns, work_ns = self._copy_of(index, request)
        if index >= self._taken:
            self._mirrored.append((request, came_ns, work_ns))
        done = self.execute_copy(came_ns, work_ns)
        if done <= self._secondary_stop_at:
            self._send(done + self.echo_ns, 1, request)

    def _send(self, at_ns: int, side: int, request: Request) -> None:
        self._count += 1
        heappush(self._frames, (at_ns, side, self._count, request))

    def _frame(self, at_ns: int, side: int, request: Request) -> None:
        """Take an answer where it goes."""
        comparison = self.comparison
        if self.mode in {DIRECT, BUFFERED}:
            left_ns = self.tick_after(at_ns)
            if self.mode == BUFFERED and not request.opens:  # what a window keeps goes a tick later
                windows = self.stream.windows(self._answers[request.flow])
                self._answers[request.flow] += 1
                left_ns += (windows - 1) * self.interval_ns
            self._leave_or_hold(self._sent.pop(request.number), left_ns)
            return
        if self.mode != COMPARED:
            return
        take = comparison.secondary_frame if side else comparison.primary_frame
        differs = () if request.opens else self._differs  # a SYN's answer has nothing in it
        take(at_ns, request.number, request.flow, differs)
        for released_ns, released in comparison.released:
            self._leave_or_hold(self._sent.pop(released), released_ns + self.hop_ns)
        comparison.released.clear()

    # ---- answers -------------------------------------------------------------------------------

    def _leave(self, request: Request, at_ns: int, follows: int = FOLLOWS) -> None:
        """Let an answer leave, after which its client goes on."""
        if not request.opens:
            self._out.append((request, at_ns))
        self._go_on(at_ns, request, follows)

    def _leave_or_hold(self, request: Request, left_ns: int) -> None:
        """Let an answer leave if it is through to the tap, or the filter ticks, before the stop."""
        if left_ns <= self._stop_at:
            self._leave(request, left_ns)
        else:
            self._held.append((request, left_ns - self.shift_ns * (self.mode == BUFFERED)))

    def _wait_on(self) -> list[Event]:
        """Let what waits for a tick of the filter leave, or wait on.

        Return how clients would go on whose answers do not leave before the stop.
        """
        if self.mode != BUFFERED:
            return []
        held, self._held, back = self._held, [], []
        for request, guest_ns in held:
            left_ns = guest_ns + self.shift_ns
            if left_ns > self._stop_at:
                self._held.append((request, guest_ns))
                back.append(self._goes_on(left_ns, request))
            elif not request.opens:
                self._out.append((request, left_ns))
        return back

    def _answer_all(self) -> None:
        """Tell of the answers that have left: those in order, then those by frames."""
        gone, self._gone = self._gone, 0
        if gone and self.on_over is None:
            over, left_ns = no_requests(), self._rows.leaves[:gone]
            events = self._rows.events[:gone]
            if self._opens:
                left_ns = [
                    left for left, event in zip(left_ns, events, strict=True) if not event[7]
                ]
            over.arrived = np.array([event[5] for event in events if not event[7]], np.int64)
            self.answer(over, slice(None), np.array(left_ns, np.int64))
        if self._out:
            left = np.array([left_ns for _, left_ns in self._out], np.int64)
            over = as_arrays([request for request, _ in self._out])
            self._out.clear()
            self.answer(over, slice(None), left - self.hop_ns)

    # ---- stop, commit, begin -------------------------------------------------------------------

    def _go_out_of_step(self) -> None:
        for request in self._state.queue:
            if not request.opens and self.stream.under_way(request.left):
                self._differs.add(request.number)
        for flow in self.stream.out_of_step(self.flushed):
            following = next((one for one in self._state.queue if one.flow == flow), None)
            if following is None:
                self._state.odd.add(flow)
            else:
                self._differs.add(following.number)

    def _send_again(self) -> None:
        first = sorted(self.flushed.values(), key=attrgetter("number"))
        self.sent_again = {one.number for one in first} & self._differs
        self._again[:0] = [(one, self.secondary_run_ns, 0) for one in first]

    def _let_go(self, at_ns: int) -> None:
        if self.mode == BUFFERED:
            return
        self._anew()
        self._held.sort(
            key=lambda one: self.leaving_order(one[0].number, one[0].connection, one[1])[::-1]
        )
        left_ns = at_ns
        for request, through_ns in self._held:
            if through_ns > at_ns:
                self._leave(request, through_ns)
            else:
                at_once = left_ns == self.run_ns
                self._leave(request, left_ns, FOLLOWS_FIRST if at_once else FOLLOWS_LAST)
                left_ns += self.tap_ns
        self._held.clear()
        self._answer_all()

    def _begin(self) -> None:
        self._anew()
        state, run = self._state, self.run_ns
        del self._planned[: state.planned]
        state.planned = 0
        self._plan_until(run)
        while self._next_ns() <= run:
            request = self._arrival()
            if request is None:
                continue
            if len(state.queue) > self._taken + TAP_FRAMES:
                self.dropped += 1
                self.lose(as_arrays([request]))
            else:
                state.queue.append(request)
        self.note_burst(len(self._again), self._taken, len(state.queue))
        if self.stop_ns >= 0:
            for request in (*state.queue, *(request for request, _ in self._held)):
                self.met_pause += not request.met
                request.met |= self.met
        if self.mode == BUFFERED:
            for request, guest_ns in self._held:
                self._go_on(guest_ns + self.shift_ns, request)
        elif self.committed:
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
        while self._next_ns() <= until_ns:
            request = self._arrival()
            if request is not None:
                state.queue.append(request)
        if self.retransmits:
            self._resend([*state.queue, *(request for request, _ in self._held)], until_ns)
        else:
            self._lose_all()
            state.busy.clear()
            state.unsent.clear()
            state.clients = [event for event in state.clients if event[1] <= FREES]
            heapify(state.clients)
        state.queue.clear()
        self._held.clear()
        self._again, self._taken = [], 0

    def _resend(self, lost: list[Request], until_ns: int) -> None:
        """Let what is not answered come once more, to a survivor that serves from then on."""
        came = self.resend(np.array([one.came for one in lost], np.int64), until_ns)
        for request, at_ns in zip(lost, came.tolist(), strict=True):
            heappush(self._state.clients, request.event(at_ns, opens=request.opens))

    def _close(self, end_ns: int) -> None:  # noqa: ARG002 - they send when they are answered
        self._lose_all()
        self.requests = self._state.made

    def _lose_all(self) -> None:
        held = (request for request, _ in self._held)
        opened = (bare(event) for event in self._state.clients if event[1] > FREES)
        self.lose(as_arrays([*self._state.queue, *held, *opened]))
