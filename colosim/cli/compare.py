"""``colosim compare SCENARIO|RUN_DIR...``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from colosim.cli.options import (
    each_seed,
    format_option,
    precision_option,
    run_options,
    seeds_option,
)
from colosim.cli.progress import Progression

if TYPE_CHECKING:
    from colosim.analysis.compare import Comparison, Row


@click.command("compare")
@click.argument("sources", nargs=-1, required=True, metavar="SCENARIO|RUN_DIR...")
@run_options
@seeds_option
@precision_option
@format_option
def command(
    *,
    sources: tuple[str, ...],
    designs: tuple[str, ...],
    seed: int | None,
    seeds: tuple[int, ...],
    precision: int,
    overrides: tuple[str, ...],
    form: str,
) -> int:
    """Run a scenario's designs and show them side by side.

    SCENARIO is a file, or the name of a scenario that colosim ships; a RUN_DIR, of a simulated run
    or of a real one ('colosim qemu import'), is put beside its designs, or beside others. Below
    each quantity stand its ratio to the first design and, where the scenario names a table of a
    real run, the measured median. P is the primary, S the secondary; times are the medians (p50)
    over the checkpoints, memory is the peak over the run.
    """
    from colosim.analysis.compare import beside, compare
    from colosim.cli.outcome import status_of
    from colosim.cli.sources import stored_runs

    stored = {source: stored_runs(Path(source)) for source in sources}
    runs = [run for source in sources for run in stored[source]]
    scenarios = [source for source in sources if not stored[source]]
    if len(scenarios) > 1:
        raise click.UsageError(f"one scenario at a time: {' and '.join(scenarios)} are several")
    each_seed(seed, seeds)
    if not scenarios and (designs or overrides or seed is not None or seeds):
        raise click.UsageError("--design, --set and --seed are for scenarios; these have run")
    if seeds:
        if runs:
            raise click.UsageError("--seeds is for one scenario alone")
        from colosim.cli.seeds import compare_seeds

        return compare_seeds(scenarios[0], seeds, designs or None, overrides, form, precision)
    comparison = None
    if scenarios:
        with Progression() as progression:
            comparison = compare(
                scenarios[0],
                designs or None,
                seed=seed,
                overrides=overrides,
                tables=False,
                prepare=progression.watch,
            )
    if comparison is None or runs:
        comparison = beside(runs, comparison)
    if form == "json":
        click.echo(json.dumps(comparison.summaries(), indent=2))
    else:
        _print(comparison)
    return max(
        (status_of(run) for run in comparison.runs.values() if run.source is None), default=0
    )


def _print(comparison: Comparison) -> None:
    from colosim.analysis.held_back import held_back_in
    from colosim.cli.show import (
        has_reason_below,
        marked_verdict,
        print_assumed,
        print_counted,
        print_sentence,
        print_start,
        print_table,
        verdict_style,
    )
    from colosim.runs.verdict import NOT_APPLICABLE

    designs = list(comparison.runs)
    # Its word is too long for five columns; the verdicts of `run` and of JSON have it in full.
    verdicts = [
        "n/a" if run.verdict == NOT_APPLICABLE else marked_verdict(run)
        for run in comparison.runs.values()
    ]
    rows = [["verdict", *verdicts]]
    by_quantity: dict[str, list[Row]] = {}
    for row in comparison.rows:
        by_quantity.setdefault(row.quantity, []).append(row)
    for quantity, cells in by_quantity.items():
        rows += _lines(comparison, quantity, cells)
    styles = {verdict: verdict_style(verdict.rstrip("*")) for verdict in verdicts}
    print_table(comparison.scenario.name, ["", *designs], rows, styles=styles)
    print_counted([*comparison.runs.values()])
    print_start(comparison.runs.values())
    print_assumed(comparison.runs.values())
    if waits := held_back_in(comparison.runs.values()):
        print_sentence(waits)
    for design, run in comparison.runs.items():
        if has_reason_below(run):
            print_sentence(f"{design}: {run.verdict}, {run.reason}")
        if warning := run.summary.get("warning"):
            print_sentence(f"{design}: {warning}")


def _lines(comparison: Comparison, quantity: str, cells: list[Row]) -> list[list[str]]:
    """Return the lines of one quantity: value, ratio, measured; nothing if no design has one."""
    from colosim.analysis.compare import LABELS
    from colosim.runs.statistics import CONSTANT
    from colosim.runs.wording import in_words, value_in_words

    if all(cell.value is None for cell in cells):
        return []
    values = (
        in_words(quantity, None)
        if cell.value is None
        else value_in_words(comparison.runs[cell.design].summary, quantity)
        for cell in cells
    )
    lines = [[LABELS[quantity], *values]]
    if set(lines[0][1:]) == {CONSTANT}:
        return lines  # the median above has the ratios
    ratios = ["-" if cell.ratio is None else _times(cell.ratio) for cell in cells[1:]]
    if any(cell.ratio not in {None, 1.0} for cell in cells[1:]):
        lines.append(["  ratio", "", *ratios])
    if any(cell.measured is not None for cell in cells):
        lines.append(["  measured", *(in_words(quantity, cell.measured) for cell in cells)])
    return lines


def _times(ratio: float) -> str:
    return f"x {ratio:,.0f}" if ratio >= _WHOLE_FROM else f"x {ratio:.3g}"


_WHOLE_FROM = 1000
