"""Phases and bursts of the rate at which a guest writes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colosim import grid, run
from colosim.engine.streams import Streams
from colosim.host.write_rate import writes_of
from colosim.scenario import loads
from colosim.scenario.guest import Bursts, Phase, WriteLoad
from tests.reference.dirty_rate import rates

_RATES = st.integers(0, 3 * 10**9)
_LENGTHS = st.integers(1, 40)
_PHASES = st.lists(
    st.tuples(_LENGTHS, _RATES).map(lambda two: Phase(for_ns=two[0], rate_pages_per_s=two[1])),
    min_size=1,
    max_size=4,
)
_ENDLESS = st.lists(_RATES.map(lambda rate: Phase(rate_pages_per_s=rate)), max_size=1)
_BURSTS = st.none() | st.tuples(_LENGTHS, _LENGTHS, st.integers(0, 5 * 10**6)).map(
    lambda three: Bursts.model_construct(every_ns=three[0], for_ns=three[1], factor_ppm=three[2])
)


@st.composite
def write_loads(draw: st.DrawFn) -> WriteLoad:
    """Return a load with one rate or with phases, that repeat or end in one without an end."""
    given: dict[str, Any] = {"rate_pages_per_s": draw(_RATES)}
    if draw(st.booleans()):
        given = {"phases": (*draw(_PHASES), *draw(_ENDLESS))}
    if bursts := draw(_BURSTS):
        given["bursts"] = bursts
    return WriteLoad(working_set_pages=9, **given)


TEXT = """
name: phases
checkpoints: 12
checkpoint_delay: 100 ms
guest:
  dirty:
    working_set: 96 MiB
    phases: [{for: 250 ms, rate: 5000 pages/s}, {for: 150 ms, rate: 0 pages/s}]
"""


@given(write_loads(), st.integers(0, 99), st.lists(st.integers(0, 90), max_size=4))
def test_writes_are_the_sum_over_every_nanosecond(
    load: WriteLoad, seed: int, epochs: list[int]
) -> None:
    """Epoch by epoch as the reference has it, whatever was asked for before."""
    times = rates(load, seed, 1, sum(epochs))
    written = writes_of(load, Streams(seed), 1)
    before = 0
    for epoch in epochs:
        assert written(before, epoch) == sum(times[before : before + epoch]) // 10**15
        before += epoch
    assert written(0, before) == sum(times) // 10**15


def test_bursts_are_in_the_mean_as_far_apart_as_stated() -> None:
    """Of 10,000 s with 2 s in bursts after 8 s in the mean, a fifth is in bursts."""
    second = 10**9
    bursts = Bursts(every_ns=8 * second, for_ns=2 * second, factor_ppm=2 * 10**6)
    load = WriteLoad(rate_pages_per_s=1000, working_set_pages=9, bursts=bursts)
    written = writes_of(load, Streams(7), 0)(0, 10_000 * second)
    assert written / 10**7 - 1 == pytest.approx(0.2, abs=0.01)


def test_phases_go_on_while_the_guest_runs_alone() -> None:
    """Each checkpoint has what the phases wrote since the last, in the time that the guest ran."""
    checkpoints = run(loads(TEXT), "split").checkpoints
    at, expected = 0, []
    for ran_ns in checkpoints["run_before_ns"].tolist():
        busy = [at + k for k in range(0, ran_ns, 10_000) if (at + k) % 400_000_000 < 250_000_000]
        expected.append(5 * len(busy) // 100)
        at += ran_ns
    assert checkpoints["dirty_pages"].tolist() == pytest.approx(expected, abs=1)
    assert len(set(expected)) > 3


def test_designs_have_the_same_bursts() -> None:
    """Drawn from the seed in the guest's own time: alike where it has run as long."""
    text = f"{TEXT}    bursts: {{every: 200 ms, for: 50 ms, factor: 4}}\n"
    pages = {
        (design, seed): tuple(run(loads(text), design, seed=seed).checkpoints["dirty_pages"][:3])
        for design in ("qsb", "split")
        for seed in (1, 2)
    }
    assert pages["qsb", 1] == pages["split", 1] != pages["split", 2]


def test_arrays_know_phases_and_bursts() -> None:
    """A grid with either is answered by arrays, whose numbers are those of simulations."""
    axes = {"network.latency": ["0 us", "50 us", "1 ms"], "checkpoint_delay": ["90 ms", "200 ms"]}
    for more in ("", "    bursts: {every: 200 ms, for: 50 ms, factor: 4}\n"):
        scenario = loads(TEXT + more)
        found = grid(scenario, axes, ["split"])
        assert found["exact"].tolist() == [True] * 6
        last = {key: values[-1] for key, values in axes.items()}
        simulated = run(scenario.vary(last), "split").summary
        assert found["pause_ns.p50"].tolist()[-1] == simulated["pause_ns"]["p50"]
