"""colo-compare, frame by frame: the two lists of each connection (QEMU's net/colo-compare.c)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

MISMATCH: Final = "mismatch"
TIMEOUT: Final = "timeout"
REPLAY: Final = "replay"
CAUSES: Final = (MISMATCH, TIMEOUT, REPLAY)
NEVER: Final = 1 << 62

Frame = tuple[int, int]
"""When it came, in ns, and which request it answers."""


class Comparison:
    """The frames that wait, and what becomes of one that comes.

    `newest_first`: datagrams are compared from the tail of the primary's list; of a byte stream the
    lowest comes first.  `queue`: a frame that comes when more wait already is dropped.  Frames are
    old beyond `timeout_ns`, and looked for each `scan_ns` from `phase_ns` on.
    """

    def __init__(
        self, *, newest_first: bool, queue: int, timeout_ns: int, scan_ns: int, phase_ns: int
    ) -> None:
        self._newest_first = newest_first
        self._queue = queue
        self._timeout_ns = timeout_ns
        self._scan_ns = scan_ns
        self._phase_ns = phase_ns
        self.primary: defaultdict[int, list[Frame]] = defaultdict(list)
        self.secondary: defaultdict[int, list[Frame]] = defaultdict(list)
        self.released: list[Frame] = []
        """What has left, and when."""
        self.dropped: list[int] = []
        """Answers of the primary that found its list full."""
        self.notified: list[tuple[int, str]] = []
        """When it asked for a checkpoint, and why."""

    def clear(self) -> None:
        """Begin anew, nothing waiting and nothing said."""
        if not (self.primary or self.secondary or self.notified):
            return
        self.primary.clear()
        self.secondary.clear()
        self.released.clear()
        self.dropped.clear()
        self.notified.clear()

    def primary_frame(self, at_ns: int, number: int, connection: int, differs: Differing) -> None:
        """Take the primary's answer to request `number`."""
        frames = self.primary[connection]
        if len(frames) > self._queue:
            self.dropped.append(number)
        else:
            frames.append((at_ns, number))
        self._compare(at_ns, connection, differs)

    def secondary_frame(self, at_ns: int, number: int, connection: int, differs: Differing) -> None:
        """Take the secondary's answer to request `number`."""
        frames = self.secondary[connection]
        if len(frames) <= self._queue:
            frames.append((at_ns, number))
        self._compare(at_ns, connection, differs)

    def _compare(self, at_ns: int, connection: int, differs: Differing) -> None:
        mine, theirs = self.primary[connection], self.secondary[connection]
        while mine and theirs:
            _, number = mine[-1 if self._newest_first else 0]
            among = () if number in differs else theirs if self._newest_first else theirs[:1]
            equal = [frame for frame in among if frame[1] == number]
            if not equal:
                oldest_mine = min(request for _, request in mine)
                surplus = any(request < oldest_mine for _, request in theirs)
                self.notified.append((at_ns, REPLAY if surplus else MISMATCH))
                return
            mine.pop(-1 if self._newest_first else 0)
            theirs.remove(equal[0])
            self.released.append((at_ns, number))

    # ---- old frames ----------------------------------------------------------------------------

    def oldest_ns(self) -> int:
        """Return when the oldest frame that waits came, `NEVER` if none does."""
        lists = (*self.primary.values(), *self.secondary.values())
        return min((frames[0][0] for frames in lists if frames), default=NEVER)

    def scan_after(self, came_ns: int) -> int:
        """Return the first scan that finds a frame old that came then."""
        old_ns = came_ns + self._timeout_ns - self._phase_ns
        return (old_ns // self._scan_ns + 1) * self._scan_ns + self._phase_ns

    def scan(self, after_ns: int, until_ns: int) -> None:
        """Look for old frames in ``(after_ns, until_ns]``, in which none comes or goes."""
        at_ns = self.scan_after(after_ns - self._timeout_ns)
        if at_ns > until_ns:
            return
        oldest = self.oldest_ns()
        if oldest == NEVER:
            return
        at_ns = max(at_ns, self.scan_after(oldest))
        while at_ns <= until_ns:
            self.notified.append((at_ns, TIMEOUT))
            at_ns += self._scan_ns


if TYPE_CHECKING:
    Differing = Collection[int]
