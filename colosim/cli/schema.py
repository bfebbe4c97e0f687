"""``colosim schema``."""

from __future__ import annotations

import json

import click


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of scenario files.

    Editors that read YAML use it to complete and check keys. It has every key's description,
    units and default. A scenario points to it in its first line:

        # yaml-language-server: $schema=colosim.schema.json
    """
    from colosim.scenario import schema

    click.echo(json.dumps(schema(), indent=2, ensure_ascii=False))
