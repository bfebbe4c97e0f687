"""Why a run ended as it did, in words that can be pasted into a mail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from html import escape
from os import PathLike
from typing import TYPE_CHECKING, Any

from colosim.analysis.facts import FAULTS_MAX, fault_in_words
from colosim.analysis.graph import WaitForGraph, dot, mermaid
from colosim.analysis.left_out import LeftOut, left_out_of
from colosim.analysis.outlook import Outlook
from colosim.analysis.pair_state import observe, pair_state
from colosim.analysis.recovery import HEAL, RESET, THAW, YANKED, freed_before, served
from colosim.analysis.report_text import stopped_ns, text_of
from colosim.analysis.timeline import Story, duration, moment_of, place, story
from colosim.analysis.wait_for import SIDES, colo_end
from colosim.host.failover import COMMAND
from colosim.runs.lock_choice import judge_both_ways
from colosim.runs.run import as_scenario
from colosim.runs.verdict import (
    COMPLETED,
    FAILED_OVER,
    NOT_APPLICABLE,
    SPLIT_BRAIN,
    VIOLATED,
    without_steps,
)
from colosim.trace.events import OTHER, JobScheduled, PoweredOff, ProcessChanged, ServesAlone

if TYPE_CHECKING:
    from colosim.analysis.pair_state import PairState
    from colosim.analysis.recovery import Ending
    from colosim.analysis.timeline import Excerpt
    from colosim.designs.design import Design
    from colosim.runs.simulation import Simulation
    from colosim.runs.verdict import Judgement
    from colosim.scenario.model import Scenario

_WENT_ON = {COMPLETED, NOT_APPLICABLE}


@dataclass(frozen=True, slots=True, repr=False)
class Explanation:
    """Why a run of one design ended as it did; `str()` is the text for people.

    `depends_on` is ``lock`` where the verdict hangs on who gets the iothread lock next, and
    `otherwise` how the run ends then.  `state` is how the pair stood at the end, or, where a
    guest serves again, just before it was released: the graph of who waited for whom, lock holds,
    buffers, and what would have released them (None if nobody had to wait for a fault).
    `guest_stopped_ns` is the stop that lasts, or the longest that there was; `time_to_guest_ns`
    is None if none runs any more.
    `left_out` is what the model leaves out and could change what is said here; `faults` are those
    that struck, in words.
    """

    scenario: str
    design: str
    seed: int
    verdict: str
    survivor: str | None
    reason: str
    depends_on: str | None
    otherwise: Judgement | None
    end_ns: int
    guest_stopped_ns: int
    time_to_guest_ns: int | None
    story: Story
    state: PairState | None
    released_by: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    faults: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        """Return the text."""
        return self.text

    def __repr__(self) -> str:
        """Return scenario, design, seed and verdict."""
        return f"<Explanation {self.scenario}/{self.design} seed {self.seed}: {self.verdict}>"

    def _repr_html_(self) -> str:
        """Return the text as it stands, for notebooks."""
        return f"<pre>{escape(self.text)}</pre>"

    @property
    def title(self) -> str:
        """Scenario, design and verdict in a line."""
        return f"{self.scenario}, design {self.design}: {self.verdict}"

    @property
    def opening(self) -> str:
        """The text's first sentences: the reason, and for how long no guest has served."""
        return " ".join(self.text.split("\n\n")[1].split())

    @property
    def mermaid(self) -> str:
        """The wait-for graph as a Mermaid flowchart."""
        return mermaid(self._graph, self._drawn)

    @property
    def dot(self) -> str:
        """The wait-for graph as a DOT digraph."""
        return dot(self._graph, self._drawn)

    @property
    def _graph(self) -> WaitForGraph:
        if self.state is None:
            return WaitForGraph(self.end_ns, (), ())
        return self.state.graph

    @property
    def _drawn(self) -> str:
        return f"{self.title}; at {moment_of(self._graph.at_ns)}"

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the text as plain data for JSON."""
        plain = asdict(self)
        del plain["text"]
        if self.state is not None:
            graph = self.state.graph
            plain["state"]["graph"] = {
                "nodes": [asdict(node) for node in graph.nodes],
                "edges": [asdict(edge) for edge in graph.edges],
                "chains": [[node.key for node in chain.nodes] for chain in graph.chains],
                "cycles": [[node.key for node in cycle] for cycle in graph.cycles],
            }
        return plain


def explain(
    scenario: str | PathLike[str] | Scenario,
    design: str | type[Design],
    *,
    seed: int | None = None,
    overrides: Sequence[str] = (),
) -> Explanation:
    """Run one design under a scenario and say why it ended as it did.

    :param scenario: a file, the name of a shipped scenario, or a `Scenario`.
    :param design: a name or a `Design` class.
    :param seed: instead of the scenario's.
    :param overrides: texts ``key=value``, as behind ``--set``.
    :raises ScenarioError: if the scenario is wrong.
    :raises DesignError: if there is no such design.
    """
    loaded = as_scenario(scenario, overrides)
    simulation, excerpt = observe(loaded, design, seed, checks=True)
    unfit = without_steps(simulation)
    if unfit is not None:
        return _explanation(simulation, unfit, excerpt, None, ())
    judgement = judge_both_ways(simulation)
    at_ns = _moment_before_release(judgement, excerpt)
    end_ns, struck = simulation.end_ns, tuple(simulation.injector.struck)
    outlook = Outlook(loaded, design, seed, end_ns if at_ns is None else at_ns, end_ns, struck)
    if at_ns is None:
        over = judgement.verdict in {*_WENT_ON, VIOLATED}
        stands = pair_state(simulation, excerpt, None if over else outlook)
        return _explanation(simulation, judgement, excerpt, stands, ())
    before, until_then = observe(loaded, design, seed, at_ns)
    released_by = (*_released_by(excerpt), *_slept_on(before, judgement.survivor, excerpt))
    earlier = pair_state(before, until_then, outlook)
    return _explanation(simulation, judgement, excerpt, earlier, released_by)


def _explanation(
    simulation: Simulation,
    judgement: Judgement,
    excerpt: Excerpt,
    stands: PairState | None,
    released_by: tuple[str, ...],
) -> Explanation:
    told = story(simulation, excerpt, recovered=judgement.verdict in _WENT_ON)
    left_out = left_out_of(simulation, judgement, excerpt)
    struck = simulation.injector.struck[:FAULTS_MAX]
    return Explanation(
        simulation.scenario.name,
        type(simulation.design).name,
        simulation.seed,
        judgement.verdict,
        judgement.survivor,
        judgement.reason,
        judgement.depends_on,
        judgement.otherwise,
        simulation.end_ns,
        stopped_ns(simulation),
        simulation.service.time_to_guest_ns,
        told,
        stands,
        released_by,
        left_out,
        tuple(f"{moment_of(at_ns)}, {fault_in_words(fault)}" for at_ns, fault in struck),
        text_of(simulation, judgement, excerpt, told, stands, released_by, left_out),
    )


# ---- runs that recovered -------------------------------------------------------------------------


def _moment_before_release(judgement: Judgement, excerpt: Excerpt) -> int | None:
    """Return the last moment at which the side that serves alone had to wait; None if none did.

    That is just before what freed it, if a command waited for that or the cluster manager did it
    (a yank); else just before its command was served.
    """
    side = judgement.survivor
    if judgement.verdict not in {FAILED_OVER, SPLIT_BRAIN} or side is None:
        return None
    command = served(excerpt.marks, side)
    if command is None:
        return None
    freed = freed_before(excerpt.events, side, command)
    if freed is not None and (freed.at_ns >= command.sent_ns or freed.why == YANKED):
        return max(0, freed.at_ns - 1)
    return max(0, command.served_ns - 1)


def _released_by(excerpt: Excerpt) -> tuple[str, ...]:
    """Say in sentences what let a survivor be told, and when it served again."""
    said: list[str] = []
    for side in SIDES:
        command = served(excerpt.marks, side)
        alone = [at_ns for at_ns, event, _ in excerpt.marks if event == ServesAlone(side)]
        if command is None or not alone:
            continue
        at, late_ns = moment_of(command.served_ns), command.served_ns - command.sent_ns
        said.append(
            f"The {side}'s monitor served {COMMAND} at {at}, {duration(late_ns)} after it was sent."
            if late_ns
            else f"The {side}'s monitor served {COMMAND} at once, at {at}: "
            "its iothread lock was free."
        )
        freed = freed_before(excerpt.events, side, command)
        if freed is not None:
            why = _why_freed(freed, OTHER[side], excerpt)
            said.append(f"Before that, {why} ({moment_of(freed.at_ns)}).")
        said += [
            "The failover was postponed, as a checkpoint was just being loaded, and asked for "
            f"again at {moment_of(at_ns)}."
            for at_ns, event, _ in excerpt.events
            if isinstance(event, JobScheduled) and event.side == side
        ]
        said.append(
            f"The {side} serves alone from {moment_of(alone[-1])} on, "
            f"{duration(alone[-1] - command.served_ns)} after the command was served."
        )
    return tuple(said)


def _slept_on(earlier: Simulation, survivor: str | None, excerpt: Excerpt) -> Iterator[str]:
    """Say that a failover waited for the checkpoint delay, if one did: its thread slept then."""
    if survivor is None:
        return
    due_ns = colo_end(earlier, survivor).thread.asleep_until_ns
    alone = [at_ns for at_ns, event, _ in excerpt.marks if event == ServesAlone(survivor)]
    if due_ns is not None and alone and alone[-1] >= due_ns:
        yield (
            f"Until {moment_of(due_ns)} the failover waited for the end of the checkpoint delay: "
            f"the {survivor}'s checkpoint thread slept, and looks for the command when it wakes."
        )


def _why_freed(freed: Ending, peer: str, excerpt: Excerpt) -> str:
    """Say what had happened that let a COLO thread go on."""
    killed, off = ProcessChanged(peer, "killed"), PoweredOff(peer)
    ends = [event for at, event, _ in excerpt.marks if at <= freed.at_ns and event in {killed, off}]
    died = ends[:1] == [killed]
    return {
        THAW: f"the {peer}'s process had gone on, and the stream with it",
        HEAL: f"{place(freed.where)} had come back",
        "connection timed out": "TCP had given the connection up",
        "send timed out": "the send had timed out",
        YANKED: "yank had shut the connection down",
        RESET: (
            f"the {peer} had been killed and its kernel sent a reset"
            if died
            else f"the {peer} had shut the connection down, and reset it"
        ),
        "end of stream": (
            f"the {peer} had been killed and its kernel closed the connection"
            if died
            else f"the {peer} had shut the connection down"
        ),
    }.get(freed.why, f"the connection had failed ({freed.why})")
