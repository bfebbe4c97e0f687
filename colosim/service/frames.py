"""The answers of both guests in an epoch, as arrays, and from when on their order is not the same.

As long as both sides' frames of a connection come in the same order and are equal, an answer leaves
when the later of its two frames comes; from the first frame on for which that is not so it goes
frame by frame (`colosim.service.comparison`).
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from itertools import chain, repeat, takewhile
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from colosim.service.comparison import NEVER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from colosim.scenario.service import Output
    from colosim.service.comparison import Comparison
    from colosim.service.draws import Times
    from colosim.service.requests import Requests

Frame = tuple[int, int, int, int]
"""When it comes, of which request and connection, and whether the secondary sends it."""


class Frames:
    """When the answers to some requests come to the comparison, `NEVER` if they do not.

    Both guests keep the order of the requests.  `taken`: how many of them were in the state that
    the secondary loaded; `surplus`: what it answers once more, after those; `drifted`: from which
    one on every answer differs.
    """

    def __init__(
        self,
        requests: Requests,
        which: slice,
        connections: int,
        mine: Times,
        theirs: Times,
        *,
        taken: int,
        surplus: list[Frame],
        drifted: int,
    ) -> None:
        self._requests, self._which, self._connections = requests, which, connections
        self.mine, self.theirs = mine, theirs
        self.surplus, self._taken, self._drifted = surplus, taken, drifted
        self.leaves = np.maximum(mine, theirs)

    def up_to(self, mine: int, theirs_ns: int) -> Frames:
        """Return only so many frames of the primary, and the secondary's up to then."""
        own, other = self.mine.copy(), self.theirs.copy()
        own[mine:] = NEVER
        other[int(other.searchsorted(theirs_ns, "right")) :] = NEVER
        surplus = [frame for frame in self.surplus if frame[0] <= theirs_ns]
        known = self._requests, self._which, self._connections, own, other
        return Frames(*known, taken=self._taken, surplus=surplus, drifted=self._drifted)

    def first_odd(self, limits: Output, until_ns: int, *, newest_first: bool) -> tuple[int, bool]:
        """Return from when on they must be compared one by one, and if that notifies at once."""
        mine, theirs, leaves = self.mine, self.theirs, self.leaves
        differs = self._requests.differs[self._which]
        asks, rest, old_ns = NEVER, NEVER, until_ns - limits.timeout_ns
        count = len(mine)
        differing = int(differs.argmax()) if count else 0
        if not count or not differs[differing]:
            differing = count
        differing = min(differing, self._drifted)
        if differing < count:
            asks = leaves.item(differing)
        if newest_first and count > self._connections:
            later, earlier = self._apart(1)
            before = theirs[earlier]
            swapped = mine[later] <= before
            if np.count_nonzero(swapped):
                asks = min(asks, int(before[swapped].min()))
        if self.surplus:
            rest = self._meets_surplus(limits, asks, old_ns, newest_first=newest_first)
        if count and min(mine.item(0), theirs.item(0)) < old_ns:
            came = np.minimum(mine, theirs)
            old = (leaves - came > limits.timeout_ns) & (came < old_ns)
            if old.any():
                rest = min(rest, int(came[old].min()) + limits.timeout_ns)
        rest = min(rest, self._full(max(0, limits.queue - len(self.surplus))))
        return min(asks, rest), asks < rest

    def suspects(self, limits: Output, *, newest_first: bool) -> NDArray[np.bool_] | None:
        """Return which may be out of order, if there is no surplus, once the request has come.

        None if connections are not used in turn.
        """
        if not self._takes_turns:
            return None
        mine, theirs = self.mine, self.theirs
        found = self._requests.differs[self._which] | (abs(theirs - mine) > limits.timeout_ns)
        for steps in (1, limits.queue + 1):
            later, earlier = self._apart(steps)
            if steps > 1 or newest_first:
                found[later] |= mine[later] <= theirs[earlier]
            if steps > 1:
                found[later] |= theirs[later] <= mine[earlier]
        return found

    @property
    def _takes_turns(self) -> bool:
        """Whether the connections are used in turn, none left out."""
        number = self._requests.number[self._which]
        in_turn = len(number) == 0 or int(number[-1]) - int(number[0]) == len(number) - 1
        return in_turn or self._connections == 1

    def _meets_surplus(
        self, limits: Output, asks_ns: int, old_ns: int, *, newest_first: bool
    ) -> int:
        """Return when a frame of the primary meets the surplus, which waits, before its copy.

        Of a byte stream whenever the copy comes.  Or when the surplus is old, or leaves no room for
        copies, or is there as a checkpoint is asked for, and is why.
        """
        begins, mine, theirs = self.surplus[0][0], self.mine, self.theirs
        rest = asks_ns if begins <= asks_ns else NEVER
        if begins < old_ns:
            rest = min(rest, begins + limits.timeout_ns)
        if len(self.surplus) > limits.queue:
            rest = min(rest, self.surplus[limits.queue][0])
        ahead = mine <= (theirs if newest_first else NEVER)
        if ahead[theirs.searchsorted(begins) : mine.searchsorted(begins, "right")].any():
            return min(rest, begins)
        later = slice(int(mine.searchsorted(begins)), None)
        return int(mine[later][ahead[later]].min(initial=rest))

    def _full(self, full: int) -> int:
        """Return when more than so many frames of a side wait on a connection."""
        found = NEVER
        if len(self.mine) > full + 1:
            later, earlier = self._apart(full + 1)
            # It comes before its `full` + 1st predecessor has left, so that many wait.
            mine, theirs = self.mine[later], self.theirs[later]
            found = int(mine[self.theirs[earlier] >= mine].min(initial=NEVER))
            found = int(theirs[self.mine[earlier] > theirs].min(initial=found))
        return found

    def _apart(self, steps: int) -> tuple[Times | slice, Times | slice]:
        """Return which requests come so many behind which others of their connection."""
        number = self._requests.number[self._which]
        connection, count = self._requests.connection[self._which], len(number)
        if self._takes_turns:
            steps *= self._connections  # which are used in turn
            return slice(steps, None), slice(max(0, count - steps))
        order = np.argsort(connection, kind="stable")
        later, earlier = order[steps:], order[:-steps]
        same = connection[later] == connection[earlier]
        return later[same], earlier[same]

    # ---- one by one ----------------------------------------------------------------------------

    def compare(
        self,
        comparison: Comparison,
        odd_ns: int,
        until_ns: int,
        only: tuple[int | None, int] = (None, NEVER),
        *,
        first: bool,
    ) -> None:
        """Compare frame by frame from `odd_ns` on; with `first` until it asks for a checkpoint.

        `only`: so many of the primary's, and the secondary's up to then.
        """
        comparison.clear()
        differs, last_ns = self._differing(odd_ns), odd_ns - 1
        for at_ns, number, connection, secondary in self._since(odd_ns, *only):
            if at_ns < odd_ns:
                waits = comparison.secondary if secondary else comparison.primary
                waits[connection].append((at_ns, number))
                continue
            if first and (at_ns > until_ns or comparison.notified):
                break
            comparison.scan(last_ns, min(at_ns - 1, until_ns))
            take = comparison.secondary_frame if secondary else comparison.primary_frame
            take(at_ns, number, connection, differs)
            last_ns = at_ns - 1
        if not (first and comparison.notified):
            comparison.scan(last_ns, until_ns)

    def _since(self, at_ns: int, mine: int | None, theirs_ns: int) -> Iterator[Frame]:
        """Yield the frames that wait then or come later, in the order in which they come.

        Only so many of the primary, and the secondary's up to `theirs_ns`.
        """
        begin, taken = int(self.leaves.searchsorted(at_ns)), self._taken
        end = int(self.theirs.searchsorted(theirs_ns, "right"))
        theirs = chain(
            self._of(self.theirs, slice(begin, min(taken, end)), 1),
            (frame for frame in self.surplus if frame[0] <= theirs_ns),
            self._of(self.theirs, slice(max(begin, taken), end), 1),
        )
        both = merge(self._of(self.mine, slice(begin, mine), 0), theirs, key=itemgetter(0))
        return takewhile(lambda frame: frame[0] < NEVER, both)

    def _of(self, at_ns: Times, which: slice, secondary: int) -> Iterator[Frame]:
        number = self._requests.number[self._which]
        connection = self._requests.connection[self._which]
        parts: Any = [memoryview(part[which]) for part in (at_ns, number, connection)]  # type: ignore[arg-type]
        return zip(*parts, repeat(secondary))

    def left(self, odd_ns: int, released: list[tuple[int, int]]) -> Times:
        """Return when each has left: in order before `odd_ns`, then as they were released."""
        leaves = self.leaves
        leaves[int(leaves.searchsorted(odd_ns)) :] = NEVER
        if released:
            at_ns, numbers = np.array(released, np.int64).T
            leaves[self._requests.number[self._which].searchsorted(numbers)] = at_ns
        return leaves

    def _differing(self, since_ns: int) -> set[int]:
        """Return the numbers of the requests whose answers differ and leave from then on, if so."""
        begin = int(self.leaves.searchsorted(since_ns))
        number = self._requests.number[self._which]
        differ = number[begin:][self._requests.differs[self._which][begin:]]
        return {*differ.tolist(), *number[max(begin, self._drifted) :].tolist()}


def may_be_odd(
    mine: Times,
    theirs: Times,
    which: slice,
    connections: int,
    limits: Output,
    *,
    newest_first: bool,
) -> bool:
    """Return whether some frames may be out of order, if there is no surplus; if not they are not.

    `mine` and `theirs`: when they and those behind them come, of connections used in turn.
    """
    first, last = which.start, which.stop - 1
    mine_ns, theirs_ns = mine.item(last), theirs.item(last)
    if max(mine_ns, theirs_ns) - min(mine.item(first), theirs.item(first)) > limits.timeout_ns:
        return True
    full = first + (limits.queue + 1) * connections
    if full < len(mine) and (mine.item(full) <= theirs_ns or theirs.item(full) <= mine_ns):
        return True
    if not newest_first:
        return False
    following = mine[first + connections : which.stop + connections]
    return bool((following <= theirs[first : first + len(following)]).any())
