"""Where two runs part: the first event that differs, with its neighbours."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, zip_longest
from os import PathLike
from typing import TYPE_CHECKING

from colosim.runs.run import Run
from colosim.runs.stored import read_run
from colosim.trace.events import WaitBegan, WaitEnded

if TYPE_CHECKING:
    from colosim.trace.events import Event

    Timed = tuple[int, Event, int]

NEIGHBOURS = 3
"""How many events before and behind the first differing one are shown."""


def event_line(event: Timed) -> str:
    """Return an event as a line: time, name, value."""
    at_ns, what, value = event
    return f"{at_ns:>19,} ns  {what}  {value:,}" if value else f"{at_ns:>19,} ns  {what}"


@dataclass(frozen=True, slots=True)
class Difference:
    """The first difference of two event records.

    `index` counts events from 0; `before` are the last common ones; `left` and `right` begin with
    the differing event and go on with what follows it on that side (empty: the record has ended).
    """

    index: int
    before: tuple[Timed, ...]
    left: tuple[Timed, ...]
    right: tuple[Timed, ...]

    def __str__(self) -> str:
        """Return it as a unified diff does: common, ``-`` left, ``+`` right."""
        lines = [f"the first difference is event {self.index}:"]
        lines += [f"  {event_line(event)}" for event in self.before]
        for sign, events in (("-", self.left), ("+", self.right)):
            lines += [f"{sign} {event_line(event)}" for event in events] or [
                f"{sign} (no more events)"
            ]
        return "\n".join(lines)


def first_difference(left: Iterable[Timed], right: Iterable[Timed]) -> Difference | None:
    """Return where two event records part, None if they are the same."""
    before: deque[Timed] = deque(maxlen=NEIGHBOURS)
    pairs = zip_longest(left, right)
    for index, (one, other) in enumerate(pairs):
        if one != other or one is None or other is None:
            after = [(one, other), *islice(pairs, NEIGHBOURS)]
            return Difference(
                index,
                tuple(before),
                tuple(pair[0] for pair in after if pair[0] is not None),
                tuple(pair[1] for pair in after if pair[1] is not None),
            )
        before.append(one)
    return None


def diff(left: Run | str | PathLike[str], right: Run | str | PathLike[str]) -> Difference | None:
    """Compare two runs, or the runs in two directories, event by event; None: no difference.

    Where their digests are of different formats, the waits that one of them has not are left out.

    :raises RunDirectoryError: if a directory is no run directory or has no events.
    :raises NoTablesError: if a run's events were not kept.
    """
    one, other = (part if isinstance(part, Run) else read_run(part) for part in (left, right))
    if one.digest_format == other.digest_format:
        return first_difference(one.iter_events(), other.iter_events())
    return first_difference(_without_waits(one), _without_waits(other))


def _without_waits(run: Run) -> Iterator[Timed]:
    return (timed for timed in run.iter_events() if not isinstance(timed[1], WaitBegan | WaitEnded))
