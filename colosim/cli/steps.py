"""``colosim steps DESIGN``."""

from __future__ import annotations

import click

from colosim.cli.options import overrides_option


@click.command("steps")
@click.argument("design", metavar="DESIGN")
@click.option(
    "--scenario",
    metavar="SCENARIO",
    help="Under the conditions of this scenario instead of the defaults.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="A table for people, or one JSON array with one element a step.",
)
@overrides_option
def command(design: str, scenario: str | None, form: str, overrides: tuple[str, ...]) -> None:
    """List the protocol steps of a design.

    Both sides' steps of one undisturbed checkpoint, in the order in which they end, as faults name
    them (at: {checkpoint: 1, step: "primary: RAM stream"}): what each does in QEMU, the iothread
    lock's purpose if it is held, and what the thread waits for where it can block. A blocking point
    under the lock is where a design can hang.
    """
    from colosim.designs import load_design
    from colosim.faults.functions import function_of, what_blocks
    from colosim.runs.run import as_scenario
    from colosim.runs.simulation import protocol_of
    from colosim.scenario import loads

    found = load_design(design)
    if scenario is None:
        loaded = loads("name: steps", file="<defaults>", overrides=overrides)
    else:
        loaded = as_scenario(scenario, overrides)
    steps = protocol_of(found, loaded, checkpoint=1)
    ended = sorted(steps, key=lambda step: step.begins_ns + step.duration_ns)
    rows = [
        {
            "side": step.side,
            "step": step.name,
            "does": step.kind,
            "function": function_of(step, steps, found.functions),
            "lock": step.lock or None,
            "blocks_on": what_blocks(step) or None,
        }
        for step in ended
    ]
    if form == "json":
        import json

        click.echo(json.dumps(rows, indent=2))
        return
    click.echo(f"{found.name}: {found.summary}")
    lines = [("step", "lock", "waits for", "QEMU function")]
    lines += [
        (
            f"{row['side']}: {row['step']}",
            row["lock"] or "-",
            row["blocks_on"] or "-",
            row["function"] or "-",
        )
        for row in rows
    ]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    for cells in lines:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        click.echo("  ".join(padded).rstrip())
