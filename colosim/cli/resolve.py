"""``colosim resolve SCENARIO``."""

from __future__ import annotations

import click

from colosim.cli.options import overrides_option


@click.command("resolve")
@click.argument("scenario")
@overrides_option
def command(scenario: str, overrides: tuple[str, ...]) -> None:
    """Print a scenario with every default filled in.

    SCENARIO is a file, or the name of a scenario that colosim ships. What is printed is a scenario
    too, and means the same.
    """
    from colosim.designs import DesignNames
    from colosim.scenario import load, resolve

    loaded = load(scenario, overrides=overrides, known_designs=DesignNames())
    click.echo(resolve(loaded), nl=False)
