"""``colosim sensitivity SCENARIO``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from colosim.cli.options import design_option, look_options, overrides_option, refuse_look
from colosim.cli.progress import Progression

if TYPE_CHECKING:
    from colosim.analysis.sensitivity import Sensitivity


@click.command("sensitivity")
@click.argument("scenario", metavar="SCENARIO")
@design_option
@click.option(
    "--quantity",
    default="pause_ns.p50",
    show_default=True,
    metavar="KEY",
    help="Of which key of the summary.",
)
@overrides_option
@look_options
@click.option(
    "--data",
    "data_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.csv",
    help="Also write every cost as CSV, in ns and bytes.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw a tornado diagram: .png, .svg or .pdf.",
)
def command(
    *,
    scenario: str,
    design: str | None,
    quantity: str,
    overrides: tuple[str, ...],
    data_file: Path | None,
    output: Path | None,
) -> None:
    """Tell which costs a result hangs on.

    SCENARIO is a file, or the name of a scenario that colosim ships. Each cost of the hosts goes
    over its range while the others stay: a fitted one two standard errors to each side, along the
    sums that the fit determined, any other from half to double. The largest swing is first.
    """
    from colosim.analysis.sensitivity import COLUMNS, sensitivity
    from colosim.cli.sources import check_outputs
    from colosim.files import csv_text, write_file

    check_outputs([scenario], data=data_file, output=output)
    refuse_look(drawn=output is not None)
    if output is not None:
        from colosim.plots.style import check_path

        check_path(output)
    with Progression() as progression:
        found = sensitivity(
            scenario, design, quantity, overrides=overrides, prepare=progression.watch
        )
    _print(found)
    if output is not None:
        from colosim.plots import tornado
        from colosim.plots.style import save

        save(tornado.figure(found), output)
        click.echo(f"{output}: written")
    if data_file is not None:
        text = csv_text(COLUMNS, (effect.row() for effect in found.effects))
        write_file(data_file, text.encode())
        click.echo(f"{data_file}: written")


def _print(found: Sensitivity) -> None:
    from colosim.cli.show import print_sentence, print_table
    from colosim.runs.wording import in_words

    moving = [
        effect
        for effect in found.effects
        if effect.swing or effect.verdict_changes or effect.order_changes
    ]
    rows = []
    for effect in moving:
        cost, side, low, _, high, at_low, at_high, *_ = effect.row()
        ends = (in_words(found.quantity, at) for at in (at_low, at_high))
        changes = {"verdict": effect.verdict_changes, "order": effect.order_changes}
        told = ", ".join(what for what, changed in changes.items() if changed)
        rows.append([str(cost), str(side), str(low), str(high), *ends, told or "-"])
    usual = in_words(found.quantity, found.value)
    title = f"{found.scenario.name} {found.design}: {found.quantity} {usual}"
    heads = ("cost", "side", "low", "high", "at low", "at high", "changes")
    print_table(title, heads, rows)
    print_sentence(
        f"{found.assumed} of {len(found.effects)} costs have no standard error, and go from half "
        f"to double; {len(found.effects) - len(moving)} have no effect."
    )
