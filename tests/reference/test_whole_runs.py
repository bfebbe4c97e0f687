"""Whole runs by design over `model: reference`: the verdict is that of the fast model.

Unless the fault lies so close to a step's boundary that the reference itself says something else
when it strikes a chunk's service sooner or later.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st

from colosim.designs import load_designs
from colosim.runs.run import Run, simulate
from colosim.runs.simulation import steps_of
from colosim.runs.verdict import NOT_APPLICABLE
from colosim.scenario import Scenario, loads, shipped
from colosim.scenario.load import load

if TYPE_CHECKING:
    from colosim.trace.events import Event

DESIGNS = (
    "qsb",
    "split",
    "device-first",
    "flat",
    "qemu-3.1",
    "qemu-5.1",
    "qemu-11",
    "qemu-11+multifd=2",
)
NETWORKS = ("10gbe", "1gbe", "lab-veth", "lab-veth-200mbit", "wan-5ms")
FAULTS = (
    "freeze: {}",
    "freeze: {}, for: 300 ms",
    "freeze: {}, for: 6 s",
    "kill: {}",
    "vanish: {}",
    "vanish: {}, for: 300 ms",
    "vanish: {}, for: 6 s",
    "slow: {}, what: bandwidth, factor: 0.05, for: 100 ms",
)
SOME, MANY = 10, 1500
EDGES_AT_MOST = 0.1
PART_AT_MOST = 0.005
"""Of many cases: a few edges are not seen as such."""
KNOWN = tuple(load_designs())


@dataclass(frozen=True)
class Case:
    """A design, what it runs on, and one fault: when, or in which step and how far in it."""

    design: str
    network: str
    pages: int
    buffers: str
    fault: str
    at_ppm: int
    step: int | None = None
    when: str = ""

    def scenario(self, model: str, faults: str) -> Scenario:
        """Return the scenario with these faults."""
        text = f"""
name: x
model: {model}
designs: ['{self.design}']
checkpoints: 3
checkpoint_delay: 50 ms
horizon: 60 s
guest: {{ram: 64 MiB, dirty: {{pages: {self.pages}}}}}
network: {{preset: {self.network}{self.buffers}}}
manager: {{heartbeat: 200 ms, timeout: 1 s}}
faults: {faults}
"""
        return loads(text, file="x.yaml", known_designs=KNOWN)

    def run(self, model: str, faults: str) -> Run:
        """Run it."""
        return simulate(self.scenario(model, faults), self.design)


def told(run: Run) -> tuple[str, str | None]:
    """Return the verdict, and of whom it speaks."""
    return run.verdict, run.summary["survivor"]


def times(run: Run) -> dict[Event, list[int]]:
    """Return when each event came."""
    came: dict[Event, list[int]] = {}
    for at_ns, what, _ in run.iter_events():
        came.setdefault(what, []).append(at_ns)
    return came


def apart_ns(one: Run, other: Run) -> int:
    """Return how far two runs are apart at most."""
    ours, theirs = times(one), times(other)
    return max(
        abs(at_ns - then_ns)
        for name in ours
        for at_ns, then_ns in zip(ours[name], theirs.get(name, ()), strict=False)
    )


def verdict(case: Case) -> str:
    """Run a case in both models; say whether they agree, or that it is an edge.

    :raises AssertionError: if they do not agree.
    """
    quiet = case.run("fast", "[]")
    apart = apart_ns(quiet, case.run("reference", "[]"))
    assert quiet.simulation is not None
    if case.step is None:
        at = f"{quiet.simulation.end_ns * case.at_ppm // 10**6} ns"
    else:
        steps = steps_of(type(quiet.simulation.design), quiet.scenario)
        side, step = steps[case.step % len(steps)]
        at = f'{{checkpoint: 1, step: "{side}: {case.when}{step}"'
        at += "}" if case.when else f", progress: {case.at_ppm / 10**4}%}}"
    faults = f"[{{{case.fault}, at: {at}}}]"
    note(faults)
    fast, slow = case.run("fast", faults), case.run("reference", faults)
    if told(fast) == told(slow):
        return "agrees"
    if NOT_APPLICABLE in {fast.verdict, slow.verdict}:
        # Whether a message is waited for, or the run is still on, hangs on a chunk.
        return "edge"
    assert slow.simulation is not None
    for at_ns, _ in slow.simulation.injector.struck[:1]:
        for eighths in range(-24, 25):
            later_ns = apart * eighths // 8
            moved = case.run("reference", f"[{{{case.fault}, at: {max(0, at_ns + later_ns)} ns}}]")
            if told(moved) != told(slow):
                return "edge"
    raise AssertionError((told(fast), told(slow), apart))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw a case."""
    size = draw(st.sampled_from(["16 KiB", "256 KiB", "2 MiB"]))
    fault = draw(st.sampled_from(FAULTS))
    side = draw(st.sampled_from(["primary", "secondary"]))
    return Case(
        draw(st.sampled_from(DESIGNS)),
        draw(st.sampled_from(NETWORKS)),
        draw(st.sampled_from([20, 300, 1200])),
        draw(st.sampled_from(["", f", send_buffer: {size}, receive_buffer: {size}"])),
        fault.format("network" if fault.startswith("slow") else side),
        draw(st.integers(0, 10**6)),
        draw(st.one_of(st.none(), st.integers(0, 100))),
        draw(st.sampled_from(["", "after ", "before "])),
    )


def try_out(most: int) -> Counter[str]:
    """Try so many cases, and count what came of them."""
    counts: Counter[str] = Counter()

    @settings(max_examples=most, suppress_health_check=list(HealthCheck))
    @given(cases())
    def tried(case: Case) -> None:
        try:
            came = verdict(case)
        except AssertionError:
            counts["parts"] += 1
            if counts["parts"] > PART_AT_MOST * most:
                raise
            return
        event(came)
        counts[came] += 1

    tried()
    return counts


def test_the_verdict_is_that_of_the_reference() -> None:
    """A few random faults, at a time or in a step, in each of five designs."""
    try_out(SOME)


@pytest.mark.slow
def test_the_verdict_is_that_of_the_reference_in_many_cases() -> None:
    """Many of them, of which few are edges."""
    counts = try_out(MANY)
    assert counts["edge"] <= EDGES_AT_MOST * counts.total()


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in shipped() if name != "unreliable"])
def test_shipped_scenarios_have_the_verdicts_of_the_reference(name: str) -> None:
    """Every design of every scenario that colosim ships ends alike."""
    overrides = ["model=reference"]
    fast, slow = (load(name, overrides=o, known_designs=KNOWN) for o in ([], overrides))
    for design in fast.designs:
        assert told(simulate(fast, design)) == told(simulate(slow, design))
