"""A step that a design adds is seen everywhere, though nothing but the design knows it."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from colosim.analysis.explain import explain
from colosim.designs import registry
from colosim.explore.cases import Space
from colosim.plots import gantt
from colosim.plots.sequence.mermaid import mermaid
from colosim.plots.timeline import timeline
from colosim.runs.run import Run, simulate
from colosim.scenario import Scenario, loads
from tests.designs.own import Compressing

FAULT = "faults: [{freeze: secondary, at: {checkpoint: 2, step: 'primary: compress pages'}}]"


def scenario(faults: str = "") -> Scenario:
    """Return a scenario of three checkpoints."""
    return loads(
        f"name: step\ncheckpoints: 3\nguest: {{ram: 64 MiB, dirty: {{pages: 50}}}}\n{faults}"
    )


@pytest.fixture(scope="module", name="run")
def fixture_run() -> Run:
    """Return a run of the design with a step of its own."""
    return simulate(scenario(), Compressing)


def test_tables_have_a_column_of_the_step(run: Run) -> None:
    """Both parts of it are one duration."""
    assert run.checkpoints["primary_compress_pages_ns"].tolist() == [1500] * 3


def test_figures_draw_the_step(run: Run) -> None:
    """It is a bar of the Gantt chart, a step of the sequence chart, a slice of the timeline."""
    assert "compress pages" in gantt.data([run], 1)["what"].tolist()
    assert "compress pages" in mermaid(run, 1)
    assert b"compress pages" in timeline(run)


def test_a_fault_strikes_in_the_step_and_is_explained() -> None:
    """An explanation tells where in the protocol the fault struck."""
    told = str(explain(scenario(FAULT), Compressing))
    assert "compress pages" in told


def test_an_exploration_tries_every_fault_at_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands among the places of the protocol, once the design is registered."""
    entry = EntryPoint("compressing", "tests.designs.own:Compressing", registry.GROUP)
    monkeypatch.setattr(registry, "_registered", lambda: {entry.name: entry})
    space = Space(scenario(), ["compressing"])
    faults = {case.choices["fault"] for case in space if case.choices["step"] == "compress pages"}
    assert {"freeze", "kill", "vanish"} <= faults
