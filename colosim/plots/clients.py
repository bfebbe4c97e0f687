"""What clients see: how latencies are distributed, how they go up and down, and what they hang on.

The figures are drawn from tables of answered requests (`Run.requests`), by a label each, and from
sweeps of one key of a scenario.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from colosim.plots.look import FigureError, width_of
from colosim.plots.style import (
    axes_or_new,
    labels,
    legend_below,
    line_of,
    panels,
    styled,
    write_title,
)
from colosim.plots.units import Unit, plain_log, time_unit
from colosim.runs.run import as_scenario, simulate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike

    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

    from colosim.runs.run import Run
    from colosim.scenario import Scenario

__all__ = [
    "QUANTITIES",
    "Quantity",
    "against",
    "answers_of",
    "data",
    "figure",
    "over_time",
    "saw_tooth",
    "shares",
    "sweep",
]


class Quantity(NamedTuple):
    """What a sweep shows: a column of its table, its name, and what its axis is divided by."""

    name: str
    size: float


QUANTITIES = {
    "latency_p50_ns": Quantity("latency, median (ms)", 1e6),
    "latency_p90_ns": Quantity("latency, 90% (ms)", 1e6),
    "throughput_per_s": Quantity("answers a second", 1),
    "forced_per_s": Quantity("forced checkpoints a second", 1),
}
_FEW_SHARES = 200
_DASHES = ("-", (0, (4, 1.5)), (0, (1, 1.2)))


def _latencies(answers: Mapping[str, pd.DataFrame]) -> None:
    if not any(len(table) for table in answers.values()):
        raise FigureError("no client got an answer")


@styled
def shares(answers: Mapping[str, pd.DataFrame], axes: Axes | None = None) -> Axes:
    """Draw the distribution of latencies, a step curve a label; time is logarithmic.

    Labels that begin with one design (``qemu-5.1, 1 s``) share its colour, each with its dashes.

    :raises FigureError: if there is no answer at all.
    """
    _latencies(answers)
    axes = axes_or_new(axes)
    seen: Counter[str] = Counter()
    for index, (label, table) in enumerate(answers.items()):
        design = label.partition(",")[0]
        values = np.sort(table["latency_ns"].to_numpy())
        share = np.arange(1, len(values) + 1) / max(1, len(values))
        if len(values) > _FEW_SHARES:  # as fine as can be seen
            kept = np.unique(np.linspace(0, len(values) - 1, _FEW_SHARES).astype(int))
            values, share = values[kept], share[kept]
        colour, dashes = line_of(design, index).colour, _DASHES[seen[design] % len(_DASHES)]
        axes.step(values / 1e6, share, where="post", color=colour, linestyle=dashes, label=label)
        seen[design] += 1
    axes.set_xscale("log")
    plain_log(axes.xaxis)
    axes.set_ylim(0, 1.03)
    axes.set_xlabel("latency (ms)")
    axes.set_ylabel("share of answers")
    legend_below(axes, axes.get_legend_handles_labels()[0], 3, bbox_to_anchor=(0.5, -0.18))
    return axes


def _sent(answers: pd.DataFrame, begin_ns: int, end_ns: int | None) -> pd.DataFrame:
    """Return the answers to requests of a time."""
    kept = answers[answers["sent_ns"] >= begin_ns]
    return kept if end_ns is None else kept[kept["sent_ns"] < end_ns]


@styled
def saw_tooth(
    answers: pd.DataFrame,
    begin_ns: int = 0,
    end_ns: int | None = None,
    axes: Axes | None = None,
    unit: Unit | None = None,
    **look: Any,
) -> Axes:
    """Draw the latency of each request against when it was sent, from `begin_ns` to `end_ns`.

    What a pause collects is a tooth: the first request of it waits longest.  Panels with one scale
    need one `unit`; else it is that of the longest latency.

    :raises FigureError: if no answer is to a request of that time.
    """
    kept = _sent(answers, begin_ns, end_ns)
    _latencies({"": kept})
    axes = axes_or_new(axes)
    unit = unit or time_unit(int(kept["latency_ns"].max()))
    style = {"marker": ".", "markersize": 2.5, "linestyle": "", "color": line_of("qsb").colour}
    axes.plot(kept["sent_ns"] / 1e9, kept["latency_ns"] / unit.size, **{**style, **look})
    axes.set_ylim(bottom=0)
    axes.set_xlabel("request sent (s)")
    axes.set_ylabel(f"latency ({unit.symbol})")
    return axes


@styled
def over_time(
    answers: Mapping[str, pd.DataFrame], begin_ns: int = 0, end_ns: int | None = None
) -> Figure:
    """Return the latencies over time, a panel a label, all with one scale.

    :raises FigureError: if no answer of one is to a request of that time.
    """
    made = Figure(figsize=(width_of(), _teeth_in(answers)))
    _teeth(made, answers, begin_ns, end_ns)
    return made


def _teeth_in(answers: Mapping[str, pd.DataFrame]) -> float:
    """Return how high the panels of `_teeth` are, in inches."""
    return 0.5 + 1.25 * len(answers)


def _teeth(
    made: FigureBase, answers: Mapping[str, pd.DataFrame], begin_ns: int, end_ns: int | None
) -> None:
    panels = made.subplots(len(answers), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    shown = pd.concat([_sent(table, begin_ns, end_ns) for table in answers.values()])
    _latencies({"": shown})
    longest_ns = int(shown["latency_ns"].max())
    unit = time_unit(longest_ns)
    for index, (axes, (label, table)) in enumerate(zip(panels, answers.items(), strict=True)):
        look = line_of(label.partition(",")[0], index)
        saw_tooth(table, begin_ns, end_ns, axes, unit, color=look.colour)
        write_title(axes, label, width_of() - 0.6, loc="left")
        axes.label_outer()
    panels[0].set_ylim(0, 1.05 * longest_ns / unit.size)


def data(runs: Sequence[Run]) -> pd.DataFrame:
    """Return the answered requests of runs.

    Columns: ``run`` (its label), then those of `Run.requests`.

    :raises FigureError: if a run has no clients.
    :raises NoTablesError: if a run has no table of requests.
    """
    return pd.concat(answers_in(runs), names=["run"]).reset_index("run").reset_index(drop=True)


@styled
def figure(runs: Sequence[Run]) -> Figure:
    """Return how the latencies of runs are distributed, above the latencies over time.

    :raises FigureError: if a run has no clients, or no client got an answer.
    :raises NoTablesError: if a run has no table of requests.
    """
    answers = answers_in(runs)
    heights = (3.0, _teeth_in(answers))
    made = Figure(figsize=(width_of(), sum(heights)))
    top, bottom = made.subfigures(2, 1, height_ratios=heights, squeeze=False).flat
    shares(answers, top.subplots())
    _teeth(bottom, answers, 0, None)
    return made


def sweep(
    scenario: str | PathLike[str] | Scenario,
    key: str,
    values: Sequence[Any],
    *,
    designs: Sequence[str] | None = None,
    vary: Mapping[str, Mapping[str, Any]] | None = None,
) -> pd.DataFrame:
    """Run every design with every value of one key, and say what its clients see.

    :param values: as a file has them, or in the key's base unit.
    :param designs: instead of the scenario's.
    :param vary: by design, other keys that it has.

    Columns: ``design``, ``value`` and `QUANTITIES`.

    :raises FigureError: if the scenario has no duration.
    :raises ScenarioError: if the scenario is wrong with a value.
    """
    base = as_scenario(scenario)
    rows = []
    for value in values:
        for design in designs or base.designs:
            varied = base.vary({key: value, **(vary or {}).get(design, {})})
            if varied.duration_ns is None:
                raise FigureError("a sweep of what clients see needs a scenario with a duration")
            seen = simulate(varied, design, tables=False).summary["service"]
            rows.append(
                {
                    "design": design,
                    "value": value,
                    "latency_p50_ns": seen["latency_ns"]["p50"],
                    "latency_p90_ns": seen["latency_ns"]["p90"],
                    "throughput_per_s": seen["throughput_per_s"],
                    "forced_per_s": sum(seen["forced"].values()) * 1e9 / varied.duration_ns,
                }
            )
    return pd.DataFrame(rows)


@styled
def against(
    table: pd.DataFrame,
    label: str,
    quantities: Sequence[str] = ("latency_p50_ns", "latency_p90_ns", "throughput_per_s"),
    scale: float = 1,
) -> Figure:
    """Return quantities of a sweep against its values, a panel each, a line a design.

    :param label: what stands below; values are divided by `scale`.
    """
    made, places = panels(len(quantities), (2.4, 2.9))
    for axes, quantity in zip(places, quantities, strict=True):
        for index, (design, part) in enumerate(table.groupby("design", sort=False)):
            look = line_of(str(design), index)
            axes.plot(
                part["value"].to_numpy(dtype=float) / scale,
                part[quantity].to_numpy(dtype=float) / QUANTITIES[quantity].size,
                color=look.colour,
                linestyle=look.dashes,
                marker=look.marker,
                label=str(design),
            )
        axes.set_xscale("log")
        axes.set_yscale("log" if "latency" in quantity else "linear")
        plain_log(axes.xaxis)
        if "latency" in quantity:
            plain_log(axes.yaxis)
        else:
            axes.set_ylim(bottom=0)
        axes.set_xlabel(label)
        axes.set_ylabel(QUANTITIES[quantity].name)
    curves = places[0].get_legend_handles_labels()[0]
    legend_below(made, curves, len(curves))
    return made


def answers_in(runs: Sequence[Run]) -> dict[str, pd.DataFrame]:
    """Return the requests of each run that were answered, in the order of sending, by its label.

    :raises FigureError: if a run has no clients.
    :raises NoTablesError: if a run has no table of requests.
    """
    for run in runs:
        if run.scenario.service is None:
            raise FigureError(f"{run.scenario.name} has no clients (service)")
    return {
        label: run.requests.dropna(subset="latency_ns").sort_values("sent_ns", ignore_index=True)
        for label, run in zip(labels(runs), runs, strict=True)
    }


def answers_of(
    scenario: str | PathLike[str] | Scenario, designs: Sequence[str] | None = None
) -> dict[str, pd.DataFrame]:
    """Run a scenario, and return the requests that were answered, by design.

    :raises FigureError: if the scenario has no clients.
    """
    base = as_scenario(scenario)
    return answers_in([simulate(base, design, requests=True) for design in designs or base.designs])
