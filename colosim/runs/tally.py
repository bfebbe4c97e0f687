"""What a summary says of checkpoints and lock holds, counted event by event as a run goes on.

The quantities are those of `colosim.trace.quantities`, as in the tables; here without numpy, and in
memory that does not grow with the run.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import TYPE_CHECKING, Any, Final

from colosim.engine.clock import larger
from colosim.runs.statistics import Quantiles
from colosim.trace.events import (
    ABORTED,
    COMMITTED,
    OTHER,
    PRIMARY,
    CheckpointEnded,
    GuestRunning,
    GuestStopped,
    LockGot,
    LockReleased,
    ProcessChanged,
)
from colosim.trace.purpose import Purpose
from colosim.trace.quantities import (
    HOLDS,
    PAUSE,
    REQUEST,
    SPANS,
    TAKES_OVER,
    WIRE_BYTES,
    is_sent,
    span,
)
from colosim.trace.steps import POINTS

if TYPE_CHECKING:
    from colosim.trace.dispatch import Handler
    from colosim.trace.events import Event

_BATCH: Final = 1024
"""How many values of a quantity are counted in one go."""
DEAF: Final = "monitor_deaf_ns"
"""The longest hold of a checkpoint in which no command could be served."""
_DEAF: Final = {side: f"{DEAF} of the {side}" for side in OTHER}
_OF_COMMITTED: Final = tuple(name for name in SPANS if name != PAUSE)
_SPANNED: Final = {point for name in _OF_COMMITTED for point in (SPANS[name][0], *SPANS[name][1])}
_POINTS: Final = tuple(point for point in POINTS if point.full_name in _SPANNED)


class Tally:
    """Follows a record (`colosim.trace.dispatch`), and is told when it is over.

    `warmup`: how many checkpoints are left out of the distributions, which are `kind`.
    """

    def __init__(self, warmup: int = 0, kind: Callable[[], Any] = Quantiles) -> None:
        self._warmup = warmup
        names = (*SPANS, WIRE_BYTES, *HOLDS.values(), *_DEAF.values(), DEAF)
        self._quantiles: dict[str, Quantiles] = {name: kind() for name in names}
        self._batches: dict[str, list[int]] = {name: [] for name in names}
        self.outcomes = {COMMITTED: 0, ABORTED: 0}
        """How many checkpoints have ended so."""
        self.wire_bytes = 0
        """What the primary has sent."""
        self.deaf_ns = dict.fromkeys(OTHER, 0)
        """The longest time in which no command could be served, for somebody had the lock."""
        self.deaf_open = dict.fromkeys(OTHER, False)
        """Whether that lasts to the end of the run."""
        # Of the checkpoint under way.
        self._inside = False
        self._sent_before_bytes = 0
        self._points: dict[str, int] = {}
        self._after: set[Event] = set()
        self._longest: dict[str, int] = {}
        self._number = 0
        # The pause under way: since when, and of which checkpoint.
        self._stopped_ns = -1
        self._stopped_in = 0
        self.first_pause_ns: int | None = None
        """The pause of the first checkpoint, None if it is not over."""
        self._taken_over = False
        # Since when a side's lock is held, and for what; since when its process is frozen.
        self._held: dict[str, tuple[int, Purpose] | None] = dict.fromkeys(OTHER)
        self._frozen_ns: dict[str, int] = {}

    def finish(self, end_ns: int) -> None:
        """Count holds that are open at the end: up to there, or to where its process froze."""
        deaf: list[int] = []
        for side, hold in self._held.items():
            if hold is not None:
                since_ns, purpose = hold
                held_ns = self._frozen_ns.get(side, end_ns) - since_ns
                if purpose is not Purpose.MONITOR:
                    open_ = side not in self._frozen_ns
                    self.deaf_open[side] = open_ and held_ns >= self.deaf_ns[side]
                    self.deaf_ns[side] = larger(held_ns, self.deaf_ns[side])
                    self._count(_DEAF[side], held_ns)
                    deaf.append(held_ns)
                if purpose.moves_state:
                    self._count(HOLDS[side], held_ns)
        if deaf:
            self._count(DEAF, reduce(larger, deaf))
        if self._stopped_ns >= 0:
            self._resume(self._frozen_ns.get(PRIMARY, end_ns), 0)

    def deaf(self, survivor: str | None) -> Quantiles:
        """Return how the longest time of a checkpoint without a monitor is distributed.

        The survivor's monitor, or either's if both live.
        """
        return self.distribution(DEAF if survivor is None else _DEAF[survivor])

    def distribution(self, name: str) -> Quantiles:
        """Return how a quantity of committed checkpoints after the warm-up is distributed."""
        quantiles, batch = self._quantiles[name], self._batches[name]
        quantiles.add(batch)
        batch.clear()
        return quantiles

    # ---- what is done with an event ------------------------------------------------------------

    def on(self, event: Event) -> list[Handler]:
        """Return what is done with an event."""
        found: list[Handler] = [self._begin] if event == REQUEST else []
        if is_sent(event):
            found.append(self._send)
        if event == TAKES_OVER:
            found.append(self._take_over)
        for point in _POINTS:
            if event in point.events:
                found.append(self._reach(point.full_name, point.after))
            if event == point.after:
                found.append(lambda _at_ns, _value: self._after.add(event))
        handler = self._of_type(event)
        return found if handler is None else [*found, handler]

    def _of_type(self, event: Event) -> Handler | None:
        match event:
            case LockGot(side, _, purpose):
                return self._take(side, purpose)
            case LockReleased(side, _, purpose):
                return self._release(side, purpose)
            case ProcessChanged(side, state):
                return lambda at_ns, _: self._process_is(side, state, at_ns)
            case GuestStopped("primary"):
                return self._stop
            case GuestRunning("primary"):
                return self._resume
            case CheckpointEnded(outcome):
                return lambda _, number: self._end(outcome, number)
        return None

    def _begin(self, _at_ns: int, _value: int) -> None:
        """Begin a checkpoint; one that did not end is forgotten."""
        self._inside = True
        self._sent_before_bytes = self.wire_bytes
        self._points.clear()
        self._after.clear()
        self._longest.clear()

    def _send(self, _at_ns: int, value: int) -> None:
        self.wire_bytes += value

    def _reach(self, point: str, after: Event | None) -> Handler:
        points, seen = self._points, self._after

        def reach(at_ns: int, _value: int) -> None:
            if point not in points and (after is None or after in seen):
                points[point] = at_ns

        return reach

    def _take_over(self, _at_ns: int, _value: int) -> None:
        self._taken_over = True

    def _stop(self, at_ns: int, _value: int) -> None:
        if not self._taken_over:
            self._stopped_ns, self._stopped_in = at_ns, self._number

    def _resume(self, at_ns: int, _value: int) -> None:
        if self._stopped_ns >= 0:
            if not self._stopped_in:
                self.first_pause_ns = at_ns - self._stopped_ns
            if self._stopped_in >= self._warmup:
                self._count(PAUSE, at_ns - self._stopped_ns)
            self._stopped_ns = -1

    def _take(self, side: str, purpose: Purpose) -> Handler:
        held = self._held

        def take(at_ns: int, _value: int) -> None:
            held[side] = (at_ns, purpose)

        return take

    def _release(self, side: str, purpose: Purpose) -> Handler:
        held, deaf_ns, longest = self._held, self.deaf_ns, self._longest
        hears, counts = purpose is Purpose.MONITOR, purpose.moves_state
        name, deaf = HOLDS[side], _DEAF[side]

        def release(_at_ns: int, held_ns: int) -> None:
            held[side] = None
            if not hears:
                deaf_ns[side] = larger(held_ns, deaf_ns[side])
                longest[deaf] = larger(held_ns, longest.get(deaf, -1))
            if counts:
                longest[name] = larger(held_ns, longest.get(name, -1))

        return release

    def _process_is(self, side: str, state: str, at_ns: int) -> None:
        if state == "frozen":
            self._frozen_ns[side] = at_ns
        elif state == "thawed":
            del self._frozen_ns[side]

    def _end(self, outcome: str, number: int) -> None:
        self.outcomes[outcome] += 1
        self._number = number + 1
        if self._inside and outcome == COMMITTED and number >= self._warmup:
            for name in _OF_COMMITTED:
                self._count(name, span(name, self._points))
            self._count(WIRE_BYTES, self.wire_bytes - self._sent_before_bytes)
            for name in HOLDS.values():
                self._count(name, self._longest.get(name))
            deaf = {name: self._longest.get(name, 0) for name in _DEAF.values()}
            for name, longest_ns in deaf.items():
                self._count(name, longest_ns)
            self._count(DEAF, larger(*deaf.values()))
        self._inside = False

    def _count(self, name: str, value: int | None) -> None:
        if value is not None:
            batch = self._batches[name]
            batch.append(value)
            if len(batch) >= _BATCH:
                self.distribution(name)
