"""Designs side by side under one scenario, with measured medians where a scenario names them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colosim.analysis.assumed import first_note
from colosim.designs.registry import design_of
from colosim.runs import html
from colosim.runs.run import as_scenario, simulate
from colosim.runs.stored import MANIFEST, read_run
from colosim.runs.wording import lasts, value_in_words
from colosim.trace.fields import value_of

if TYPE_CHECKING:
    import pandas as pd

    from colosim.designs.design import Design
    from colosim.runs.run import Run
    from colosim.runs.simulation import Simulation
    from colosim.scenario import Scenario

QUANTITIES = {
    "pause_ns.p50": "pause p50",
    "pause_ns.p99": "pause p99",
    "transaction_ns.p50": "transaction p50",
    "ram_ns.p50": "RAM p50",
    "lock_hold_ns.primary.p50": "lock, P, p50",
    "lock_hold_ns.secondary.p50": "lock, S, p50",
    "memory_peak_bytes.primary.staging_buffer": "staging, P",
    "memory_peak_bytes.primary.extra_total": "memory, P",
    "memory_peak_bytes.secondary.staging_buffer": "staging, S",
    "memory_peak_bytes.secondary.extra_total": "memory, S",
    "wire_bytes_per_checkpoint.p50": "wire p50",
    "guest_stopped_ns_longest": "guest stopped",
    "monitor_deaf_ns_longest": "monitor deaf",
    "time_to_guest_ns": "guest back",
}
"""The keys of the summary that a comparison shows, and what its table calls them."""

OF_CLIENTS = {
    "service.latency_ns.p50": "latency p50",
    "service.latency_ns.p90": "latency p90",
    "service.latency_ns.p99": "latency p99",
    "service.throughput_per_s": "answers a second",
    "service.forced.mismatch": "forced, mismatch",
    "service.forced.timeout": "forced, timeout",
    "service.forced.replay": "forced, replay",
    "service.met_pause": "met a pause",
    "service.unanswered": "unanswered",
    "service.outage_ns_longest": "no answer, longest",
    "time_to_client_ns": "client back",
}
"""Those that it shows as well where the scenario has a service."""

OF_DISK = {
    "disk.latency_ns.p50": "disk write p50",
    "disk.latency_ns.p99": "disk write p99",
    "disk.unreplicated": "not replicated",
}
"""Those that it shows as well where the guest writes to a disk."""

LABELS = {**QUANTITIES, **OF_CLIENTS, **OF_DISK}

MEASURED = {
    "pause_ns.p50": "pause_ns",
    "transaction_ns.p50": "transaction_ns",
    "ram_ns.p50": "ram_ns",
    "lock_hold_ns.primary.p50": "lock_hold_primary_ns",
    "lock_hold_ns.secondary.p50": "lock_hold_secondary_ns",
    "memory_peak_bytes.primary.staging_buffer": "staging_buffer_capacity_bytes",
    "wire_bytes_per_checkpoint.p50": "wire_bytes",
}
"""Which measured median stands beside which key."""


def quantities_of(*scenarios: Scenario) -> dict[str, str]:
    """Return what a comparison of runs under these scenarios shows: keys and what they are called.

    Clients and a disk that one of them has are enough.
    """
    clients = any(scenario.service for scenario in scenarios)
    disk = any(scenario.disk and scenario.disk.writes for scenario in scenarios)
    return QUANTITIES | (OF_CLIENTS if clients else {}) | (OF_DISK if disk else {})


@dataclass(frozen=True, slots=True)
class Row:
    """One quantity of one design.

    `ratio` is to the first design's value (None: one of them has none, or lasts to the end);
    `measured` the median of the measured table, None where there is none.
    """

    quantity: str
    design: str
    value: int | None
    ratio: float | None
    measured: int | None


@dataclass(frozen=True, repr=False)
class Comparison:
    """Runs of several designs under one scenario and one seed: the same draws, the same faults."""

    scenario: Scenario
    runs: dict[str, Run]
    measured: dict[str, dict[str, int]]

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Every quantity of every design."""
        return tuple(self._rows())

    def _rows(self) -> Iterator[Row]:
        for quantity in quantities_of(self.scenario, *(run.scenario for run in self.runs.values())):
            base: int | None = None
            for index, (design, run) in enumerate(self.runs.items()):
                value = self.value(run, quantity)
                if index == 0:
                    base = value
                ratio = value / base if value is not None and base else None
                if self._lasts(quantity):
                    ratio = None
                yield Row(quantity, design, value, ratio, self.measured[design].get(quantity))

    def _lasts(self, quantity: str) -> bool:
        """Whether any design's value lasts to the end of its run, and is as long as that."""
        return any(lasts(run.summary, quantity) for run in self.runs.values())

    @staticmethod
    def value(run: Run, quantity: str) -> int | None:
        """Return a run's value of a quantity, None if it has none."""
        head, _, part = quantity.rpartition(".")
        if (
            part.startswith("p")
            and part[1:].isdigit()
            and not value_of(run.summary, f"{head}.count")
        ):
            return None
        value = value_of(run.summary, quantity)
        return None if value is None else int(value)

    @property
    def verdicts(self) -> dict[str, str]:
        """The verdict of each design."""
        return {design: run.verdict for design, run in self.runs.items()}

    @cached_property
    def table(self) -> pd.DataFrame:
        """The rows as a DataFrame: quantity, design, value, ratio, measured."""
        import pandas as pd  # noqa: PLC0415 - slow to import

        rows = self.rows
        return pd.DataFrame(
            {
                "quantity": [row.quantity for row in rows],
                "design": [row.design for row in rows],
                "value": pd.array([row.value for row in rows], dtype="Int64"),
                "ratio": pd.array([row.ratio for row in rows], dtype="Float64"),
                "measured": pd.array([row.measured for row in rows], dtype="Int64"),
            }
        )

    def __repr__(self) -> str:
        """Return scenario, designs and their verdicts."""
        ended = ", ".join(f"{design} {verdict}" for design, verdict in self.verdicts.items())
        return f"<Comparison {self.scenario.name}: {ended}>"

    def _repr_html_(self) -> str:
        """Return its quantities, a design a column, for notebooks."""
        rows = [["", *self.runs], ["verdict", *self.verdicts.values()]]
        for quantity, what in LABELS.items():
            words = [value_in_words(run.summary, quantity) for run in self.runs.values()]
            if set(words) != {"-"}:
                rows.append([what, *words])
        note = first_note(self.runs.values())
        return html.table(self.scenario.name, rows, [note] if note else [])

    def summaries(self) -> list[dict[str, Any]]:
        """Return each run's summary, with its ratios to the first design and measured medians."""
        return [
            {
                **run.summary,
                "ratios": {row.quantity: row.ratio for row in self.rows if row.design == design},
                "measured": self.measured[design],
            }
            for design, run in self.runs.items()
        ]


def measured_medians(scenario: Scenario, design: str) -> dict[str, int]:
    """Return the measured medians that a scenario names for a design, by the summary's keys.

    It names a shipped table, or the run directory of an imported run.

    :raises LogError: if it names a table that there is not.
    """
    name = scenario.measured.get(design)
    if name is None:
        return {}
    if (Path(name) / MANIFEST).is_file():
        real = read_run(name)
        found = {key: Comparison.value(real, key) for key in MEASURED}
        return {key: value for key, value in found.items() if value is not None}
    from colosim.measured.measured import measured  # noqa: PLC0415 - many scenarios name none

    table = measured(name)
    medians = {key: table.median(quantity) for key, quantity in MEASURED.items()}
    return {key: median for key, median in medians.items() if median is not None}


def compare(
    scenario: str | PathLike[str] | Scenario,
    designs: Sequence[str | type[Design]] | None = None,
    *,
    seed: int | None = None,
    overrides: Sequence[str] = (),
    tables: bool = True,
    prepare: Callable[[Simulation], None] | None = None,
) -> Comparison:
    """Run several designs under one scenario.

    :param designs: instead of the scenario's.
    :raises ScenarioError: if the scenario is wrong.
    :raises DesignError: if there is no such design.
    :raises LogError: if the scenario names a measured table that there is not.
    """
    loaded = as_scenario(scenario, overrides)
    chosen = loaded.designs if designs is None else designs
    names = [design_of(design).name for design in chosen]
    medians = {name: measured_medians(loaded, name) for name in names}
    runs = {
        name: simulate(loaded, design, seed=seed, tables=tables, prepare=prepare)
        for name, design in zip(names, chosen, strict=True)
    }
    return Comparison(loaded, runs, medians)


def beside(runs: Sequence[Run], comparison: Comparison | None = None) -> Comparison:
    """Put runs that were read back, real ones too, beside one another, or beside a comparison's.

    Each is called after its design; where that is taken, after its scenario as well.
    """
    named = {} if comparison is None else dict(comparison.runs)
    medians = {} if comparison is None else dict(comparison.measured)
    for run in runs:
        name = run.design if run.design not in named else f"{run.scenario.name} {run.design}"
        if name in named:
            name = f"{name} {len(named)}"
        named[name] = run
        medians[name] = {}
    scenario = runs[0].scenario if comparison is None else comparison.scenario
    return Comparison(scenario, named, medians)
