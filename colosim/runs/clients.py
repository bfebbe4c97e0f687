"""The clients of one simulation: told of the pair's life, and forcing its checkpoints."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from colosim.designs.messages import CHECKPOINT_REQUEST, VMSTATE_LOADED, VMSTATE_RECEIVED
from colosim.engine.clock import NS_PER_S
from colosim.runs.statistics import Quantiles
from colosim.scenario.service import HELD, ClosedLoop, Output
from colosim.service.closed_loop import ClosedClients
from colosim.service.comparison import CAUSES
from colosim.service.open_loop import OpenLoop
from colosim.service.requests import MET, MET_FORCED
from colosim.service.workload import Settings
from colosim.trace.columns import IntColumn
from colosim.trace.events import PRIMARY, SECONDARY

if TYPE_CHECKING:
    from collections.abc import Callable

    from colosim.designs.primary import Primary
    from colosim.designs.secondary import Secondary
    from colosim.faults.effects import Effects
    from colosim.network.connection import Connection
    from colosim.runs.service import Service
    from colosim.scenario.model import Scenario
    from colosim.service.draws import Times
    from colosim.service.requests import Requests
    from colosim.service.sockets import ProxySockets
    from colosim.service.workload import Workload
    from colosim.trace.columns import Table


class Clients:
    """Stands between the pair and its workload, and counts what clients see."""

    def __init__(
        self,
        scenario: Scenario,
        mode: str,
        seed: int,
        *,
        primary: Primary,
        secondary: Secondary,
        connection: Connection,
        effects: Effects,
        guests: Service,
    ) -> None:
        service = scenario.service
        assert service is not None  # noqa: S101 - whoever makes it has looked
        output = scenario.output or Output.model_construct()
        network = scenario.network
        settings = Settings(
            *(service, output, mode, network.latency_ns, seed),
            link_bytes_per_s=network.bandwidth_bytes_per_s,
        )
        waits = isinstance(service.arrivals, ClosedLoop) or service.handshake is not None
        open_ = service.outstanding is None and not waits
        self.workload: Workload = (OpenLoop if open_ else ClosedClients)(settings, self._take)
        self._env = primary.env
        self._primary, self._secondary = primary, secondary
        self._hosts = {PRIMARY: primary.host, SECONDARY: secondary.host}
        self._connection, self._effects, self._guests = connection, effects, guests
        self.sockets: ProxySockets | None = None
        """The proxy's, if output is compared."""
        self._response_bytes = service.response_bytes
        self._leaves_comparison = scenario.manager.comparison == "leave"
        self._epoch = 0
        self.forced = dict.fromkeys(CAUSES, 0)
        self.latencies = Quantiles()
        self._answered_ns = 0
        self.outage_longest_ns = 0
        self.time_to_client_ns: int | None = None
        primary.on_acknowledged = lambda: self.workload.commit(self._env.now)

    # ---- what the pair does --------------------------------------------------------------------

    def enter(self) -> None:
        """Begin with COLO: both guests are alike and run."""
        self.workload.begin(0, 0, loaded=False)
        self._plan()
        guest = self._primary.host.guest
        told = guest.on_change

        def changed() -> None:
            if told is not None:
                told()
            (self._resume if guest.running else self._stop)()

        guest.on_change = changed

    def _stop(self) -> None:
        if not self.workload.running:
            return
        self._epoch += 1
        secondary, now = self._secondary, self._env.now
        if self.sockets is not None and self.sockets.mirror.fills_ns == now:
            now = max(self.workload.run_ns, now - 1)  # that request is not in the guest yet
        stopped = now
        if secondary.traits.secondary_runs:
            if not secondary.host.guest.running:
                stopped = secondary.host.guest.since_ns
        else:
            stopped = secondary.received_at_ns.get(CHECKPOINT_REQUEST.name, now)
        asked_ns = self.workload.stop(now, stopped)
        self._plan_sockets()
        if asked_ns is not None:
            self._primary.arm_timer(min(asked_ns, now))

    def _resume(self) -> None:
        workload, now = self.workload, self._env.now
        if workload.running or self._lost(PRIMARY):
            return
        if self._primary.failover.requested:
            workload.serve_alone(now, anew=False, compared=self._leaves_comparison)
            self._plan_sockets()
            return
        received = self._primary.received_at_ns.get(VMSTATE_RECEIVED.name, -1)
        loaded = received > workload.stop_ns
        if loaded:
            workload.commit(received)
        secondary = self._secondary
        runs = secondary.sent_at_ns.get(VMSTATE_LOADED.name, now)
        if secondary.traits.secondary_runs:
            runs = secondary.host.guest.since_ns
        if loaded and not self._lost(SECONDARY):
            workload.mute_ns = None
        workload.begin(now, runs, loaded=loaded)
        self._plan()

    def _plan(self) -> None:
        """Find out when the comparison asks for a checkpoint, if the timer does not come first."""
        self._epoch += 1
        found = self.workload.forces(self._env.now + self._primary.delay_ns)
        if found is not None:
            at_ns, cause = found
            force = partial(self._force, self._epoch, cause)
            self._env.call_at(max(at_ns, self._env.now), force, onlooker=True)
        self._plan_sockets()

    def _plan_sockets(self) -> None:
        """Let the proxy's sockets find out when they are full, or that they will not be."""
        if self.sockets is not None:
            self.sockets.plan(self.workload)

    def _force(self, epoch: int, cause: str) -> None:
        if epoch == self._epoch and self._primary.notified():
            self.forced[cause] += 1
            self.workload.was_forced = True

    # ---- what goes wrong -----------------------------------------------------------------------

    def _lost(self, side: str) -> bool:
        host = self._hosts[side]
        gone = side in self._effects.gone
        sockets = self.sockets
        cut = side == SECONDARY and (
            self._connection.down or (sockets is not None and sockets.loses)
        )
        return host.frozen or host.dead or gone or cut

    def update(self) -> None:
        """Look again at who is lost, and who serves alone."""
        workload, now = self.workload, self._env.now
        if self._secondary.failover.done:
            if self._guests.serves(SECONDARY) and not workload.running:
                workload.serve_alone(now, anew=True, compared=False)
            return
        if self._lost(PRIMARY):
            self._stop()
        elif self._primary.host.guest.running and not workload.running:
            self._resume()
        elif self._primary.failover.done and workload.mode == HELD:
            self._stop()  # it goes on alone as it runs: what was held leaves
            self._resume()
        if self._lost(SECONDARY) and workload.mute_ns is None:
            self.cut_copies()

    def cut_copies(self) -> None:
        """Lose the secondary's answers from now on, if nothing else to the next checkpoint."""
        self.workload.secondary_lost(self._env.now)
        if self.workload.running:
            self._plan()

    # ---- what clients see ----------------------------------------------------------------------

    def _take(self, at_ns: Times, latencies_ns: Times) -> None:
        self.latencies.add_array(latencies_ns)
        times = np.sort(at_ns, kind="stable")  # they come nearly in order
        gaps = np.diff(times, prepend=self._answered_ns)
        self.outage_longest_ns = max(self.outage_longest_ns, int(gaps.max()))
        self._answered_ns = max(self._answered_ns, int(times[-1]))
        fault_ns = self._guests.fault_ns
        if fault_ns is not None and self.time_to_client_ns is None:
            after = at_ns[at_ns - latencies_ns >= fault_ns]
            if len(after):
                self.time_to_client_ns = int(after.min()) - fault_ns

    def log(self, write: Callable[[Table], object]) -> None:
        """Let `write` have the rows of the table ``requests``, as requests are over."""
        latency_ns = self.workload.latency_ns

        def tell(some: Requests, left: Times) -> None:
            known = left >= 0
            sent = some.arrived - latency_ns
            answered = left + latency_ns
            write(
                {
                    "request": some.number,
                    "connection": some.connection,
                    "sent_ns": sent,
                    "answered_ns": IntColumn(answered, known),
                    "latency_ns": IntColumn(answered - sent, known),
                    "met_pause": some.met & MET,
                    "met_forced": (some.met & MET_FORCED) // MET_FORCED,
                }
            )

        self.workload.on_over = tell

    def close(self, end_ns: int) -> None:
        """Count up to the end of the run."""
        self.workload.close(end_ns)
        self.outage_longest_ns = max(self.outage_longest_ns, end_ns - self._answered_ns)

    def summary(self, end_ns: int) -> dict[str, Any]:
        """Return what the summary has under ``service``."""
        workload = self.workload
        return {
            "requests": workload.requests,
            "answered": workload.answered,
            "dropped": workload.dropped,
            "unanswered": workload.requests - workload.answered - workload.dropped,
            "throughput_per_s": workload.answered * NS_PER_S // max(1, end_ns),
            "latency_ns": self.latencies.summary(),
            "forced": dict(self.forced),
            "met_pause": workload.met_pause,
            "held_peak_bytes": workload.held_peak * self._response_bytes,
            "outage_ns_longest": self.outage_longest_ns,
        }
