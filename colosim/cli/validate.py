"""``colosim validate SCENARIO...``."""

from __future__ import annotations

import sys

import click

from colosim.cli.main import print_faults
from colosim.cli.options import overrides_option
from colosim.cli.process import STATUS_BAD_INPUT


@click.command("validate")
@click.argument("scenarios", nargs=-1, required=True, metavar="SCENARIO...")
@overrides_option
def command(scenarios: tuple[str, ...], overrides: tuple[str, ...]) -> int:
    """Report every fault of scenario files at once.

    Each SCENARIO is a file, the name of a scenario that colosim ships, or - for standard input.
    Every fault is one line on standard error, as file:line:column: message, and the exit status is
    then 2.
    """
    from colosim.designs import DesignNames
    from colosim.errors import ScenarioError
    from colosim.scenario import load, loads
    from colosim.scenario.document import DOCUMENT_BYTES_MAX, decode

    known_designs = DesignNames()
    if "-" in scenarios and sys.stdin is None:
        raise click.UsageError("standard input is closed")
    status = 0
    for scenario in scenarios:
        try:
            if scenario == "-":
                data = sys.stdin.buffer.read(DOCUMENT_BYTES_MAX + 1)
                loads(decode(data, "-"), file="-", overrides=overrides, known_designs=known_designs)
            else:
                load(scenario, overrides=overrides, known_designs=known_designs)
        except ScenarioError as error:
            print_faults(error)
            status = STATUS_BAD_INPUT
        else:
            click.echo(f"{scenario}: valid")
    return status
