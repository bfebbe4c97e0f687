"""Tables of many seeds: what ``run`` and ``compare`` print with ``--seeds``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from colosim.cli.progress import Progression
from colosim.runs.statistics import CONSTANT
from colosim.runs.wording import in_words, says_nothing

if TYPE_CHECKING:
    from colosim.analysis.over_seeds import Interval, OverSeeds, Scatter
    from colosim.runs.run import Run
    from colosim.scenario import Scenario

_SHOWN = ("pause_ns.p50", "pause_ns.p99", "time_to_guest_ns")
"""What `run` shows of each design."""


def compare_seeds(
    source: str,
    seeds: Sequence[int],
    designs: Sequence[str] | None,
    overrides: Sequence[str],
    form: str,
    precision_ppm: int,
) -> int:
    """Run designs under each seed and print them side by side; return the exit status."""
    from colosim.analysis.compare import quantities_of
    from colosim.analysis.over_seeds import over_seeds
    from colosim.cli.outcome import status_of
    from colosim.cli.show import print_table

    with Progression() as progression:
        found = over_seeds(source, seeds, designs, overrides=overrides, prepare=progression.watch)
    each = [run for own in found.runs.values() for run in own]
    if form == "json":
        click.echo(json.dumps([run.summary for run in each], indent=2))
    else:
        names = list(found.runs)
        rows = [["verdict", *(_verdicts(found, design) for design in names)]]
        for quantity, label in quantities_of(found.scenario).items():
            rows += _lines(found, quantity, label, precision_ppm)
        print_table(f"{found.scenario.name}, {len(seeds)} seeds", ["", *names], rows)
        _print_methods(each)
    return max(map(status_of, each))


def print_seeds(scenario: Scenario, runs: Sequence[Run], precision_ppm: int) -> None:
    """Print the designs of a scenario, a line each with its means over the seeds.

    `precision_ppm`: the share of a mean, each way, for which it tells how many seeds that takes.
    """
    from colosim.analysis.over_seeds import OverSeeds
    from colosim.cli.show import print_table

    by_design: dict[str, list[Run]] = {}
    for run in runs:
        by_design.setdefault(run.design, []).append(run)
    found = OverSeeds(scenario, by_design)
    heads = ["design", "verdict", "pause\np50", "pause\np99", "guest\nback after"]
    heads.append(f"seeds\n{_for(precision_ppm)}")
    rows = []
    for design in by_design:
        cells = [_cell(found, design, quantity) for quantity in _SHOWN]
        pause = found.scatter(design, _SHOWN[0])
        rows.append([design, _verdicts(found, design), *cells, _needed(pause, precision_ppm)])
    print_table(f"{scenario.name}, {len(next(iter(by_design.values())))} seeds", heads, rows)
    _print_methods(runs)


def _print_methods(runs: Sequence[Run]) -> None:
    from colosim.analysis.over_seeds import METHODS
    from colosim.cli.show import print_assumed, print_sentence

    print_assumed(runs)
    print_sentence(f"{METHODS[0].upper()}{METHODS[1:]}.")


def _verdicts(found: OverSeeds, design: str) -> str:
    counts = found.verdicts(design)
    if len(counts) == 1:
        return next(iter(counts))
    return "\n".join(f"{count} {verdict}" for verdict, count in counts.items())


def _cell(found: OverSeeds, design: str, quantity: str) -> str:
    if all(says_nothing(run.summary, quantity) for run in found.runs[design]):
        return CONSTANT
    scatter = found.scatter(design, quantity)
    return "-" if scatter is None else _estimate(scatter.mean, quantity)


def _lines(found: OverSeeds, quantity: str, label: str, precision_ppm: int) -> Iterator[list[str]]:
    """Yield the lines of a quantity: means, quantiles, differences to the first design."""
    own = {design: found.scatter(design, quantity) for design in found.runs}
    if all(scatter is None for scatter in own.values()):
        return
    cells = [_cell(found, design, quantity) for design in own]
    yield [label, *cells]
    if set(cells) == {CONSTANT} or all(one is None or one.constant for one in own.values()):
        return
    cells = []
    for scatter in own.values():
        middle = None if scatter is None or scatter.constant else scatter.quantile(0.5)
        cells.append("-" if middle is None else _estimate(middle, quantity))
    yield ["  p50 of seeds", *cells]
    base, *others = own.values()
    if base is not None and others:
        less = [None if scatter is None else scatter.less(base) for scatter in others]
        cells = ["-" if one is None else _estimate(one, quantity) for one in less]
        yield ["  difference", "", *cells]
    needed = (_needed(scatter, precision_ppm) for scatter in own.values())
    yield [f"  seeds {_for(precision_ppm)}", *needed]


def _estimate(interval: Interval, quantity: str) -> str:
    """Return an estimate, and below it its interval; or that it is constant."""
    ends = CONSTANT
    if interval.low is not None or interval.high is not None:
        low, high = ("?" if end is None else _words(quantity, end) for end in interval.ends)
        ends = f"{low}\nto {high}"
    return f"{_words(quantity, interval.value)}\n{ends}"


def _for(precision_ppm: int) -> str:
    return f"for {precision_ppm / 10**4:g}%"


def _needed(scatter: Scatter | None, precision_ppm: int) -> str:
    found = None if scatter is None else scatter.seeds_needed(precision_ppm / 10**6)
    return "-" if found is None else f"{found:,}"


def _words(quantity: str, value: float) -> str:
    sign = "-" if value < 0 else ""
    return sign + in_words(quantity, round(abs(value)))
