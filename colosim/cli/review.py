"""``colosim review DESIGN``."""

from __future__ import annotations

from pathlib import Path

import click

from colosim.cli.main import STATUS_FAILED
from colosim.cli.options import faults_option, jobs_option, words_between_commas
from colosim.cli.progress import Bar

_SHARES = 1000


@click.command("review")
@click.argument("design", metavar="DESIGN|FILE.py[:CLASS]")
@click.option(
    "--against", default="mainline", show_default=True, metavar="DESIGN", help="Its parent."
)
@click.option(
    "--under",
    metavar="SCENARIO,...",
    multiple=True,
    callback=words_between_commas,
    help="Under these.  [default: compare,hang,web-server]",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write it there, and print a summary: review.txt, or review.md as Markdown.",
)
@faults_option
@jobs_option
def command(
    *,
    design: str,
    against: str,
    under: tuple[str, ...],
    output: Path | None,
    faults: tuple[str, ...],
    jobs: int,
) -> int:
    """Say what a design makes worse, and what better.

    Memory, pause, lock holds, what clients see, every fault at every step, safety: what got worse
    first, then what got better, then what is equal to 1%, in a text of 80 columns for a mail.
    Faults strike under each scenario: all kinds under the first that has one, under the others
    those that last. With -o the text goes there, and a summary is printed. The exit status is 1 if
    any verdict got worse.
    """
    from colosim.cli.sources import check_outputs
    from colosim.designs import DesignNames, load_design
    from colosim.explore.review import UNDER, review
    from colosim.explore.review_text import summary_of, text_of
    from colosim.files import write_file
    from colosim.runs.run import as_scenario

    files = [one.partition(":")[0] for one in (design, against)]
    check_outputs([*files, *under], output=output)
    name, parent = map(DesignNames().resolved, (design, against))
    if name == parent:
        raise click.UsageError(f"{design} is {parent}; hold it against another: --against DESIGN")
    for one in (name, parent):
        load_design(one)
    scenarios = [as_scenario(one) for one in under or UNDER]
    with Bar(_SHARES) as bar:
        found = review(
            name,
            parent,
            scenarios,
            faults=faults,
            named=(design, *(under or UNDER)),
            jobs=jobs,
            progress=lambda done, total: bar.show(done * _SHARES // total, "faults"),
        )
    if output is None:
        click.echo(text_of(found), nl=False)
    else:
        text = text_of(found, markdown=output.suffix == ".md")
        write_file(output, text.encode())
        click.echo(f"{summary_of(found)}{output}: written")
    return STATUS_FAILED if found.got_worse else 0
