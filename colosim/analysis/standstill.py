"""A real run that stands still: where each side stands by its log, and what the model makes of it.

A log ends, or a checkpoint in it was never committed.  Of either side its last steps are known, and
from the protocol of the design what comes next and what that waits for.  The same stand is then
simulated with the peer frozen: for every design that has such a step, how it ends and what frees
the side that waits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from colosim.analysis.explain import explain
from colosim.analysis.timeline import Phrase, describe, duration, moment_of
from colosim.designs.registry import load_design, load_designs
from colosim.errors import LogError
from colosim.faults.functions import what_blocks
from colosim.host.failover import BY_COMMAND
from colosim.runs.simulation import protocol_of
from colosim.trace import events as ev
from colosim.trace.events import COMMITTED, PRIMARY, SECONDARY
from colosim.trace.steps import BITMAP_SYNC, CACHE_FLUSH, RAM_LOAD, START, STOP

if TYPE_CHECKING:
    from colosim.analysis.ways_out import Release
    from colosim.designs.design import Design
    from colosim.faults.steps import Step
    from colosim.runs.run import Run
    from colosim.scenario import Scenario
    from colosim.trace.record import Timed

_LAST: Final = 4
"""How many of a side's last steps are told."""
_CHECKPOINT: Final = 2
"""The simulated checkpoint in which the peer freezes."""
_ENDINGS = (
    ev.CommandServed,
    ev.FailoverChanged,
    ev.ColoExit,
    ev.MigrationChanged,
    ev.ServesAlone,
    ev.FunctionFailed,
    ev.OperatorSends,
)


@dataclass(frozen=True, slots=True)
class Stand:
    """Where one side stands: the time of its last step, and the step that it is in by the design.

    `or_in` are steps behind that one that the log cannot tell from it.  `waits_for` is as in
    ``colosim steps``, `lock` what it then holds the iothread lock for; both are the design's, no
    log shows them.  `last` are its last steps in words.
    """

    side: str
    since_ns: int
    stood_ns: int
    step: str
    or_in: tuple[str, ...]
    waits_for: str
    lock: str
    last: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a design ends if the peer freezes at that step: its verdict, and what frees who waits."""

    design: str
    verdict: str
    releases: tuple[Release, ...]

    def lines(self) -> Iterator[str]:
        """Yield the verdict, and each way out in words."""
        yield self.verdict
        for way in self.releases:
            yield f"{way.when}: {way.event}" + (f" ({way.effect})" if way.effect else "")


@dataclass(frozen=True, slots=True)
class Standstill:
    """What is said of a real run that stands still; `str()` is the text for people.

    `ended_by` is what the log shows behind it, empty if nothing; `simulated` says for the step
    ``at`` (of the primary, if it waits there, else of the secondary) how each design ends.
    """

    run: str
    design: str
    verdict: str
    checkpoint: int
    stands: tuple[Stand, ...]
    ended_by: tuple[str, ...]
    at: str
    simulated: tuple[Ending, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        """Return the text."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield f"{self.run}, a real run, taken for {self.design}: {self.verdict}"
        yield f"checkpoint {self.checkpoint} was not committed"
        for one in self.stands:
            yield ""
            yield f"{one.side}: its last step was at {moment_of(one.since_ns)}"
            yield from (f"  {line}" for line in one.last)
            stood = duration(one.stood_ns)
            steps = " or in ".join(f"'{step}'" for step in (one.step, *one.or_in))
            yield f"  then nothing for {stood}: by {self.design} it is in {steps}"
            waits = f"waits for {one.waits_for}" if one.waits_for else "waits for nobody"
            lock = f"with the iothread lock ({one.lock})" if one.lock else "without the lock"
            if self.at or not one.or_in:
                yield f"  there it {waits}, {lock}; no trace shows the lock"
            else:
                yield "  which of them, a trace would show: a monitor's events do not"
        if self.ended_by:
            yield ""
            yield "what the logs show then:"
            yield from (f"  {line}" for line in self.ended_by)
        if self.simulated:
            yield ""
            yield f"simulated, the other side frozen at '{self.at}':"
        alike: dict[tuple[str, ...], list[str]] = {}
        for ending in self.simulated:
            alike.setdefault(tuple(ending.lines()), []).append(ending.design)
        for (verdict, *ways), designs in alike.items():
            yield f"  {', '.join(designs)}: {verdict}"
            yield from (f"    {way}" for way in ways)


def standstill(run: Run) -> Standstill:
    """Say where a real run stands still, and how designs end that stand there.

    :raises LogError: if it is a simulated run, or its last checkpoint was committed.
    """
    if run.source is None:
        raise LogError(f"{run!r} is a simulated run: explain its scenario")
    events = list(run.iter_events())
    outcomes = run.checkpoints.outcome.tolist()
    if outcomes and outcomes[-1] == COMMITTED:
        raise LogError(
            f"{run.scenario.name}: its last checkpoint was committed, so nothing stands still; "
            "it ends with its log"
        )
    design = load_design(run.design)
    committed = outcomes.count(COMMITTED)
    end_ns = max((at_ns for at_ns, _, _ in events), default=0)
    stands, ended = [], []
    steps = protocol_of(design, run.scenario, checkpoint=1)
    spoken = bool(len(run.messages))
    for side in (PRIMARY, SECONDARY):
        own = [one for one in events if isinstance(one[1], ev.OnSide) and one[1].side == side]
        its = [step for step in steps if step.side == side]
        own = _from(own, committed, spoken=spoken)
        stand, after = _stand(side, own, its, end_ns, spoken=spoken)
        stands += [stand] if stand is not None else []
        ended += after
    ended.sort(key=lambda one: one[0])
    waiting = [one for one in stands if one.waits_for and spoken]
    at = f"{waiting[0].side}: {waiting[0].step}" if waiting else ""
    simulated = tuple(_simulated(run, waiting[0])) if waiting else ()
    return Standstill(
        run.scenario.name,
        run.design,
        run.verdict,
        committed,
        tuple(stands),
        tuple(_lines_of(ended)),
        at,
        simulated,
    )


def _stand(
    side: str, own: list[Timed], steps: list[Step], end_ns: int, *, spoken: bool
) -> tuple[Stand | None, list[Timed]]:
    """Return where a side stands in a checkpoint, and what its log shows behind that.

    None if the log shows none of its steps there.  `spoken`: the log shows messages.
    """
    names = [step.name for step in steps]
    taken: list[tuple[Timed, int]] = []
    after: list[Timed] = []
    for number, one in enumerate(own):
        if isinstance(one[1], _ENDINGS) or (taken and _begins(one[1])):
            after = own[number:]
            break
        at = taken[-1][1] + 1 if taken else 0
        name = _step_of(one[1])
        if name in names[at:]:
            taken.append((one, names.index(name, at)))
    if not taken:
        return None, after
    (since_ns, _, _), index = taken[-1]
    visible = _VISIBLE[side] if spoken else {START}
    ahead = steps[index + 1 :]
    gap = []
    for step in ahead:
        gap.append(step)
        if step.name in visible or (spoken and step.name.isupper()):
            break
    blocking = [step for step in gap if step.blocks] or gap[:1] or [steps[index]]
    blocked, *others = blocking
    until_ns = after[0][0] if after else end_ns
    last = tuple(_lines_of([one for one, _ in taken[-_LAST:]], named=False))
    waits = what_blocks(blocked)
    stand = Stand(
        side=side,
        since_ns=since_ns,
        stood_ns=until_ns - since_ns,
        step=blocked.name,
        or_in=tuple(step.name for step in others),
        waits_for=_WAITS.get(waits, ""),
        lock=blocked.lock,
        last=last,
    )
    return stand, after


_WAITS: Final = {
    "message": "a message of its peer",
    "room": "room in the socket",
    "bytes": "bytes of its peer",
}
_VISIBLE: Final = {
    PRIMARY: {STOP, BITMAP_SYNC, START},
    SECONDARY: {STOP, RAM_LOAD, CACHE_FLUSH, START},
}
"""Steps that logs show beside the messages, in capitals."""


def _from(own: list[Timed], committed: int, *, spoken: bool) -> list[Timed]:
    """Return a side's events from where the checkpoint behind so many committed begins."""
    begun = _begins if spoken else lambda event: isinstance(event, ev.GuestStopped)
    begins = [index for index, one in enumerate(own) if begun(one[1])]
    return own[begins[min(committed, len(begins) - 1)] :] if begins else []


def _begins(event: ev.Event) -> bool:
    return isinstance(event, ev.Sent | ev.Received) and event.message == "CHECKPOINT_REQUEST"


def _step_of(event: ev.Event) -> str | None:
    """Return the step that an event ends, None if it ends none."""
    match event:
        case ev.Sent(_, message) | ev.Received(_, message):
            return message
        case ev.StepDone(_, step) | ev.StreamEnded(_, step):
            return step
        case ev.GuestStopped():
            return STOP
        case ev.GuestRunning():
            return START
    return None


def _lines_of(events: list[Timed], *, named: bool = True) -> Iterator[str]:
    for at_ns, event, value in events:
        phrase = describe(event, value)
        if phrase is None and isinstance(event, ev.StepDone):
            phrase = Phrase(event.side, event.step)
        if phrase is not None:
            who = f"{phrase.who}: " if named else ""
            yield f"{moment_of(at_ns)}  {who}{phrase.what}"


def _simulated(run: Run, stand: Stand) -> Iterator[Ending]:
    """Yield how each design ends whose checkpoint has that step, if the peer freezes in it."""
    peer = SECONDARY if stand.side == PRIMARY else PRIMARY
    pages = [pages for pages in run.checkpoints.dirty_pages.dropna().tolist() if pages]
    scenario = run.scenario.vary(
        {
            "guest.dirty.pages": int(sorted(pages)[len(pages) // 2]) if pages else 2000,
            "checkpoints": _CHECKPOINT + 2,
            "warmup": 0,
            "faults": [
                {
                    "freeze": peer,
                    "at": {
                        "checkpoint": _CHECKPOINT,
                        "step": f"{stand.side}: {stand.step}",
                        "progress": "40%",
                    },
                }
            ],
        }
    )
    names = [run.design, *(name for name in load_designs() if name != run.design)]
    for name in names:
        design = load_design(name)
        if design.traits.failover != BY_COMMAND:
            continue
        if (stand.side, stand.step) in _blocking(design, scenario):
            told = explain(scenario.vary({"designs": [name]}), name)
            ways = () if told.state is None else told.state.releases
            yield Ending(name, told.verdict, ways)


def _blocking(design: type[Design], scenario: Scenario) -> set[tuple[str, str]]:
    return {(step.side, step.name) for step in protocol_of(design, scenario) if step.blocks}
