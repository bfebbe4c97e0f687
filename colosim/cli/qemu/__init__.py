"""``colosim qemu``: real QEMU logs, read, and the simulator held against them.

A subcommand is a file here with a click command named ``command``, and a row in `SUBCOMMANDS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final

import click

from colosim.cli.main import LazyGroup, Row

__all__ = ["SUBCOMMANDS", "command"]

SUBCOMMANDS: Final = {
    "import": Row("colosim.cli.qemu.importing", "Turn a real run into a run directory."),
    "identify": Row("colosim.cli.qemu.identify", "Say which designs a log can come from."),
    "fit": Row("colosim.cli.qemu.fit", "Fit the costs of one host to many real runs."),
    "scenario": Row("colosim.cli.qemu.scenario", "Print the scenario of a real run's conditions."),
    "validate": Row("colosim.cli.qemu.validating", "Hold the simulator against real runs."),
}


class QemuGroup(LazyGroup):
    """The group of what has to do with real logs."""

    table: ClassVar[Mapping[str, Row]] = MappingProxyType(SUBCOMMANDS)


@click.group("qemu", cls=QemuGroup)
def command() -> None:
    """Read the logs of real QEMU runs, and be held against them."""
