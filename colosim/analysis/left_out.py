"""What the model leaves out of a real COLO pair, and which conclusions that could change.

``docs/model.md`` has the same table; a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from colosim.runs.verdict import NOT_APPLICABLE
from colosim.scenario.service import SOCKETS
from colosim.trace.events import (
    COMMITTED,
    SECONDARY,
    CheckpointEnded,
    FaultEnded,
    PoweredOff,
    ProcessChanged,
    StreamBegan,
    StreamEnded,
)

if TYPE_CHECKING:
    from colosim.analysis.timeline import Excerpt
    from colosim.runs.simulation import Simulation
    from colosim.runs.verdict import Judgement
    from colosim.trace.events import Event


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A mechanism that the model leaves out: where it applies, what it could change, who says so.

    `changes` is what could be otherwise in a run to which it applies; `applies` says to which.
    """

    id: str
    what: str
    applies: str
    changes: str
    source: str


LEFT_OUT = (
    LeftOut(
        "disk",
        "the replicated disk, which every stop of the guest flushes with the lock held",
        "a pair without `disk:`, and the secondary, its host or the network fell silent",
        "a flush to a silent secondary can hang the primary until its block node is yanked",
        "measured on pairs of QEMU 7.2.22 and 11.1.3; bdrv_flush_all in do_vm_stop",
    ),
    LeftOut(
        "disk-image",
        "what the secondary's image lacks after the disk's connection failed and the pair went on",
        "a stop's flush failed, a checkpoint was committed after it, and the secondary serves",
        "a guest that takes over goes on with memory that its disk does not belong to",
        "read: replication_return_value hides the error, and no checkpoint asks for it",
    ),
    LeftOut(
        "lock-handover",
        "chance at each handover of the lock: all are in order, or all go to whoever asks again",
        "a thread asked for the lock within 20 us of a release for which another waited",
        "a mixture of the two may end otherwise, as may a main loop that polls for less than 20 us",
        "measured: 300, 299, 236 and 133 of 300 times at 0, 5, 10 and 20 us in between",
    ),
    LeftOut(
        "vcpu",
        "virtual CPUs, which stand still once their guest needs the lock that another holds",
        "a guest was running while a living process's lock was held at the end, or a main loop was "
        "busy",
        "a guest that is told to run may serve nobody meanwhile",
        "measured on pairs of QEMU 7.2.22 and 11.1.3: no CPU time while the main loop hung",
    ),
    LeftOut(
        "clients",
        "clients and colo-compare, which holds the guest's output back until both sides agree",
        "a scenario without `service:`, a fault struck, and a guest serves at the end",
        "service may come back later than the guest, or not at all",
        "net/colo-compare.c",
    ),
    LeftOut(
        "proxy-sockets",
        "requests that wait in the mirror's socket over a checkpoint, and are executed late",
        "answers were compared, and the secondary or a socket of the proxy came back",
        "each is executed twice, and its surplus answer forces a checkpoint more, or many",
        "inferred: the state that is loaded has them, and the socket still brings them",
    ),
    LeftOut(
        "congestion-control",
        "what TCP's congestion control does after a silence",
        "a frozen process went on",
        "the connection may carry almost nothing for another 0.2 s (BBR's PROBE_RTT)",
        "inferred from the lab's thawed runs (validation.md)",
    ),
    LeftOut(
        "packet-loss",
        "a link that loses some packets",
        "a fault struck the network",
        "retransmission timeouts (200 ms and more) lengthen pauses that the link's rate does not",
        "assumed: RFC 6298, and Linux's TCP_RTO_MIN",
    ),
    LeftOut(
        "socket-buffers",
        "socket buffers whose size follows what a connection has carried",
        "a process froze, and a stream of 37 MB or less was not read to its end",
        "a checkpoint about as large as both buffers may fit or not: who hangs and who fails over "
        "change places",
        "measured: send buffers of 0.8 to 3.7 MB, receive buffers of 2.1 to 33.5 MB",
    ),
    LeftOut(
        "resident",
        "guest RAM and RAM cache that are not wholly resident",
        "a process was killed",
        "the reset comes sooner: after 15 ms where 270 MiB were resident, 48 ms where 650 MiB were",
        "measured on killed QEMUs; exit_mmap of Linux",
    ),
)
"""Every such mechanism, those first that can change a verdict."""

_SILENT = {"freeze", "vanish"}
"""What lets a host fall silent; a killed process resets the disk's connection too (measured)."""
_MOST_BUFFERED_BYTES = 37_200_000
"""The largest send and receive buffer that the lab's connections had, together (measured)."""


def left_out_of(
    simulation: Simulation, judgement: Judgement, excerpt: Excerpt
) -> tuple[LeftOut, ...]:
    """Return what is left out and could change what is said of a run that has been judged."""
    if judgement.verdict == NOT_APPLICABLE:
        return ()
    struck = [fault for _, fault in simulation.injector.struck]
    living = [host for host in simulation.hosts.values() if not host.dead and not host.frozen]
    applies = {
        "disk": simulation.disk is None
        and (
            PoweredOff(SECONDARY) in (event for _, event, _ in excerpt.marks)
            or any(one.kind in _SILENT and one.target in {SECONDARY, "network"} for one in struck)
        ),
        "disk-image": simulation.disk is not None
        and simulation.disk.failed_ns is not None
        and simulation.failovers[SECONDARY].done
        and any(
            event == CheckpointEnded(COMMITTED) and at_ns > simulation.disk.failed_ns
            for at_ns, event, _ in excerpt.events
        ),
        "lock-handover": any(host.lock.contested for host in simulation.hosts.values()),
        "vcpu": any(one.kind == "busy" for one in struck)
        or any(host.guest.running and host.lock.owner is not None for host in living),
        "clients": simulation.scenario.service is None
        and bool(struck)
        and simulation.service.serving,
        "proxy-sockets": simulation.sockets is not None
        and any(_comes_back(event) for _, event, _ in excerpt.marks),
        "congestion-control": any(
            isinstance(event, ProcessChanged) and event.state == "thawed"
            for _, event, _ in excerpt.marks
        ),
        "packet-loss": any(one.target == "network" for one in struck),
        "socket-buffers": any(one.kind == "freeze" for one in struck) and _might_fit(excerpt),
        "resident": any(one.kind == "kill" for one in struck),
    }
    return tuple(one for one in LEFT_OUT if applies[one.id])


def _comes_back(event: Event) -> bool:
    """Whether the secondary, or what is between it and the primary, goes on."""
    match event:
        case ProcessChanged(side, "thawed"):
            return side == SECONDARY
        case FaultEnded(where):
            return where in {SECONDARY, "network", *SOCKETS}
    return False


def _might_fit(excerpt: Excerpt) -> bool:
    """Whether a stream was not read to its end that the largest socket buffers could have taken."""
    unread: list[int] = []
    written = set[tuple[str, str]]()
    for _, event, value in excerpt.events:
        match event:
            case CheckpointEnded(outcome) if outcome == COMMITTED:
                unread.clear()
            case StreamBegan(side, step):
                written.add((side, step))
                unread.append(value)
            case StreamEnded(side, step) if unread and (side, step) not in written:
                del unread[0]
    return 0 < sum(unread) <= _MOST_BUFFERED_BYTES
