"""What would release a survivor that waits: each way true for the state in which it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from colosim.analysis.waiting import (
    FROZEN,
    KILLED,
    POWERED_OFF,
    Chain,
    Kind,
    buffer_levels,
    lost_how,
)
from colosim.analysis.wording import duration
from colosim.failover.state import COMMAND
from colosim.network.connection import PRIMARY, SECONDARY
from colosim.network.tcp import give_up_ns

if TYPE_CHECKING:
    from colosim.analysis.waiting import Node, WaitForGraph
    from colosim.network.direction import Direction
    from colosim.runs.simulation import Simulation

__all__ = ["BY_ITSELF", "IF_DONE", "NEVER", "Release", "releases"]

BY_ITSELF, IF_DONE, NEVER = "by itself", "if done", "never"


@dataclass(frozen=True, slots=True)
class Release:
    """Something that ends the wait, or that one might hope would.

    `when` is ``by itself`` (at `at_ns`, if that is known), ``if done`` or ``never``.
    """

    when: str
    event: str
    effect: str
    at_ns: int | None = None


def releases(simulation: Simulation, graph: WaitForGraph) -> tuple[Release, ...]:
    """Return what would release the waiting threads of the sides that live."""
    found: list[Release] = []
    for living in (PRIMARY, SECONDARY):
        found += _by_command(simulation, living)
    for chain in graph.waiting_threads:
        side = chain.nodes[0].side
        if side is None or lost_how(simulation, side) is not None:
            continue
        ways = _of_chain(simulation, chain, side)
        found += [way for way in ways if way not in found]
    return tuple(found)


def _by_command(simulation: Simulation, side: str) -> list[Release]:
    """Return what the failover command would do on a side that lives and was not sent it."""
    peer = SECONDARY if side == PRIMARY else PRIMARY
    host, failover = simulation.hosts[side], simulation.failovers[side]
    if lost_how(simulation, side) is not None or failover.requested:
        return []
    apart = lost_how(simulation, peer) is not None or simulation.connection.down
    exited = simulation.primary.exited if side == PRIMARY else simulation.secondary.exited
    if not (apart or exited):
        return []
    if host.lock.owner not in {None, host.monitor.thread}:
        return [Release(NEVER, f"{COMMAND} alone", "the monitor needs the lock to serve it")]
    return [] if host.monitor.unserved else [_command(simulation, side)]


def _of_chain(simulation: Simulation, chain: Chain, side: str) -> list[Release]:
    cause = chain.cause
    if cause is None:
        names = " and ".join(node.label for node in chain.nodes if node.kind is Kind.THREAD)
        return [Release(NEVER, "these threads", f"{names} wait for each other")]
    if cause.kind is Kind.TIMER:
        return [Release(BY_ITSELF, "the checkpoint delay ends", "the next checkpoint begins")]
    if cause.kind in {Kind.PEER, Kind.NETWORK} and cause.side != side:
        return _of_connection(simulation, chain, side)
    return []


def _command(simulation: Simulation, side: str) -> Release:
    manager, peer = simulation.manager, SECONDARY if side == PRIMARY else PRIMARY
    effect = "the monitor serves it, as the lock is free, and the guest runs"
    event = f"{COMMAND} on the {side}"
    settings = manager.settings
    if peer in manager.silent and peer not in manager.lost:
        due = manager.due_ns(peer)
        if (
            settings.policy != "wait"
            and settings.answered_by == "agent"
            and due > simulation.end_ns
        ):
            return Release(BY_ITSELF, f"the cluster manager sends {event}", effect, due)
    return Release(IF_DONE, event, effect)


def _of_connection(simulation: Simulation, chain: Chain, side: str) -> list[Release]:
    """Return what ends a wait on the connection."""
    outgoing, _ = simulation.connection.of(side)
    peer = outgoing.receiver
    kinds = [node.key for node in chain.nodes]
    sending = f"{side}: send buffer" in kinds
    waits, fails = (
        ("send goes on", "send fails")
        if sending
        else (
            "receive goes on",
            "receive fails",
        )
    )
    how = lost_how(simulation, peer)
    found: list[Release] = []
    host = simulation.hosts[side]
    holder = host.lock.owner
    free = ""
    if holder is not None and f"{side}: {holder.name}" in kinds:
        free = ", the lock is given back"
        if host.monitor.unserved:
            free += ", the command is served"
    if simulation.connection.down:
        found += _silent(simulation, outgoing, fails + free, waits + free, chain.cause)
    elif how is not None and how[0] == FROZEN:
        found += _frozen(simulation, peer, waits + free, fails + free, sending=sending)
    elif how is not None and how[0] == KILLED:
        effect = f"the {fails}{free}"
        found.append(Release(BY_ITSELF, f"the {peer}'s kernel resets the connection", effect))
    else:
        found.append(Release(BY_ITSELF, "the bytes under way arrive", f"the {waits}"))
        return found
    due = outgoing.disturb().send_times_out_at_ns
    if sending and due is not None:
        found.append(Release(BY_ITSELF, "the send times out", f"the {fails}{free}", due))
    found.append(
        Release(
            IF_DONE,
            f"yank on the {side} (out of band, QEMU 6.0 on)",
            f"it needs no lock; the {fails}{free}",
        )
    )
    return found


def _frozen(
    simulation: Simulation, peer: str, waits: str, fails: str, *, sending: bool
) -> list[Release]:
    thaws = [
        at + fault.for_ns
        for at, fault in simulation.injector.struck
        if fault.kind == "freeze" and fault.target == peer and fault.for_ns is not None
    ] + [
        fault.at_ns
        for fault in simulation.scenario.faults
        if fault.kind == "thaw" and fault.target == peer and fault.at_ns is not None
    ]
    coming = [at for at in thaws if at > simulation.end_ns]
    reads = "it reads, the window opens" if sending else "it sends on"
    found = [
        Release(
            BY_ITSELF if coming else IF_DONE,
            f"the {peer}'s process goes on (SIGCONT)",
            f"{reads}, the {waits}",
            min(coming, default=None),
        ),
        Release(
            IF_DONE,
            f"the {peer}'s process is killed",
            f"its kernel resets the connection, the {fails}",
        ),
    ]
    levels = next(one for one in buffer_levels(simulation) if one.receiver == peer)
    if not levels.send_bytes:
        found.append(
            Release(
                NEVER,
                "TCP's own timers",
                "nothing that was sent is not acknowledged, so none runs",
            )
        )
        return found
    network = simulation.scenario.network
    after = duration(give_up_ns(network.rto_ns, network.retries2))
    give_up = f"retransmission gives up {after} later, the {fails}"
    found.append(Release(IF_DONE, f"the {peer}'s host is powered off", give_up))
    timeout = network.user_timeout_ns
    if timeout is None:
        found.append(
            Release(
                NEVER,
                "TCP's own timers",
                f"the {peer}'s kernel answers every window probe (TCP_USER_TIMEOUT would end it; "
                "it is not set)",
            )
        )
        return found
    since = levels.receive_full_since_ns
    found.append(
        Release(
            BY_ITSELF,
            f"TCP_USER_TIMEOUT, {duration(timeout)} after the window closed",
            f"the {fails}",
            None if since is None else since + timeout,
        )
    )
    return found


def _silent(
    simulation: Simulation,
    outgoing: Direction,
    fails: str,
    waits: str,
    cause: Node | None,
) -> list[Release]:
    gives_up = outgoing.disturb().gives_up_at_ns
    pending = any(
        one.send_bytes for one in buffer_levels(simulation) if one.sender == outgoing.sender
    )
    heals = [
        at + fault.for_ns
        for at, fault in simulation.injector.struck
        if fault.kind == "vanish" and fault.for_ns is not None
    ] + [
        fault.at_ns
        for fault in simulation.scenario.faults
        if fault.kind == "heal" and fault.at_ns is not None
    ]
    coming = [at for at in heals if at > simulation.end_ns]
    found: list[Release] = []
    if cause is not None and cause.state not in {KILLED, POWERED_OFF}:
        found.append(
            Release(
                BY_ITSELF if coming else IF_DONE,
                f"{cause.label} comes back",
                f"the next retransmission gets through, the {waits}",
                min(coming, default=None),
            )
        )
    if gives_up is not None:
        found.append(
            Release(
                BY_ITSELF,
                "retransmission gives up (ETIMEDOUT)",
                f"the {fails}",
                gives_up,
            )
        )
    elif not pending:
        found.append(
            Release(
                NEVER,
                "TCP's own timers",
                "nothing that was sent is not acknowledged, so none runs",
            )
        )
    return found
