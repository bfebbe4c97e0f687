"""``colosim explain SCENARIO|RUN_DIR``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from colosim.cli.options import designs_option, overrides_option, seed_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from colosim.runs.run import Run


@click.command("explain")
@click.argument("scenario", metavar="SCENARIO|RUN_DIR")
@designs_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "mermaid", "dot", "json"]),
    default="text",
    show_default=True,
    help="Words, or the graph of who waits for whom as Mermaid or DOT, or all as JSON.",
)
@seed_option
@overrides_option
def command(
    scenario: str,
    designs: tuple[str, ...],
    form: str,
    seed: int | None,
    overrides: tuple[str, ...],
) -> int:
    """Say why a run ended as it did.

    SCENARIO is a file, or the name of a scenario that colosim ships. The text has a timeline of the
    checkpoint that the fault struck, who holds the iothread lock, who waits for whom, and what
    would release it; a run that recovered says what did. JSON is one array, an element a design.

    A RUN_DIR is that of a real run ('colosim qemu import') that stands still: its text has the last
    steps of both sides, what each waits for and since when, which designs hang there, and what
    frees them.
    """
    from colosim.analysis.explain import explain
    from colosim.cli.sources import stored_runs
    from colosim.runs.run import as_scenario

    if stored := stored_runs(Path(scenario)):
        return _real(stored, form)
    loaded = as_scenario(scenario, overrides)
    explanations = [explain(loaded, design, seed=seed) for design in designs or loaded.designs]
    if form == "json":
        import json

        click.echo(json.dumps([one.to_dict() for one in explanations], indent=2))
        return 0
    texts = {
        "text": [str(one) for one in explanations],
        "mermaid": [one.mermaid for one in explanations],
        "dot": [one.dot for one in explanations],
    }
    click.echo("\n".join(texts[form]), nl=False)
    return 0


def _real(runs: Sequence[Run], form: str) -> int:
    """Say where real runs stand still.

    :raises click.UsageError: if a graph is asked for, which no log shows.
    """
    from colosim.analysis.standstill import standstill

    if form not in {"text", "json"}:
        raise click.UsageError(f"no log shows who waits for whom: no {form} of a real run")
    found = [standstill(run) for run in runs]
    if form == "json":
        import json

        click.echo(json.dumps([one.to_dict() for one in found], indent=2))
    else:
        click.echo("\n".join(map(str, found)), nl=False)
    return 0
