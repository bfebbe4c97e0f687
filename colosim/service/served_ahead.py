"""Requests that come by themselves, and when both guests have done them, known ahead.

When guests have done requests, and what leaves in order, is found out for all that are drawn, as if
nothing ever stopped; an epoch changes what its stop has delayed (`colosim.service.server`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np

from colosim.scenario.service import COMPARED
from colosim.service.arrivals import BLOCK, FAR_NS, Arrivals
from colosim.service.comparison import NEVER
from colosim.service.frames import Frame, Frames
from colosim.service.requests import Planned, Requests
from colosim.service.server import Server
from colosim.service.workload import Workload

if TYPE_CHECKING:
    from colosim.service.draws import Times
    from colosim.service.workload import Settings

FEW: Final = 16
"""Up to so many requests are faster one by one."""


class ServedAhead(Workload):
    """Requests of an open loop, and how they are served if nothing stops the guests any more."""

    def __init__(self, settings: Settings, on_answers: Callable[[Times, Times], None]) -> None:
        super().__init__(settings, on_answers)
        self._arrivals = Arrivals(settings)
        self._taken = 0
        """How many the primary's guest had at its last stop."""
        self._again: list[tuple[int, int, int, int]] = []
        """What the secondary executes once more: when the copy came, what it takes, of which
        request and connection."""
        self._surplus: list[Frame] = []
        """Its answers to that."""
        self._free_ns = 0
        """When the primary's guest is free to serve what is open."""
        self._planned = Planned(self._block, self._foresee)

    # ---- requests ------------------------------------------------------------------------------

    def _block(self) -> Requests:
        number, sent = self._arrivals.block()
        work, whole = self.works.take(BLOCK)
        connections = self.settings.service.connections
        return Requests(
            number,
            sent + self.latency_ns,
            number % connections if connections > 1 else np.zeros_like(number),
            work.copy(),
            whole,
            self.divergence.take(int(number[0]), BLOCK),
            np.zeros(BLOCK, np.int64),
        )

    def _foresee(self, requests: Requests) -> None:
        """Find out when these are served, and what is out of order, if nothing ever stops."""
        self._delayed, self._foreseen = -1, self.mode
        self._mine = Server(requests.arrived + self.hop_ns, requests.work, self.pace_ns)
        self._leaves = self._mine.done
        if self.mode == COMPARED:
            came = requests.arrived + (self.mirror_ns + self.echo_ns)
            self._theirs = Server(came, requests.whole, self.pace_ns)
            count, connections = len(requests), self.settings.service.connections
            known = requests, slice(count), connections, self._mine.done, self._theirs.done
            frames = Frames(*known, taken=0, surplus=[], drifted=count)
            self._leaves = frames.leaves
            parts = requests.arrived, requests.work, requests.whole
            times = self._mine.done, self._theirs.done, self._leaves
            self._views = [memoryview(part) for part in (*parts, *times)]  # type: ignore[arg-type]
            self._suspects = frames.suspects(self.settings.output, newest_first=self.newest_first)

    def _frames(self, until_ns: int) -> Frames:
        """Return the frames of what comes up to then; they must not be changed."""
        planned, drifted = self._planned, NEVER
        which = slice(planned.first, planned.came(until_ns))
        mine, theirs = self._mine.done[which], self._theirs.done[which]
        if self.drifted_ns < NEVER:
            drifted = int(mine.searchsorted(self.drifted_ns + self.hop_ns))
        known = planned.all, which, self.settings.service.connections, mine, theirs
        drifted = min(drifted, len(mine))
        return Frames(*known, taken=self._taken, surplus=self._surplus, drifted=drifted)

    # ---- serving -------------------------------------------------------------------------------

    def _serve(self, until_ns: int) -> None:
        """Find out when what comes up to `until_ns` is served, if nothing stops the guests."""
        planned = self._planned
        if planned.last_ns <= until_ns:
            planned.know(until_ns)
        if self._delayed >= 0:
            return
        first = planned.first
        begin_ns = max(self._free_ns, self.run_ns) + self.hop_ns
        if self.mode == COMPARED and (caught := self._catch_up(first)):
            self._delayed, self._surplus = caught, []
            return
        self._delayed = self._go_on(self._mine, first, begin_ns, begin_ns)
        if self.mode == COMPARED:
            self._delayed = max(self._delayed, self._serve_copies(first))
            p = slice(first, self._delayed)
            np.maximum(self._mine.done[p], self._theirs.done[p], out=self._leaves[p])

    def _catch_up(self, first: int) -> int:
        """Go through requests one by one, up to one that finds both guests free.

        Return up to which one times may have changed, 0 if that one is not near.
        """
        mine, theirs, run = self._mine, self._theirs, self.run_ns
        if self.pace_ns is not None or self._again or self.slow:
            return 0
        arrived, work, whole, mine_done, theirs_done, leaves = self._views
        way_ns, hop_ns, taken = self.mirror_ns + self.echo_ns, self.hop_ns, first + self._taken
        mine_ns, theirs_ns = run + hop_ns, self.secondary_run_ns + self.echo_ns
        for at in range(first, min(first + FEW, len(arrived))):
            at_ns = arrived[at]
            came_ns, copied_ns = at_ns + hop_ns, at_ns + way_ns
            if at_ns > run and came_ns >= mine_ns and copied_ns >= theirs_ns:
                changed = max(at, mine.changed, theirs.changed)
                if not theirs.finds_free(at) or changed > first + FEW:
                    return 0
                mine.restore(at)
                theirs.restore(at)
                if changed > at:
                    np.maximum(
                        mine.done[at:changed], theirs.done[at:changed], out=self._leaves[at:changed]
                    )
                return changed
            # A call of `max` costs more than the rest.
            mine_ns = (came_ns if came_ns > mine_ns else mine_ns) + work[at]  # noqa: FURB136
            if at < taken:
                theirs_ns += work[at]
            else:
                if taken < at and at_ns <= run:
                    copied_ns = run + way_ns
                theirs_ns = (copied_ns if copied_ns > theirs_ns else theirs_ns) + whole[at]  # noqa: FURB136
            mine_done[at], theirs_done[at] = mine_ns, theirs_ns
            leaves[at] = mine_ns if mine_ns > theirs_ns else theirs_ns  # noqa: FURB136
        return 0

    def _go_on(self, server: Server, first: int, begin_ns: int, free_ns: int) -> int:
        """Let a guest go on with `first` as it is free; return up to where times have changed.

        `begin_ns`: when it can begin with those that waited for the resume.
        """
        if self.pace_ns is None:
            return server.delay(first, max(begin_ns, free_ns) + server.work.item(first))
        waited = self._planned.came(self.run_ns)
        return server.delay_at_once(first, free_ns, server.work[first:waited] + begin_ns)

    def _serve_copies(self, first: int) -> int:
        """Find out when the secondary's answers come, and those to what it executes once more.

        It first goes on with what was in the state, then takes the copies that came while it was
        stopped and are in the state already, then what has come since: the first request of the
        pause was mirrored at once, the others as the primary's guest ran.
        """
        echo_ns, run, requests = self.echo_ns, self.run_ns, self._planned.all
        theirs, end = self._theirs.done, len(requests)
        self._surplus, sent = [], set(self.sent_again)
        self.start_copies()
        slow, taken = self.slow, first + self._taken
        if self._taken:
            theirs[first:taken] = self.execute_loaded(requests.work[first:taken]) + echo_ns
        for came_ns, work, number, connection in self._again:
            done = self.execute_copy(came_ns, work)
            if self.newest_first or number in sent:  # bytes that were compared before are freed
                self._surplus.append((done + echo_ns, number, connection, 1))
                sent.discard(number)
        at = taken
        while at < end:
            came_ns = requests.arrived.item(at)
            if self.copies >= slow and (at > taken or came_ns > run):
                break
            if at > taken:
                came_ns = max(came_ns, run)
            done = self.execute_copy(came_ns + self.mirror_ns, requests.whole.item(at))
            theirs[at] = done + echo_ns
            at += 1
        if at == end:
            self._theirs.changed = end
            return end
        begin_ns, free_ns = run + self.mirror_ns + echo_ns, self.copies_free_ns + echo_ns
        return self._go_on(self._theirs, at, begin_ns, free_ns)

    def copies_by(self, at_ns: int) -> int:
        """Return how many requests this epoch has mirrored up to then."""
        planned = self._planned
        return max(0, planned.came(at_ns) - planned.first - self._taken)

    def copy_at(self, index: int, until_ns: int) -> int | None:
        """Return when this epoch mirrors its request `index` (`Workload.copy_at`)."""
        del until_ns  # arrivals are known up to any index
        planned = self._planned
        end = planned.came(FAR_NS - 1, self._taken + index + 1)
        place = planned.first + self._taken + index
        return max(self.run_ns, planned.all.arrived.item(place)) if place < end else None
