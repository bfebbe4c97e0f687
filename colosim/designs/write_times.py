"""When the guest's writes are answered, worked out an epoch at a time: no event a write.

A write is issued when it is due, or when the one `depth` before it is answered; it leaves when the
link is free, arrives a latency later, is done when the server has done those before it, and is
answered a latency after that.  Where nothing waits all of them take the same, and are counted at
once; else each costs some integer arithmetic.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from colosim.scenario.disk import Writes

PER_RATE: Final = 10**15
"""A rate is in writes a million seconds: so many ns."""
NEVER: Final = 1 << 62


class Speeds(NamedTuple):
    """What each part of a write takes, in ns."""

    link_ns: int
    """Its bytes on the link, or the writer's, whichever takes longer."""
    there_ns: int
    take_ns: int
    """The server's time."""
    back_ns: int

    @property
    def alone_ns(self) -> int:
        """What a write takes that waits for nothing."""
        return sum(self)


@dataclass(slots=True)
class _Write:
    """A write that is not answered yet."""

    issued: int
    begins: int
    """When it begins to leave."""
    left: int
    arrives: int
    served: int
    """When the server begins with it."""
    done: int
    answered: int


class WriteTimes:
    """The writes of one guest.

    `answered` is told of how many writes took how long, in ns.  All times are absolute, and each
    call's is at or after the one before.
    """

    def __init__(self, model: Writes, speeds: Speeds, answered: Callable[[int, int], None]) -> None:
        self._model = model
        self._answered = answered
        self.speeds = speeds
        self.running = False
        self.by_hand = False
        """Whether somebody else finds out when writes are answered (`hand_over`)."""
        self.away = False
        """Whether the server does nothing just now."""
        self.issued = 0
        self.lost = 0
        """Writes that went out and of which the secondary has not said that it has them."""
        self._next = 0
        self._run_ns = self._ran_ns = 0
        self.local = False
        """Whether all writes go to the local image alone."""
        self._local_from = 0
        """How many the guest had wanted when the replication ended; those that waited in the guest
        do not count.
        """
        self._out = deque[_Write]()
        self._left = self._arrived = self._done = 0
        self._slots = deque([0] * model.depth, model.depth)
        """When the last `depth` writes are answered."""
        self._held: list[int] = []
        """By hand: when those that are out were issued."""
        self._freed_ns = 0
        """When there was room for the next, if it had to wait for that."""

    # ---- the guest -----------------------------------------------------------------------------

    def run(self, now: int) -> None:
        """Let the guest run."""
        self.settle(now)
        self.running, self._run_ns = True, now

    def stop(self, now: int) -> None:
        """Stop the guest: nothing is issued until it runs again."""
        self.settle(now)
        if self.by_hand:
            self.held(now)
        self.running, self._ran_ns = False, self._ran_at(now)

    def _ran_at(self, now: int) -> int:
        return self._ran_ns + (now - self._run_ns if self.running else 0)

    def _due_by(self, now: int) -> int:
        """Return how many writes the guest has wanted."""
        return ((self._ran_at(now) + 1) * self._model.rate - 1) // PER_RATE

    def due_ns(self, ahead: int = 0) -> int:
        """Return when the next write is due, or one `ahead` of it, if the guest runs on."""
        due = (self._next + 1 + ahead) * PER_RATE // self._model.rate
        return self._run_ns + max(0, due - self._ran_ns)

    def made(self, now: int) -> int:
        """Return how many writes the guest has made, on the local image too."""
        return self.issued + self.unreplicated(now) - self.lost

    def unreplicated(self, now: int) -> int:
        """Return how many of them the secondary has not got for sure, and will not."""
        return self.lost + (self._due_by(now) - self._local_from if self.local else 0)

    # ---- as nothing but speeds and server decide -----------------------------------------------

    def settle(self, now: int) -> None:
        """Work out what has been issued, and count what has been answered, up to now."""
        if self.by_hand or self.local:
            return
        if self.running:
            self._issue(now)
        self._retire(now)

    @property
    def out(self) -> int:
        """How many are not answered, as of the last call."""
        return len(self._held) + len(self._out)

    @property
    def drained_ns(self) -> int:
        """When what is out will be answered; `NEVER` if that is not known."""
        return self._out[-1].answered if self._out else 0

    def set_speeds(self, now: int, speeds: Speeds) -> None:
        """Let what has not begun by now take other times."""
        self.settle(now)
        self.speeds = speeds
        self._replan(now)

    def set_away(self, now: int, *, away: bool) -> None:
        """Let the server begin with nothing, from now on; or let it go on."""
        self.settle(now)
        self.away = away
        if not away:
            self._done = max(self._done, now)
        self._replan(now, 0 if away else now)

    def _issue(self, until: int) -> None:
        depth, slots = self._model.depth, self._slots
        while True:
            due = self.due_ns()
            at = max(due, slots[0])
            if at > until:
                return
            count = self._due_by(until) - self._next - depth
            if count > 0 and self._waits_for_nothing(due):
                self._skip(count)
                continue
            write = self._sent(at)
            self._next += 1
            self.issued += 1
            slots.append(write.answered)
            if write.answered > until:
                self._out.append(write)
            else:
                self._retire(until)
                self._answered(write.answered - at, 1)

    def _waits_for_nothing(self, due: int) -> bool:
        """Whether none waits from the next on, for link, server or an answer."""
        speeds, rate = self.speeds, self._model.rate
        gap = PER_RATE // rate
        return (
            not self.away
            and gap >= max(speeds.link_ns, speeds.take_ns)
            and self._model.depth * PER_RATE // rate >= speeds.alone_ns
            and (self._next + 1) * PER_RATE // rate >= self._ran_ns
            and due >= self._left
            and due + speeds.link_ns + speeds.there_ns >= max(self._arrived, self._done)
            and due + speeds.alone_ns >= self._slots[-1]
            and all(slot <= self.due_ns(ahead) for ahead, slot in enumerate(self._slots))
        )

    def _skip(self, count: int) -> None:
        """Issue `count` writes of which each takes what it takes alone, and is answered by now."""
        speeds = self.speeds
        for ahead in range(max(0, count - self._model.depth), count):
            self._slots.append(self.due_ns(ahead) + speeds.alone_ns)
        last = self._slots[-1]
        self._done = last - speeds.back_ns
        self._arrived = self._done - speeds.take_ns
        self._left = self._arrived - speeds.there_ns
        self._next += count
        self.issued += count
        self._retire(last)
        self._answered(speeds.alone_ns, count)

    def _sent(self, at: int) -> _Write:
        """Return a write that is issued at `at`, after all others."""
        speeds = self.speeds
        begins = max(at, self._left)
        self._left = begins + speeds.link_ns
        self._arrived = max(self._arrived, self._left + speeds.there_ns)
        served, answered = NEVER, NEVER
        if not self.away:
            served = max(self._arrived, self._done)
            self._done = served + speeds.take_ns
            answered = max(self._slots[-1], self._done + speeds.back_ns)
        done = served if served == NEVER else self._done
        return _Write(at, begins, self._left, self._arrived, served, done, answered)

    def _retire(self, now: int) -> None:
        out = self._out
        while out and out[0].answered <= now:
            write = out.popleft()
            self._answered(write.answered - write.issued, 1)

    def _replan(self, now: int, server_from: int = 0) -> None:
        """Work out anew what has not happened by now to the writes that are out."""
        speeds, slots = self.speeds, self._slots
        known = list(slots)[: len(slots) - len(self._out)]
        left = arrived = 0
        done, answered = server_from, known[-1] if known else 0
        for write in self._out:
            sent = write.left <= now
            if write.begins > now:
                write.begins = max(write.issued, left)
                write.left = write.begins + speeds.link_ns
            if not sent:
                write.arrives = max(write.left + speeds.there_ns, arrived)
            if write.done > now:
                if write.served > now:
                    write.served = NEVER if self.away else max(write.arrives, done)
                    write.done = NEVER if self.away else write.served + speeds.take_ns
                write.answered = (
                    NEVER if write.done == NEVER else max(write.done + speeds.back_ns, answered)
                )
            left, arrived = write.left, write.arrives
            done, answered = write.done, write.answered
            known.append(answered)
        self._slots = deque(known, self._model.depth)
        if self._out:
            self._left, self._arrived = left, arrived
            if done < NEVER:
                self._done = max(done, server_from)

    # ---- by hand: while a fault lasts ----------------------------------------------------------

    def hand_over(self, now: int) -> None:
        """Leave it to the caller when those are answered that the server has not done by now."""
        self.settle(now)
        self.by_hand = True
        for write in self._out:
            if write.done <= now:
                self._answered(write.answered - write.issued, 1)
            else:
                self._held.append(write.issued)
        self._out.clear()

    def held(self, now: int) -> int:
        """Issue what is due by now, as far as it may be out; return how many are."""
        if self.running:
            due = min(self._due_by(now) - self._next, self._model.depth - len(self._held))
            for _ in range(due):
                self._held.append(max(self._freed_ns, self.due_ns()))
                self._next += 1
                self.issued += 1
        return len(self._held)

    def answer(self, now: int, count: int) -> None:
        """The first `count` of those held are answered now."""
        if len(self._held) == self._model.depth:
            self._freed_ns = now
        for issued in self._held[:count]:
            self._answered(now - issued, 1)
        del self._held[:count]

    def take_back(self, now: int) -> None:
        """Go on by itself; nothing is held."""
        self.by_hand = False
        self._left = self._arrived = self._done = now
        self._slots = deque([now] * self._model.depth, self._model.depth)

    def lose(self, now: int) -> None:
        """Fail what is out; from now on all writes go to the local image alone."""
        if self.local:
            return
        self.settle(now)
        if not self.by_hand:
            self._held = [write.issued for write in self._out]
            self._out.clear()
        else:
            self.held(now)
        self.lost = len(self._held)
        self.answer(now, self.lost)
        self.by_hand, self.local = False, True
        self._local_from = self._due_by(now)
