"""``colosim compare SCENARIO``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from colosim.cli.options import format_option, run_options
from colosim.cli.progress import Progression

if TYPE_CHECKING:
    from colosim.analysis.compare import Comparison, Row


@click.command("compare")
@click.argument("scenario")
@run_options
@format_option
def command(
    *,
    scenario: str,
    designs: tuple[str, ...],
    seed: int | None,
    overrides: tuple[str, ...],
    form: str,
) -> int:
    """Run a scenario's designs and show them side by side.

    SCENARIO is a file, or the name of a scenario that colosim ships. Below each quantity stand its
    ratio to the first design and, where the scenario names a table of a real run, the measured
    median. P is the primary, S the secondary; times are the medians (p50) over the checkpoints,
    memory is the peak over the run.
    """
    from colosim.analysis.compare import compare
    from colosim.cli.outcome import status_of

    with Progression() as progression:
        comparison = compare(
            scenario,
            designs or None,
            seed=seed,
            overrides=overrides,
            tables=False,
            prepare=progression.watch,
        )
    if form == "json":
        click.echo(json.dumps(comparison.summaries(), indent=2))
    else:
        _print(comparison)
    return max(status_of(run) for run in comparison.runs.values())


def _print(comparison: Comparison) -> None:
    from colosim.cli.show import (
        has_reason_below,
        marked_verdict,
        print_sentence,
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
    for design, run in comparison.runs.items():
        if has_reason_below(run):
            print_sentence(f"{design}: {run.verdict}, {run.reason}")
        if warning := run.summary.get("warning"):
            print_sentence(f"{design}: {warning}")


def _lines(comparison: Comparison, quantity: str, cells: list[Row]) -> list[list[str]]:
    """Return the lines of one quantity: value, ratio, measured; nothing if no design has one."""
    from colosim.analysis.compare import LABELS
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
    ratios = ["-" if cell.ratio is None else _times(cell.ratio) for cell in cells[1:]]
    if any(cell.ratio not in {None, 1.0} for cell in cells[1:]):
        lines.append(["  ratio", "", *ratios])
    if any(cell.measured is not None for cell in cells):
        lines.append(["  measured", *(in_words(quantity, cell.measured) for cell in cells)])
    return lines


def _times(ratio: float) -> str:
    return f"x {ratio:,.0f}" if ratio >= _WHOLE_FROM else f"x {ratio:.3g}"


_WHOLE_FROM = 1000
