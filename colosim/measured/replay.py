"""Simulating a measured run: its checkpoints again, open or closed loop, quantity by quantity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from colosim.designs.registry import load_design
from colosim.engine.streams import Streams
from colosim.host.guest import dirty_pages
from colosim.measured import conditions
from colosim.runs.simulation import Simulation
from colosim.trace.checkpoint import Checkpoints
from colosim.trace.columns import Columns
from colosim.trace.events import COMMITTED, SECONDARY

if TYPE_CHECKING:
    from typing import Any

    from colosim.designs.design import Design, Steps
    from colosim.designs.primary import Primary
    from colosim.measured.measurement import MeasuredRun
    from colosim.scenario.model import Scenario


class SimulatedCheckpoint(NamedTuple):
    """One simulated checkpoint, in the words of `colosim.measured.measurement.QUANTITIES`."""

    pause_ns: int
    transaction_ns: int
    ram_ns: int | None
    lock_hold_primary_ns: int | None
    lock_hold_secondary_ns: int | None
    staging_buffer_content_bytes: int | None
    staging_buffer_capacity_bytes: int | None
    wire_bytes: int
    dirty_pages: int


def _on_the_clock(design: type[Design], run: MeasuredRun, tick_ns: int) -> type[Design]:
    """Return `design` with checkpoints that begin when the measured ones did.

    Each begins as long after the end of the one before as was measured, moved by at most half a
    tick of the kernel so that it stands where it stood between two ticks.
    """
    requests = [one.request_ns for one in run.checkpoints if one.complete]
    ends = [one.request_ns + one.stages["p_resumed"] for one in run.checkpoints if one.complete]
    gaps = [0, *(begin - end for begin, end in zip(requests[1:], ends, strict=False))]

    class Replay(design):  # type: ignore[misc,valid-type]
        """The design, with the measured run's own times between checkpoints."""

        name = f"{run.design} as measured"
        _first_ns = 0

        def wait_for_checkpoint(self, p: Primary) -> Steps:
            """Wait for as long as the measured guest ran before this checkpoint."""
            k, now = p.checkpoint, p.env.now
            if k == 0:
                self._first_ns = now + p.delay_ns
                yield p.thread.sleep(p.delay_ns)
                return
            due = now + max(0, gaps[min(k, len(gaps) - 1)])
            stood = self._first_ns + requests[min(k, len(requests) - 1)] - requests[0]
            due += (stood - due + tick_ns // 2) % tick_ns - tick_ns // 2
            if due < now:
                due += tick_ns
            if due > now:
                yield p.thread.sleep(due - now)

    return Replay


def _run(
    scenario: Scenario, design: type[Design], run: MeasuredRun
) -> Sequence[SimulatedCheckpoint]:

    def prepare(simulation: Simulation) -> None:
        if simulation.design.traits.secondary_runs:
            # Measured pages are the primary's: the secondary's own guest goes on writing by rate.
            model = conditions.scenario(run, conditions.dirty_model(run), 1).guest
            simulation.hosts[SECONDARY].guest.dirty_after = dirty_pages(model, Streams(0))

    simulation = Simulation(scenario, design, prepare=prepare).run()
    rows = Checkpoints().rows(Columns(simulation.record.chunks))
    quantities = zip(*(rows[name].tolist() for name in SimulatedCheckpoint._fields), strict=True)
    return [
        SimulatedCheckpoint._make(one)
        for outcome, one in zip(rows["outcome"].tolist(), quantities, strict=True)
        if outcome == COMMITTED
    ]


def simulate_open_loop(
    run: MeasuredRun,
    costs: Mapping[str, Any] | None = None,
    *,
    vary: Mapping[str, Any] | None = None,
) -> Sequence[SimulatedCheckpoint]:
    """Return the run's complete checkpoints, each simulated with its own pages and run time.

    `vary`: other values of the scenario, by the keys of a file.
    """
    scenario = conditions.open_loop(run, costs)
    if vary:
        scenario = scenario.vary(vary)
    design = _on_the_clock(load_design(run.design), run, scenario.network.ack_tick_ns)
    return _run(scenario, design, run)


def simulate_closed_loop(
    run: MeasuredRun, costs: Mapping[str, Any] | None = None
) -> Sequence[SimulatedCheckpoint]:
    """Return as many checkpoints, with dirty pages from rate and simulated time."""
    return _run(conditions.closed_loop(run, costs), load_design(run.design), run)
