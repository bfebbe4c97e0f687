"""Why a run ended as it did, in words that can be pasted into a mail."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from textwrap import fill
from typing import TYPE_CHECKING, Any

from colosim.analysis import drawing
from colosim.analysis.release import BY_ITSELF, IF_DONE, NEVER
from colosim.analysis.story import Story, observe, standing, story
from colosim.analysis.waiting import KILLED, POWERED_OFF, WaitForGraph, lost_how
from colosim.analysis.wording import duration, moment_of, purpose_of, seconds, size
from colosim.failover.state import COMMAND
from colosim.network.connection import PRIMARY, SECONDARY
from colosim.runs.run import as_scenario
from colosim.runs.verdict import COMPLETED, HUNG, NOT_APPLICABLE, SPLIT_BRAIN, Judgement, judge

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from colosim.analysis.story import Event, Standing
    from colosim.analysis.waiting import BufferLevels, Chain
    from colosim.designs.design import Design
    from colosim.runs.simulation import Simulation
    from colosim.scenario.model import Manager, Scenario

__all__ = ["WIDTH", "Explanation", "explain"]

WIDTH = 76
FAULTS_TOLD = 10
SIDES = (PRIMARY, SECONDARY)
_WHO = 10
#: A number and its unit stay on one line: glued until the text is wrapped.
_NUMBER = re.compile(r"(\d) (s|ms|B|MiB|Gbit/s)\b")
_GLUE = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a run of one design ended as it did; `str()` is the text for people.

    `standing` is how the pair stood at the end, or, where a guest serves again, just before it was
    released: the graph of who waited for whom, lock holds, buffers, and what would have released
    them (None if nobody had to wait for a fault).  `guest_stopped_ns` is the stop that lasts, or
    the longest that there was; `time_to_service_ns` is None if no guest ever served again.
    """

    scenario: str
    design: str
    seed: int
    verdict: str
    survivor: str | None
    reason: str
    end_ns: int
    guest_stopped_ns: int
    time_to_service_ns: int | None
    story: Story
    standing: Standing | None
    released_by: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        """Return the text."""
        return self.text

    @property
    def title(self) -> str:
        """Scenario, design and verdict in a line."""
        return f"{self.scenario}, design {self.design}: {self.verdict}"

    @property
    def mermaid(self) -> str:
        """The wait-for graph as a Mermaid flowchart."""
        return drawing.mermaid(self._graph, self._drawn)

    @property
    def dot(self) -> str:
        """The wait-for graph as a DOT digraph."""
        return drawing.dot(self._graph, self._drawn)

    @property
    def _graph(self) -> WaitForGraph:
        if self.standing is None:
            return WaitForGraph(self.end_ns, (), ())
        return self.standing.graph

    @property
    def _drawn(self) -> str:
        return f"{self.title}; at {moment_of(self._graph.at_ns)}"

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the text as plain data for JSON."""
        plain = asdict(self)
        del plain["text"]
        if self.standing is not None:
            graph = self.standing.graph
            plain["standing"]["graph"] = {
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
    simulation, events = observe(loaded, design, seed)
    missing = simulation.missing_steps()
    if missing:
        steps = ", ".join(repr(step) for step in missing)
        judgement = Judgement(NOT_APPLICABLE, None, f"the design has no step {steps}")
        return _explanation(simulation, judgement, Story(0, None, ()), None, ())
    judgement = judge(simulation)
    told = story(simulation, events)
    at_ns = _moment_before_release(simulation, judgement, events)
    if at_ns is None:
        stands = standing(simulation, events)
        return _explanation(simulation, judgement, told, stands, ())
    earlier = standing(*observe(loaded, design, seed, at_ns))
    return _explanation(simulation, judgement, told, earlier, _released_by(simulation, events))


# ---- runs that recovered -------------------------------------------------------------------------


def _moment_before_release(
    simulation: Simulation, judgement: Judgement, events: list[Event]
) -> int | None:
    """Return the last moment at which the side that serves alone had to wait; None if none did.

    That is just before the event that freed it, or before its command was served.
    """
    side = judgement.survivor
    if judgement.verdict not in {"failed_over", "split_brain"} or side is None:
        return None
    served = [
        command.served_ns
        for command in simulation.hosts[side].monitor.commands
        if command.name == COMMAND and command.served_ns is not None
    ]
    if not served:
        return None
    freed = [at_ns for at_ns, killed, _ in _freed(events, side, served[0]) if not killed]
    return max(0, (freed[-1] if freed else served[0]) - 1)


def _released_by(simulation: Simulation, events: list[Event]) -> tuple[str, ...]:
    """Say in sentences what let the survivor be told, and when it served again."""
    said: list[str] = []
    for side in SIDES:
        failover = simulation.failovers[side]
        commands = [one for one in simulation.hosts[side].monitor.commands if one.name == COMMAND]
        if not failover.done or not commands or commands[0].served_ns is None:
            continue
        command, served_ns = commands[0], commands[0].served_ns
        if served_ns == command.sent_ns:
            said.append(
                f"The {side}'s monitor served {COMMAND} at once, at {moment_of(served_ns)}: "
                "its iothread lock was free."
            )
        else:
            said.append(
                f"The {side}'s monitor served {COMMAND} at {moment_of(served_ns)}, "
                f"{duration(served_ns - command.sent_ns)} after it was sent."
            )
        freed = _freed(events, side, served_ns)
        if freed:
            at_ns, _, why = freed[-1]
            said.append(f"Before that, {why} ({moment_of(at_ns)}).")
        alone = [at for at, name, _ in events if name == f"{side}: serves alone"]
        if alone:
            said.append(
                f"The {side} serves alone from {moment_of(alone[-1])} on, "
                f"{duration(alone[-1] - served_ns)} after the command was served."
            )
    return tuple(said)


def _freed(events: list[Event], side: str, served_ns: int) -> list[tuple[int, bool, str]]:
    """Return what let the survivor's threads go on before the command: when, a kill?, what."""
    peer = SECONDARY if side == PRIMARY else PRIMARY
    causes = {
        f"{peer}: process thawed": f"the {peer}'s process had gone on, and the stream with it",
        f"{side}: connection timed out": "TCP had given the connection up",
        f"{side}: monitor serves yank out of band": "yank had shut the connection down",
        f"{peer}: process killed": f"the {peer} had been killed and its kernel sent a reset",
    }
    return [
        (at, name.endswith("killed"), causes[name])
        for at, name, _ in events
        if name in causes and at <= served_ns
    ]


# ---- the text ------------------------------------------------------------------------------------


def _explanation(
    simulation: Simulation,
    judgement: Judgement,
    told: Story,
    stands: Standing | None,
    released_by: tuple[str, ...],
) -> Explanation:
    service = simulation.service
    scenario = simulation.scenario
    name = type(simulation.design).name
    title = f"{scenario.name}, design {name}: {judgement.verdict}"
    parts = [f"{title}\n{'=' * min(WIDTH, len(title))}", _opening(simulation, judgement, stands)]
    parts.append(_facts(simulation))
    if told.happenings:
        parts.append(_timeline(told))
    if stands is not None:
        parts += _standing_text(simulation, judgement, stands)
    if released_by:
        parts.append("\n".join(["What released it", *(_item(text) for text in released_by)]))
    return Explanation(
        scenario.name,
        name,
        simulation.seed,
        judgement.verdict,
        judgement.survivor,
        judgement.reason,
        simulation.end_ns,
        service.stopped_longest_ns,
        service.time_to_service_ns,
        told,
        stands,
        released_by,
        _ascii("\n\n".join(parts) + "\n"),
    )


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode()


def _wrapped(text: str, first: str = "", rest: str | None = None) -> str:
    lines = fill(
        _NUMBER.sub(r"\1" + _GLUE + r"\2", text),
        WIDTH,
        initial_indent=first,
        subsequent_indent=" " * len(first) if rest is None else rest,
        break_on_hyphens=False,
    )
    return lines.replace(_GLUE, " ")


def _item(text: str) -> str:
    return _wrapped(text, "  - ")


def _reason(judgement: Judgement, stands: Standing | None) -> str:
    """Return the verdict's reason; of a hang what the lock's holder waits for, from the graph."""
    if judgement.verdict == HUNG and stands is not None:
        for hold in stands.holds:
            edge = stands.graph.waits_for(f"{hold.side}: {hold.thread}")
            if hold.side == judgement.survivor and edge is not None:
                target = stands.graph.node(edge.target)
                return (
                    f"the {hold.side}'s iothread lock is held by its {hold.thread}, which "
                    f"{edge.label} {_named(target.label, target.state)}"
                )
    return judgement.reason


def _opening(simulation: Simulation, judgement: Judgement, stands: Standing | None) -> str:
    """Say the verdict's reason, and for how long no guest has served."""
    reason = _reason(judgement, stands)
    said = [reason[:1].upper() + reason[1:] + "."]
    service = simulation.service
    if judgement.verdict == NOT_APPLICABLE:
        said.append("Nothing was simulated.")
    elif not service.serving:
        since = simulation.end_ns - service.stopped_longest_ns
        guests = [
            f"the {side}'s guest has been stopped since {moment_of(host.guest.since_ns)}, for "
            f"{duration(simulation.end_ns - host.guest.since_ns)}"
            for side, host in simulation.hosts.items()
            if side == PRIMARY and not host.guest.running and lost_how(simulation, side) is None
        ]
        if guests:
            said.append(
                f"No guest serves: {guests[0]}, to the end of the run at "
                f"{moment_of(simulation.end_ns)}."
            )
        else:
            said.append(
                f"No guest has served since {moment_of(since)}, for "
                f"{duration(service.stopped_longest_ns)}, to the end of the run at "
                f"{moment_of(simulation.end_ns)}."
            )
    elif judgement.verdict != SPLIT_BRAIN:
        stopped = duration(service.stopped_longest_ns)
        if service.fault_ns is None:
            said.append(f"The guest was stopped for {stopped} at the longest.")
        else:
            back = service.time_to_service_ns
            served = f"serves again {duration(back)} after the fault" if back else "serves"
            said.append(f"Without service for {stopped} at the longest; a guest {served}.")
    return _wrapped(" ".join(said))


def _facts(simulation: Simulation) -> str:
    """Name scenario, design, network, faults and cluster manager."""
    scenario, network = simulation.scenario, simulation.scenario.network
    design = type(simulation.design)
    described = (
        f"{scenario.name}: {scenario.description}" if scenario.description else scenario.name
    )
    bandwidth = network.bandwidth_bytes_per_s
    link = "no bandwidth limit" if bandwidth is None else f"{bandwidth / 125e6:g} Gbit/s"
    rows = [
        ("Scenario", described),
        ("Design", f"{design.name}: {design.summary}"),
        (
            "Network",
            (
                f"{link}, {network.latency_ns / 1e6:g} ms one way, "
                f"send buffer {size(network.send_buffer_bytes)}, "
                f"receive buffer {size(network.receive_buffer_bytes)}"
            ),
        ),
    ]
    struck = simulation.injector.struck
    for at_ns, fault in struck[:FAULTS_TOLD]:
        where = f" at checkpoint {fault.at_checkpoint}, {fault.at_step}" if fault.at_step else ""
        if fault.progress_ppm:
            where += f", {fault.progress_ppm / 1e4:g}% of it"
        rows.append(("Fault", f"{moment_of(at_ns)}: {fault.kind} {fault.target}{where}"))
    if len(struck) > FAULTS_TOLD:
        rows.append(("", f"and {len(struck) - FAULTS_TOLD} more"))
    if struck:
        rows += _manager(simulation)
    for fault in simulation.injector.never_struck:
        rows.append(("Fault", f"{fault.kind} {fault.target}: its moment never came"))
    return "\n".join(_wrapped(text, f"{head:<{_WHO}}") for head, text in rows)


def _manager(simulation: Simulation) -> list[tuple[str, str]]:
    """Say what the cluster manager saw and sent."""
    settings = simulation.scenario.manager
    fenced = "powers a lost host off" if settings.fence else "no fencing"
    said = [(f"{_watched(settings)}, policy {settings.policy}, {fenced}")]
    fault_ns = simulation.injector.struck[0][0]
    for side, at_ns in simulation.manager.lost.items():
        later = duration(at_ns - fault_ns)
        said.append(f"{moment_of(at_ns)}: takes the {side} for lost, {later} after the fault")
    if not simulation.manager.lost:
        said.append("takes nobody for lost")
    for side, host in simulation.hosts.items():
        for command in host.monitor.commands:
            served = "never served"
            if command.dropped_ns is not None:
                wait_ns = command.dropped_ns - command.sent_ns
                served = f"lost with its client {duration(wait_ns)} later"
            elif command.served_ns is not None:
                wait_ns = command.served_ns - command.sent_ns
                served = f"served {duration(wait_ns)} later" if wait_ns else "served at once"
            said.append(f"{moment_of(command.sent_ns)}: {command.name} to the {side}, {served}")
    for side, commands in simulation.manager.unsaid.items():
        said.append(f"cannot send {' and '.join(commands)} to the {side}: not connected")
    return [("" if index else "Manager", text) for index, text in enumerate(said)]


def _watched(settings: Manager) -> str:
    """Say how the two hosts are watched."""
    both = {side: settings.watch(side) for side in SIDES}
    said = {
        side: f"heartbeat {seconds(heartbeat_ns)}, timeout {seconds(timeout_ns)}"
        for side, (heartbeat_ns, timeout_ns) in both.items()
    }
    if both[PRIMARY] == both[SECONDARY]:
        return said[PRIMARY]
    return ", ".join(f"{words} of the {side}" for side, words in said.items())


def _timeline(told: Story) -> str:
    """List the events, each with its time since the story begins."""
    if told.checkpoint is None:
        head = f"From the fault at {moment_of(told.begins_ns)} on (ms since then)"
    else:
        head = f"Checkpoint {told.checkpoint}, begun at {moment_of(told.begins_ns)} (ms since then)"
    lines = [head]
    for one in told.happenings:
        start = f"{one.since_ns / 1e6:>13.3f}  {one.who:<{_WHO}} "
        lines.append(_wrapped(one.what, start))
    return "\n".join(lines)


def _standing_text(simulation: Simulation, judgement: Judgement, stands: Standing) -> list[str]:
    """Tell the lock holders, the buffers, the chains and what would release them."""
    if judgement.verdict == COMPLETED:
        return []
    at_end = stands.at_ns == simulation.end_ns
    when = "At the end" if at_end else "Just before it was released"
    parts = [f"{when}, {moment_of(stands.at_ns)}\n\n{_holds(stands)}", _buffers(stands)]
    if stands.graph.edges:
        parts.append(_waits(stands))
    if stands.releases:
        parts.append(_releases(stands))
    return parts


def _releases(stands: Standing) -> str:
    """Tell what comes by itself, what would help if it were done, and what never helps."""
    lines = ["What would release it"]
    by_itself = [release for release in stands.releases if release.when == BY_ITSELF]
    if not by_itself:
        lines.append("  By itself nothing will.")
    for release in by_itself:
        at = "" if release.at_ns is None else f", at {moment_of(release.at_ns)}"
        lines.append(_item(f"by itself{at}: {release.event}: {release.effect}"))
    lines += [
        _item(f"{release.event}: {release.effect}")
        for release in stands.releases
        if release.when == IF_DONE
    ]
    lines += [
        _item(f"{release.event} never will: {release.effect}")
        for release in stands.releases
        if release.when == NEVER
    ]
    return "\n".join(lines)


def _holds(stands: Standing) -> str:
    lines = ["Who holds the iothread lock"]
    for side in SIDES:
        held = [hold for hold in stands.holds if hold.side == side]
        lost = stands.lost.get(side, "")
        text = f"its process is {lost}" if lost in {KILLED, POWERED_OFF} else "nobody: it is free"
        if held:
            hold = held[0]
            step = f", at the step {hold.step}" if hold.step else ""
            text = (
                f"its {hold.thread} since {moment_of(hold.since_ns)} "
                f"({duration(stands.at_ns - hold.since_ns)}), "
                f"to {purpose_of(hold.purpose)}{step}"
            )
            if lost:
                text += f"; {lost}"
        lines.append(_wrapped(text, f"  {side:<{_WHO}}"))
    return "\n".join(lines)


def _filled(level: BufferLevels) -> str:
    def one(name: str, amount: int, capacity: int, since: int | None) -> str:
        full = f", full since {moment_of(since)}" if since is not None else ""
        return f"{name} {size(amount)} of {size(capacity)}{full}"

    sending = one(
        f"{level.sender}'s send buffer",
        level.send_bytes,
        level.send_capacity_bytes,
        level.send_full_since_ns,
    )
    receiving = one(
        f"{level.receiver}'s receive buffer",
        level.receive_bytes,
        level.receive_capacity_bytes,
        level.receive_full_since_ns,
    )
    return "\n".join(_wrapped(text, "  ", "    ") for text in (sending, receiving))


def _buffers(stands: Standing) -> str:
    if any(level.broken for level in stands.buffers):
        return "Socket buffers\n  the connection is broken"
    filled = [level for level in stands.buffers if level.send_bytes or level.receive_bytes]
    if not filled:
        return "Socket buffers\n  all empty"
    return "\n".join(["Socket buffers", *(_filled(level) for level in filled)])


def _waits(stands: Standing) -> str:
    """Tell each chain, and a part that was told before only once."""
    lines = ["Who waits for whom"]
    told: set[str] = set()
    for chain in stands.graph.chains:
        lines += _chain(chain, told)
    return "\n".join(lines)


def _chain(chain: Chain, told: set[str]) -> list[str]:
    first = chain.nodes[0]
    lines = [_wrapped(_named(first.label, first.state), "  ")]
    told.add(first.key)
    targets = [*chain.nodes[1:]]
    if chain.cycle:
        targets.append(next(node for node in chain.nodes if node.key == chain.edges[-1].target))
    for edge, node in zip(chain.edges, targets, strict=True):
        since = "" if edge.since_ns is None else f"since {moment_of(edge.since_ns)}"
        known = node.key in told
        again = ": a cycle" if chain.cycle and node is targets[-1] else ", as above"
        which = "which " if edge is not chain.edges[0] else ""
        state = ", ".join(word for word in (node.state, since) if word)
        label = f"{which}{edge.label} {_named(node.label, state)}{again if known else ''}"
        lines.append(_wrapped(label, "    ", "      "))
        if known:
            break
        told.add(node.key)
    return lines


def _named(label: str, state: str) -> str:
    return f"{label} ({state})" if state else label
