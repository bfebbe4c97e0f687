"""Who waits for whom at the end of a simulation, down to the cause.

A chain ends in a cause outside (a frozen process, a dead link, a cluster manager that sends
nothing), in something that comes by itself (a timer, a thread at work), or it is a cycle.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from colosim.analysis.buffers import buffer_levels
from colosim.analysis.graph import Edge, Kind, Node, WaitForGraph
from colosim.analysis.timeline import place, purpose_of
from colosim.host.failover import BY_COMMAND, BY_CONNECTION, COMMAND, NO_FAILOVER
from colosim.trace import events as ev
from colosim.trace.events import OTHER, PRIMARY, SECONDARY
from colosim.trace.steps import DISK_STEPS, PROXY_WRITE

if TYPE_CHECKING:
    from colosim.designs.side import Side
    from colosim.host.monitor import Command
    from colosim.host.process import Thread
    from colosim.network.ends import Ends
    from colosim.runs.simulation import Simulation
    from colosim.trace.record import Timed

SIDES = (PRIMARY, SECONDARY)
NETWORK, _MANAGER = "network", "cluster manager"
FROZEN, KILLED, VANISHED, POWERED_OFF = "frozen", "killed", "vanished", "powered off"
LOST = "carries nothing"
_STANDS = "stands still, whatever query-status said last"
_WORST_FIRST = (POWERED_OFF, KILLED, VANISHED, FROZEN)


class Loss(NamedTuple):
    """How a side or the network was lost, and since when (ns)."""

    how: str
    since_ns: int


class Wait(NamedTuple):
    """What a thread waits for, in a step or message or on the lock, and since when (ns)."""

    step: str
    since_ns: int
    on_lock: bool = False


Waits = dict[tuple[str, str], Wait]
"""What each thread that waits does wait for, by side and name."""


def losses(marks: Iterable[Timed]) -> dict[str, Loss]:
    """Return how each side and the network was lost that is; `marks` has the events that say so."""
    begun: dict[tuple[str, str], int] = {}
    for at_ns, event, _ in marks:
        match event:
            case ev.ProcessChanged(side, "thawed"):
                begun.pop((side, FROZEN), None)
            case ev.ProcessChanged(side, how):
                begun.setdefault((side, how), at_ns)
            case ev.PoweredOff(side):
                begun.setdefault((side, POWERED_OFF), at_ns)
            case ev.FaultStruck("vanish", where):
                begun.setdefault((where, VANISHED), at_ns)
            case ev.FaultEnded(where):
                begun.pop((where, VANISHED), None)
    return {
        where: next(Loss(how, begun[where, how]) for how in _WORST_FIRST if (where, how) in begun)
        for where in (*SIDES, NETWORK)
        if any(lost == where for lost, _ in begun)
    }


def follow_waits(waits: Waits, at_ns: int, event: ev.Event) -> None:
    """Keep `waits` up to date with an event."""
    match event:
        case ev.WaitBegan(side, thread):
            waits[side, thread] = Wait(event.step, at_ns)
        case ev.LockWanted(side, thread, purpose):
            waits[side, thread] = Wait(purpose, at_ns, on_lock=True)
        case ev.WaitEnded(side, thread) | ev.LockGot(side, thread):
            waits.pop((side, thread), None)


def open_waits(events: Iterable[Timed]) -> Waits:
    """Return what threads wait for at the end of `events`."""
    waits: Waits = {}
    for at_ns, event, _ in events:
        follow_waits(waits, at_ns, event)
    return waits


def colo_end(simulation: Simulation, side: str) -> Side:
    """Return a side's end of the transactions."""
    return simulation.primary if side == PRIMARY else simulation.secondary


# ---- from a simulation to its graph --------------------------------------------------------------


class _Builder:
    """Follows what each thing waits for, and adds a node and an edge for each."""

    def __init__(
        self, simulation: Simulation, events: Iterable[Timed], marks: Iterable[Timed]
    ) -> None:
        self.simulation = simulation
        self.losses = losses(marks)
        self.waits = open_waits(events)
        self.levels = {level.sender: level for level in buffer_levels(simulation)}
        self.nodes: dict[str, Node] = {}
        self.edges: dict[str, Edge] = {}

    def build(self) -> WaitForGraph:
        simulation = self.simulation
        living = {side: simulation.hosts[side] for side in SIDES if side not in self.losses}
        for side, host in living.items():
            for command in host.monitor.unserved:
                self.manager_sent(side, command)
        for side in living:
            self.guest(side)
        for side, host in living.items():
            for thread in host.threads:
                self.thread(side, thread)
        graph = WaitForGraph(
            simulation.end_ns, tuple(self.nodes.values()), tuple(self.edges.values())
        )
        # From the roots down, without nodes that neither wait nor are waited for.
        nodes = dict.fromkeys(node for chain in graph.chains for node in chain.nodes)
        edges = dict.fromkeys(edge for chain in graph.chains for edge in chain.edges)
        return WaitForGraph(simulation.end_ns, tuple(nodes), tuple(edges))

    def add(self, key: str, kind: Kind, side: str | None, label: str, state: str = "") -> bool:
        """Add a node; return whether it is new."""
        if key in self.nodes:
            return False
        self.nodes[key] = Node(key, kind, side, label, state)
        return True

    def edge(self, waiter: str, target: str, label: str, since_ns: int | None = None) -> None:
        self.edges[waiter] = Edge(waiter, target, label, since_ns)

    def colo_thread(self, side: str) -> str:
        return self.thread(side, colo_end(self.simulation, side).thread)

    # ---- cluster manager and commands ----------------------------------------------------------

    def manager_sent(self, side: str, command: Command) -> None:
        key = self.command(side, command)
        if self.add(_MANAGER, Kind.MANAGER, None, "the cluster manager"):
            self.edge(_MANAGER, key, "waits for the answer to", command.sent_ns)

    def command(self, side: str, command: Command) -> str:
        key = f"{side}: {command.name}"
        if self.add(key, Kind.COMMAND, side, f"{command.name} on the {side}"):
            loop = self.thread(side, self.simulation.hosts[side].monitor.thread)
            self.edge(key, loop, "has to be served by", command.sent_ns)
        return key

    def failover_command(self, side: str) -> str:
        """Return the command that `side` waits for, or the manager that has not sent it."""
        for command in self.simulation.hosts[side].monitor.unserved:
            if command.name == COMMAND:
                return self.command(side, command)
        self.add(_MANAGER, Kind.MANAGER, None, "the cluster manager", self.manager_state(side))
        return _MANAGER

    def manager_state(self, side: str) -> str:
        manager, peer = self.simulation.manager, OTHER[side]
        if not self.simulation.hosts[side].monitor.has_client:
            return f"has no connection to the {side}'s monitor"
        if peer in manager.lost:
            if manager.settings.policy == "wait":
                return "policy wait: it sends nothing"
            return f"about to send {COMMAND}"
        if peer in manager.silent:
            return f"has not yet taken the {peer} for lost"
        return f"hears the {peer}'s heartbeats"

    # ---- guests and threads --------------------------------------------------------------------

    def guest(self, side: str) -> None:
        guest, key = self.simulation.hosts[side].guest, f"{side}: guest"
        if guest.running:
            return
        loop = self.simulation.hosts[side].monitor.thread
        if side == PRIMARY and loop.waits_for in {*DISK_STEPS, PROXY_WRITE}:
            self.add(key, Kind.GUEST, side, "the primary's guest", _STANDS)
            label = "waits for the lock that is held by"
            self.edge(key, self.thread(side, loop), label, guest.since_ns)
        elif side == PRIMARY:
            self.add(key, Kind.GUEST, side, "the primary's guest", "stopped")
            self.edge(key, self.colo_thread(side), "is run again only by", guest.since_ns)
        elif PRIMARY in self.losses:
            by = self.simulation.failovers[side].by
            state = "has no state to run with" if by == NO_FAILOVER else "does not serve"
            self.add(key, Kind.GUEST, side, "the secondary's guest", state)
            if by == BY_COMMAND:
                self.edge(key, self.failover_command(side), "is run only by a failover, told by")
            elif by == BY_CONNECTION:
                self.edge(key, self.colo_thread(side), "is run, once the connection is lost, by")

    def thread(self, side: str, thread: Thread) -> str:
        key, colo = f"{side}: {thread.name}", colo_end(self.simulation, side)
        ended = thread is colo.thread and thread.ended and side not in self.losses
        state = "has ended" if ended else ""
        if not self.add(key, Kind.THREAD, side, f"the {side}'s {thread.name}", state):
            return key
        host = self.simulation.hosts[side]
        wanted = [purpose for waiter, purpose, _ in host.lock.queue if waiter is thread]
        wait = self.waits.get((side, thread.name))
        since_ns = None if wait is None else wait.since_ns
        if side in self.losses:
            self.lost(key, side)
        elif wanted:
            self.edge(key, self.lock(side), f"waits, to {purpose_of(wanted[0])}, for", since_ns)
        elif wait is not None and wait.step in DISK_STEPS:
            self.edge(key, self.disk(), f"waits, with the lock, for the {wait.step} of", since_ns)
        elif wait is not None and wait.step == PROXY_WRITE:
            self.edge(key, self.socket(side), "waits, with the lock, for room in", since_ns)
        elif thread is host.monitor.thread:
            if self.simulation.failovers[side].joining:
                self.edge(key, self.colo_thread(side), "waits for the end of", since_ns)
        elif thread is colo.thread and not ended:
            self.colo(key, colo, wait)
        return key

    def colo(self, key: str, colo: Side, wait: Wait | None) -> None:
        """Follow what a COLO thread waits for that neither is lost nor wants the lock."""
        side, thread, levels = colo.name, colo.thread, self.levels[colo.name]
        step, since_ns = ("", None) if wait is None else (wait.step, wait.since_ns)
        outgoing, incoming = self.simulation.connection.blocked_of(side)
        if outgoing.writer_blocked and levels.send_full:
            buffer = self.send_buffer(outgoing)
            # Its wait began with its write, but it is blocked since nothing is taken any more.
            since = [levels.send_full_since_ns]
            if buffer in self.edges:
                since.append(self.edges[buffer].since_ns)
            known = [at_ns for at_ns in since if at_ns is not None]
            full_ns = max(known) if len(known) == len(since) else None
            self.edge(key, buffer, f"is blocked in its send ({step}) by", full_ns)
        elif incoming.reader_blocked:
            buffer = self.empty_buffer(incoming)
            self.edge(key, buffer, f"waits in its receive ({step}) on", since_ns)
        elif colo.exited and not colo.failover.posted:
            target = self.failover_command(side)
            sender = f" {COMMAND} from" if target == _MANAGER else ""
            self.edge(key, target, f"has left COLO and waits for{sender}", since_ns)
        elif thread.asleep_until_ns is not None:
            timer, due = f"{side}: checkpoint timer", f"{thread.asleep_until_ns / 1e9:.6f} s"
            self.add(timer, Kind.TIMER, side, "the checkpoint delay", f"due at {due}")
            self.edge(key, timer, "waits for the end of", since_ns)

    # ---- lock, disk and buffers ----------------------------------------------------------------

    def lock(self, side: str) -> str:
        key, lock = f"{side}: iothread lock", self.simulation.hosts[side].lock
        if self.add(key, Kind.LOCK, side, f"the {side}'s iothread lock") and lock.owner:
            label = f"is held, to {purpose_of(lock.purpose)}, by"
            self.edge(key, self.thread(side, lock.owner), label, lock.since_ns)
        return key

    def disk(self) -> str:
        """Return the disk, which the secondary's main loop answers for."""
        key, disk = "primary: disk", self.simulation.disk
        if disk is None or not self.add(key, Kind.DISK, PRIMARY, "the replicated disk"):
            return key
        if self.simulation.connection.down:
            self.silence(key, SECONDARY, "gets no answer from")
        elif disk.connection.down:
            self.add("network: disk", Kind.NETWORK, None, "its connection", LOST)
            self.edge(key, "network: disk", "gets no answer over")
        else:
            loop = self.thread(SECONDARY, self.simulation.hosts[SECONDARY].monitor.thread)
            self.edge(key, loop, "is to be answered by")
        return key

    def socket(self, side: str) -> str:
        """Return the proxy's socket that a side writes to, which its peer has to read."""
        sockets = self.simulation.sockets
        assert sockets is not None  # noqa: S101 - it is waited for
        one, peer = sockets.of(side), OTHER[side]
        key = f"{side}: {one.where}"
        if not self.add(key, Kind.BUFFER, side, place(one.where), "full"):
            return key
        if self.simulation.connection.down:
            self.silence(key, peer, "gets no acknowledgement from")
        elif one.connection.down:
            self.add(f"network: {one.where}", Kind.NETWORK, None, "its connection", LOST)
            self.edge(key, f"network: {one.where}", "gets no acknowledgement over")
        elif peer in self.losses:
            self.lost(key, peer, "has to be read by")
        elif side == PRIMARY and sockets.compare.stands:
            self.edge(key, self.lock(peer), "has to be read by a main loop that waits for")
        else:
            self.add(
                f"{peer}: reader of {one.where}", Kind.PEER, peer, "its reader", "reads no more"
            )
            self.edge(key, f"{peer}: reader of {one.where}", "has to be read by")
        return key

    def send_buffer(self, direction: Ends) -> str:
        side, peer, levels = direction.sender, direction.receiver, self.levels[direction.sender]
        key, state = f"{side}: send buffer", "full" if levels.send_full else ""
        if not self.add(key, Kind.BUFFER, side, f"the {side}'s send buffer", state):
            return key
        if self.simulation.connection.down:
            self.silence(key, peer, "gets no acknowledgement from")
        elif levels.receive_full:
            window = f"{peer}: receive buffer"
            if self.add(window, Kind.BUFFER, peer, f"the {peer}'s receive buffer", "full"):
                self.edge(window, self.colo_thread(peer), "has to be read by")
            self.edge(key, window, "meets the closed window of", levels.receive_full_since_ns)
        return key

    def empty_buffer(self, direction: Ends) -> str:
        side, peer = direction.receiver, direction.sender
        key = f"{side}: receive buffer"
        if not self.add(key, Kind.BUFFER, side, f"the {side}'s receive buffer", "empty"):
            return key
        if self.simulation.connection.down:
            self.silence(key, peer, "gets nothing from")
        elif direction.starved:
            self.edge(key, self.colo_thread(peer), "has to be filled by")
        else:
            under_way, label = f"network: {direction.name}", f"bytes under way from the {peer}"
            self.add(under_way, Kind.NETWORK, None, label, "they arrive by themselves")
            self.edge(key, under_way, "is about to get")
        return key

    # ---- causes --------------------------------------------------------------------------------

    def silence(self, key: str, peer: str, label: str) -> None:
        """The link carries nothing: because the peer's host is gone, or the network itself."""
        if peer in self.losses and peer in self.simulation.injector.gone:
            self.lost(key, peer, label)
            return
        self.add("network: link", Kind.NETWORK, None, "the network", LOST)
        loss = self.losses.get(NETWORK)
        self.edge(key, "network: link", label, None if loss is None else loss.since_ns)

    def lost(self, key: str, side: str, label: str = "stands still with") -> None:
        how, since_ns = self.losses[side]
        what = "host" if how in {VANISHED, POWERED_OFF} else "process"
        cause = f"{side}: {what}"
        self.add(cause, Kind.PEER, side, f"the {side}'s {what}", how)
        self.edge(key, cause, label, since_ns)


def wait_for_graph(
    simulation: Simulation,
    events: Iterable[Timed] | None = None,
    marks: Iterable[Timed] | None = None,
) -> WaitForGraph:
    """Return who waits for whom at the end of a simulation that has run.

    `events` are the last events of its record, if that was not kept, and say since when who waits
    for what; `marks` are those of the whole run that tell how a side was lost.
    """
    known = list(simulation.record if events is None else events)
    return _Builder(simulation, known, known if marks is None else marks).build()
