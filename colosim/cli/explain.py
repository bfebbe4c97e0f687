"""``colosim explain SCENARIO``."""

from __future__ import annotations

import click

from colosim.cli.options import designs_option, overrides_option, seed_option


@click.command("explain")
@click.argument("scenario", metavar="SCENARIO")
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
    """
    from colosim.analysis.explain import explain
    from colosim.runs.run import as_scenario

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
