"""The guest on one host: whether it runs, since when, and which pages it dirties."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from math import isqrt
from typing import TYPE_CHECKING, Any

from colosim.engine.clock import each, smaller
from colosim.engine.streams import Streams
from colosim.host.write_rate import writes_of
from colosim.trace.events import GuestRunning, GuestStopped
from colosim.trace.record import code_of

if TYPE_CHECKING:
    from colosim.engine.environment import Environment
    from colosim.scenario.guest import Guest as GuestModel
    from colosim.trace.record import Record

_SCALE_BITS = 192
_UNIFORM = 12
"""How many uniform numbers have a sum of variance 1."""


def _kept(pages: int, writes: int, given: int) -> int:
    """Return the chance that all `given` pages of `pages` are missed, in 192-bit fixed point."""
    one = 1 << _SCALE_BITS
    kept, base, power = one, one - given * one // pages, writes
    while power:
        if power & 1:
            kept = kept * base >> _SCALE_BITS
        base = base * base >> _SCALE_BITS
        power >>= 1
    return kept


def occupied(pages: int, writes: int) -> int:
    """Return how many of `pages` at least one of `writes` uniformly random writes has hit.

    The expectation W (1 - (1 - 1/W)^writes), rounded to the nearest page, in 192-bit fixed
    point, so that no platform's `exp` decides about a page.
    """
    if pages <= 0:
        return 0
    one = 1 << _SCALE_BITS
    kept = _kept(pages, writes, 1)
    return min(pages, writes, (pages * (one - kept) + one // 2) >> _SCALE_BITS)


def drawn_occupied(pages: int, writes: int, raw: Iterator[int]) -> int:
    """Return one draw of how many of `pages` are hit by `writes` uniformly random writes.

    Of the normal distribution with the mean of `occupied` and the variance of the occupancy,
    W kept(1) (1 - W kept(1)) + W (W - 1) kept(2), where kept(k) is the chance that k given pages
    are all missed.  Its standard score is a sum of twelve uniform numbers (Irwin-Hall).
    """
    if pages <= 1 or writes <= 1:
        return min(pages, writes)
    one = 1 << _SCALE_BITS
    kept, both = _kept(pages, writes, 1), _kept(pages, writes, 2)
    missed = pages * kept
    variance = (missed * one - missed * missed + pages * (pages - 1) * both * one) >> _SCALE_BITS
    deviation = isqrt(max(0, variance) << _SCALE_BITS)
    score = sum(islice(raw, _UNIFORM)) - (_UNIFORM << 63)
    drawn = pages * one - missed + (deviation * score >> 64)
    return max(1, min(pages, writes, (drawn + one // 2) >> _SCALE_BITS))


def dirty_pages(
    model: GuestModel, streams: Streams, *, drawn: bool = False
) -> Callable[[int, int, int], int]:
    """Return the function (checkpoint, run time before, run time since, ns) -> dirty pages.

    A fixed number and measured values belong to the checkpoint's index, a write rate to the time
    that the guest ran.  A round-robin writer touches min(rate x time, working set) pages, a
    uniformly random one the expected occupancy, or if `drawn` one drawn for the checkpoint; hot
    and cold sets are separate.
    """
    dirty: Any = model.dirty
    kind = type(dirty).__name__
    if kind == "FixedDirty":
        fixed: int = dirty.pages
        return lambda _checkpoint, _before_ns, _run_ns: fixed
    if kind == "MeasuredDirty":
        values: tuple[int, ...] = dirty.measured_pages
        return lambda checkpoint, _before_ns, _run_ns: values[checkpoint % len(values)]
    parts = [
        (writes_of(load, streams, number), load.working_set_pages, load.pattern == "uniform")
        for number, load in enumerate(dirty.loads)
    ]

    def by_rate(checkpoint: int, before_ns: int, run_ns: int) -> int:
        total = 0
        for number, (written, pages, uniform) in enumerate(parts):
            writes = written(before_ns, run_ns)
            if uniform and drawn:
                raw = streams.endless(f"pages of set {number} in checkpoint {checkpoint}")
                total += drawn_occupied(pages, writes, raw)
            else:
                total += each(occupied, pages, writes) if uniform else smaller(writes, pages)
        return total

    return by_rate


class Guest:
    """The guest's run state on one side."""

    def __init__(self, side: str, env: Environment, record: Record, model: GuestModel) -> None:
        self.side = side
        self._env = env
        self._pending = record.pending
        self.dirty_after = dirty_pages(model, Streams(0))
        """By checkpoint, how long it had run before, and how long since."""
        self.running = False
        self.since_ns = 0
        self.ran_ns = self.ran_before_ns = 0
        """How long it ran last, until it was stopped, and before that."""
        self._code_run = code_of(GuestRunning(side))
        self._code_stop = code_of(GuestStopped(side))
        self.on_change: Callable[[], None] | None = None
        self.panicked = False
        self.powers_off = False
        """Whether it has asked for its end, which waits for the next checkpoint."""

    def dirtied(self, checkpoint: int) -> int:
        """Return how many pages are dirty at a checkpoint for which it was stopped."""
        return self.dirty_after(checkpoint, self.ran_before_ns, self.ran_ns)

    def run(self) -> None:
        """Let the vCPUs run, from now."""
        if self.running:
            return
        now = self._env.now
        self.running = True
        self.since_ns = now
        self.ran_before_ns = self.ran_before_ns + self.ran_ns  # a column is not changed in place
        self._pending.extend((now, self._code_run, 0))
        on_change = self.on_change
        if on_change is not None:
            on_change()

    def stop(self) -> None:
        """Stop the vCPUs, now."""
        if not self.running:
            return
        now = self._env.now
        self.running = False
        self.ran_ns = now - self.since_ns
        self.since_ns = now
        self._pending.extend((now, self._code_stop, self.ran_ns))
        on_change = self.on_change
        if on_change is not None:
            on_change()
