"""What let a COLO thread go on that waited for its peer, read from the events of a run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from colosim.analysis.wait_for import follow_waits
from colosim.host.failover import COMMAND
from colosim.runs.verdict import COMPLETED, NOT_APPLICABLE
from colosim.trace import events as ev
from colosim.trace.events import CHECKPOINT_TIMER, COMMITTED, OTHER, PRIMARY, SECONDARY
from colosim.trace.steps import CHECKPOINT_THREAD, INCOMING_THREAD

if TYPE_CHECKING:
    from colosim.analysis.wait_for import Waits
    from colosim.runs.verdict import Judgement
    from colosim.trace.record import Timed

THAW, HEAL = "thaw", "heal"
RESET, YANKED, SHUT_DOWN = "connection reset", "yanked", "shut down"
_WORDS = {
    THAW: THAW,
    HEAL: HEAL,
    RESET: "reset",
    "connection timed out": "TCP gives up",
    "send timed out": "send timeout",
    YANKED: "yank",
}
"""What an exploration calls what ended a wait."""


class Ending(NamedTuple):
    """What let a COLO thread go on: a `THAW`, a `HEAL`, or the error with which its call failed.

    `waited`: it had begun to wait for its peer before; `where`: what a heal has healed.
    """

    at_ns: int
    why: str
    waited: bool = True
    where: str = ""


class Served(NamedTuple):
    """When the failover command was sent to a side, and when its monitor served it."""

    sent_ns: int
    served_ns: int


class _Colo(NamedTuple):
    """A side's COLO thread, and the peer for which it waits."""

    side: str
    thread: str
    peer: str


def endings(events: Iterable[Timed], side: str) -> Iterator[Ending]:  # noqa: C901 - a case for each
    """Yield what let the COLO thread of `side` go on, until it leaves COLO.

    It was let go on by a link that carries again, or a thaw of its peer, if it waited for its peer
    then and its wait does not end otherwise; a reset comes of what they let through.  Of a peer
    that sleeps, or itself waits for a message, the record does not tell whether it was held up.
    """
    colo = _Colo(side, CHECKPOINT_THREAD if side == PRIMARY else INCOMING_THREAD, OTHER[side])
    waits: Waits = {}
    kept: list[Ending] = []
    silent: set[str] = set()
    stream = ""
    for at_ns, event, _ in events:
        wait = waits.get((side, colo.thread))
        for_peer = wait is not None and not wait.on_lock and wait.step != CHECKPOINT_TIMER
        match event:
            case ev.ColoExit(colo.side):
                return
            case ev.StreamBegan(colo.side, step):
                stream = step
            case ev.WaitEnded(colo.side, colo.thread):
                yield from kept
                kept = []
            case ev.CallFailed(colo.side, _, why):
                if why == RESET:
                    yield from kept
                kept = []
                waited = wait is not None and for_peer and wait.since_ns < at_ns
                yield Ending(at_ns, why, waited=waited)
            case ev.ProcessChanged(colo.peer, "thawed") if for_peer:
                kept.append(Ending(at_ns, THAW))
            case ev.FaultStruck("vanish", where):
                silent.add(where)
            case ev.FaultEnded(where):
                # What is only slow keeps nobody but who sends much.
                sends = wait is not None and wait.step == stream
                if for_peer and (where in silent or sends):
                    kept.append(Ending(at_ns, HEAL, where=where))
                silent.discard(where)
        follow_waits(waits, at_ns, event)


def served(marks: Iterable[Timed], side: str) -> Served | None:
    """Return the failover command that `side` was the first to serve, None if it served none."""
    command = ev.CommandServed(side, COMMAND)
    times = ((at_ns, waited_ns) for at_ns, event, waited_ns in marks if event == command)
    return next((Served(at_ns - waited_ns, at_ns) for at_ns, waited_ns in times), None)


def freed_before(events: Collection[Timed], side: str, command: Served) -> Ending | None:
    """Return what let `side`'s COLO thread go on before its command was served, since a commit.

    That is how its connection failed first, or, while the command waited, its peer that went on or
    the link that came back.
    """
    committed = ev.CheckpointEnded(COMMITTED)
    commits = [at for at, event, _ in events if event == committed and at <= command.served_ns]
    found: Ending | None = None
    for one in endings(events, side):
        if not max(commits, default=-1) < one.at_ns <= command.served_ns:
            continue
        if one.why not in {THAW, HEAL, SHUT_DOWN}:
            return one
        if one.why != SHUT_DOWN and command.sent_ns <= one.at_ns < command.served_ns:
            found = one
    return found


def freed_by(events: Collection[Timed], judgement: Judgement) -> str | None:
    """Return what let the survivor take over, or the pair go on, in the order in which it came.

    Only what ended a wait of a COLO thread for its peer counts: a thaw, a heal, a send timeout, TCP
    giving up, a reset, a yank.  Then the command that the survivor served; before it ``end of the
    hold`` if it waited for the lock and nothing else ended that.  None if nobody took over, nor
    went on because of any of it.
    """
    side = judgement.survivor
    if judgement.verdict == COMPLETED:
        both = {one for side in (PRIMARY, SECONDARY) for one in endings(events, side)}
        return _in_words(one.why for one in sorted(both) if one.why in {THAW, HEAL})
    if judgement.verdict == NOT_APPLICABLE or side is None:
        return None
    command = served(events, side)
    if command is None or not any(event == ev.ServesAlone(side) for _, event, _ in events):
        return None
    ends = [one for one in endings(events, side) if one.waited and one.why in _WORDS]
    before = [one for one in ends if one.at_ns <= command.served_ns]
    words = [one.why for one in before]
    held = command.served_ns > command.sent_ns
    if held and not any(one.at_ns >= command.sent_ns for one in before):
        words.append("end of the hold")
    return _in_words([*words, COMMAND, *(one.why for one in ends[len(before) :])])


def _in_words(whys: Iterable[str]) -> str | None:
    return ", ".join(dict.fromkeys(_WORDS.get(why, why) for why in whys)) or None
