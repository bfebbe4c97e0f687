"""What would release a survivor that waits: each way is tried, and told as it came out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from colosim.analysis import ahead
from colosim.analysis.graph import Kind
from colosim.analysis.levels import buffer_levels
from colosim.analysis.waiting import FROZEN, KILLED, POWERED_OFF, VANISHED, step_of
from colosim.analysis.wording import duration, place, seconds
from colosim.host.failover import COMMAND
from colosim.network.tcp import give_up_ns
from colosim.trace.events import (
    OTHER,
    PRIMARY,
    SECONDARY,
    CallFailed,
    CommandReceived,
    CommandServed,
    FaultEnded,
    LockGot,
    LockReleased,
    MonitorRegained,
    ProcessChanged,
    Received,
    Sent,
    ServesAlone,
    StepDone,
    StreamEnded,
)
from colosim.trace.purpose import Purpose

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from colosim.analysis.ahead import Outlook
    from colosim.analysis.graph import Chain, WaitForGraph
    from colosim.analysis.waiting import Loss
    from colosim.runs.simulation import Simulation
    from colosim.trace.events import Event

    Timed = tuple[int, Event, int]

__all__ = ["BY_ITSELF", "IF_DONE", "NEVER", "Release", "releases"]

BY_ITSELF, IF_DONE, NEVER = "by itself", "if done", "never"
_AT_ONCE = "the monitor serves it, as the lock is free, and the guest runs"


@dataclass(frozen=True, slots=True)
class Release:
    """Something that ends the wait of `side`, or that one might hope would.

    `when` is ``by itself`` (at `at_ns`, if that is known), ``if done`` or ``never``.
    """

    when: str
    event: str
    effect: str
    at_ns: int | None = None
    side: str = ""


class _End(NamedTuple):
    """How a thread's wait on the connection ends: when, and why if it fails."""

    at_ns: int
    reason: str | None


def releases(
    simulation: Simulation, graph: WaitForGraph, lost: Mapping[str, Loss], outlook: Outlook
) -> tuple[Release, ...]:
    """Return what releases the sides that live and wait, and what does not."""
    sides = [_Waiting(simulation, graph, lost, side) for side in (PRIMARY, SECONDARY)]
    waiting = [side for side in sides if side.side not in lost and side.waits]
    if not waiting:
        return ()
    coming = outlook.events()
    return tuple(way for side in waiting for way in _Ways(side, outlook, coming).found())


class _Waiting:
    """How one side waits."""

    def __init__(
        self,
        simulation: Simulation,
        graph: WaitForGraph,
        lost: Mapping[str, Loss],
        side: str,
    ) -> None:
        self.simulation = simulation
        self.graph = graph
        self.lost = lost
        self.side = side
        self.peer = OTHER[side]
        self.host = simulation.hosts[side]
        self.failover = simulation.failovers[side]
        self.end = simulation.primary if side == PRIMARY else simulation.secondary
        self.outgoing, self.incoming = simulation.connection.blocked_of(side)
        self.thread = f"{side}: {self.end.thread.name}"
        edge = graph.waits_for(self.thread)
        buffers = {f"{side}: send buffer": "send", f"{side}: receive buffer": "receive"}
        self.does = None if edge is None else buffers.get(edge.target)
        """What the COLO thread waits in: its ``send``, its ``receive``, or neither."""
        self.sent = [one for one in self.host.monitor.unserved if one.name == COMMAND]

    @property
    def waits(self) -> bool:
        """Whether it waits, with its command or a thread of its own, for more than a checkpoint."""
        return bool(self.sent) or (
            self.apart
            and any(
                node.side == self.side
                and node.kind in {Kind.THREAD, Kind.GUEST}
                and self._is_stuck(self.graph.chain(node.key))
                for node in self.graph.nodes
            )
        )

    @staticmethod
    def _is_stuck(chain: Chain) -> bool:
        cause = chain.cause
        return bool(chain.edges) and (cause is None or cause.kind is not Kind.TIMER)

    @property
    def held(self) -> bool:
        """Whether its lock is held by another thread than the main loop, which itself waits."""
        lock = self.host.lock
        if lock.owner in {None, self.host.monitor.thread} or lock.owner is None:
            return False
        return self.leaked or self.graph.waits_for(f"{self.side}: {lock.owner.name}") is not None

    @property
    def leaked(self) -> bool:
        """Whether its COLO thread has left COLO with the lock."""
        return self.end.exited and self.end.holds_lock

    @property
    def apart(self) -> bool:
        """Whether only a failover can help: the peer is lost, or one of both has left COLO."""
        simulation = self.simulation
        exited = simulation.primary.exited or simulation.secondary.exited
        return self.peer in self.lost or simulation.connection.down or exited

    def ends(self, events: Sequence[Timed]) -> _End | None:
        """Return how the COLO thread's wait on the connection ends in `events`."""
        step = step_of(self.end.thread)
        goes_on = {kind(self.side, step) for kind in (StepDone, StreamEnded, Sent, Received)}
        for at_ns, event, _ in events if self.does else ():
            if event in goes_on:
                return _End(at_ns, None)
            match event:
                case CallFailed(self.side, _, why):
                    return None if why == "shut down" else _End(at_ns, why)
        return None

    def effect(self, end: _End, events: Sequence[Timed], first: str = "") -> str:
        """Say what comes of the end of the wait."""
        said = [first] if first else []
        said.append(f"the {self.does} {'goes on' if end.reason is None else 'fails'}")
        owner = self.host.lock.owner
        if owner is self.end.thread and any(
            _released(event, self.side, owner.name) for _, event, _ in events
        ):
            said.append("the lock is given back")
        if self.sent and _served(self.side, events) is not None:
            said.append("the command is served")
        return ", ".join(said)


def _released(event: Event, side: str, thread: str) -> bool:
    return isinstance(event, LockReleased) and (event.side, event.thread) == (side, thread)


def _served(side: str, events: Sequence[Timed]) -> Timed | None:
    served = CommandServed(side, COMMAND)
    return next((one for one in events if one[1] == served), None)


def _at(events: Sequence[Timed], event: Event) -> int | None:
    return next((at_ns for at_ns, one, _ in events if one == event), None)


@dataclass
class _Ways:
    """The ways out for one side, one after the other."""

    waiting: _Waiting
    outlook: Outlook
    coming: Sequence[Timed]
    _found: list[Release] = field(default_factory=list)

    def found(self) -> list[Release]:
        """Return them: of the command, of what comes by itself, of what could be done."""
        waiting = self.waiting
        self._natural = waiting.ends(self.coming)
        self._by_command()
        if self._natural is not None:
            self._by_itself(self._natural)
        self._served_by_itself()
        if waiting.does is not None:
            self._if_peer_changes()
            self._if_link_comes_back()
            self._by_timers()
            self._if_yanked()
        self._if_connected()
        self._cycles()
        return sorted(self._found, key=lambda way: (way.when != BY_ITSELF, way.at_ns or 0))

    def add(self, when: str, event: str, effect: str, at_ns: int | None = None) -> None:
        self._found.append(Release(when, event, effect, at_ns, self.waiting.side))

    @property
    def _comes(self) -> bool:
        """Whether something has been found that comes by itself."""
        return any(way.when == BY_ITSELF for way in self._found)

    # ---- the command ---------------------------------------------------------------------------

    def _by_command(self) -> None:
        """Tell of the failover command: that it comes, that it would help, or that it cannot."""
        waiting, side = self.waiting, self.waiting.side
        if waiting.failover.requested or not waiting.apart:
            return
        if waiting.held:
            why = (
                "the thread that waits for it has the lock that the monitor needs"
                if waiting.leaked
                else "the monitor needs the lock to serve it"
            )
            self.add(NEVER, f"{COMMAND} alone", why)
        sent_ns = _at(self.coming, CommandReceived(side, COMMAND))
        if sent_ns is None or waiting.sent:
            if not waiting.held and not waiting.sent:
                self._if_told()
            return
        effect = self._of_command(sent_ns, self.coming)
        if effect:
            self.add(
                BY_ITSELF, f"the cluster manager sends {COMMAND} to the {side}", effect, sent_ns
            )

    def _if_told(self) -> None:
        side, at_ns = self.waiting.side, self.outlook.at_ns
        effect = self._of_command(at_ns, self.outlook.events(ahead.told(side)))
        if effect:
            self.add(IF_DONE, f"{COMMAND} on the {side}", effect)

    def _of_command(self, sent_ns: int, events: Sequence[Timed]) -> str:
        """Return what a command that is sent at `sent_ns` does, nothing if that is no takeover."""
        side = self.waiting.side
        later = [event for event in events if event[0] >= sent_ns]
        served = _served(side, later)
        if served is None or _at(later, ServesAlone(side)) is None:
            return ""
        if served[2]:
            return f"the monitor serves it {duration(served[2])} later, and the guest runs"
        return _AT_ONCE

    # ---- what comes by itself ------------------------------------------------------------------

    def _by_itself(self, end: _End) -> None:
        """Tell how the wait on the connection does end."""
        waiting = self.waiting
        side, peer, reason = waiting.side, waiting.peer, end.reason
        effect = waiting.effect(end, self.coming)
        if reason is None:
            self._goes_on_by_itself(end)
            return
        killed = peer in waiting.lost and waiting.lost[peer].how == KILLED
        killed = killed or _at(self.coming, ProcessChanged(peer, "killed")) is not None
        causes = {
            "connection timed out": self._timeout(),
            "send timed out": "the send times out",
            "yanked": f"the cluster manager yanks the {side}",
            "connection reset": (
                f"the {peer}'s kernel resets the connection"
                if killed
                else f"the {peer} has shut the connection down, and resets it"
            ),
            "end of stream": f"the {peer} shuts the connection down",
        }
        self.add(BY_ITSELF, causes.get(reason, reason), effect, end.at_ns)

    def _timeout(self) -> str:
        """Name the timer by which TCP gives the connection up."""
        network = self.waiting.simulation.scenario.network
        user_ns = network.user_timeout_ns
        if user_ns is None or (
            self.waiting.simulation.connection.down
            and user_ns >= give_up_ns(network.rto_ns, network.retries2)
        ):
            return "retransmission gives up (ETIMEDOUT)"
        return f"TCP_USER_TIMEOUT ({seconds(user_ns)})"

    def _goes_on_by_itself(self, end: _End) -> None:
        """Tell of a wait that ends because its peer goes on, or the link carries again."""
        waiting, peer = self.waiting, self.waiting.peer
        before = [event for event in self.coming if event[0] <= end.at_ns]
        thawed_ns = _at(before, ProcessChanged(peer, "thawed"))
        if thawed_ns is not None:
            effect = waiting.effect(end, self.coming, self._peer_does())
            self.add(BY_ITSELF, f"the {peer}'s process goes on (SIGCONT)", effect, thawed_ns)
            return
        for where in (peer, "network"):
            healed_ns = _at(before, FaultEnded(where))
            if healed_ns is not None:
                first = "the next retransmission gets through"
                effect = waiting.effect(end, self.coming, first)
                self.add(BY_ITSELF, f"{place(where)} comes back", effect, healed_ns)
                return
        effect = waiting.effect(end, self.coming)
        self.add(BY_ITSELF, f"the {peer} or the bytes under way go on", effect, end.at_ns)

    def _peer_does(self) -> str:
        return "it reads, the window opens" if self.waiting.does == "send" else "it sends on"

    def _served_by_itself(self) -> None:
        """Tell of a lock that is given back without the connection's having to change."""
        waiting, lock = self.waiting, self.waiting.host.lock
        if lock.owner is None or self._natural is not None:
            return
        busy = lock.purpose == Purpose.BUSY
        event = (
            f"the {waiting.side}'s {lock.owner.name} {'ends its own work' if busy else 'goes on'}"
        )
        served = _served(waiting.side, self.coming) if waiting.sent else None
        if served is not None:
            self.add(BY_ITSELF, event, "the command is served", served[0])
            return
        thread = waiting.end.thread.name
        got = next(
            (
                at_ns
                for at_ns, event, _ in self.coming
                if isinstance(event, LockGot)
                and (event.side, event.thread) == (waiting.side, thread)
            ),
            None,
        )
        if got is not None and any(waiter is waiting.end.thread for waiter, _, _ in lock.queue):
            self.add(BY_ITSELF, event, f"its {thread} gets the lock", got)

    # ---- what could be done --------------------------------------------------------------------

    def _sooner(self, events: Sequence[Timed]) -> _End | None:
        """Return how the wait ends in `events`, None if not sooner than by itself."""
        end, natural = self.waiting.ends(events), self._natural
        if end is None or (natural is not None and end.at_ns >= natural.at_ns):
            return None
        return end

    def _if_peer_changes(self) -> None:
        """Try to let a frozen peer go on, to kill it, and to power its host off."""
        waiting, peer = self.waiting, self.waiting.peer
        if peer not in waiting.lost or waiting.lost[peer].how != FROZEN:
            return
        goes_on = f"the {peer}'s process goes on (SIGCONT)"
        if all(way.event != goes_on for way in self._found):
            events = self.outlook.events(ahead.comes_back(peer, frozen=True))
            end = self._sooner(events)
            if end is not None:
                first = "it goes on" if end.reason else self._peer_does()
                self.add(IF_DONE, goes_on, waiting.effect(end, events, first))
        events = self.outlook.events(ahead.killed(peer))
        end = self._sooner(events)
        if end is not None:
            effect = waiting.effect(end, events, "its kernel resets the connection")
            self.add(IF_DONE, f"the {peer}'s process is killed", effect)
        events = self.outlook.events(ahead.powered_off(peer))
        end = self._sooner(events)
        if end is not None and end.reason == "connection timed out":
            after = duration(end.at_ns - self.outlook.at_ns)
            effect = waiting.effect(end, events, f"retransmission gives up {after} later")
            self.add(IF_DONE, f"the {peer}'s host is powered off", effect)

    def _if_link_comes_back(self) -> None:
        """Try to let what keeps the link silent be as before."""
        waiting, peer = self.waiting, self.waiting.peer
        loss = waiting.lost.get(peer)
        if not waiting.simulation.connection.down or (loss and loss.how == POWERED_OFF):
            return
        where = peer if loss and loss.how == VANISHED else "network"
        comes = f"{place(where)} comes back"
        if any(way.event == comes for way in self._found):
            return
        events = self.outlook.events(ahead.comes_back(where))
        end = self._sooner(events)
        if end is None:
            if not self._comes:
                self.add(NEVER, f"the return of {place(where)}", self._why_no_return())
            return
        first = (
            "what is sent again meets no socket any more"
            if end.reason
            else "the next retransmission gets through"
        )
        self.add(IF_DONE, comes, waiting.effect(end, events, first))

    def _why_no_return(self) -> str:
        waiting, peer = self.waiting, self.waiting.peer
        if peer in waiting.lost and waiting.lost[peer].how != VANISHED:
            return f"the {peer}'s process is {waiting.lost[peer].how}"
        if waiting.simulation.hosts[peer].frozen:
            return f"the {peer}'s process is frozen"
        error = waiting.incoming.write_error or waiting.outgoing.read_error
        if error is not None:
            return f"the connection has ended at the {peer} ({error.reason})"
        return "nothing is under way that would be sent again"

    def _by_timers(self) -> None:
        """Say why TCP's own timers do not end the wait, if they do not."""
        waiting, peer = self.waiting, self.waiting.peer
        loss = waiting.lost.get(peer)
        if self._comes or not (loss or waiting.simulation.connection.down):
            return
        levels = buffer_levels(waiting.simulation)
        pending = any(one.sender == waiting.side and one.send_bytes for one in levels)
        if not pending:
            why = "nothing that was sent is not acknowledged, so none runs"
        elif loss is None or loss.how != FROZEN:
            return
        else:
            why = (
                f"the {peer}'s kernel answers every window probe (TCP_USER_TIMEOUT would end it; "
                "it is not set)"
            )
        self.add(NEVER, "TCP's own timers", why)

    def _if_yanked(self) -> None:
        waiting, side = self.waiting, self.waiting.side
        if self._natural is not None and self._natural.reason == "yanked":
            return
        events = self.outlook.events(ahead.yanked(side))
        end = self._sooner(events)
        if end is not None and end.reason == "yanked":
            effect = f"it needs no lock; {waiting.effect(end, events)}"
            self.add(IF_DONE, f"yank on the {side} (out of band, QEMU 6.0 on)", effect)

    def _if_connected(self) -> None:
        """Try to give the cluster manager its connection to this monitor back."""
        waiting, side = self.waiting, self.waiting.side
        if waiting.host.monitor.has_client:
            return
        events = self.outlook.events(ahead.connected(side))
        served, natural = _served(side, events), _served(side, self.coming)
        if served is None or (natural is not None and natural[0] <= served[0]):
            return
        back_ns = _at(self.coming, MonitorRegained(side))
        event = f"the cluster manager is connected to the {side}'s monitor again"
        effect = f"it sends {COMMAND} anew, which is served"
        if back_ns is None:
            self.add(IF_DONE, event, effect)

    def _cycles(self) -> None:
        for cycle in self.waiting.graph.cycles:
            threads = [node for node in cycle if node.kind is Kind.THREAD]
            if threads and all(node.side == self.waiting.side for node in threads):
                names = " and ".join(node.label for node in threads)
                self.add(NEVER, "these threads", f"{names} wait for each other")
