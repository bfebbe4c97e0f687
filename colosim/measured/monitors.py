"""A monitor's events beside traces: whose they are, and the two as one log.

A monitor's event and a trace of one QEMU are stamped by one clock.  So a monitor is of the side
whose guest it stops where the trace says that COLO does: on the primary after CHECKPOINT_REPLY was
read, on the secondary after CHECKPOINT_REQUEST.
"""

from __future__ import annotations

from bisect import bisect
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from colosim.errors import LogError
from colosim.measured import qmp
from colosim.measured.events import REQUEST
from colosim.measured.log import Log, LogEvent, log_events, of_monitor
from colosim.measured.whose import MESSAGES, hint, vote
from colosim.trace.events import OTHER, PRIMARY, SECONDARY

_BEFORE_STOP: Final = {
    ("colo_receive_message", "CHECKPOINT_REPLY"): PRIMARY,
    ("colo_receive_message", REQUEST): SECONDARY,
}
_SHARE: Final = 2
"""One stop of a monitor in so many must be where the trace stops the guest."""


def with_monitors(logs: Sequence[Log]) -> list[Log]:
    """Return logs in which the events of each monitor stand in the trace of its QEMU.

    A monitor whose trace is not given stays a log of its own.

    :raises LogError: if two monitors are of one trace, or one is of a trace's side but not of its
        run.
    """
    traces = [log for log in logs if not of_monitor(log.events)]
    alone = []
    for monitor in (log for log in logs if of_monitor(log.events)):
        place = next((k for k, trace in enumerate(traces) if _is_of(monitor, trace)), None)
        if place is None:
            told = _told_side(monitor)
            peer = next((one for one in traces if told and _side_of(one) == told), None)
            if peer is not None:
                raise LogError(
                    f"{monitor.source}: it stops no guest where {peer.source} does; they are of "
                    "two runs, or of two clocks, or the trace has no times (-msg timestamp=on)"
                )
            alone.append(monitor)
            continue
        if other := traces[place].monitor:
            raise LogError(
                f"{other} and {monitor.source} are both of the monitor of {traces[place].source}"
            )
        traces[place] = replace(
            traces[place],
            events=log_events(_in_order(traces[place].events, monitor.events)),
            monitor=monitor.source,
        )
    return [*traces, *alone]


def named_side(source: str) -> str | None:
    """Return the side that a file's name has in it, None if it has none or both."""
    named = {side for side in OTHER if side in Path(source).name.lower()}
    return named.pop() if len(named) == 1 else None


def _told_side(monitor: Log) -> str | None:
    return next(filter(None, map(hint, monitor.events)), None) or named_side(monitor.source)


def _side_of(trace: Log) -> str | None:
    votes = Counter(filter(None, map(vote, trace.events)))
    return max(votes, key=lambda side: (votes[side], side), default=None)


def _is_of(monitor: Log, trace: Log) -> bool:
    side = _side_of(trace)
    stops = [event.time_ns for event in monitor.events if event.name == qmp.STOP]
    messages = [
        (event.time_ns, _BEFORE_STOP.get((event.name, event.words[0])))
        for event in trace.events
        if event.name in MESSAGES and event.time_ns is not None
    ]
    if not messages or not stops:
        return not stops and _told_side(monitor) == side
    times = [time_ns for time_ns, _ in messages]
    within = [at for at in stops if at is not None and times[0] <= at <= times[-1]]
    stopped = sum(messages[bisect(times, at) - 1][1] == side for at in within)
    return bool(within) and stopped * _SHARE >= len(within)


def _in_order(traced: Sequence[LogEvent], said: Sequence[LogEvent]) -> Iterator[LogEvent]:
    """Yield both by their times; what was said has the line of the traced event before it."""
    place, line = 0, 1
    for event in said:
        while place < len(traced) and _not_after(traced[place], event):
            line = traced[place].line
            yield traced[place]
            place += 1
        yield event._replace(line=line)
    for index in range(place, len(traced)):
        yield traced[index]


def _not_after(traced: LogEvent, said: LogEvent) -> bool:
    if said.time_ns is None:
        return False
    return traced.time_ns is None or traced.time_ns <= said.time_ns
