"""``colosim schema``."""

from __future__ import annotations

import json

import click


@click.command("schema")
@click.argument("kind", type=click.Choice(["scenario", "sweep"]), default="scenario")
def command(*, kind: str) -> None:
    """Print the JSON Schema of scenario files, or of sweeps.

    Editors that read YAML use it to complete and check keys. It has every key's description,
    units and default. A scenario points to it in its first line:

        # yaml-language-server: $schema=colosim.schema.json
    """
    from colosim.scenario.schema import schema, schema_of

    if kind == "sweep":
        from colosim.sweeps.grid import SweepFile

        made = schema_of(SweepFile, "colosim sweep")
    else:
        made = schema()
    click.echo(json.dumps(made, indent=2, ensure_ascii=False))
