"""The text of an explanation, in lines that fit a mail."""

from __future__ import annotations

import re
from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING

from colosim.analysis.facts import facts
from colosim.analysis.timeline import duration, moment_of, purpose_of, size
from colosim.analysis.wait_for import KILLED, POWERED_OFF, SIDES
from colosim.analysis.ways_out import BY_ITSELF, IF_DONE, NEVER
from colosim.runs.summary import warning
from colosim.runs.verdict import COMPLETED, HUNG, NOT_APPLICABLE, SPLIT_BRAIN, STOPPED
from colosim.trace.events import PRIMARY
from colosim.trace.purpose import Purpose

if TYPE_CHECKING:
    from colosim.analysis.buffers import BufferLevels
    from colosim.analysis.graph import Chain
    from colosim.analysis.left_out import LeftOut
    from colosim.analysis.pair_state import PairState
    from colosim.analysis.timeline import Excerpt, Story
    from colosim.analysis.ways_out import Release
    from colosim.runs.simulation import Simulation
    from colosim.runs.verdict import Judgement

WIDTH = 76
EVENTS_MAX = 120
_WHO = 10
#: A number and its unit stay on one line: glued until the text is wrapped.
_NUMBER = re.compile(r"(\d) (s|ms|B|MiB|Gbit/s)\b")
_GLUE = "\N{NO-BREAK SPACE}"


def text_of(
    simulation: Simulation,
    judgement: Judgement,
    excerpt: Excerpt,
    told: Story,
    stands: PairState | None,
    released_by: Sequence[str],
    left_out: Sequence[LeftOut],
) -> str:
    """Return the whole text: what came of it, what was given, the story, how the pair stands."""
    name = type(simulation.design).name
    title = f"{simulation.scenario.name}, design {name}: {judgement.verdict}"
    parts = [f"{title}\n{'=' * min(WIDTH, len(title))}", _opening(simulation, judgement, stands)]
    rows = facts(simulation, excerpt)
    parts.append("\n".join(_wrapped(text, f"{head:<{_WHO}}") for head, text in rows))
    if told.events:
        parts.append(_timeline(told))
    if stands is not None:
        parts += _state_text(simulation, judgement, stands)
    if released_by:
        parts.append("\n".join(["What released it", *(_item(text) for text in released_by)]))
    if left_out:
        items = (_item(f"{one.id}: {one.changes}") for one in left_out)
        parts.append("\n".join(["What the model leaves out here", *items]))
    return _ascii("\n\n".join(parts) + "\n")


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


def _reason(judgement: Judgement, stands: PairState | None) -> str:
    """Return the verdict's reason; of a hang what the lock's holder waits for, from the graph."""
    if stands is None:
        return judgement.reason
    if judgement.verdict == STOPPED and len(stands.lost) == len(SIDES):
        how = " and ".join(f"the {side} is {stands.lost[side]}" for side in SIDES)
        return f"no guest serves, and both hosts are lost: {how}"
    for hold in stands.holds if judgement.verdict == HUNG else ():
        edge = stands.graph.waits_for(f"{hold.side}: {hold.thread}")
        if hold.side == judgement.survivor and hold.purpose == Purpose.BUSY:
            return f"the {hold.side}'s iothread lock is held by its main loop for work of its own"
        if hold.side == judgement.survivor and edge is not None:
            target = stands.graph.node(edge.target)
            return (
                f"the {hold.side}'s iothread lock is held by its {hold.thread}, which "
                f"{edge.label} {_named(target.label, target.state)}"
            )
    return judgement.reason


def stopped_ns(simulation: Simulation) -> int:
    """Return the stop of service that lasts to the end, or the longest that there was."""
    since_ns = simulation.service.stopped_since_ns
    if since_ns is None:
        return simulation.service.stopped_longest_ns
    return simulation.end_ns - since_ns


def _opening(simulation: Simulation, judgement: Judgement, stands: PairState | None) -> str:
    """Say the verdict's reason, and for how long no guest has served."""
    reason = _reason(judgement, stands)
    clauses = [reason, judgement.dependence] if judgement.otherwise else [reason]
    said = [clause[:1].upper() + clause[1:] + "." for clause in clauses]
    if stands is None:
        said.append("Nothing was simulated.")
    elif not simulation.service.serving:
        said.append(_not_serving(simulation, stands, said=reason.startswith("no guest serves")))
    elif judgement.verdict != SPLIT_BRAIN:
        said.append(_serving(simulation))
    if warned := warning(simulation, judgement):
        said.append(f"{warned[:1].upper()}{warned[1:]}.")
    return _wrapped(" ".join(said))


def _not_serving(simulation: Simulation, stands: PairState, *, said: bool) -> str:
    """Say since when no guest serves; `said`: that none does was said just before."""
    since, guest = simulation.service.stopped_since_ns or 0, simulation.hosts[PRIMARY].guest
    if guest.running or PRIMARY in stands.lost or guest.since_ns != since:
        return f"No guest has served since {moment_of(since)}, to the end."
    text = f"the primary's guest has been stopped since {moment_of(since)}, to the end."
    return text[:1].upper() + text[1:] if said else f"No guest serves: {text}"


def _serving(simulation: Simulation) -> str:
    service = simulation.service
    stopped = duration(service.stopped_longest_ns)
    if service.fault_ns is None:
        return f"The guest was stopped for {stopped} at the longest."
    back = service.time_to_guest_ns
    fault = "the fault" if len(simulation.injector.struck) == 1 else "the first that took it away"
    runs = f"; one ran again {duration(back)} after {fault}" if back else ""
    return f"No guest ran for {stopped} at the longest{runs}."


def _timeline(told: Story) -> str:
    """List the events, each with its time since the story begins."""
    begins = moment_of(told.begins_ns)
    if told.checkpoint is not None:
        head = f"Checkpoint {told.checkpoint}, begun at {begins} (ms since then)"
    elif told.events[0].who == "fault":
        head = f"From the fault at {begins} on (ms since then)"
    else:
        head = f"From {begins} on (ms since then)"
    lines = [
        _wrapped(one.what, f"{one.since_ns / 1e6:>13.3f}  {one.who:<{_WHO}} ")
        for one in told.events
    ]
    if len(lines) > EVENTS_MAX:
        more = len(lines) - EVENTS_MAX
        lines[-EVENTS_MAX // 3 - more : -EVENTS_MAX // 3] = [f"{'...':>13}  {more} more"]
    return "\n".join([head, *lines])


def _state_text(simulation: Simulation, judgement: Judgement, stands: PairState) -> list[str]:
    """Tell the lock holders, the buffers, the chains and what would release them."""
    if judgement.verdict in {COMPLETED, NOT_APPLICABLE}:
        return []
    at_end = stands.at_ns == simulation.end_ns
    when = "At the end" if at_end else "Just before it was released"
    parts = [
        f"{when}, {moment_of(stands.at_ns)}\n\n{_holds(stands, at_end=at_end)}",
        _buffers(stands),
    ]
    if stands.graph.edges:
        parts.append(_waits(stands))
    for side in SIDES:
        ways = [way for way in stands.releases if way.side == side]
        if ways:
            one = all(way.side == side for way in stands.releases)
            parts.append(_releases("it" if one else f"the {side}", ways))
    return parts


def _releases(whom: str, ways: Sequence[Release]) -> str:
    """Tell what comes by itself, what would help if it were done, and what never helps."""
    lines = [f"What would release {whom}"]
    by_itself = [way for way in ways if way.when == BY_ITSELF]
    if not by_itself:
        lines.append("  By itself nothing will.")
    for way in by_itself:
        at = "" if way.at_ns is None else f", at {moment_of(way.at_ns)}"
        lines.append(_item(f"by itself{at}: {way.event}: {way.effect}"))
    lines += [_item(f"{way.event}: {way.effect}") for way in ways if way.when == IF_DONE]
    lines += [_item(f"{way.event} never will: {way.effect}") for way in ways if way.when == NEVER]
    return "\n".join(lines)


def _holds(stands: PairState, *, at_end: bool) -> str:
    lines = ["Who holds the iothread lock"]
    for side in SIDES:
        held = [hold for hold in stands.holds if hold.side == side]
        lost = stands.lost.get(side, "")
        text = f"its process is {lost}" if lost in {KILLED, POWERED_OFF} else "nobody: it is free"
        if held:
            hold = held[0]
            step = f", at the step {hold.step}" if hold.step else ""
            long = "to the end" if at_end else duration(stands.at_ns - hold.since_ns)
            text = (
                f"its {hold.thread} since {moment_of(hold.since_ns)} ({long}), "
                f"to {purpose_of(hold.purpose)}{step}"
            )
            if hold.leaked:
                text += "; it has left COLO without giving it back"
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


def _buffers(stands: PairState) -> str:
    if any(level.broken for level in stands.buffers):
        return "Socket buffers\n  the connection is broken"
    filled = [level for level in stands.buffers if level.send_bytes or level.receive_bytes]
    if not filled:
        return "Socket buffers\n  all empty"
    return "\n".join(["Socket buffers", *(_filled(level) for level in filled)])


def _waits(stands: PairState) -> str:
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
