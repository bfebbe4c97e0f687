"""Whose log it is: the primary's, the secondary's, or both in one file.

A message has a direction, so each one sent or received is a vote for a side.  One vote against many
is a message on the wrong side, which the check against the protocol reports; many on both sides are
two processes that write to one file, told apart by their threads.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from colosim.errors import LogError
from colosim.measured.log import (
    BitmapSync,
    CacheFlush,
    MessageReceived,
    MessageSent,
    MigrationState,
    RamLoaded,
    RunState,
)

if TYPE_CHECKING:
    from colosim.measured.log import Log, LogEvent

__all__ = ["PRIMARY", "SECONDARY", "sides"]

PRIMARY, SECONDARY = "primary", "secondary"

_FROM_PRIMARY = {"checkpoint-request", "vmstate-send", "vmstate-size", "guest-shutdown"}
_FROM_SECONDARY = {"checkpoint-ready", "checkpoint-reply", "vmstate-received", "vmstate-loaded"}
_BOTH_LEAST = 4
"""Fewer messages than this of one side do not make a second side."""
_BOTH_SHARE = 4
"""One message in so many must be of the other side to make it one."""


def _vote(event: LogEvent) -> str | None:
    """Return the side that a message was sent or received by, None for other events."""
    if not isinstance(event, MessageSent | MessageReceived):
        return None
    sent = isinstance(event, MessageSent)
    if event.message in _FROM_PRIMARY:
        return PRIMARY if sent else SECONDARY
    if event.message in _FROM_SECONDARY:
        return SECONDARY if sent else PRIMARY
    return None


def _hint(event: LogEvent) -> str | None:
    """Return the only side on which an event that is no message happens."""
    if isinstance(event, BitmapSync):
        return PRIMARY
    if isinstance(event, CacheFlush | RamLoaded):
        return SECONDARY
    if isinstance(event, MigrationState) and event.state == "setup":
        return PRIMARY
    if isinstance(event, RunState) and event.old == "inmigrate":
        return SECONDARY
    return None


def sides(log: Log) -> list[tuple[str, tuple[LogEvent, ...]]]:
    """Return the sides that a log has, each with its events in order.

    Of two sides in one file, events of a thread that shows no side are left out.

    :raises LogError: if nothing in it shows a side.
    """
    votes = Counter(side for event in log.events if (side := _vote(event)) is not None)
    if not votes:
        votes = Counter(side for event in log.events if (side := _hint(event)) is not None)
    if not votes:
        raise LogError(
            f"{log.source}: it has COLO events, but none that shows whether the primary or the "
            "secondary wrote it"
        )
    side, most = max(votes.items(), key=lambda item: (item[1], item[0]))
    other = votes.total() - most
    if other >= _BOTH_LEAST and other * _BOTH_SHARE >= votes.total():
        of = _by_thread(log)
        found = [
            (one, tuple(event for event in log.events if of(event) == one))
            for one in (PRIMARY, SECONDARY)
        ]
        if all(events for _, events in found):
            return found
    return [(side, log.events)]


def _by_thread(log: Log) -> _OfThread:
    by_thread: dict[int, Counter[str]] = {}
    for event in log.events:
        side = _vote(event) or _hint(event)
        if event.thread is not None and side is not None:
            # A message says more than a hint: a thread that speaks is known by its messages.
            by_thread.setdefault(event.thread, Counter())[side] += 8 if _vote(event) else 1
    return _OfThread(
        {thread: max(votes, key=lambda one: votes[one]) for thread, votes in by_thread.items()}
    )


class _OfThread:
    """Says to which side an event belongs: by its thread, or without one by itself."""

    def __init__(self, side_of: dict[int, str]) -> None:
        self._side_of = side_of

    def __call__(self, event: LogEvent) -> str | None:
        if event.thread is None:
            return _vote(event) or _hint(event)
        return self._side_of.get(event.thread)
