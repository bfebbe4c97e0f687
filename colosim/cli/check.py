"""``colosim check SCENARIO...``."""

from __future__ import annotations

import json
from itertools import product
from typing import TYPE_CHECKING

import click

from colosim.cli.main import STATUS_FAILED, STATUS_NOBODY_SERVES
from colosim.cli.options import each_seed, format_option, run_options, seeds_option

if TYPE_CHECKING:
    from colosim.runs.check import Outcome
    from colosim.runs.run import Run


@click.command("check")
@click.argument("scenarios", nargs=-1, required=True, metavar="SCENARIO...")
@run_options
@seeds_option
@format_option
def command(
    *,
    scenarios: tuple[str, ...],
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
    """
    from colosim.cli.progress import Progression
    from colosim.designs import load_design
    from colosim.runs.check import outcomes_of
    from colosim.runs.run import as_scenario, simulate
    from colosim.scenario.shipped_scenarios import in_folder

    each = each_seed(seed, seeds)
    for name in designs:
        load_design(name)
    status = 0
    found: list[Outcome] = []
    with Progression() as progression:
        named = [one for name in scenarios for one in in_folder(name) or [name]]
        for scenario in [as_scenario(one, overrides) for one in named]:
            for design, one in product(designs or scenario.designs, each):
                run = simulate(scenario, design, seed=one, tables=False, prepare=progression.watch)
                outcomes = outcomes_of(run)
                status = max(status, _status(run, outcomes))
                found += outcomes
                if form == "table":
                    _print(run, outcomes, seeded=bool(seeds))
    if form == "table" and seeds:
        _print_shares(found)
    if form == "json":
        click.echo(json.dumps([_plain(outcome) for outcome in found], indent=2))
    return status


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
