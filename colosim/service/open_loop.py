"""Clients that send whether or not they are answered, an epoch at a time as arrays.

Both guests serve one request after the other, so each epoch is a cumulative maximum.  As long as
both sides' frames of a connection come in the same order, the comparison is one, too; from the
first frame on that is out of order it goes frame by frame (`colosim.service.comparison`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import numpy as np

from colosim.scenario.service import BUFFERED, COMPARED, DIRECT, HELD
from colosim.service.arrivals import BLOCK, FAR_NS, Arrivals
from colosim.service.comparison import MISMATCH, NEVER
from colosim.service.requests import Requests, Served, no_requests
from colosim.service.room import TAP_FRAMES, Room, served

if TYPE_CHECKING:
    from colosim.service.draws import Times
    from colosim.service.room import Settings

_CHUNK: Final = 256
"""Most often the comparison asks for a checkpoint after few frames."""


class OpenLoop(Room):
    """Requests that arrive by themselves."""

    part = 4 * BLOCK
    """How many are answered at once where nothing is compared."""

    def __init__(self, settings: Settings, on_answers: Callable[[Times, Times], None]) -> None:
        super().__init__(settings, on_answers)
        self._planned = Arrivals(settings)
        self._open = no_requests()
        """Requests that are not done yet, and those that are still to come."""
        self._taken = 0
        """How many of them the primary's guest had at its last stop."""
        self._again = no_requests()
        self._again_mirrored = np.zeros(0, np.int64)
        """What the secondary executes once more, and when its copies came."""
        self._held = no_requests()
        self._held_ns = np.zeros(0, np.int64)
        """Done, and to leave when the pair lets them; those that do not come from a flush not
        before they are through the loopback."""
        self._epoch_ns = 10**7
        self._served: tuple[int, Served] | None = None
        self._free_ns = 0
        """When the primary's guest is free to serve what is open."""
        self._clean_ns = -1
        """Up to when each frame of this epoch has met its equal in order."""

    # ---- requests ------------------------------------------------------------------------------

    def _make_until(self, until_ns: int) -> None:
        """Draw requests until one comes after `until_ns`."""
        made: list[Requests] = []
        last = int(self._open.arrived[-1]) if len(self._open) else -1
        while last <= until_ns:
            made.append(self._block())
            last = int(made[-1].arrived[-1])
        if made:
            self._open = self._open.and_then(*made)

    def _block(self) -> Requests:
        number, sent = self._planned.block()
        service = self.settings.service
        work, whole = self.works.take(BLOCK)
        return Requests(
            number,
            sent + self.latency_ns,
            number % service.connections,
            work,
            whole,
            self.divergence.take(int(number[0]), BLOCK),
            np.zeros(BLOCK, np.int64),
        )

    # ---- serving -------------------------------------------------------------------------------

    def _serve(self, needed_ns: int, until_ns: int) -> Served:
        """Return when what has come up to `needed_ns` is served, if nothing stops the guests.

        What comes up to `until_ns` is served along with it.
        """
        if self._served is not None and self._served[0] >= needed_ns:
            return self._served[1]
        self._make_until(until_ns)
        count = int(np.searchsorted(self._open.arrived, until_ns, "right"))
        some, run = self._open.where(slice(count)), self.run_ns
        primary = served(np.maximum(some.arrived, run), some.work, self._free_ns, self.pace_ns)
        nothing = np.zeros(0, np.int64)
        result = Served(primary, nothing, nothing, nothing)
        if self.mode == COMPARED:
            result = self._serve_twice(some, primary)
        self._served = (until_ns, result)
        return result

    def _serve_twice(self, some: Requests, primary: Times) -> Served:
        """Return when the secondary, too, has served them.

        It first goes on with what was in the state, then takes the copies that came while it was
        stopped and are in the state already, then what has come since: the first request of the
        pause was mirrored at once, the others as the primary's guest ran.
        """
        taken, run = self._taken, self.run_ns
        mirrored = np.maximum(some.arrived, run)
        if len(some) > taken:
            mirrored[taken] = some.arrived[taken]
        mirrored += self.mirror_ns
        again = np.maximum(self._again_mirrored, self.secondary_run_ns)
        came = np.concatenate(
            (np.full(taken, self.secondary_run_ns), again, mirrored[taken:]), dtype=np.int64
        )
        work = np.concatenate((some.work[:taken], self._again.whole, some.whole[taken:]))
        work = work + self.later_ns
        if len(work):
            begun = max(int(came[0]), self.secondary_run_ns)
            work[0] += self.lag_at(begun) - self.later_ns
        secondary_run = self.secondary_run_ns
        came = np.maximum(came, secondary_run)
        if len(work) > 1:
            free = came[0] + work[0] + (self.pace_ns or 0)
            came[1] = max(came[1], free - work[1])
            work[1] += self.second_ns
        done = served(came, work, secondary_run, self.pace_ns)
        end = taken + len(again)
        secondary = np.concatenate((done[:taken], done[end:]))
        mirrored[:taken] = -1  # these copies came before
        return Served(primary, secondary, mirrored, done[taken:end])

    def copies_by(self, at_ns: int) -> int:
        """Return how many requests this epoch has mirrored up to then."""
        self._make_until(at_ns)
        return max(0, int(np.searchsorted(self._open.arrived, at_ns, "right")) - self._taken)

    def copy_at(self, index: int) -> int | None:
        """Return when this epoch mirrors its request `index`, None if that is not known to come."""
        while len(self._open) <= self._taken + index:
            self._open = self._open.and_then(self._block())
        arrived = int(self._open.arrived[self._taken + index])
        return None if arrived >= FAR_NS else max(self.run_ns, arrived)

    # ---- comparing -----------------------------------------------------------------------------

    def forces(self, until_ns: int) -> tuple[int, str] | None:
        """Return when the comparison asks for a checkpoint, up to `until_ns`, and why."""
        if self.mode != COMPARED:
            return None
        horizon = self._clean_ns = self.run_ns
        step = 2 * self._epoch_ns
        while horizon < until_ns:
            horizon = min(until_ns, horizon + step)
            step *= 2
            # The guests stop a little after that, and what is served up to there is used again.
            known = self._serve(horizon, horizon + (horizon - self.run_ns) // 8)
            cut = NEVER if self.mute_ns is None else self.mute_ns
            found = self._compare(known, NEVER, cut, horizon, first=True)[1]
            if found is not None:
                return found
        return None

    def _compare(
        self, known: Served, cut_ns: int, secondary_cut_ns: int, until_ns: int, *, first: bool
    ) -> tuple[Times, tuple[int, str] | None]:
        """Return when each of the primary's answers leaves the comparison, `NEVER` if it waits.

        Only what was done up to the cuts has come.  With `first` only the first request for a
        checkpoint counts, which is returned beside.
        """
        some = self._open.where(slice(len(known.primary)))
        if self.drifted_ns < NEVER:
            some.differs = some.differs | (known.primary >= self.drifted_ns)
        mine = np.where(known.primary <= cut_ns, known.primary + self.hop_ns, NEVER)
        theirs = np.where(
            known.secondary <= secondary_cut_ns, known.secondary + self.echo_ns, NEVER
        )
        surplus = known.surplus[known.surplus <= secondary_cut_ns] + self.echo_ns
        surplus = surplus if self.newest_first else surplus[:0]  # bytes that are known are freed
        leaves = np.maximum(mine, theirs)
        settled = 0
        if not len(surplus):
            clean_ns = min(self._clean_ns, cut_ns, secondary_cut_ns)
            settled = int(np.searchsorted(leaves, clean_ns, "right"))
        rest = slice(settled, None)
        odd_ns, notifies = self._first_odd(
            some.where(rest), mine[rest], theirs[rest], surplus, until_ns
        )
        if first:
            self._clean_ns = min(until_ns, odd_ns - 1)
        if first and (odd_ns > until_ns or notifies):
            return leaves, (odd_ns, MISMATCH) if odd_ns <= until_ns else None
        leaves[leaves >= odd_ns] = NEVER
        found = None
        if odd_ns < NEVER:
            found = self._compare_each(some, mine, theirs, surplus, leaves, odd_ns, until_ns, first)
        return leaves, found

    def _first_odd(
        self, some: Requests, mine: Times, theirs: Times, surplus: Times, until_ns: int
    ) -> tuple[int, bool]:
        """Return from when on frames must be compared one by one, and if that notifies at once."""
        limits = self.settings.output
        leaves = np.maximum(mine, theirs)
        asks = NEVER
        if some.differs.any():
            asks = int(np.min(leaves[some.differs], initial=NEVER))
        order: Times | slice = slice(None)
        if self.settings.service.connections > 1:
            order = np.argsort(some.connection, kind="stable")
        connection, own, other = some.connection[order], mine[order], theirs[order]
        if self.newest_first and len(own) > 1:
            later = (own[1:] <= other[:-1]) & (connection[1:] == connection[:-1])
            later &= own[1:] < NEVER
            asks = min(asks, int(np.min(other[:-1][later], initial=NEVER)))
        rest = NEVER
        if len(surplus):
            # It waits, and meets the next of the primary's frames that comes before its copy.
            begins = int(surplus[0])
            ahead = mine <= theirs
            rest = int(np.min(mine[ahead & (mine >= begins)], initial=NEVER))
            if (ahead & (mine <= begins) & (theirs >= begins)).any():
                rest = begins
            if begins < until_ns - limits.timeout_ns:
                rest = min(rest, begins + limits.timeout_ns)
        came = np.minimum(mine, theirs)
        old = (leaves - came > limits.timeout_ns) & (came < until_ns - limits.timeout_ns)
        if old.any():
            rest = min(rest, int(np.min(came[old])) + limits.timeout_ns)
        full = max(0, limits.queue - len(surplus))
        if len(own) > full + 1:
            apart = connection[full + 1 :] == connection[: -full - 1]
            for ones, others, tie in ((own, other, 0), (other, own, 1)):
                # It comes before its `full` + 1st predecessor has left, so that many wait.
                comes, matched = ones[full + 1 :], others[: -full - 1]
                found = apart & (comes < NEVER) & (matched >= comes + tie)
                rest = min(rest, int(np.min(comes[found], initial=NEVER)))
        return min(asks, rest), asks < rest

    def _compare_each(
        self,
        some: Requests,
        mine: Times,
        theirs: Times,
        surplus: Times,
        leaves: Times,
        odd_ns: int,
        until_ns: int,
        first: bool,  # noqa: FBT001
    ) -> tuple[int, str] | None:
        """Compare frame by frame from `odd_ns` on; fill in when each of the rest leaves."""
        comparison = self.comparison
        comparison.clear()
        differs = set(some.number[some.differs].tolist())
        numbers, connections = some.number, some.connection
        for i in np.flatnonzero((mine < odd_ns) & (theirs >= odd_ns)).tolist():
            comparison.primary[int(connections[i])].append((int(mine[i]), int(numbers[i])))
        taken, again = self._taken, self._again
        secondary = (
            _spliced(taken, theirs, surplus),
            _spliced(taken, numbers, again.number[: len(surplus)]),
            _spliced(taken, connections, again.connection[: len(surplus)]),
        )
        waits = np.concatenate((mine[:taken], np.full(len(surplus), NEVER), mine[taken:]))
        waits = (secondary[0] < odd_ns) & (waits >= odd_ns)
        for at, number, connection in zip(
            *(part[waits].tolist() for part in secondary), strict=True
        ):
            comparison.secondary[connection].append((at, number))
        last_ns = odd_ns - 1
        for at_ns, side, number, connection in _frames(
            (mine, numbers, connections), secondary, odd_ns
        ):
            if first and (at_ns > until_ns or comparison.notified):
                break
            comparison.scan(last_ns, min(at_ns - 1, until_ns))
            take = comparison.secondary_frame if side else comparison.primary_frame
            take(at_ns, number, connection, differs)
            last_ns = at_ns - 1
        if not (first and comparison.notified):
            comparison.scan(last_ns, until_ns)
        if comparison.released:
            at, released = np.array(comparison.released, np.int64).T
            leaves[np.searchsorted(numbers, released)] = at
        found = comparison.notified[0] if comparison.notified else None
        return found if found is not None and found[0] <= until_ns else None

    # ---- stop, commit, begin -------------------------------------------------------------------

    def _answer_in_parts(self, stop: int) -> None:
        """Answer at once what waits for nothing, so that a long epoch needs little memory."""
        while self.mode == DIRECT and self.pace_ns is None:
            while len(self._open) < self.part and self._open.arrived[-1:].max(initial=0) <= stop:
                self._open = self._open.and_then(self._block())
            if len(self._open) < self.part or self._open.arrived[self.part - 1] > stop:
                return
            some = self._open.where(slice(self.part))
            done = served(np.maximum(some.arrived, self.run_ns), some.work, self._free_ns, None)
            if int(done[-1]) > stop:
                return
            self.answer(some, done)
            self._free_ns, self._served = int(done[-1]), None
            self._open = self._open.where(slice(len(some), None))

    def _stop(self) -> None:
        stop = self.stop_ns
        self._answer_in_parts(stop)
        known = self._serve(stop, stop)
        self._epoch_ns, self._served = max(1, stop - self.run_ns), None
        comparison = self.comparison
        comparison.clear()
        requests = self._open
        came = int(np.searchsorted(requests.arrived, stop, "right"))
        done = int(np.searchsorted(known.primary, stop, "right"))
        if self.mode == COMPARED:
            leaves, _ = self._compare(known, stop, self.secondary_stop_ns, stop, first=False)
            left = leaves[:done] + self.hop_ns
            if comparison.dropped:
                lost = np.isin(requests.number[:done], comparison.dropped)
                self.dropped += int(lost.sum())
                left[lost] = -1
                self.lose(requests.where(slice(done)).where(lost))
            self.copied += came - self._taken
            self._note_replays(known, requests, came)
        else:
            left = self._left_uncompared(known.primary[:done])
        self._send_out(requests, left, stop)
        if done < came:
            work = requests.work.copy()
            if self.pace_ns is not None:
                worked = stop - np.maximum(requests.arrived[done:came], self.run_ns)
                work[done:came] = np.maximum(0, work[done:came] - worked)
            else:
                begun = int(known.primary[done] - work[done])
                work[done] -= max(0, stop - begun)
            requests.work = work
            if self.stream.tail_ns:
                requests.differs = requests.differs.copy()
                requests.differs[done:came] |= self.stream.under_way(work[done:came])
        if self.mode == COMPARED:
            self._go_out_of_step(requests, done, np.flatnonzero(left >= NEVER))
        self._open = requests.where(slice(done, None))
        self._taken = came - done

    def _send_out(self, requests: Requests, left: Times, stop: int) -> None:
        """Answer the first requests whose answers have left by the stop, and hold the others."""
        done = len(left)
        if self.mode == BUFFERED and len(self._held):
            out = self._held_ns <= stop - self.shift_ns
            self.answer(self._held.where(out), self._held_ns[out] + self.shift_ns)
            self._held, self._held_ns = self._held.where(~out), self._held_ns[~out]
        out = (left >= 0) & (left <= stop)
        gone = int(np.count_nonzero(out))
        if out[:gone].all():
            self.answer(requests.where(slice(gone)), left[:gone])
        else:
            self.answer(requests.where(slice(done)).where(out), left[out])
        if gone < done:
            waits = np.flatnonzero(left > stop)
            self._held = self._held.and_then(requests.where(waits))
            through = np.where(left[waits] < NEVER, left[waits] - self.shift_ns, 0)
            self._held_ns = np.concatenate((self._held_ns, through))
        self.held_peak = max(self.held_peak, len(self._held))

    def _go_out_of_step(self, requests: Requests, done: int, flushed: Times) -> None:
        """Let the next answer differ on connections that the flush leaves out of step."""
        for connection in self.stream.out_of_step(requests.connection[flushed].tolist()):
            later = np.flatnonzero(requests.connection[done:] == connection)
            if len(later):
                requests.differs = requests.differs.copy()
                requests.differs[done + later[0]] = True

    def _left_uncompared(self, done: Times) -> Times:
        """Return when answers leave that are not compared, `NEVER` if with the checkpoint."""
        if self.mode == HELD:
            return np.full(len(done), NEVER)
        return done if self.mode == DIRECT else self.tick_after(done)

    def _note_replays(self, known: Served, requests: Requests, came: int) -> None:
        """Note which copies came to the stopped secondary, their requests in the state already."""
        first = int(np.searchsorted(known.mirrored[:came], self.copies_until_ns, "right"))
        late = slice(first, came)
        self._again = requests.where(late)
        self._again_mirrored = known.mirrored[late]

    def _let_go(self, at_ns: int) -> None:
        if self.mode == BUFFERED:
            return
        held, left = self._held, np.maximum(self._held_ns, at_ns)
        together = np.flatnonzero(left == at_ns)
        order = np.lexsort(
            self.leaving_order(
                held.number[together], held.connection[together], self._held_ns[together]
            )
        )
        left[together[order]] += self.tap_ns * np.arange(len(together), dtype=np.int64)
        self.answer(held, left)
        self._held, self._held_ns = no_requests(), np.zeros(0, np.int64)

    def _begin(self) -> None:
        run, self._served = self.run_ns, None
        self._clean_ns = self._free_ns = run
        self._make_until(run)
        requests = self._open
        came = int(np.searchsorted(requests.arrived, run, "right"))
        full = self._taken + 1 + TAP_FRAMES
        if came > full:
            self.dropped += came - full
            self.lose(requests.where(slice(full, came)))
            gone = np.arange(full, came)
            self._open = requests = requests.where(np.delete(np.arange(len(requests)), gone))
            came = full
        if self.stop_ns >= 0:
            requests.met = requests.met.copy()
            for some in (self._held.met, requests.met[:came]):
                self.met_pause += int((some == 0).sum())
                np.bitwise_or(some, self.met, out=some)
        if self.committed:
            self._let_go(run)

    def _forget(self, until_ns: int) -> None:
        self._make_until(until_ns)
        self.lose(self._held)
        self.lose(self._open.where(self._open.arrived <= until_ns))
        self._open = self._open.where(self._open.arrived > until_ns)
        self._held, self._again, self._taken = no_requests(), no_requests(), 0
        self._held_ns = self._again_mirrored = np.zeros(0, np.int64)

    def close(self, end_ns: int) -> None:
        """Count requests and answers up to the end of the run."""
        if self.running:
            self.stop(end_ns, end_ns)
        self._make_until(end_ns)
        later = self._open.arrived - self.latency_ns > end_ns
        self.requests = self._planned.made - int(later.sum())
        self.lose(self._held)
        self.lose(self._open.where(~later))


def _frames(
    primary: tuple[Times, ...], secondary: tuple[Times, ...], from_ns: int
) -> Iterator[tuple[int, int, int, int]]:
    """Yield the frames of both sides from then on: when each comes, side, number, connection."""
    at, number, connection = (np.concatenate(pair) for pair in zip(primary, secondary, strict=True))
    side = np.repeat((0, 1), (len(primary[0]), len(secondary[0])))
    order = np.lexsort((side, at))
    begin, end = np.searchsorted(at[order], (from_ns, NEVER)).tolist()
    for chunk in range(begin, end, _CHUNK):
        some = order[chunk : min(chunk + _CHUNK, end)]
        yield from zip(
            *(part[some].tolist() for part in (at, side, number, connection)), strict=True
        )


def _spliced(at: int, whole: Times, part: Times) -> Times:
    """Return a whole with a part in it."""
    return np.concatenate((whole[:at], part, whole[at:]))
