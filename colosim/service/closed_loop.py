"""Clients that wait for answers before they send: request after request, in the order of time.

What a client sends hangs on when it was answered.  As long as both sides' frames come in order, an
answer is known as its request comes, and an epoch goes from arrival to arrival; from the first
frame on that is out of order, and for the last before the stops, it goes frame by frame.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from heapq import heappop, heappush

from colosim.engine.clock import NS_PER_S
from colosim.scenario.service import COMPARED, DIRECT
from colosim.service.comparison import MISMATCH, NEVER
from colosim.service.frame_by_frame import FrameByFrame
from colosim.service.waiting import Request, as_arrays

Row = tuple[int, int, int, int, int, bool]
"""Number, connection (of a SYN -1 - its request's number), when it came, when the primary and when
the secondary is done with it, and whether the answers differ."""


class ClosedClients(FrameByFrame):
    """Clients of a closed loop, or of an open one that lets few requests of a connection wait."""

    # ---- in order ------------------------------------------------------------------------------

    @property
    def _keeps_order(self) -> bool:
        """Whether answers come in order until some are found that do not."""
        if self.mode == COMPARED:
            surplus = self._again and (self.newest_first or self.sent_again)
            few = self._think_ns is not None or self._window <= self.settings.output.queue
            return few and not surplus
        return self.mode == DIRECT

    def _go_in_order(self, limit_ns: int) -> None:
        """Go from arrival to arrival before `limit_ns`, and before any frame is out of order."""
        if self._latest_ns >= limit_ns:
            self._anew()
        if self._before is None:
            state = self._state
            self._before = state.copied()
            again = any(one.came != one.arrived for one in state.queue)
            self._keeps_requests = self._opens or again or bool(state.opened)
        self._plan_until(limit_ns)
        if not self._keeps_order:
            self._rest_ns = self.run_ns
            return
        self._limit_ns = min(limit_ns, self._asks_ns, self._rest_ns)
        made = -1
        while self._state.made != made:
            made = self._state.made
            self._answer_part()
            self._go_on_in_order()

    def _answer_part(self) -> None:
        """Answer at once what waits for nothing, so that a long epoch needs little memory."""
        rows = self._rows
        gone = bisect_left(rows.leaves, self._stop_at) - 1  # the next goes on from the last
        if self.mode == DIRECT and gone >= max(self.part // 2, len(self._state.queue)):
            self._leave_in_order(gone)
            self._answer_all()
            rows.forget(gone)
            self._state.queue = []

    def _go_on_in_order(self) -> None:
        """Go through a part of the arrivals before the limit."""
        rows, clients, compared = self._rows, self._state.clients, self.mode == COMPARED
        hop_ns, echo_ns, timeout_ns = self.hop_ns, self.echo_ns, self.settings.output.timeout_ns
        mute_ns = NEVER if self.mute_ns is None else self.mute_ns
        drifted_ns, last_theirs = self.drifted_ns, rows.last_theirs
        overtakes = self.newest_first and self._think_ns is None
        back_ns, kind, _ = self._goes_on(hop_ns, 0)
        for number, connection, arrived, done_ns, copied_ns, differs in self._served():
            leaves = mine = done_ns + hop_ns
            if compared:
                theirs = copied_ns + echo_ns if copied_ns <= mute_ns else NEVER
                leaves = max(mine, theirs)
                if differs or (done_ns >= drifted_ns and connection >= 0):
                    self._out_of_order(leaves, NEVER)
                if not -timeout_ns <= theirs - mine <= timeout_ns:
                    self._out_of_order(NEVER, min(mine, theirs) + timeout_ns)
                if overtakes and mine <= last_theirs.get(connection, -1):
                    self._out_of_order(last_theirs[connection], NEVER)
                last_theirs[connection] = theirs
                rows.theirs.append(theirs)
            rows.numbers.append(number)
            rows.connections.append(connection)
            rows.arrived.append(arrived)
            rows.mine.append(mine)
            rows.leaves.append(leaves)
            if leaves == NEVER:
                continue
            if connection < 0:
                self._opens_connection(leaves + hop_ns)
            else:
                heappush(clients, (leaves + back_ns, kind, connection))

    def _opens_connection(self, left_ns: int) -> None:
        """Let the last request follow its SYN, which is answered then."""
        request = self._rows.requests[-1]
        request.opens = False
        self._state.opened[request.number] = request
        heappush(self._state.clients, self._goes_on(left_ns, -1 - request.number))

    def _out_of_order(self, asks_ns: int, rest_ns: int) -> None:
        self._asks_ns, self._rest_ns = min(self._asks_ns, asks_ns), min(self._rest_ns, rest_ns)
        self._limit_ns = min(self._limit_ns, asks_ns, rest_ns)

    def _served(self) -> Iterator[Row]:
        """Yield requests before the limit, and when the guests have done them if nothing stops."""
        if not self._started:
            self._started = True
            yield from self._served_first()
        if self._keeps_requests:
            yield from self._served_requests()
            return
        state, draw, compared = self._state, self._draw, self.mode == COMPARED
        free_ns, copies_free_ns = self._free_ns, self.copies_free_ns
        at_once, rests_ns = self.pace_ns is not None, self.pace_ns or 0
        mirror_ns, thinks = self.mirror_ns, self._think_ns is not None
        clients, odd = state.clients, state.odd
        first, work, whole, differing, *_ = draw.block(state.made)
        slow, copied_ns, end, last = self.slow, 0, first + len(work), state.made + self.part
        while clients and clients[0][0] < self._limit_ns and state.made < last:
            at_ns, _, connection = clients[0]
            if thinks:
                self._latest_ns = at_ns
                heappop(clients)
            elif not self._sends():
                continue
            number = state.made
            state.made += 1
            if number == end:
                first, work, whole, differing, *_ = draw.block(number)
                end = first + len(work)
            index = number - first
            differs = differing[index]
            if differs or connection in odd:
                differs = True
                self._differs.add(number)
                odd.discard(connection)
            begun = at_ns if at_once or at_ns > free_ns else free_ns
            done_ns = max(begun + work[index], free_ns)
            free_ns = done_ns + rests_ns
            if compared:
                came_ns = at_ns + mirror_ns
                if self.copies < slow:
                    copied_ns = self.execute_copy(came_ns, whole[index])
                    copies_free_ns = self.copies_free_ns
                else:
                    begun = came_ns if at_once or came_ns > copies_free_ns else copies_free_ns
                    copied_ns = max(begun + whole[index], copies_free_ns)
                    copies_free_ns = copied_ns + rests_ns
            yield number, connection, at_ns, done_ns, copied_ns, differs
        self._free_ns, self.copies_free_ns = free_ns, copies_free_ns

    def _served_first(self) -> Iterator[Row]:
        """Yield what the primary's guest had, and what came in the pause."""
        queue = self._state.queue
        for index, request in enumerate(queue):
            if index == self._taken:
                self._repeat()
            done_ns = self._do(max(request.came, self.run_ns), request.left)
            yield self._row(request, done_ns, self.execute_copy(*self._copy_of(index, request)))
        if len(queue) == self._taken:
            self._repeat()

    def _served_requests(self) -> Iterator[Row]:
        """Yield those that open a connection first, or come once more."""
        state, last = self._state, self._state.made + self.part
        while state.clients and state.clients[0][0] < self._limit_ns and state.made < last:
            request = self._arrival()
            if request is not None:
                done_ns = self._do(request.came, request.left)
                copied_ns = self.execute_copy(request.came + self.mirror_ns, request.whole)
                yield self._row(request, done_ns, copied_ns)

    def _row(self, request: Request, done_ns: int, copied_ns: int) -> Row:
        if self._keeps_requests:
            self._rows.requests.append(request)
        number, connection, differs = request.number, request.connection, False
        if request.opens:
            connection = -1 - number
        else:
            differs = number in self._differs
        return number, connection, request.came, done_ns, copied_ns, differs

    # ---- what the pair tells -------------------------------------------------------------------

    def forces(self, until_ns: int) -> tuple[int, str] | None:
        """Return when the comparison asks for a checkpoint, up to `until_ns`, and why."""
        if self.mode != COMPARED:
            return None
        self._anew()
        self._go_in_order(until_ns + 1)
        odd_ns = min(self._asks_ns, self._rest_ns)
        if odd_ns > until_ns:
            return None
        if self._asks_ns < self._rest_ns:
            return self._asks_ns, MISMATCH
        self._look_ahead(odd_ns, until_ns, first=True)
        notified = self.comparison.notified
        return notified[0] if notified and notified[0][0] <= until_ns else None

    def _look_ahead(self, since_ns: int, until_ns: int, *, first: bool) -> None:
        """Go frame by frame up to then, and leave all as it was."""
        self._plan_until(until_ns)
        state, held = self._state, self._held
        differs, drifted = self._differs, self._drifted
        guests = self._free_ns, self.copies, self.copies_free_ns
        self._state, self._held = state.copied(), list(held)
        self._differs, self._drifted = set(differs), set(drifted)
        self._stop_at = until_ns
        self._secondary_stop_at = NEVER if self.mute_ns is None else self.mute_ns
        self._go_by_frames(since_ns, first=first)
        self._state, self._held, self._gone = state, held, 0
        self._differs, self._drifted = differs, drifted
        self._free_ns, self.copies, self.copies_free_ns = guests
        self._out.clear()

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
        self._anew()
        self._go_in_order(until_ns + 1)
        self._look_ahead(min(self._asks_ns, self._rest_ns, until_ns), until_ns, first=False)
        copies = self._rows.arrived[self._taken : self._settled]
        copies += [came_ns - self.mirror_ns for _, came_ns, _ in self._mirrored]
        return [max(self.run_ns, at_ns) for at_ns in copies if at_ns <= until_ns]

    def _stop(self) -> None:
        self._stop_at, self._secondary_stop_at = self.stop_ns, self.secondary_stop_ns
        since_ns = self.stop_ns + self.hop_ns
        if self.mode == COMPARED:
            since_ns = min(since_ns, self.secondary_stop_ns + self.echo_ns)
        self._go_in_order(min(since_ns, self.stop_ns + 1))
        self._go_by_frames(min(since_ns, self._asks_ns, self._rest_ns))
        self._before = None
        self.dropped += len(self.comparison.dropped)
        self.lose(as_arrays([self._sent.pop(number) for number in self.comparison.dropped]))
        self._held += [(request, 0) for request in self._sent.values()]
        if not (self.newest_first or self._opens):
            self.flushed = {one.flow: one for one in reversed(self._sent.values())}
        self.held_peak = max(self.held_peak, len(self._held))
        self.copied += max(0, self._settled - self._taken) + len(self._mirrored)
        self._taken = len(self._state.queue)
        self._again = [one for one in self._mirrored if one[1] > self.copies_until_ns]
        self._answer_all()
