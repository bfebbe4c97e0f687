"""``colosim designs``."""

from __future__ import annotations

import click


@click.command("designs")
@click.option("--origin", is_flag=True, help="Say also where each comes from.")
def command(*, origin: bool) -> None:
    """List the checkpoint designs.

    One line each: the name that scenarios use, what the design is with its versions, and its
    commit. "mainline" means the newest, and is shown as that. Designs that other packages register
    through the entry point "colosim.designs" stand here too.

    Then, with a + before them, the options that stand behind a design's name, with a value where
    they take one, wherever a design is named: split+send-timeout=5s, qemu-5.1+yank+nodelay. Any
    design can have a remedy; a capability or a bug of its time has the designs that can.
    """
    from colosim.designs import load_designs
    from colosim.designs.registry import designs_with
    from colosim.designs.remedies import OF_SOME, REMEDIES

    lines = [
        (name, design.summary + (design.commit and f" [{design.commit}]"), design.origin)
        for name, design in load_designs().items()
    ]
    lines += [(f"+{remedy.usage}", remedy.summary, remedy.origin) for remedy in REMEDIES]
    for option in OF_SOME:
        having = ", ".join(designs_with(option.name))
        lines.append((f"+{option.usage}", f"{having}: {option.summary}", option.origin))
    width = max(len(name) for name, _, _ in lines)
    for name, summary, source in lines:
        click.echo(f"{name:<{width}}  {summary}")
        if origin:
            click.echo(f"{'':<{width}}  {source}")
