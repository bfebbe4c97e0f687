"""The ways out for a side that waits for its peer: each is tried, and told as it came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from colosim.analysis.buffers import buffer_levels
from colosim.analysis.graph import Kind
from colosim.analysis.recovery import RESET, SHUT_DOWN, YANKED
from colosim.analysis.timeline import duration, place, seconds
from colosim.analysis.wait_for import (
    FROZEN,
    KILLED,
    POWERED_OFF,
    VANISHED,
    colo_end,
)
from colosim.host.failover import COMMAND
from colosim.network.tcp import give_up_ns
from colosim.scenario.disk import DISK
from colosim.scenario.faults import HealFault, KillFault, ThawFault
from colosim.scenario.service import SOCKETS
from colosim.trace import events as ev
from colosim.trace.events import OTHER
from colosim.trace.purpose import Purpose

if TYPE_CHECKING:
    from colosim.analysis.graph import Chain, WaitForGraph
    from colosim.analysis.outlook import Act, Outlook
    from colosim.analysis.wait_for import Loss
    from colosim.network.ends import Ends
    from colosim.runs.simulation import Simulation
    from colosim.scenario.faults import Fault
    from colosim.trace.record import Timed

BY_ITSELF, IF_DONE, NEVER = "by itself", "if done", "never"
TIMED_OUT = "connection timed out"


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


class End(NamedTuple):
    """How a thread's wait on the connection ends: when, and why if it fails."""

    at_ns: int
    reason: str | None


def _strikes(fault: Fault) -> Act:
    return lambda simulation: simulation.injector.strike(fault)


class Ways:
    """The ways out for one side that waits, one after the other."""

    _why_deaf = "the monitor needs the lock to serve it"

    def __init__(
        self,
        simulation: Simulation,
        graph: WaitForGraph,
        lost: Mapping[str, Loss],
        outlook: Outlook,
        side: str,
    ) -> None:
        self.simulation = simulation
        self.graph = graph
        self.outlook = outlook
        self.side = side
        self.peer = OTHER[side]
        self.peer_lost = lost.get(self.peer)
        self.host = simulation.hosts[side]
        self.colo = colo_end(simulation, side)
        self.sent = any(one.name == COMMAND for one in self.host.monitor.unserved)
        """Whether its monitor has the command and has not served it."""
        self.thread = self.colo.thread.name
        edge = graph.waits_for(f"{side}: {self.thread}")
        buffers = {f"{side}: send buffer": "send", f"{side}: receive buffer": "receive"}
        self.blocked_in = None if edge is None else buffers.get(edge.target)
        """The call that the COLO thread waits in: its ``send``, its ``receive``, or neither."""
        self._coming: Sequence[Timed] = ()
        self._natural: End | None = None
        """How the wait on the connection ends by itself, None if it does not."""
        self._found: list[Release] = []

    # ---- how it waits --------------------------------------------------------------------------

    @property
    def waits(self) -> bool:
        """Whether it waits, with its command or a thread of its own, for more than a checkpoint."""
        own = (one for one in self.graph.nodes if one.side == self.side)
        return self.sent or (
            self.needs_failover
            and any(
                node.kind in {Kind.THREAD, Kind.GUEST} and _is_stuck(self.graph.chain(node.key))
                for node in own
            )
        )

    @property
    def held(self) -> bool:
        """Whether its lock is held by another thread than the main loop, which itself waits."""
        owner = self.host.lock.owner
        if owner is None or owner is self.host.monitor.thread:
            return False
        return self.leaked or self.graph.waits_for(f"{self.side}: {owner.name}") is not None

    @property
    def leaked(self) -> bool:
        """Whether its COLO thread has left COLO with the lock."""
        return self.colo.exited and self.colo.holds_lock

    @property
    def needs_failover(self) -> bool:
        """Whether only a failover can help: the peer is lost, or one of both has left COLO."""
        simulation = self.simulation
        exited = simulation.primary.exited or simulation.secondary.exited
        return self.peer_lost is not None or simulation.connection.down or exited

    def _lost_as(self, how: str) -> bool:
        return self.peer_lost is not None and self.peer_lost.how == how

    def _end_in(self, events: Sequence[Timed]) -> End | None:
        """Return how the COLO thread's wait on the connection ends in `events`."""
        for at_ns, event, _ in events if self.blocked_in else ():
            match event:
                case ev.CallFailed(self.side, _, why):
                    return None if why == SHUT_DOWN else End(at_ns, why)
                case ev.WaitEnded(self.side, self.thread):
                    return End(at_ns, None)
        return None

    def _effect(self, end: End, events: Sequence[Timed], first: str = "") -> str:
        """Say what comes of the end of the wait, after what comes first."""
        said = [f"{first}the {self.blocked_in} {'goes on' if end.reason is None else 'fails'}"]
        released = (ev.LockReleased(self.side, self.thread, purpose) for purpose in Purpose)
        owner = self.host.lock.owner
        if owner and owner.name == self.thread and time_of(events, *released) is not None:
            said.append("the lock is given back")
        if self.sent and _served(self.side, events) is not None:
            said.append("the command is served")
        return ", ".join(said)

    # ---- the ways ------------------------------------------------------------------------------

    def found(self, coming: Sequence[Timed]) -> list[Release]:
        """Return the ways: the command, what comes by itself, what could be done."""
        self._coming = coming
        self._natural = self._end_in(coming)
        self._by_command()
        if self._natural is not None:
            self._by_itself(self._natural)
        self._served_by_itself()
        if self.blocked_in is not None:
            self._if_peer_changes()
            self._if_link_comes_back()
            self._by_timers()
            self._if_yanked()
        self._if_connected()
        self._cycles()
        return sorted(self._found, key=lambda way: (way.when != BY_ITSELF, way.at_ns or 0))

    def add(self, when: str, event: str, effect: str, at_ns: int | None = None) -> None:
        """Tell of a way out, or of one that is none."""
        self._found.append(Release(when, event, effect, at_ns, self.side))

    def _is_told(self, event: str) -> bool:
        return any(way.event == event for way in self._found)

    def _try(self, event: str, act: Act, first: str, failed: str = "", only: str = "") -> bool:
        """Do `act`, and if the wait then ends sooner, say so; return whether it does.

        `first`: what comes first of it, how much later for ``{}``; `failed`: instead, if the wait
        ends by an error; `only`: the error by which alone it counts.
        """
        events = self.outlook.events(act)
        end, natural = self._end_in(events), self._natural
        if end is None or (natural is not None and end.at_ns >= natural.at_ns):
            return False
        if only and end.reason != only:
            return False
        because = failed if end.reason and failed else first
        later = duration(end.at_ns - self.outlook.at_ns)
        self.add(IF_DONE, event, self._effect(end, events, because.format(later)))
        return True

    def _by_command(self) -> None:
        """Tell of the failover command: that it comes, that it would help, or that it cannot."""
        side = self.side
        if self.colo.failover.requested or not self.needs_failover:
            return
        if self.held:
            why = self._why_deaf
            if self.leaked:
                why = "the thread that waits for it has the lock that the monitor needs"
            self.add(NEVER, f"{COMMAND} alone", why)
        sent_ns = time_of(self._coming, ev.CommandReceived(side, COMMAND))
        if sent_ns is not None and not self.sent:
            event = f"the cluster manager sends {COMMAND} to the {side}"
            effect = self._of_command(sent_ns, self._coming)
            if effect:
                self.add(BY_ITSELF, event, effect, sent_ns)
        elif sent_ns is None and not self.held and not self.sent:
            events = self.outlook.events(
                lambda simulation: simulation.hosts[side].monitor.send(
                    COMMAND, simulation.failovers[side].lost_heartbeat
                )
            )
            effect = self._of_command(self.outlook.at_ns, events)
            if effect:
                self.add(IF_DONE, f"{COMMAND} on the {side}", effect)

    def _of_command(self, sent_ns: int, events: Sequence[Timed]) -> str:
        """Return what a command that is sent at `sent_ns` does, nothing if that is no takeover."""
        later = [event for event in events if event[0] >= sent_ns]
        served = _served(self.side, later)
        if served is None or time_of(later, ev.ServesAlone(self.side)) is None:
            return ""
        if served[2]:
            return f"the monitor serves it {duration(served[2])} later, and the guest runs"
        return "the monitor serves it, as the lock is free, and the guest runs"

    def _by_itself(self, end: End) -> None:
        """Tell how the wait on the connection does end."""
        peer = self.peer
        if end.reason is None:
            self._goes_on_by_itself(end)
            return
        killed = ev.ProcessChanged(peer, "killed")
        dies = self._lost_as(KILLED) or time_of(self._coming, killed) is not None
        causes = {
            TIMED_OUT: self._timeout(),
            "send timed out": "the send times out",
            YANKED: f"the cluster manager yanks the {self.side}",
            RESET: (
                f"the {peer}'s kernel resets the connection"
                if dies
                else f"the {peer} has shut the connection down, and resets it"
            ),
            "end of stream": (
                f"the {peer}'s kernel closes the connection"
                if dies
                else f"the {peer} shuts the connection down"
            ),
        }
        event = causes.get(end.reason, end.reason)
        self.add(BY_ITSELF, event, self._effect(end, self._coming), end.at_ns)

    def _timeout(self) -> str:
        """Name the timer by which TCP gives the connection up."""
        network = self.simulation.scenario.network
        user_ns = network.user_timeout_ns
        if user_ns is None or (
            self.simulation.connection.down
            and user_ns >= give_up_ns(network.rto_ns, network.retries2)
        ):
            return f"{self._given_up} (ETIMEDOUT)"
        return f"TCP_USER_TIMEOUT ({seconds(user_ns)})"

    @property
    def _retry(self) -> str:
        """By what this side's kernel would find out that its peer is back or gone."""
        return self._outgoing.retry

    @property
    def _outgoing(self) -> Ends:
        """The direction in which it sends what it waits for."""
        return self.simulation.connection.blocked_of(self.side)[0]

    @property
    def _given_up(self) -> str:
        return f"{self._retry.replace(' probe', ' probing')} gives up"

    def _goes_on_by_itself(self, end: End) -> None:
        """Tell of a wait that ends because its peer goes on, or the link carries again."""
        peer = self.peer
        before = [event for event in self._coming if event[0] <= end.at_ns]
        again = f"the next {self._retry} gets through, "
        ways: dict[ev.Event, tuple[str, str]] = {
            ev.ProcessChanged(peer, "thawed"): (self._goes_on_event, self._peer_does),
        }
        for where in (peer, "network", DISK, *SOCKETS):
            ways[ev.FaultEnded(where)] = (f"{place(where)} comes back", again)
        for event, (words, first) in ways.items():
            at_ns = time_of(before, event)
            if at_ns is not None:
                self.add(BY_ITSELF, words, self._effect(end, self._coming, first), at_ns)
                return
        words = f"the {peer} or the bytes under way go on"
        self.add(BY_ITSELF, words, self._effect(end, self._coming), end.at_ns)

    @property
    def _goes_on_event(self) -> str:
        return f"the {self.peer}'s process goes on (SIGCONT)"

    @property
    def _peer_does(self) -> str:
        return "it reads, the window opens, " if self.blocked_in == "send" else "it sends on, "

    def _served_by_itself(self) -> None:
        """Tell of a lock that is given back without the connection's having to change."""
        side, lock = self.side, self.host.lock
        if lock.owner is None or self._natural is not None:
            return
        does = "ends its own work" if lock.purpose == Purpose.BUSY else "goes on"
        event = f"the {side}'s {lock.owner.name} {does}"
        served = _served(side, self._coming) if self.sent else None
        if served is not None:
            self.add(BY_ITSELF, event, "the command is served", served[0])
            return
        gets = (ev.LockGot(side, self.thread, purpose) for purpose in Purpose)
        got_ns = time_of(self._coming, *gets)
        if got_ns is not None and any(one is self.colo.thread for one, _, _ in lock.queue):
            self.add(BY_ITSELF, event, f"its {self.thread} gets the lock", got_ns)

    def _if_peer_changes(self) -> None:
        """Try to let a frozen peer go on, to kill it, and to power its host off."""
        peer = self.peer
        if not self._lost_as(FROZEN):
            return
        if not self._is_told(self._goes_on_event):
            thaw = _strikes(ThawFault.model_construct(at=0, thaw=peer))
            self._try(self._goes_on_event, thaw, self._peer_does, failed="it goes on, ")
        kill = _strikes(KillFault.model_construct(at=0, kill=peer))
        self._try(f"the {peer}'s process is killed", kill, "its kernel resets the connection, ")
        self._try(
            f"the {peer}'s host is powered off",
            lambda simulation: simulation.manager.power_off(peer),
            f"{self._given_up} {{}} later, ",
            only=TIMED_OUT,
        )

    def _if_link_comes_back(self) -> None:
        """Try to let what keeps the link silent be as before."""
        where = self._silent
        if not where or self._lost_as(POWERED_OFF):
            return
        comes = f"{place(where)} comes back"
        if self._is_told(comes):
            return
        helps = self._try(
            comes,
            _strikes(HealFault.model_construct(at=0, heal=where)),
            f"the next {self._retry} gets through, ",
            failed="what is sent again meets no socket any more, ",
        )
        if not helps and not self._comes:
            self.add(NEVER, f"the return of {place(where)}", self._why_no_return())

    @property
    def _silent(self) -> str:
        """What of the link is silent: the peer's host, or the network."""
        if not self.simulation.connection.down:
            return ""
        return self.peer if self._lost_as(VANISHED) else "network"

    @property
    def _comes(self) -> bool:
        """Whether something has been found that comes by itself."""
        return any(way.when == BY_ITSELF for way in self._found)

    def _why_no_return(self) -> str:
        peer, lost = self.peer, self.peer_lost
        if lost is not None and lost.how != VANISHED:
            return f"the {peer}'s process is {lost.how}"
        if self.simulation.hosts[peer].frozen:
            return f"the {peer}'s process is frozen"
        outgoing, incoming = self.simulation.connection.blocked_of(self.side)
        error = incoming.write_error or outgoing.read_error
        if error is not None:
            return f"the connection has ended at the {peer} ({error.reason})"
        return "nothing is under way that would be sent again"

    def _by_timers(self) -> None:
        """Say why TCP's own timers do not end the wait, if they do not."""
        if self._comes or not (self.peer_lost or self.simulation.connection.down):
            return
        levels = buffer_levels(self.simulation)
        if not any(one.sender == self.side and one.send_bytes for one in levels):
            why = "nothing that was sent is not acknowledged, so none runs"
        elif self._lost_as(FROZEN):
            why = (
                f"the {self.peer}'s kernel answers every window probe (TCP_USER_TIMEOUT would end "
                "it; it is not set)"
            )
        else:
            return
        self.add(NEVER, "TCP's own timers", why)

    def _if_yanked(self) -> None:
        side = self.side
        if self._natural is None or self._natural.reason != YANKED:
            self._try(
                f"yank on the {side} (out of band, QEMU 6.0 on)",
                lambda simulation: simulation.failovers[side].yank(),
                "it needs no lock; ",
                only=YANKED,
            )

    def _if_connected(self) -> None:
        """Try to give the cluster manager its connection to this monitor back."""
        side = self.side
        if self.host.monitor.has_client:
            return
        events = self.outlook.events(lambda simulation: simulation.manager.connected(side))
        served, natural = _served(side, events), _served(side, self._coming)
        if served is None or (natural is not None and natural[0] <= served[0]):
            return
        if time_of(self._coming, ev.MonitorRegained(side)) is None:
            event = f"the cluster manager is connected to the {side}'s monitor again"
            self.add(IF_DONE, event, f"it sends {COMMAND} anew, which is served")

    def _cycles(self) -> None:
        for cycle in self.graph.cycles:
            threads = [node for node in cycle if node.kind is Kind.THREAD]
            if threads and all(node.side == self.side for node in threads):
                names = " and ".join(node.label for node in threads)
                self.add(NEVER, "these threads", f"{names} wait for each other")


def _is_stuck(chain: Chain) -> bool:
    return bool(chain.edges) and (chain.cause is None or chain.cause.kind is not Kind.TIMER)


def _served(side: str, events: Sequence[Timed]) -> Timed | None:
    served = ev.CommandServed(side, COMMAND)
    return next((one for one in events if one[1] == served), None)


def time_of(events: Sequence[Timed], *wanted: ev.Event) -> int | None:
    """Return when the first of some events comes, None if none does."""
    return next((at_ns for at_ns, event, _ in events if event in wanted), None)
