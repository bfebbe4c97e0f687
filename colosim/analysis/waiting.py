"""Who waits for whom at the end of a simulation, down to the cause.

A chain ends in a cause outside (a frozen process, a dead link, a cluster manager that sends
nothing), in something that comes by itself (a timer, a thread at work), or it is a cycle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from colosim.analysis.graph import Edge, Kind, Node, WaitForGraph
from colosim.analysis.levels import buffer_levels
from colosim.analysis.wording import purpose_of
from colosim.host.failover import COMMAND
from colosim.trace.events import (
    OTHER,
    PRIMARY,
    SECONDARY,
    FaultEnded,
    FaultStruck,
    LockWanted,
    PoweredOff,
    ProcessChanged,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from colosim.designs.side import Side
    from colosim.host.monitor import Command
    from colosim.host.process import Thread
    from colosim.network.ends import Ends
    from colosim.runs.simulation import Simulation
    from colosim.trace.events import Event

    Timed = tuple[int, Event, int]

__all__ = [
    "FROZEN",
    "KILLED",
    "POWERED_OFF",
    "VANISHED",
    "Edge",
    "Kind",
    "Loss",
    "Node",
    "WaitForGraph",
    "losses",
    "step_of",
    "wait_for_graph",
]

SIDES = (PRIMARY, SECONDARY)
FROZEN, KILLED, VANISHED, POWERED_OFF = "frozen", "killed", "vanished", "powered off"


class Loss(NamedTuple):
    """How a side was lost, and since when (ns), if that is known."""

    how: str
    since_ns: int | None


def step_of(thread: Thread) -> str:
    """Return the protocol step or message at which a thread waits, nothing if it does not."""
    text = thread.waits_for
    return text[text.index("(") + 1 : text.rindex(")")] if "(" in text else text


def losses(simulation: Simulation, marks: Iterable[Timed]) -> dict[str, Loss]:
    """Return how each side was lost that is, and since when; `marks` are the events that say so."""
    begun: dict[Event, int] = {}
    for at_ns, event, _ in marks:
        match event:
            case FaultEnded(where):
                begun.pop(FaultStruck("vanish", where), None)
            case FaultStruck("vanish") | ProcessChanged(_, "killed") | PoweredOff():
                begun.setdefault(event, at_ns)
    found = {side: _loss(simulation, side, begun) for side in SIDES}
    return {side: loss for side, loss in found.items() if loss is not None}


def _loss(simulation: Simulation, side: str, begun: Mapping[Event, int]) -> Loss | None:
    host = simulation.hosts[side]
    if host.dead:
        off_ns = begun.get(PoweredOff(side))
        if off_ns is not None:
            return Loss(POWERED_OFF, off_ns)
        return Loss(KILLED, begun.get(ProcessChanged(side, "killed")))
    if side in simulation.injector.gone:
        return Loss(VANISHED, begun.get(FaultStruck("vanish", side)))
    return Loss(FROZEN, host.frozen_ns) if host.frozen else None


def silent_network_since(marks: Iterable[Timed]) -> int | None:
    """Return since when the network itself carries nothing, None if that is not known."""
    since: int | None = None
    for at_ns, event, _ in marks:
        match event:
            case FaultStruck("vanish", "network") if since is None:
                since = at_ns
            case FaultEnded("network"):
                since = None
    return since


class _Builder:
    """Follows what each thing waits for, and adds a node and an edge for each."""

    def __init__(
        self, simulation: Simulation, events: Iterable[Timed], marks: Sequence[Timed]
    ) -> None:
        self.simulation = simulation
        self.losses = losses(simulation, marks)
        self.network_since_ns = silent_network_since(marks)
        self.nodes: dict[str, Node] = {}
        self.edges: dict[str, Edge] = {}
        levels = buffer_levels(simulation)
        self.levels = {level.sender: level for level in levels}
        self.wanted = _wanted(simulation, events)

    # ---- roots ---------------------------------------------------------------------------------

    def build(self) -> WaitForGraph:
        simulation = self.simulation
        living = [side for side in SIDES if side not in self.losses]
        for side in living:
            for command in simulation.hosts[side].monitor.unserved:
                self.manager_sent(side, command)
        for side in living:
            self.guest(side)
        for side in living:
            for thread in simulation.hosts[side].threads:
                self.thread(side, thread)
        graph = WaitForGraph(
            simulation.end_ns, tuple(self.nodes.values()), tuple(self.edges.values())
        )
        # From the roots down, without nodes that neither wait nor are waited for.
        nodes = dict.fromkeys(node for chain in graph.chains for node in chain.nodes)
        edges = dict.fromkeys(edge for chain in graph.chains for edge in chain.edges)
        return WaitForGraph(simulation.end_ns, tuple(nodes), tuple(edges))

    def add(self, node: Node) -> bool:
        """Add a node; return whether it is new."""
        if node.key in self.nodes:
            return False
        self.nodes[node.key] = node
        return True

    def edge(self, waiter: str, target: str, label: str, since_ns: int | None = None) -> None:
        self.edges[waiter] = Edge(waiter, target, label, since_ns)

    def side(self, side: str) -> Side:
        simulation = self.simulation
        return simulation.primary if side == PRIMARY else simulation.secondary

    # ---- cluster manager and commands ----------------------------------------------------------

    def manager_sent(self, side: str, command: Command) -> None:
        manager, key = "cluster manager", self.command(side, command)
        if manager in self.nodes:
            return
        self.add(Node(manager, Kind.MANAGER, None, "the cluster manager"))
        self.edge(manager, key, "waits for the answer to", command.sent_ns)

    def command(self, side: str, command: Command) -> str:
        key = f"{side}: {command.name}"
        if self.add(Node(key, Kind.COMMAND, side, f"{command.name} on the {side}")):
            loop = self.simulation.hosts[side].monitor.thread
            self.edge(key, self.thread(side, loop), "has to be served by", command.sent_ns)
        return key

    def failover_command(self, side: str) -> str:
        """Return the command that `side` waits for, or the manager that has not sent it."""
        simulation = self.simulation
        for command in simulation.hosts[side].monitor.unserved:
            if command.name == COMMAND:
                return self.command(side, command)
        manager = "cluster manager"
        self.add(Node(manager, Kind.MANAGER, None, "the cluster manager", self.manager_state(side)))
        return manager

    def manager_state(self, side: str) -> str:
        simulation = self.simulation
        settings = simulation.manager.settings
        peer = OTHER[side]
        if not simulation.hosts[side].monitor.has_client:
            return f"has no connection to the {side}'s monitor"
        if peer in simulation.manager.lost:
            if settings.policy == "wait":
                return "policy wait: it sends nothing"
            return f"about to send {COMMAND}"
        if peer in simulation.manager.silent:
            return f"has not yet taken the {peer} for lost"
        return f"hears the {peer}'s heartbeats"

    # ---- guests and threads --------------------------------------------------------------------

    def guest(self, side: str) -> None:
        simulation = self.simulation
        guest = simulation.hosts[side].guest
        standby = side == SECONDARY and PRIMARY not in self.losses
        if guest.running or standby:
            return
        key = f"{side}: guest"
        if side == PRIMARY:
            self.add(Node(key, Kind.GUEST, side, "the primary's guest", "stopped"))
            target = self.thread(side, self.side(side).thread)
            self.edge(key, target, "is run again only by", guest.since_ns)
        else:
            self.add(Node(key, Kind.GUEST, side, "the secondary's guest", "does not serve"))
            self.edge(key, self.failover_command(side), "is run only by a failover, told by")

    def thread(self, side: str, thread: Thread) -> str:
        key = f"{side}: {thread.name}"
        if not self.add(Node(key, Kind.THREAD, side, f"the {side}'s {thread.name}")):
            return key
        simulation = self.simulation
        lock = simulation.hosts[side].lock
        if side in self.losses:
            self.lost(key, side)
        elif any(waiter is thread for waiter, _, _ in lock.queue):
            purpose = next(purpose for waiter, purpose, _ in lock.queue if waiter is thread)
            since_ns = self.wanted.get((side, thread.name))
            self.edge(key, self.lock(side), f"waits, to {purpose_of(purpose)}, for", since_ns)
        elif thread is simulation.hosts[side].monitor.thread:
            if simulation.failovers[side].joining:
                target = self.thread(side, self.side(side).thread)
                self.edge(key, target, "waits for the end of")
        elif thread is self.side(side).thread:
            self.colo_thread(side, key, thread)
        return key

    def colo_thread(self, side: str, key: str, thread: Thread) -> None:
        simulation = self.simulation
        end = self.side(side)
        outgoing, incoming = simulation.connection.blocked_of(side)
        if thread.ended:
            self.nodes[key] = Node(key, Kind.THREAD, side, self.nodes[key].label, "has ended")
        elif outgoing.writer_blocked and self.levels[side].send_full:
            buffer = self.send_buffer(outgoing)
            since = [self.levels[side].send_full_since_ns]
            if buffer in self.edges:
                since.append(self.edges[buffer].since_ns)
            known = [at for at in since if at is not None]
            self.edge(
                key,
                buffer,
                f"is blocked in its send ({step_of(thread)}) by",
                max(known) if len(known) == len(since) else None,
            )
        elif incoming.reader_blocked:
            what = step_of(thread)
            self.edge(key, self.empty_buffer(incoming), f"waits in its receive ({what}) on")
        elif end.exited and not simulation.failovers[side].posted:
            target = self.failover_command(side)
            how = (
                "has left COLO and waits for"
                if target != "cluster manager"
                else (f"has left COLO and waits for {COMMAND} from")
            )
            self.edge(key, target, how)
        elif thread.asleep_until_ns is not None:
            timer = f"{side}: checkpoint timer"
            state = f"due at {thread.asleep_until_ns / 1e9:.6f} s"
            self.add(Node(timer, Kind.TIMER, side, "the checkpoint delay", state))
            self.edge(key, timer, "waits for the end of")

    # ---- lock and buffers ----------------------------------------------------------------------

    def lock(self, side: str) -> str:
        key = f"{side}: iothread lock"
        if self.add(Node(key, Kind.LOCK, side, f"the {side}'s iothread lock")):
            lock = self.simulation.hosts[side].lock
            if lock.owner is not None:
                target = self.thread(side, lock.owner)
                self.edge(key, target, f"is held, to {purpose_of(lock.purpose)}, by", lock.since_ns)
        return key

    def send_buffer(self, direction: Ends) -> str:
        side, levels = direction.sender, self.levels[direction.sender]
        key = f"{side}: send buffer"
        state = "full" if levels.send_full else ""
        if not self.add(Node(key, Kind.BUFFER, side, f"the {side}'s send buffer", state)):
            return key
        if self.simulation.connection.down:
            self.silence(key, direction.receiver, "gets no acknowledgement from")
        elif levels.receive_full:
            target = self.full_buffer(direction)
            self.edge(key, target, "meets the closed window of", levels.receive_full_since_ns)
        return key

    def full_buffer(self, direction: Ends) -> str:
        side = direction.receiver
        key = f"{side}: receive buffer"
        if self.add(Node(key, Kind.BUFFER, side, f"the {side}'s receive buffer", "full")):
            self.edge(key, self.thread(side, self.side(side).thread), "has to be read by")
        return key

    def empty_buffer(self, direction: Ends) -> str:
        side = direction.receiver
        key = f"{side}: receive buffer"
        if not self.add(Node(key, Kind.BUFFER, side, f"the {side}'s receive buffer", "empty")):
            return key
        if self.simulation.connection.down:
            self.silence(key, direction.sender, "gets nothing from")
        elif direction.starved:
            writer = self.thread(direction.sender, self.side(direction.sender).thread)
            self.edge(key, writer, "has to be filled by")
        else:
            under_way = f"network: {direction.name}"
            label = f"bytes under way from the {direction.sender}"
            self.add(Node(under_way, Kind.NETWORK, None, label, "they arrive by themselves"))
            self.edge(key, under_way, "is about to get")
        return key

    # ---- causes --------------------------------------------------------------------------------

    def silence(self, key: str, peer: str, label: str) -> None:
        """The link carries nothing: because the peer's host is gone, or the network itself."""
        if peer in self.losses and peer in self.simulation.injector.gone:
            self.lost(key, peer, label)
            return
        self.add(Node("network: link", Kind.NETWORK, None, "the network", "carries nothing"))
        self.edge(key, "network: link", label, self.network_since_ns)

    def lost(self, key: str, side: str, label: str = "stands still with") -> None:
        how, since_ns = self.losses[side]
        what = "host" if how in {VANISHED, POWERED_OFF} else "process"
        cause = f"{side}: {what}"
        self.add(Node(cause, Kind.PEER, side, f"the {side}'s {what}", how))
        self.edge(key, cause, label, since_ns)


def _wanted(simulation: Simulation, events: Iterable[Timed]) -> dict[tuple[str, str], int]:
    """Return when each waiting thread, by side and name, began to want its lock."""
    waiting = {
        (side, thread.name)
        for side, host in simulation.hosts.items()
        for thread, _, _ in host.lock.queue
    }
    return {
        (event.side, event.thread): at_ns
        for at_ns, event, _ in (events if waiting else ())
        if isinstance(event, LockWanted) and (event.side, event.thread) in waiting
    }


def wait_for_graph(
    simulation: Simulation,
    events: Iterable[Timed] | None = None,
    marks: Sequence[Timed] | None = None,
) -> WaitForGraph:
    """Return who waits for whom at the end of a simulation that has run.

    `events` are the last events of its record, if that was not kept: from them it is known since
    when a thread wants its lock; `marks` are those of the whole run that tell how a side was lost.
    The socket levels are followed to the end of the run, so tables are to be taken before.
    """
    known = list(simulation.record if events is None else events)
    return _Builder(simulation, known, known if marks is None else marks).build()
