"""What every run must hold, whatever its scenario."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from colosim.analysis.wait_for import open_waits
from colosim.designs import load_designs
from colosim.runs.run import Run, simulate
from colosim.runs.verdict import NOT_APPLICABLE, WORST_FIRST
from colosim.scenario import loads
from tests.runs.figures import hold_to_the_tables

if TYPE_CHECKING:
    from colosim.scenario import Scenario


def scenario_of(text: str) -> Scenario:
    """Return the scenario of a file's text."""
    return loads(text, file="random.yaml", known_designs=tuple(load_designs()))


def hold(text: str) -> Run:
    """Run a scenario's one design, and hold all that must be true of any run.

    No exception; no safety rule broken; the same digest the second time, without record and checks;
    a summary that is plain JSON without a float and says what the tables say; waits that the record
    leaves open; `hung` only if somebody has the lock that the command waits for.
    """
    scenario = scenario_of(text)
    (design,) = scenario.designs
    run = simulate(scenario, design)
    again = simulate(scenario, design, tables=False, checks=False)
    assert run.digest == again.digest or run.verdict == "violated"
    assert run.verdict in {*WORST_FIRST, NOT_APPLICABLE}
    assert json.loads(json.dumps(run.summary, allow_nan=False)) == run.summary
    assert not floats(run.summary)
    assert run.simulation is not None
    violation = run.simulation.violation
    assert violation is None or may_be_torn(scenario, violation.rule), str(violation)
    if run.verdict == "hung":
        locks = [host.lock.owner for host in run.simulation.hosts.values()]
        assert any(owner is not None for owner in locks)
    hold_to_the_tables(run)
    hold_to_the_waits(run)
    return run


def hold_to_the_waits(run: Run) -> None:
    """Hold what threads wait for as a run ends to the waits that its record leaves open."""
    assert run.simulation is not None
    waits = {
        (host.side, thread.name): thread.waits_since_ns
        for host in run.simulation.hosts.values()
        for thread in host.threads
        if thread.waits_for
    }
    recorded = {who: wait.since_ns for who, wait in open_waits(run.iter_events()).items()}
    assert waits == recorded


def may_be_torn(scenario: Scenario, rule: str) -> bool:
    """Tell whether the state may be torn: a device load fails after the reset, or up to 5.0."""
    fails = any(
        fault.kind == "fail" and fault.concerns == "device load" for fault in scenario.faults
    )
    early = any(design.startswith("qemu-3.1") for design in scenario.designs)
    return (fails or early) and rule == "no torn state"


def floats(value: Any) -> bool:
    """Tell whether there is a float anywhere."""
    if isinstance(value, dict):
        return any(floats(item) for item in value.values())
    return isinstance(value, float)
