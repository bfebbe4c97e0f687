"""Clients that send whether or not they are answered, an epoch at a time as arrays.

When guests have done them is known ahead (`colosim.service.served_ahead`); an epoch goes frame by
frame from where the frames of both sides are out of order (`colosim.service.frames`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from colosim.scenario.service import BUFFERED, COMPARED, DIRECT, HELD
from colosim.service.comparison import MISMATCH, NEVER
from colosim.service.frames import may_be_odd
from colosim.service.requests import Requests, no_requests
from colosim.service.served_ahead import ServedAhead
from colosim.service.workload import TAP_FRAMES

if TYPE_CHECKING:
    from colosim.service.draws import Times
    from colosim.service.workload import Settings

AHEAD: Final = 512
"""So many requests are looked at together where that costs little more than to look at a few."""


class OpenLoop(ServedAhead):
    """Requests that arrive by themselves."""

    def __init__(self, settings: Settings, on_answers: Callable[[Times, Times], None]) -> None:
        super().__init__(settings, on_answers)
        self._held = no_requests()
        self._held_ns = np.zeros(0, np.int64)
        """Done, and to leave when the pair lets them; those that do not come from a flush not
        before they are through the loopback."""
        self._met_open = self._met_held = 0
        """How many that are not done have met a pause; how many that are held will as it ends."""
        self._epoch_ns = 10**7
        self._odd_ns, self._known_ns = NEVER, -1
        """From when on frames are out of order if nothing stops the guests, which is known up to
        then."""

    # ---- comparing -----------------------------------------------------------------------------

    def forces(self, until_ns: int) -> tuple[int, str] | None:
        """Return when the comparison asks for a checkpoint, up to `until_ns`, and why."""
        if self.mode != COMPARED:
            return None
        # The guests stop a little after that, and what is known up to there is used again.
        known_ns, last_ns = self.run_ns, until_ns + (until_ns - self.run_ns) // 8
        self._serve(known_ns)
        if last_ns < self._planned.last_ns and not self._may_be_odd(last_ns):
            self._odd_ns, self._known_ns = NEVER, last_ns
            return None
        output, newest_first, step = self.settings.output, self.newest_first, self._first_step()
        while known_ns < last_ns:
            known_ns = min(last_ns, known_ns + step)
            step *= 2
            self._serve(known_ns)
            self._odd_ns, self._known_ns = NEVER, known_ns
            if not self._may_be_odd(known_ns):
                continue
            frames = self._frames(known_ns)
            if self.mute_ns is not None:
                frames = frames.up_to(len(frames.mine), self.mute_ns + self.echo_ns)
                self._known_ns = -1
            odd_ns, notifies = frames.first_odd(output, known_ns, newest_first=newest_first)
            self._odd_ns = odd_ns
            horizon = min(until_ns, known_ns)
            if odd_ns > horizon:
                continue
            if notifies:
                return odd_ns, MISMATCH
            frames.compare(self.comparison, odd_ns, horizon, first=True)
            notified = self.comparison.notified
            if notified and notified[0][0] <= horizon:
                return notified[0]
        return None

    def _first_step(self) -> int:
        """Return how far to look first: over twice the last epoch, or well past what is delayed."""
        arrived = self._planned.all.arrived
        last = min(self._delayed + AHEAD, len(arrived) - 1)
        return max(2 * self._epoch_ns, arrived.item(last) - self.run_ns)

    def _may_be_odd(self, until_ns: int) -> bool:
        """Return whether a frame may be out of order up to then; it is not if this says no.

        What goes as foreseen is out of order only if it was foreseen to be.
        """
        first, suspects = self._planned.first, self._suspects
        if suspects is None or self._surplus or self.mute_ns is not None or self.drifted_ns < NEVER:
            return True
        suspect = first + int(suspects[first:].argmax())
        if suspects[suspect] and self._planned.all.arrived.item(suspect) <= until_ns:
            return True
        which = slice(first, self._delayed)
        parts = which, self.settings.service.connections, self.settings.output
        return first < which.stop and may_be_odd(
            self._mine.done, self._theirs.done, *parts, newest_first=self.newest_first
        )

    def _left(self, done: int) -> Times:
        """Return when the first answers leave the comparison up to the stop, `NEVER` if not.

        Up to the last of the secondary's frames the stops change nothing of what was found before.
        """
        output, stop, first = self.settings.output, self.stop_ns, self._planned.first
        last_ns, odd_ns = self.secondary_stop_ns + self.echo_ns, self._odd_ns
        known = self._known_ns >= stop
        came = _up_to(self._theirs.done, last_ns, first, first + done) - first
        if known and odd_ns > max(last_ns, stop + self.hop_ns) and not self._surplus:
            waits_ns = stop - self._mine.done.item(first + came) if came < done else 0
            if done - came <= output.queue and waits_ns <= output.timeout_ns:
                self._leaves[first + came : first + done] = NEVER
                return self._leaves[first : first + done]
        frames = self._frames(stop)
        if not known or odd_ns > min(last_ns, stop + self.hop_ns):
            frames = frames.up_to(done, last_ns)
            odd_ns, _ = frames.first_odd(output, stop, newest_first=self.newest_first)
        if odd_ns < NEVER:
            frames.compare(self.comparison, odd_ns, stop, (done, last_ns), first=False)
            return frames.left(odd_ns, self.comparison.released)[:done]
        return frames.leaves[:done]

    # ---- stop, commit, begin -------------------------------------------------------------------

    def _answer_in_parts(self) -> None:
        """Answer at once what waits for nothing, so that a long epoch needs little memory."""
        planned = self._planned
        while self.mode == DIRECT and self.pace_ns is None:
            end = planned.came(self.stop_ns, self.part)
            if end - planned.first < self.part:
                return
            self._serve(self.run_ns)
            which = slice(planned.first, planned.first + self.part)
            done = self._leaves[which]
            if done.item(-1) > self.stop_ns:
                return
            self.answer(planned.all, which, done)
            self._free_ns, planned.first = done.item(-1), which.stop

    def _stop(self) -> None:
        stop, planned = self.stop_ns, self._planned
        self.comparison.clear()
        self._answer_in_parts()
        self._serve(stop)
        self._epoch_ns = max(1, stop - self.run_ns)
        first, came = planned.first, planned.came(stop)
        mine = self._mine.done
        done = _up_to(mine, stop + self.hop_ns, first, came) - first
        if self.mode == COMPARED:
            leaves = self._left(done)
            if self.comparison.dropped:
                lost = planned.all.number[first:came].searchsorted(self.comparison.dropped)
                leaves[lost] = -1
                self.dropped += len(lost)
                self.lose(planned.all, first + lost)
            self._send_out(first, leaves)
            self.copied += came - first - self._taken
            self._note_replays(first + self._taken, came)
        elif self.mode == HELD:
            fresh, through = done - self._met_open, np.zeros(done, np.int64)
            self._hold(planned.all.where(slice(first, first + done)), through, fresh)
        else:
            self._send_out(first, self.tick_after(mine[first : first + done]))
        planned.first += done
        self._met_open = max(0, self._met_open - done)
        self._taken = came - planned.first
        if self._taken:
            self._leave_undone(slice(planned.first, came), mine.item(first + done) - self.hop_ns)
        self.flushed = {}
        if self.mode == COMPARED and not self.newest_first and len(self._held):
            rows = first + np.flatnonzero(leaves == NEVER)[::-1]
            differs = planned.all.differs[rows] | (mine[rows] >= self.drifted_ns + self.hop_ns)
            flushed = zip(planned.all.number[rows].tolist(), differs.tolist(), strict=True)
            self.flushed = dict(zip(planned.all.connection[rows].tolist(), flushed, strict=True))

    def _send_out(self, first: int, leaves: Times) -> None:
        """Answer what is out of the tap by the stop, and hold the others.

        `leaves`: when the first ones leave whatever they wait for, `NEVER` for the checkpoint.
        """
        last, requests, met = self.stop_ns - self.hop_ns, self._planned.all, self._met_open
        if self.mode == BUFFERED and len(self._held):
            due = self._held_ns <= self.stop_ns - self.shift_ns
            self.answer(self._held, due, self._held_ns[due] + self.shift_ns)
            self._held, self._held_ns = self._held.where(~due), self._held_ns[~due]
        if self.comparison.released or self.comparison.dropped:  # in any order
            out, waits = (leaves >= 0) & (leaves <= last), np.flatnonzero(leaves > last)
            self.answer(requests, first + np.flatnonzero(out), leaves[out])
            fresh = int(np.count_nonzero(waits >= met))
            leaves, held = leaves[waits], requests.where(first + waits)
        else:
            done = len(leaves)
            gone = _up_to(leaves, last, 0, done)
            self.answer(requests, slice(first, first + gone), leaves[:gone])
            if gone == done:
                return
            fresh = done - max(gone, met)
            leaves, held = leaves[gone:], requests.where(slice(first + gone, first + done))
        since_ns = self.hop_ns - self.shift_ns * (self.mode == BUFFERED)
        through = np.where(leaves < NEVER, leaves + since_ns, 0)
        self._hold(held, through, fresh)

    def _hold(self, held: Requests, through_ns: Times, fresh: int) -> None:
        """Hold some answers, of which so many have met no pause before."""
        self._met_held += max(0, fresh)
        self._held = self._held.and_then(held)
        self._held_ns = np.concatenate((self._held_ns, through_ns))
        self.held_peak = max(self.held_peak, len(self._held))

    def _leave_undone(self, which: slice, done_ns: int) -> None:
        """Let the primary's guest go on later with what it has not done by the stop.

        `done_ns`: when the first of that would have been done.
        """
        some, stop = self._planned.all, self.stop_ns
        if self.pace_ns is not None:
            worked = stop - np.maximum(some.arrived[which], self.run_ns)
            some.work[which] = np.maximum(0, some.work[which] - worked)
        else:
            work = some.work.item(which.start)
            some.work[which.start] = work - max(0, stop - (done_ns - work))

    def _go_out_of_step(self) -> None:
        planned, first = self._planned.all, self._planned.first
        taken = slice(first, first + self._taken)
        differing = [first + np.flatnonzero(self.stream.under_way(planned.work[taken]))]
        for connection in self.stream.out_of_step(self.flushed):
            later = np.flatnonzero(planned.connection[first:] == connection)
            differing.append(first + later[:1])
        for flags in (planned.differs, self._suspects):
            if flags is not None:
                flags[np.concatenate(differing)] = True

    def _send_again(self) -> None:
        self.sent_again = {number for number, differs in self.flushed.values() if differs}
        first = sorted((one, where) for where, (one, _) in self.flushed.items())
        self._again[:0] = [(self.secondary_run_ns, 0, *one) for one in first]

    def _note_replays(self, begin: int, came: int) -> None:
        """Note which copies came to the stopped secondary, their requests in the state already.

        `begin`: behind those that the secondary had from its load on.
        """
        requests, run, late = self._planned.all, self.run_ns, begin
        on_time = self.copies_until_ns - self.mirror_ns
        if on_time >= run:
            late = _up_to(requests.arrived, on_time, begin, came)
        elif late < came:
            late += requests.arrived.item(late) <= on_time
        self._again = []
        for index in range(late, came):
            copied_ns = requests.arrived.item(index)
            if index > begin:
                copied_ns = max(copied_ns, run)
            what = requests.whole.item(index), requests.number.item(index)
            flow = requests.connection.item(index)
            self._again.append((copied_ns + self.mirror_ns, *what, flow))

    def _let_go(self, at_ns: int) -> None:
        if self.mode == BUFFERED or not len(self._held_ns):
            return
        held, left = self._held, np.maximum(self._held_ns, at_ns)
        if self.tap_ns and len(left) > 1:
            together = np.flatnonzero(left == at_ns)
            order = np.lexsort(
                self.leaving_order(
                    held.number[together], held.connection[together], self._held_ns[together]
                )
            )
            left[together[order]] += self.tap_ns * np.arange(len(together), dtype=np.int64)
        self.answer(held, slice(None), left - self.hop_ns)
        self._held, self._held_ns = no_requests(), np.zeros(0, np.int64)

    def _begin(self) -> None:
        run, planned = self.run_ns, self._planned
        self._delayed, self._known_ns, self._free_ns = -1, -1, run
        if self._foreseen != self.mode:
            planned.renew()
        keeps = self._taken + 1 + TAP_FRAMES
        while (came := planned.came(run, keeps + self.part)) - planned.first > keeps:
            full = planned.first + keeps
            self.dropped += came - full
            self.lose(planned.drop(full, came))
        self.note_burst(len(self._again), self._taken, came - planned.first)
        if self.stop_ns >= 0:
            self.met_pause += came - planned.first - self._met_open + self._met_held
            self._met_open, self._met_held = came - planned.first, 0
            if self.on_over is not None:
                planned.all.met[planned.first : came] |= self.met
                self._held.met |= self.met
        if self.committed:
            self._let_go(run)

    def _forget(self, until_ns: int) -> None:
        planned = self._planned
        came = planned.came(until_ns)
        lost = self._held.and_then(planned.all.where(slice(planned.first, came)))
        planned.first = came
        if not self.retransmits:
            self.lose(lost)
        elif len(lost):
            self.note_resent(lost.number, lost.arrived)
            again = replace(lost, arrived=self.resend(lost.arrived, until_ns), work=lost.whole)
            planned.put_in(again, int(again.arrived.max()))
        self._held, self._again, self._taken = no_requests(), [], 0
        self._met_open = self._met_held = 0
        self._held_ns = np.zeros(0, np.int64)

    def _close(self, end_ns: int) -> None:
        planned, last_ns = self._planned, end_ns + self.latency_ns
        self.lose(self._held)
        came = planned.came(last_ns, self.part)
        self.lose(planned.all, slice(planned.first, came))
        while came == len(planned.all):
            planned.first = came
            came = planned.came(last_ns, self.part)
            self.lose(planned.all, slice(planned.first, came))
        self.requests = self._arrivals.made - (len(planned.all) - came)


def _up_to(times: Times, until_ns: int, first: int, end: int) -> int:
    """Return behind which of some times, in order, those end that come up to then; most do."""
    if first == end or times.item(end - 1) <= until_ns:
        return end
    return first + int(times[first:end].searchsorted(until_ns, "right"))
