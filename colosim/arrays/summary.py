"""What the record of a pair says at each point: the keys of a summary, a column each.

The quantities of checkpoints are tallied as those of a simulation are, once what both sides have
done is in the order of time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from colosim.arrays.column import Diverged, Refused, plain, some
from colosim.arrays.direction import TIE
from colosim.engine.clock import PPM, agreed
from colosim.runs.tally import DEAF, Tally
from colosim.trace.dispatch import Dispatcher
from colosim.trace.events import (
    SECONDARY,
    CheckpointEnded,
    GuestRunning,
    GuestStopped,
    LockGot,
    LockReleased,
    MemoryLevel,
)
from colosim.trace.quantities import HOLDS, REQUEST, SPANS, WIRE_BYTES
from colosim.trace.record import code_of, event_of

if TYPE_CHECKING:
    from colosim.arrays.column import Ints
    from colosim.arrays.pair import Pair
    from colosim.trace.events import Event

    Handler = Callable[[Any, Any], None]

_BEGINS: Final = code_of(REQUEST)
_NAMES: Final = {
    **{name: name for name in SPANS},
    **{of: f"lock_hold_ns.{side}" for side, of in HOLDS.items()},
    WIRE_BYTES: "wire_bytes_per_checkpoint",
    DEAF: DEAF,
}
"""How a summary calls a quantity."""
NONE: Final = -1
"""Stands for no value, at points that have none of a quantity."""


class Values:
    """The distribution of one quantity at each point, as `colosim.runs.statistics.Quantiles`."""

    def __init__(self) -> None:
        self._values: list[Any] = []

    def add(self, values: Sequence[Any]) -> None:
        """Take values."""
        self._values += values

    def summary(self) -> dict[str, Any]:
        """Return count, mean, p50, p90, p99 and max."""
        count = len(self._values)
        if not count:
            return dict.fromkeys(("count", "mean", "p50", "p90", "p99", "max"), 0)
        ordered = np.empty((count, max(map(np.size, self._values))), np.int64)
        for row, values in zip(ordered, self._values, strict=True):
            row[:] = values
        ordered.sort(axis=0)
        absent: Any = np.int64(0)
        which: tuple[Ints, ...] = ()
        if some(ordered[0] == NONE):
            absent, which = (ordered == NONE).sum(axis=0), (np.arange(ordered.shape[1]),)
            ordered = np.maximum(ordered, 0)
        known = count - absent
        ranks = {f"p{percent}": -(-known * percent // 100) - 1 for percent in (50, 90, 99)}
        return {
            "count": known,
            "mean": (2 * ordered.sum(axis=0) + known) // np.maximum(2 * known, 1),
            **{name: ordered[(absent + rank, *which)] for name, rank in ranks.items()},
            "max": ordered[-1],
        }


class Summary:
    """The summary of a pair that has run.

    :raises Refused: if a checkpoint has not one request and one pause.
    :raises Diverged: where the sides have not done things in one order.
    """

    def __init__(self, pair: Pair, warmup: int) -> None:
        self._pair = pair
        self._tally = Tally(max(warmup, pair.starts_apart), Values)
        self._peaks: dict[str, Any] = {}
        self._stops: list[Ints] = []
        self._runs: list[Ints] = []
        Dispatcher(self._tally.on, self._on).feed(self._in_order(pair.record.pending))
        if len(self._stops) != pair.checkpoints or len(self._runs) != pair.checkpoints + 1:
            raise Refused("a checkpoint without one request and one pause")
        end: Any = pair.ends[-1]
        self._tally.finish(end)
        if any(self._tally.deaf_open.values()):
            raise Refused("a monitor that is deaf at the end")
        self.deaf_ns = {side: plain(longest) for side, longest in self._tally.deaf_ns.items()}
        """How long the monitor of each side was deaf at most."""

    def _in_order(self, record: Sequence[Any]) -> list[Any]:
        """Return the record up to the end; what the secondary does where a checkpoint has it."""
        events = {code: event_of(code) for code in dict.fromkeys(record[1::3])}
        ends = [code for code, event in events.items() if isinstance(event, CheckpointEnded)]
        waits = {
            code: isinstance(event, LockGot | LockReleased)
            for code, event in events.items()
            if getattr(event, "side", "") == SECONDARY and self._tally.on(event)
        }
        rows = list(zip(record[::3], record[1::3], record[2::3], strict=True))
        later = deque(row for row in rows if row[1] in waits)
        holds = [code for code, is_hold in waits.items() if is_hold]
        ordered: list[Any] = []
        ended = 0
        for row in rows:
            code = row[1]
            ended += code in ends
            is_last = ended == self._pair.checkpoints
            if code in ends or code == _BEGINS:
                self._catch_up(ordered, later, plain(row[0]), [] if is_last else holds)
            if code not in waits:
                ordered += row
            if is_last:
                break
        return ordered

    def _catch_up(
        self, ordered: list[Any], later: deque[Any], at: Any, holds: Sequence[int]
    ) -> None:
        """Put what the secondary has done by then behind what there is.

        Of `holds`, got or released, one counts in the checkpoint in which it is released: points
        at which that is not yet so have `NONE` for now, the others later.
        """
        rest: list[Any] = []
        while later:
            its, code, value = later.popleft()
            before = agreed(plain(its) <= at)
            if before is False:
                rest.append((its, code, value))
                break
            self._pair.env.refuse(plain(its) == at, TIE)
            if before is not True:
                if code not in holds:
                    raise Diverged(before)
                rest.append((its, code, np.where(before, NONE, value)))
                value = np.where(before, value, NONE)
            ordered += its, code, value
        later.extendleft(reversed(rest))

    def _on(self, event: Event) -> list[Handler]:
        """Return what is done with an event, beside the tally."""
        match event:
            case GuestStopped("primary"):
                return [lambda at, _: self._stops.append(plain(at))]
            case GuestRunning("primary"):
                return [lambda at, _: self._runs.append(plain(at))]
            case MemoryLevel(side, account):
                return [partial(self._grow, f"memory_peak_bytes.{side}.{account}")]
        return []

    def _grow(self, account: str, _at: Any, level: Any) -> None:
        self._peaks[account] = np.maximum(self._peaks.get(account, 0), level)

    def keys(self) -> Iterator[tuple[str, Any]]:
        """Yield what a summary says of a run without faults, in whole numbers."""
        tally, end = self._tally, plain(self._pair.ends[-1])
        if self._pair.starts_apart:
            yield "start_pause_ns", tally.first_pause_ns
        for of, name in _NAMES.items():
            for statistic, values in tally.distribution(of).summary().items():
                yield f"{name}.{statistic}", values
        stopped = [ran - stop for stop, ran in zip(self._stops, self._runs[1:], strict=True)]
        yield "checkpoints.completed", self._pair.checkpoints
        yield "checkpoints.aborted", 0
        yield "wire_bytes", tally.wire_bytes + self._pair.sent_at_end
        yield "end_ns", end
        yield "guest_stopped_ns_longest", np.max(stopped, axis=0)
        ran = (end - sum(stopped)).astype(object)  # in millionths beyond 63 bits after 2.5 hours
        yield "guest_running_share", (ran * PPM // np.maximum(end, 1)).astype(np.int64)
        yield "monitor_deaf_ns_longest", np.maximum(*self.deaf_ns.values())
        yield from self._peaks.items()
