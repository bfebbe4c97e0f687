"""The ``colosim`` command: its table of commands, and the exit status of each outcome.

========  ==============================================================================
 status   meaning
========  ==============================================================================
 0        fine
 1        a check, review, validation or diff failed; or a run ended ``unfinished``,
          ``unprotected`` or ``not_applicable``, and ``expect:`` had not said so
 2        bad input or usage
 3        a run ended ``hung``, ``stopped`` or ``split_brain``, and ``expect:`` had not said so
 4        a safety rule broke
 129      its terminal was closed; every file that stands is whole
 130      interrupted; every file that stands is whole
 141      whoever read standard output has left
 143      terminated; every file that stands is whole
========  ==============================================================================

A command is a file here with a click command named ``command``, which returns its status (None is
0), and a row in `COMMANDS`. ``colosim --help`` reads the table alone, so it loads no command.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module
from typing import ClassVar, NamedTuple

import click

from colosim import __version__
from colosim.cli.process import (
    STATUS_BAD_INPUT,
    STATUS_BROKEN_PIPE,
    refused,
    stopped,
    was_stopped,
)
from colosim.errors import ColosimError, InvariantError, ScenarioError

STATUS_FAILED = 1
STATUS_NOBODY_SERVES = 3
STATUS_VIOLATED = 4


class Row(NamedTuple):
    """Where a command lives, and the first line of its own help."""

    module: str
    summary: str


COMMANDS = {
    "run": Row("colosim.cli.run", "Run scenarios and write a directory for each run."),
    "compare": Row("colosim.cli.compare", "Run a scenario's designs and show them side by side."),
    "review": Row("colosim.cli.review", "Say what a design makes worse, and what better."),
    "check": Row("colosim.cli.check", "Run scenarios and hold them to what they expect."),
    "diff": Row("colosim.cli.diff", "Show the first event at which two runs part."),
    "explain": Row("colosim.cli.explain", "Say why a run ended as it did."),
    "plot": Row("colosim.cli.plot", "Draw runs as a figure that is ready for a paper."),
    "timeline": Row("colosim.cli.timeline", "Write a run as a timeline that Perfetto opens."),
    "sequence": Row("colosim.cli.sequence", "Draw the message sequence of one checkpoint."),
    "report": Row("colosim.cli.report", "Write runs up as one HTML file."),
    "explore": Row("colosim.cli.explore", "Try every fault at every protocol step."),
    "plan": Row("colosim.cli.plan", "Find the best points of a grid that meet what is asked for."),
    "sensitivity": Row("colosim.cli.sensitivity", "Tell which costs a result hangs on."),
    "sweep": Row("colosim.cli.sweep", "Run a grid of scenarios, and go on where it was left."),
    "steps": Row("colosim.cli.steps", "List the protocol steps of a design."),
    "validate": Row("colosim.cli.validate", "Report every fault of scenario files at once."),
    "resolve": Row("colosim.cli.resolve", "Print a scenario with every default filled in."),
    "presets": Row("colosim.cli.presets", "List the presets of hosts and networks."),
    "qemu": Row("colosim.cli.qemu", "Read the logs of real QEMU runs, and be held against them."),
    "init": Row("colosim.cli.init", "Write a commented scenario to start from."),
    "schema": Row("colosim.cli.schema", "Print the JSON Schema of scenario files, or of sweeps."),
    "designs": Row("colosim.cli.designs", "List the checkpoint designs."),
}


class LazyGroup(click.Group):
    """A group that knows its commands from a table and loads only the one that is called.

    `table` of a subclass is the table of a group inside this one.
    """

    table: ClassVar[Mapping[str, Row]] = COMMANDS

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name every command, in the table's order."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load the command of this name, or say None."""
        if cmd_name not in self.table:
            return None
        command = import_module(self.table[cmd_name].module).command
        if not isinstance(command, click.Command):
            message = f"{self.table[cmd_name].module}.command is no click command"
            raise TypeError(message)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is called, or name the nearest one.

        :raises click.UsageError: if there is no such command.
        """
        if args[0] not in self.table and not args[0].startswith("-"):
            near = get_close_matches(args[0], self.table, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, without loading one."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, row.summary) for name, row in self.table.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="colosim", message="%(prog)s %(version)s")
def colosim() -> None:
    """Simulate QEMU COLO checkpoint designs: their memory, latency and liveness."""


def print_faults(error: ScenarioError) -> None:
    """Print every fault of a scenario on standard error, one a line."""
    for fault in error.faults:
        click.echo(str(fault), err=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    :param arguments: what stands behind ``colosim``; None takes it from ``sys.argv``.
    """
    try:
        status = colosim.main(args=arguments, prog_name="colosim", standalone_mode=False)
    except click.ClickException as error:
        with suppress(OSError):
            error.show()
        return STATUS_BAD_INPUT
    except (click.Abort, KeyboardInterrupt):
        return stopped()
    except SystemExit:  # click's way to end where nobody reads standard output any more
        return STATUS_BROKEN_PIPE
    except Exception as error:
        if was_stopped():
            return stopped()
        known = _status_of(error)
        if known is None:
            raise
        return known
    return status if isinstance(status, int) else 0


def _status_of(error: Exception) -> int | None:
    """Print an error that is one, and return its exit status; None if it is colosim's fault."""
    with suppress(OSError):  # standard error may take nothing
        match error:
            case ScenarioError():
                print_faults(error)
            case ColosimError():
                click.echo(f"colosim: {error}", err=True)
            case OSError():
                refused(error)
            case MemoryError():
                click.echo("colosim: there is not enough memory", err=True)
            case _:
                return None
    return STATUS_VIOLATED if isinstance(error, InvariantError) else STATUS_BAD_INPUT
