"""``colosim designs``."""

from __future__ import annotations

import click


@click.command("designs")
@click.option("--origin", is_flag=True, help="Say also where each design comes from.")
def command(*, origin: bool) -> None:
    """List the checkpoint designs.

    One line each: the name that scenarios use and what the design is. Designs that other
    packages register through the entry point "colosim.designs" stand here too.
    """
    from colosim.designs import load_designs

    designs = load_designs()
    width = max(map(len, designs), default=0)
    for name, design in designs.items():
        click.echo(f"{name:<{width}}  {design.summary}")
        if origin:
            click.echo(f"{'':<{width}}  {design.origin}")
