"""``colosim designs``."""

from __future__ import annotations

import click


@click.command("designs")
@click.option("--origin", is_flag=True, help="Say also where each comes from.")
def command(*, origin: bool) -> None:
    """List the checkpoint designs.

    One line each: the name that scenarios use and what the design is. Designs that other
    packages register through the entry point "colosim.designs" stand here too.

    Then, with a + before them, the remedies that any of them can have. A remedy stands behind a
    design's name, with a value where it takes one, wherever a design is named:
    split+send-timeout=5s, qemu-5.1+yank+nodelay.
    """
    from colosim.designs import load_designs
    from colosim.designs.remedies import REMEDIES

    lines = [(name, design.summary, design.origin) for name, design in load_designs().items()]
    lines += [(f"+{remedy.usage}", remedy.summary, remedy.origin) for remedy in REMEDIES]
    width = max(len(name) for name, _, _ in lines)
    for name, summary, source in lines:
        click.echo(f"{name:<{width}}  {summary}")
        if origin:
            click.echo(f"{'':<{width}}  {source}")
