"""Clients that wait for answers before they send: request after request, in the order of time.

What a client sends hangs on when it was answered.  As long as both sides' frames come in order, an
answer is known as its request comes, and an epoch goes from arrival to arrival; from the first
frame on that is out of order, and for the last before the stops, it goes frame by frame.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import repeat
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np

from colosim.engine.clock import NS_PER_S
from colosim.scenario.service import BUFFERED, COMPARED, DIRECT, HELD
from colosim.service.arrivals import FOLLOWS, FREES, SENDS
from colosim.service.comparison import MISMATCH, NEVER
from colosim.service.frame_by_frame import FrameByFrame
from colosim.service.requests import no_requests
from colosim.service.rounds import in_rounds
from colosim.service.waiting import as_arrays

if TYPE_CHECKING:
    from colosim.service.draws import Times
    from colosim.service.waiting import Event


Comes = tuple[tuple[int, ...], bool, int, int, int, int]
"""What comes; whether its answers differ; from when on it can be done, and what it takes, in the
primary's guest, and in the secondary's."""


class ClosedClients(FrameByFrame):
    """Clients of a closed loop, or of an open one that lets few requests of a connection wait."""

    # ---- in order ------------------------------------------------------------------------------

    @property
    def _keeps_order(self) -> bool:
        """Whether answers come in order until some are found that do not."""
        few = self._opens or self._think_ns is not None
        if self.mode == COMPARED:
            surplus = self._again and (self.newest_first or self.sent_again)
            return (few or self._window <= self.settings.output.queue) and not surplus
        return self.mode != BUFFERED or self.stream.windows(0) == 1

    def _go_in_order(self, limit_ns: int) -> None:
        """Go from arrival to arrival before `limit_ns`, and before any frame is out of order."""
        if self._latest_ns >= limit_ns and not self._goes_back(limit_ns):
            self._anew()
        if self._before is None:
            self._before = self._state.copied()
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

    def _goes_back(self, limit_ns: int) -> bool:
        """Take back what came at `limit_ns` or later, if that is all that there is to take back."""
        rows, state, before = self._rows, self._state, self._before
        keep = bisect_left(rows.events, limit_ns, len(state.queue), key=itemgetter(0))
        plain = self._think_ns is not None and keep > max(len(state.queue), self.slow)
        known = min(self._asks_ns, self._rest_ns) == NEVER and self.mute_ns is None
        if not (plain and known and before is not None and before.odd == state.odd):
            return False
        for event in rows.events[keep:]:
            sends = event[0] == event[5]  # it comes for the first time
            state.made -= sends
            heappush(state.clients, (event[0], SENDS, event[3]) if sends else event)
        self._take_back(rows.goes_on[keep:])
        for part in (rows.events, rows.mine, rows.theirs, rows.leaves, rows.goes_on):
            del part[keep:]
        self._latest_ns, rests_ns = rows.events[-1][0], self.pace_ns or 0
        self._free_ns = rows.mine[-1] - self.hop_ns + rests_ns
        if rows.theirs:
            self.copies_free_ns = rows.theirs[-1] - self.echo_ns + rests_ns
        return True

    def _answer_part(self) -> None:
        """Answer at once what waits for nothing, so that a long epoch needs little memory."""
        rows, state = self._rows, self._state
        gone = bisect_left(rows.leaves, self._stop_at)
        if self.mode == DIRECT and gone >= max(self.part // 2, len(state.queue)):
            self._leave_in_order(gone)
            self._answer_all()
            rows.forget(gone, self.pace_ns or 0)
            state.queue = []
            if not rows.events and self.pace_ns is None and self._think_ns is not None:
                self._go_in_rounds(2 * self.latency_ns + self._think_ns)

    def _go_in_rounds(self, rests_ns: int) -> None:
        """Answer many at once as long as many are known at once."""
        rows, state, gone = self._rows, self._state, 0
        clients = sorted(state.clients)
        if self._opens or any(event[1] != SENDS for event in clients):
            return
        comes, whose = np.array([(event[0], event[2]) for event in clients], np.int64).T

        def take(count: int) -> Times:
            first, work, *_ = self._draw.block(state.made)
            return np.array(work[state.made - first :][:count], np.int64)

        for some in in_rounds(comes, take, rows.free_ns, rests_ns, self._stop_at):
            over, (over.arrived, done, comes) = no_requests(), some
            over.number = np.arange(state.made, state.made + len(done), dtype=np.int64)
            over.connection = np.resize(np.roll(whose, -gone), len(done))
            over.met = np.zeros(len(done), np.int64)
            self.answer(over, slice(None), done)
            state.made += len(done)
            gone, rows.free_ns = gone + len(done), done.item(-1)
        state.clients[:] = zip(
            comes.tolist(), repeat(SENDS), np.roll(whose, -gone).tolist(), strict=False
        )
        self._free_ns = rows.free_ns

    def _waits(self) -> Iterator[Comes]:
        """Yield what the primary's guest had, and what came in the pause, as an epoch begins."""
        compared, queue = self.mode == COMPARED, self._state.queue
        for index, one in enumerate(queue):
            if index == self._taken and compared:
                self._repeat()
            copy_ns, whole = self._copy_of(index, one)
            copy_ns = max(copy_ns, self.secondary_run_ns)
            differs = not one.opens and one.number in self._differs
            event = one.event(one.came, opens=one.opens)
            yield event, differs, max(one.came, self.run_ns), one.left, copy_ns, whole
        if len(queue) == self._taken and compared:
            self._repeat()

    def _comes(self) -> Iterator[Comes]:  # noqa: C901 - as few calls for a request as can be
        """Yield what waits, and a part of what comes before the limit."""
        if not self._started:
            self._started = True
            yield from self._waits()
        state, draw, clients, planned = self._state, self._draw, self._state.clients, self._planned
        opens, counts, odd, mirror_ns = self._opens, self._counts, state.odd, self.mirror_ns
        first, end, last, place = 0, 0, state.made + self.part, state.planned
        while state.made < last:
            if place < len(planned) and not (clients and clients[0] < planned[place]):
                event = planned[place]
                if event[0] >= self._limit_ns:
                    break
                place = state.planned = place + 1
            elif clients and clients[0][0] < self._limit_ns:
                event = heappop(clients)
            else:
                break
            self._latest_ns = at_ns = event[0]
            if event[1] <= FREES:
                connection, number = event[2], state.made
                if counts and not self._sends(event[1], connection):
                    continue
                flow = number if opens else connection
                event = (at_ns, FOLLOWS, number, connection, flow, at_ns, 0, opens)
                state.made += 1
            number = event[2]
            if not first <= number < end:
                first, works, wholes, differing, *opening = draw.block(number)
                end = first + len(works)
            index = number - first
            if event[7]:
                work, whole, differs = opening[0][index], opening[1][index], False
            else:
                work, whole, differs = works[index], wholes[index], differing[index]
                if differs or (odd and event[4] in odd):
                    differs = True
                    self._differs.add(number)
                    odd.discard(event[4])
            yield event, differs, at_ns, work, at_ns + mirror_ns, whole

    def _go_on_in_order(self) -> None:  # noqa: C901, PLR0912, PLR0915 - likewise
        """Go through what waits, and through a part of the arrivals before the limit."""
        rows, clients, mode = self._rows, self._state.clients, self.mode
        compared, thinks, leave = mode == COMPARED, self._think_ns is not None, mode != HELD
        at_once, rests_ns, slow = self.pace_ns is not None, self.pace_ns or 0, self.slow
        hop_ns, echo_ns = self.hop_ns, self.echo_ns
        timeout_ns, drifted_ns = self.settings.output.timeout_ns, self.drifted_ns
        mute_ns = NEVER if self.mute_ns is None else self.mute_ns
        overtakes, last_theirs = self.newest_first and not thinks, rows.last_theirs
        round_ns, kind = hop_ns + 2 * self.latency_ns, SENDS if thinks else FREES
        back_ns, free_ns, tick_ns = round_ns + (self._think_ns or 0), self._free_ns, -1
        waits = leave and (thinks or self._counts)
        note_event, note_next = rows.events.append, rows.goes_on.append
        note_mine, note_leaves = rows.mine.append, rows.leaves.append
        for event, differs, came_ns, work, copy_ns, whole in self._comes():
            done_ns = work + (came_ns if at_once or came_ns > free_ns else free_ns)
            if at_once:
                done_ns = max(done_ns, free_ns)
            free_ns = done_ns + rests_ns
            mine = leaves = done_ns + hop_ns
            if compared:
                free = self.copies_free_ns
                if self.copies < slow:
                    copied_ns = self.execute_copy(copy_ns, whole)
                else:
                    copied_ns = whole + (copy_ns if at_once or copy_ns > free else free)
                    if at_once:
                        copied_ns = max(copied_ns, free)
                    self.copies_free_ns = copied_ns + rests_ns
                theirs = copied_ns + echo_ns if copied_ns <= mute_ns else NEVER
                if theirs > mine:
                    leaves = theirs
                if differs or (done_ns >= drifted_ns and not event[7]):
                    self._out_of_order(leaves, NEVER)
                if not -timeout_ns <= theirs - mine <= timeout_ns:
                    self._out_of_order(NEVER, min(mine, theirs) + timeout_ns)
                if overtakes:
                    if mine <= last_theirs.get(event[4], -1):
                        self._out_of_order(last_theirs[event[4]], NEVER)
                    last_theirs[event[4]] = theirs
                rows.theirs.append(theirs)
            elif mode == BUFFERED:
                if done_ns > tick_ns:
                    tick_ns = self.tick_after(done_ns)
                leaves = tick_ns
            goes_on: Event = (leaves + back_ns, kind, event[3])
            if event[7]:
                goes_on = (leaves + round_ns, FOLLOWS, *event[2:7], False)
            if leaves < NEVER and (waits or (leave and event[7])):
                heappush(clients, goes_on)
            note_event(event)
            note_mine(mine)
            note_leaves(leaves)
            note_next(goes_on)
        self._free_ns = free_ns

    def _out_of_order(self, asks_ns: int, rest_ns: int) -> None:
        self._asks_ns, self._rest_ns = min(self._asks_ns, asks_ns), min(self._rest_ns, rest_ns)
        self._limit_ns = min(self._limit_ns, asks_ns, rest_ns)

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

    def copy_at(self, index: int, until_ns: int) -> int | None:
        """Return when this epoch mirrors its request `index` (`Workload.copy_at`)."""
        found, ahead_ns = -1, NS_PER_S
        while True:
            copies = self._copies_until(self.run_ns + ahead_ns)
            if len(copies) > index:
                return copies[index]
            if len(copies) == found:
                return None  # every client waits (assumed, if none sends for that long)
            if self.run_ns + ahead_ns > until_ns:
                return until_ns + 1
            end_ns = max(2 * ahead_ns, until_ns - self.run_ns + 1)
            found, ahead_ns = len(copies), min(8 * ahead_ns, end_ns)

    def _copies_until(self, until_ns: int) -> list[int]:
        """Return when requests are mirrored up to then, if nothing stops the guests."""
        self._anew()
        self._go_in_order(until_ns + 1)
        self._look_ahead(min(self._asks_ns, self._rest_ns, until_ns), until_ns, first=False)
        rows = self._rows
        copies = [event[0] for event in rows.events[self._taken : self._settled]]
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
