"""``colosim check SCENARIO...``."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import click

from colosim.cli.main import STATUS_FAILED, STATUS_NOBODY_SERVES
from colosim.cli.options import (
    Decorated,
    each_seed,
    format_option,
    run_options,
    seeds_option,
    share_of,
)

if TYPE_CHECKING:
    from colosim.runs.check import Outcome
    from colosim.runs.run import Run
    from colosim.scenario import Scenario


def _written(name: str, what: str) -> Callable[[Decorated], Decorated]:
    kind = click.Path(dir_okay=False, path_type=Path)
    return click.option(name, type=kind, metavar="FILE", help=what)


@click.command("check")
@click.argument("scenarios", nargs=-1, required=True, metavar="SCENARIO...")
@run_options
@seeds_option
@_written("--record", "Pin how these runs end and what they take in this file.")
@click.option(
    "--against",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help='Hold the runs to what --record wrote, instead of their "expect:".',
)
@click.option(
    "--tolerance",
    metavar="SHARE",
    default="5%",
    show_default=True,
    callback=share_of,
    help="By how much a number may differ from what --record pins.",
)
@_written("--junit", "Write the outcomes as JUnit XML.")
@format_option
def command(  # noqa: PLR0913 - an option each
    *,
    scenarios: tuple[str, ...],
    record: Path | None,
    against: Path | None,
    tolerance: int,
    junit: Path | None,
    designs: tuple[str, ...],
    seed: int | None,
    seeds: tuple[int, ...],
    overrides: tuple[str, ...],
    form: str,
) -> int:
    """Run scenarios and hold them to what they expect.

    Each SCENARIO is a file, or the name of a scenario that colosim ships, or of a folder of such
    ("published": what was published, as far as it can be simulated). Each bound of its
    "expect:" is one line: pass or FAIL, the value, and the bound. The exit status is 1 if one
    fails, or if a run whose verdict no bound speaks of is unfinished, unprotected or not
    applicable; it is 3 if nobody serves in such a run.

    --record pins a set of runs, with a tolerance; --against holds a later version of colosim, a
    changed scenario or another design to them.
    """
    from colosim.analysis.recorded import record_of
    from colosim.cli.junit import junit as junit_of
    from colosim.cli.progress import Progression
    from colosim.cli.sources import check_outputs
    from colosim.designs import load_design
    from colosim.runs.check import outcomes_of
    from colosim.runs.run import simulate

    check_outputs([*scenarios, *filter(None, [against])], record=record, junit=junit)
    each = each_seed(seed, seeds)
    for name in designs:
        load_design(name)
    status = 0
    runs: list[Run] = []
    found: list[Outcome] = []
    with Progression() as progression:
        for scenario in _loaded(scenarios, overrides, designs, against):
            for design, one in product(designs or scenario.designs, each):
                run = simulate(scenario, design, seed=one, tables=False, prepare=progression.watch)
                outcomes = outcomes_of(run)
                status = max(status, _status(run, outcomes))
                found += outcomes
                if record is not None:
                    runs.append(run)
                if form == "table":
                    _print(run, outcomes, seeded=bool(seeds))
    if form == "table" and seeds:
        _print_shares(found)
    if form == "json":
        click.echo(json.dumps([_plain(outcome) for outcome in found], indent=2))
    if record is not None:
        _write(record, record_of(runs, tolerance).encode(), form)
    if junit is not None:
        _write(junit, junit_of(found), form)
    return status


def _loaded(
    sources: Sequence[str],
    overrides: Sequence[str],
    designs: Sequence[str],
    against: Path | None,
) -> list[Scenario]:
    """Return the scenarios, also those of a folder, with what was recorded as what they expect."""
    from colosim.analysis.recorded import expectations_in, held_to
    from colosim.runs import published
    from colosim.runs.run import as_scenario
    from colosim.scenario.shipped_scenarios import in_folder

    loaded: list[Scenario] = []
    for name in sources:
        loaded += [as_scenario(one, overrides) for one in in_folder(name) or [name]]
        if name.rstrip("/") == published.FOLDER and not designs:
            loaded += [row.held(overrides) for row in published.rows()]
    if against is None:
        return loaded
    recorded = expectations_in(against)
    return [held_to(one, designs or one.designs, recorded, str(against)) for one in loaded]


def _write(path: Path, content: bytes, form: str) -> None:
    from colosim.files import write_file

    write_file(path, content)
    click.echo(f"{path}: written", err=form == "json")


def _status(run: Run, outcomes: list[Outcome]) -> int:
    from colosim.cli.outcome import status_of

    failed = any(not outcome.passed for outcome in outcomes)
    spoken_of = any(outcome.key == "verdict" for outcome in outcomes)
    status = status_of(run)
    if status == STATUS_NOBODY_SERVES and spoken_of:
        return STATUS_FAILED
    return max(status, STATUS_FAILED if failed else 0)


def _print(run: Run, outcomes: list[Outcome], *, seeded: bool) -> None:
    """Print each bound; of many seeds those that failed, with the seed."""
    for outcome in outcomes:
        if not (seeded and outcome.passed):
            seed = f" (seed {outcome.seed})" if seeded else ""
            click.secho(f"{outcome}{seed}", fg="green" if outcome.passed else "red")
    if not outcomes:
        click.echo(f"-     {run.scenario.name} {run.design}: nothing is expected of it")


def _print_shares(found: list[Outcome]) -> None:
    """Print of each bound in how many seeds it held, with the interval of the share."""
    from scipy import stats

    held: dict[tuple[str, str, str, str], list[bool]] = {}
    for one in found:
        of = one.scenario, one.design, one.key, str(one.bound)
        held.setdefault(of, []).append(one.passed)
    for (scenario, design, key, bound), passed in held.items():
        low, high = stats.binomtest(sum(passed), len(passed)).proportion_ci()
        share = f"{sum(passed)} of {len(passed)} seeds ({100 * low:.0f} to {100 * high:.0f}%)"
        click.echo(f"{scenario} {design}: {key} {bound} in {share}")
    click.echo("In brackets the 95% interval of the share: exact (scipy.stats.binomtest).")


def _plain(outcome: Outcome) -> dict[str, object]:
    return {
        "scenario": outcome.scenario,
        "design": outcome.design,
        "key": outcome.key,
        "bound": str(outcome.bound),
        "value": outcome.value,
        "passed": outcome.passed,
        "seed": outcome.seed,
    }
