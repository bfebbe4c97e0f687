"""The wait-for graph: who waits for whom at the end of a simulation, down to the cause.

A node waits for at most one other, so from every node one chain leads to its end: a cause outside
(a frozen process, a dead link, a cluster manager that sends nothing), something that comes by
itself (a timer, a thread at work), or a cycle.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from colosim.analysis.wording import purpose_of
from colosim.failover.state import COMMAND
from colosim.network.connection import PRIMARY, SECONDARY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from colosim.designs.side import Side
    from colosim.host.monitor import Command
    from colosim.host.thread import Thread
    from colosim.network.direction import Direction
    from colosim.runs.simulation import Simulation

__all__ = [
    "BufferLevels",
    "Chain",
    "Edge",
    "Kind",
    "Node",
    "WaitForGraph",
    "buffer_levels",
    "wait_for_graph",
]

SIDES = (PRIMARY, SECONDARY)
FROZEN, KILLED, VANISHED, POWERED_OFF = "frozen", "killed", "vanished", "powered off"


class Kind(StrEnum):
    """What a node of the graph is."""

    GUEST = "guest"
    COMMAND = "command"
    THREAD = "thread"
    LOCK = "lock"
    BUFFER = "buffer"
    MANAGER = "manager"
    PEER = "peer"
    NETWORK = "network"
    TIMER = "timer"


@dataclass(frozen=True, slots=True)
class Node:
    """Something that waits or is waited for.

    `key` is unique in its graph and stable from run to run; `side` is whose it is, None outside of
    both processes; `state` says in a few words how it stands.
    """

    key: str
    kind: Kind
    side: str | None
    label: str
    state: str = ""


@dataclass(frozen=True, slots=True)
class Edge:
    """`waiter` waits for `target` (keys of nodes), since a time in ns if that is known."""

    waiter: str
    target: str
    label: str
    since_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Chain:
    """The way from one waiting node down to its cause.

    In a cycle the last edge leads back to a node of the chain, and there is no cause.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    cycle: bool

    @property
    def cause(self) -> Node | None:
        """What the chain ends in, None if it is a cycle."""
        return None if self.cycle else self.nodes[-1]

    def ends_outside(self, side: str) -> bool:
        """Whether the cause is neither a thread nor anything else of `side`."""
        cause = self.cause
        return cause is not None and cause.side != side


@dataclass(frozen=True, slots=True)
class BufferLevels:
    """How full the two socket buffers of one direction are, and since when they are full.

    `broken`: the connection has failed for the sender, so they take and give nothing any more.
    """

    sender: str
    receiver: str
    send_bytes: int
    send_capacity_bytes: int
    receive_bytes: int
    receive_capacity_bytes: int
    send_full_since_ns: int | None = None
    receive_full_since_ns: int | None = None
    broken: bool = False

    @property
    def send_full(self) -> bool:
        """Whether the send buffer takes nothing more."""
        return self.send_bytes >= self.send_capacity_bytes

    @property
    def receive_full(self) -> bool:
        """Whether the receive buffer is full, so that the window is closed."""
        return self.receive_bytes >= self.receive_capacity_bytes


@dataclass(frozen=True, slots=True)
class WaitForGraph:
    """Who waits for whom at `at_ns`; nodes and edges in the order in which they were met."""

    at_ns: int
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    _targets: Mapping[str, Edge] = field(init=False, repr=False, compare=False)
    _nodes: Mapping[str, Node] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the nodes and edges."""
        object.__setattr__(self, "_targets", {edge.waiter: edge for edge in self.edges})
        object.__setattr__(self, "_nodes", {node.key: node for node in self.nodes})

    def node(self, key: str) -> Node:
        """Return the node of this key.

        :raises KeyError: if there is none.
        """
        return self._nodes[key]

    def waits_for(self, key: str) -> Edge | None:
        """Return the edge out of the node `key`, None if it waits for nothing."""
        return self._targets.get(key)

    def chain(self, key: str) -> Chain:
        """Return the chain from the node `key` down to its cause.

        :raises KeyError: if there is no such node.
        """
        nodes, edges = [self._nodes[key]], []
        seen = {key}
        while (edge := self._targets.get(nodes[-1].key)) is not None:
            edges.append(edge)
            if edge.target in seen:
                return Chain(tuple(nodes), tuple(edges), cycle=True)
            seen.add(edge.target)
            nodes.append(self._nodes[edge.target])
        return Chain(tuple(nodes), tuple(edges), cycle=False)

    @property
    def roots(self) -> tuple[Node, ...]:
        """The nodes that wait and that nobody waits for; of a cycle alone, its first node."""
        targets = {edge.target for edge in self.edges}
        roots = [edge.waiter for edge in self.edges if edge.waiter not in targets]
        reached = {node.key for key in roots for node in self.chain(key).nodes}
        for edge in self.edges:
            if edge.waiter not in reached:
                roots.append(edge.waiter)
                reached |= {node.key for node in self.chain(edge.waiter).nodes}
        return tuple(self._nodes[key] for key in roots)

    @property
    def chains(self) -> tuple[Chain, ...]:
        """The chains from all roots."""
        return tuple(self.chain(node.key) for node in self.roots)

    @property
    def waiting_threads(self) -> tuple[Chain, ...]:
        """The chain of each thread that waits."""
        return tuple(
            self.chain(node.key)
            for node in self.nodes
            if node.kind is Kind.THREAD and node.key in self._targets
        )

    @property
    def cycles(self) -> tuple[tuple[Node, ...], ...]:
        """The cycles, each from its first node in the graph's order."""
        found: list[tuple[Node, ...]] = []
        known: set[str] = set()
        for edge in self.edges:
            chain = self.chain(edge.waiter)
            if not chain.cycle:
                continue
            keys = [node.key for node in chain.nodes]
            cycle = chain.nodes[keys.index(chain.edges[-1].target) :]
            if not known & {node.key for node in cycle}:
                known |= {node.key for node in cycle}
                found.append(cycle)
        return tuple(found)


class _Full:
    """Follows since when the buffers of one direction have been full."""

    def __init__(self, capacities: tuple[int, int]) -> None:
        self._capacities = capacities
        self.since: list[int | None] = [None, None]

    def see(self, at_ns: int, *levels: int) -> None:
        for index, level in enumerate(levels):
            if level < self._capacities[index]:
                self.since[index] = None
            elif self.since[index] is None:
                self.since[index] = at_ns


class FullSince(list[tuple[int, int, int]]):
    """A direction's list of levels that keeps only since when each buffer has been full."""

    def __init__(self, capacities: tuple[int, int]) -> None:
        super().__init__()
        self.full = _Full(capacities)

    def append(self, levels: tuple[int, int, int], /) -> None:
        """Take a breakpoint."""
        self.full.see(*levels)


def buffer_levels(simulation: Simulation) -> tuple[BufferLevels, BufferLevels]:
    """Return how full the socket buffers are at the end, to the secondary and to the primary.

    Since when they are full is known only if a `FullSince` has listened to the direction.
    """
    connection = simulation.connection
    return (
        _levels(simulation, connection.to_secondary),
        _levels(simulation, connection.to_primary),
    )


def _levels(simulation: Simulation, direction: Direction) -> BufferLevels:
    network = simulation.scenario.network
    capacities = (network.send_buffer_bytes, network.receive_buffer_bytes)
    known = direction.levels.full if isinstance(direction.levels, FullSince) else None
    full = known or _Full(capacities)
    fluid = direction.disturb().fluid.twin()
    if known is not None:
        fluid.on_levels = lambda at, sending, receiving: full.see(
            -int(-at // 1), -int(-sending // 1), -int(-receiving // 1)
        )
    if fluid.now < simulation.end_ns:
        fluid.advance(simulation.end_ns)
    return BufferLevels(
        direction.sender,
        direction.receiver,
        -int(-(fluid.written - fluid.left) // 1),
        capacities[0],
        -int(-(fluid.arrived.value - fluid.read) // 1),
        capacities[1],
        full.since[0],
        full.since[1],
        direction.write_error is not None,
    )


def step_of(thread: Thread) -> str:
    """Return the protocol step or message at which a thread waits, nothing if it does not."""
    text = thread.waits_for
    return text[text.index("(") + 1 : text.rindex(")")] if "(" in text else text


def lost_how(simulation: Simulation, side: str) -> tuple[str, int | None] | None:
    """Return how `side` was lost and since when (ns); None if it lives."""
    host, gone = simulation.hosts[side], simulation.injector.gone
    if not (host.frozen or host.dead or side in gone):
        return None
    struck = {fault.kind: at for at, fault in simulation.injector.struck if _strikes(fault, side)}
    if host.dead:
        if "kill" in struck:
            return KILLED, struck["kill"]
        return POWERED_OFF, simulation.manager.lost.get(side)
    if side in gone:
        return VANISHED, struck.get("vanish")
    return FROZEN, host.frozen_ns


def _strikes(fault: object, side: str) -> bool:
    return getattr(fault, "target", None) == side


def _starved(direction: Direction) -> bool:
    """Whether a thread waits in its receive for more than has been written."""
    fluid = direction.disturb().fluid
    return direction.price is not None or fluid.read_goal > fluid.written


class _Builder:
    """Follows what each thing waits for, and adds a node and an edge for each."""

    def __init__(self, simulation: Simulation, events: Iterable[tuple[int, str, int]]) -> None:
        self.simulation = simulation
        self.nodes: dict[str, Node] = {}
        self.edges: dict[str, Edge] = {}
        levels = buffer_levels(simulation)
        self.levels = {level.sender: level for level in levels}
        self.wanted = _wanted(simulation, events)

    # ---- roots ---------------------------------------------------------------------------------

    def build(self) -> WaitForGraph:
        simulation = self.simulation
        living = [side for side in SIDES if lost_how(simulation, side) is None]
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
        peer = SECONDARY if side == PRIMARY else PRIMARY
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
        standby = side == SECONDARY and lost_how(simulation, PRIMARY) is None
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
        if lost_how(simulation, side) is not None:
            self.lost(key, side)
        elif any(waiter is thread for waiter, _, _ in lock.queue):
            purpose = next(purpose for waiter, purpose, _ in lock.queue if waiter is thread)
            since_ns = self.wanted.get(f"{side}: iothread lock wanted by {thread.name}")
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
        outgoing, incoming = simulation.connection.of(side)
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

    def send_buffer(self, direction: Direction) -> str:
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

    def full_buffer(self, direction: Direction) -> str:
        side = direction.receiver
        key = f"{side}: receive buffer"
        if self.add(Node(key, Kind.BUFFER, side, f"the {side}'s receive buffer", "full")):
            self.edge(key, self.thread(side, self.side(side).thread), "has to be read by")
        return key

    def empty_buffer(self, direction: Direction) -> str:
        side = direction.receiver
        key = f"{side}: receive buffer"
        if not self.add(Node(key, Kind.BUFFER, side, f"the {side}'s receive buffer", "empty")):
            return key
        if self.simulation.connection.down:
            self.silence(key, direction.sender, "gets nothing from")
        elif _starved(direction):
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
        if lost_how(self.simulation, peer) is not None and peer in self.simulation.injector.gone:
            self.lost(key, peer, label)
            return
        struck = [at for at, fault in self.simulation.injector.struck if fault.kind == "vanish"]
        self.add(Node("network: link", Kind.NETWORK, None, "the network", "carries nothing"))
        self.edge(key, "network: link", label, struck[-1] if struck else None)

    def lost(self, key: str, side: str, label: str = "stands still with") -> None:
        how, since_ns = lost_how(self.simulation, side) or ("", None)
        what = "host" if how in {VANISHED, POWERED_OFF} else "process"
        cause = f"{side}: {what}"
        self.add(Node(cause, Kind.PEER, side, f"the {side}'s {what}", how))
        self.edge(key, cause, label, since_ns)


def _wanted(simulation: Simulation, events: Iterable[tuple[int, str, int]]) -> dict[str, int]:
    """Return when each waiting thread began to want its lock, by the event less its purpose."""
    waiting = {
        f"{side}: iothread lock wanted by {thread.name}"
        for side, host in simulation.hosts.items()
        for thread, _, _ in host.lock.queue
    }
    found: dict[str, int] = {}
    if waiting:
        for at_ns, name, _ in events:
            who = name.rpartition(" for ")[0]
            if who in waiting:
                found[who] = at_ns
    return found


def wait_for_graph(
    simulation: Simulation, events: Iterable[tuple[int, str, int]] | None = None
) -> WaitForGraph:
    """Return who waits for whom at the end of a simulation that has run.

    `events` are the last events of its record, if that was not kept: from them it is known since
    when a thread wants its lock.  The socket levels are followed to the end of the run, so tables
    are to be taken before.
    """
    return _Builder(simulation, simulation.record if events is None else events).build()
