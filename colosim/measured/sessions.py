"""Whose logs these are: files of a real run, the COLO sessions in each, and the sides of a session.

A log may be of one side, or of two processes that write to one file; it may be gzipped; it may be
what a monitor said, beside a trace or alone; and after a failover a process may enter COLO again,
perhaps in the other role.  Each session is a run.

A message has a direction, so each one sent or received is a vote for a side.  One vote against many
is a message on the wrong side, which the check against the protocol reports; many on both sides are
two processes, told apart by their threads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Final

from colosim.errors import LogError
from colosim.measured import log, qmp
from colosim.measured.events import READY, of_trace
from colosim.measured.lines import opened
from colosim.measured.monitors import named_side, with_monitors
from colosim.measured.stage_log import of_stages, parse_stages, side_of, streams_ram
from colosim.measured.whose import MESSAGES, hint, vote
from colosim.trace.events import PRIMARY, SECONDARY

if TYPE_CHECKING:
    from colosim.measured.events import History
    from colosim.measured.log import Log, LogEvent

    Session = list[History]
    """The histories of one session, at most one a side, the primary's first."""

_SIDES: Final = (PRIMARY, SECONDARY)
_BOTH_LEAST: Final = 4
"""Fewer messages than this of one side do not make a second side."""
_BOTH_SHARE: Final = 4
"""One message in so many must be of the other side to make it one."""
_LOGS_MAX: Final = 4
"""A trace of each side, and its monitor's events."""


def log_files(folder: Path) -> list[Path]:
    """Return the logs of a lab run folder, the primary's first.

    :raises LogError: if it has none.
    """
    found = [
        folder / f"{side}.log{ending}"
        for side in _SIDES
        for ending in (".gz", "")
        if (folder / f"{side}.log{ending}").is_file()
    ]
    if not found:
        raise LogError(f"{folder}: no primary.log or secondary.log in it (.gz or not)")
    return found


def sessions(paths: Sequence[str | PathLike[str]]) -> list[Session]:
    """Return the COLO sessions of the logs of one pair, in their order.

    :raises LogError: if a log cannot be read, has no COLO event, shows no side, if two are of one
        side, or if it is not told which sessions of them belong together.
    """
    if len(paths) > _LOGS_MAX:
        raise LogError(
            f"{len(paths)} logs are given; a run has one log a side, and one of its monitor"
        )
    of_logs: list[list[Session]] = []
    with ExitStack() as files:
        texts = [(str(path), files.enter_context(opened(Path(path)))) for path in paths]
        staged = [parse_stages(lines, source) for source, lines in texts]
        split = any(map(streams_ram, staged))
        traced = []
        for (source, lines), stages in zip(texts, staged, strict=True):
            side = side_of(stages)
            if side is None:
                traced.append(log.parse(lines, source))
            else:
                of_logs.append([[of_stages(stages, side, split=split)]])
    of_logs += map(sessions_of, with_monitors(traced))
    if len(of_logs) > len(_SIDES):
        sources = ", ".join(own[0][0].log.source for own in of_logs)
        raise LogError(f"{sources}: no two of these are of one QEMU by their times; a run has two")
    return of_logs[0] if len(of_logs) == 1 else _together(*of_logs)


# ---- sessions of two logs ------------------------------------------------------------------------


def _together(one: list[Session], other: list[Session]) -> list[Session]:
    """Return the sessions of two logs; those that one of them does not have stand alone."""
    fewer, more = sorted((one, other), key=len)
    first, last = _places(fewer, more), _places(fewer[::-1], more[::-1])
    if first is None and len(more) == 1:
        raise LogError(
            f"{one[0][0].log.source} and {other[0][0].log.source} are both of the "
            f"{one[0][0].side}; a run has one log a side"
        )
    if first is None or last is None or first != [len(more) - 1 - place for place in last[::-1]]:
        counts = " and ".join(
            f"{sessions[0][0].log.source} has {len(sessions)} COLO sessions"
            for sessions in (one, other)
        )
        raise LogError(f"{counts}, and which belong together is not told: give the logs one by one")
    peers = dict(zip(first, fewer, strict=True))
    return [
        sorted([*session, *peers.get(place, [])], key=lambda history: history.side)
        for place, session in enumerate(more)
    ]


def _places(fewer: list[Session], more: list[Session]) -> list[int] | None:
    """Return where sessions have their peers, each as early as it can; None if one has none."""
    places: list[int] = []
    for session in fewer:
        sides = {history.side for history in session}
        begin = places[-1] + 1 if places else 0
        fits = (
            place
            for place in range(begin, len(more))
            if sides.isdisjoint(history.side for history in more[place])
        )
        place = next(fits, None)
        if place is None:
            return None
        places.append(place)
    return places


# ---- sessions and sides of one log ---------------------------------------------------------------


def sessions_of(whole: Log) -> list[Session]:
    """Return the sessions of a trace log, each with its sides.

    :raises LogError: if nothing in it shows a side.
    """
    return [
        [of_trace(whole, side, own) for side, own in _sides(whole.source, events)]
        for events in _cut(whole.events)
    ]


def _cut(events: Sequence[LogEvent]) -> Iterator[Sequence[LogEvent]]:
    """Yield each session's events: one message of each is CHECKPOINT_READY, the first.

    What of the next migration stands before it, its set-up, is of the session that it leads to.
    A monitor alone tells of a new one by its set-up, after COLO was left.
    """
    begin = 0
    spoken, setup = False, None
    alone = log.of_monitor(events)
    for place, event in enumerate(events):
        if alone and spoken and event.words == ("setup",):
            yield events[begin:place]
            begin, spoken = place, False
        elif alone:
            spoken = spoken or event.name == qmp.COLO_EXIT
        elif event.words == (READY,):
            if spoken:
                cut = place if setup is None else setup
                yield events[begin:cut]
                begin, spoken = cut, False
        elif event.name in MESSAGES:
            spoken, setup = True, None
        elif setup is None and event.words == ("setup",):
            setup = place
    yield events[begin:]


def _sides(source: str, events: Sequence[LogEvent]) -> list[tuple[str, Sequence[LogEvent]]]:
    """Return the sides that a session's events are of, each with its own in order.

    Of two sides in one file, events of a thread that shows no side are left out.
    """
    votes = Counter(side for event in events if (side := vote(event)) is not None)
    if not votes:
        votes = Counter(side for event in events if (side := hint(event)) is not None)
    if not votes and (named := named_side(source)):
        return [(named, events)]
    if not votes:
        raise LogError(
            f"{source}: it has COLO events, but none that shows whether the primary or the "
            "secondary wrote it; give the file a name with that word in it"
        )
    side, most = max(votes.items(), key=lambda item: (item[1], item[0]))
    other = votes.total() - most
    if other >= _BOTH_LEAST and other * _BOTH_SHARE >= votes.total():
        side_of_thread = _threads(events)
        found = {one: log.log_events() for one in _SIDES}
        for event in events:
            if event.thread is None:
                own = vote(event) or hint(event)
            else:
                own = side_of_thread.get(event.thread)
            if own is not None:
                found[own].append(event)
        if all(found.values()):
            return list(found.items())
    return [(side, events)]


def _threads(events: Sequence[LogEvent]) -> dict[int, str]:
    """Return of which side each thread is."""
    by_thread: dict[int, Counter[str]] = {}
    for event in events:
        side = vote(event) or hint(event)
        if event.thread is not None and side is not None:
            # A message says more than a hint: a thread that speaks is known by its messages.
            by_thread.setdefault(event.thread, Counter())[side] += 8 if vote(event) else 1
    return {thread: max(votes, key=lambda one: votes[one]) for thread, votes in by_thread.items()}
