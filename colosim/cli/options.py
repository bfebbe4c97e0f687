"""Options that several commands have."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import click
from click.core import ParameterSource

from colosim.errors import ColosimError
from colosim.trace.fields import SEED_MAX

_SEEDS_MAX = 100_000

Decorated = TypeVar("Decorated", bound="Callable[..., object]")

overrides_option = click.option(
    "--set",
    "overrides",
    metavar="KEY=VALUE",
    multiple=True,
    help="Override a key of the scenario, as in --set network.latency='5 ms'. Repeatable.",
)


def words_between_commas(
    _context: click.Context, option: click.Parameter, given: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the words of a repeatable option whose values may have several between commas.

    :raises ColosimError: if it is given without any.
    """
    words = tuple(word.strip() for text in given for word in text.split(",") if word.strip())
    if given and not words:
        raise ColosimError(f"{option.opts[0]} {given[0]!r} names none")
    return words


def designs_named(
    context: click.Context, option: click.Parameter, given: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the designs named, each by the name that it is shown by.

    :raises DesignError: if a file has no such design.
    """
    from colosim.designs import DesignNames

    return tuple(map(DesignNames().resolved, words_between_commas(context, option, given)))


def _design_named(
    context: click.Context, option: click.Parameter, given: tuple[str, ...]
) -> str | None:
    """Return the one design named, None if none is.

    :raises click.UsageError: if there are several.
    """
    designs = designs_named(context, option, given)
    if len(designs) > 1:
        raise click.UsageError(f"this is of one run; name one design, not {', '.join(designs)}")
    return designs[0] if designs else None


designs_option = click.option(
    "--design",
    "--designs",
    "designs",
    metavar="NAME,...",
    multiple=True,
    callback=designs_named,
    help="These designs instead of the scenario's, as in split,split+send-timeout=5s,my.py:Mine.",
)
faults_option = click.option(
    "--faults",
    metavar="FAULT,...",
    multiple=True,
    callback=words_between_commas,
    help=(
        "Try these: freeze, kill, vanish, fail, leak, disconnect, 'freeze 30 s', 'busy 5 s', "
        "'slow latency 100 30 s', ..."
    ),
)
seed_option = click.option(
    "--seed", type=click.IntRange(0, SEED_MAX), help="Seed of every random stream."
)


def _seeds(_context: click.Context, _option: click.Parameter, text: str | None) -> tuple[int, ...]:
    """Read ``1..20`` or ``3,5,8`` as seeds, each once."""
    found: list[int] = []
    for part in text.split(",") if text else ():
        first, dots, last = part.partition("..")
        ends = (first, last if dots else first)
        if not all(end.strip().isdecimal() for end in ends):
            raise click.BadParameter(f"{part!r}: expected seeds such as 1..20 or 3,5,8")
        low, high = map(int, ends)
        if not low <= high <= SEED_MAX or high - low >= _SEEDS_MAX:
            raise click.BadParameter(
                f"{part!r}: expected a first and a last seed, at most {_SEEDS_MAX:,} of them"
            )
        found += range(low, high + 1)
    if len(set(found)) < len(found):
        raise click.BadParameter(f"{text!r}: a seed is there twice")
    return tuple(found)


def share_of(_context: click.Context, _option: click.Parameter, text: str) -> int:
    """Return a share in millionths.

    :raises click.BadParameter: if it is none.
    """
    from pydantic_core import PydanticCustomError

    from colosim.scenario.fields import A_SHARE

    try:
        return A_SHARE.read(text) or 0
    except PydanticCustomError as error:
        raise click.BadParameter(str(error)) from None


precision_option = click.option(
    "--precision",
    metavar="SHARE",
    default="1%",
    show_default=True,
    callback=share_of,
    help="With --seeds: to which share of a mean, each way, it tells how many seeds that takes.",
)
seeds_option = click.option(
    "--seeds",
    metavar="1..20",
    callback=_seeds,
    help="Many seeds instead of one: means with their intervals.",
)
design_option = click.option(
    "--design",
    "--designs",
    "design",
    metavar="NAME",
    multiple=True,
    callback=_design_named,
    help="Which design's run, where a source has several.",
)
force_option = click.option(
    "--force",
    is_flag=True,
    expose_value=False,
    help="Without effect: what replaces another run says so.",
)


def _looks(context: click.Context, _option: click.Parameter, value: Path | str | None) -> None:
    """Let whatever the command draws be so wide, and in that style."""
    if value is not None:
        from colosim.plots.look import look

        asked = look(style=value) if isinstance(value, Path) else look(value)
        context.with_resource(asked)


style_option = click.option(
    "--style",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    callback=_looks,
    expose_value=False,
    help="Draw with a document's fonts and sizes: a style file of matplotlib.",
)
_width_option = click.option(
    "--width",
    metavar="LENGTH",
    callback=_looks,
    expose_value=False,
    help="How wide a figure is, in mm, cm, in or pt, as in 85mm for a column.",
)
jobs_option = click.option(
    "--jobs",
    type=click.IntRange(1),
    default=os.cpu_count() or 1,
    help="How many processes; all CPUs by default. The result does not depend on it.",
)
format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="A table for people, or one JSON array with one element a run.",
)


def command_of(source: str, overrides: tuple[str, ...], seed: int | None = None) -> list[str]:
    """Return the words that run a scenario as it was given: file, overrides and seed."""
    seeded = () if seed is None else ("--seed", str(seed))
    settings = (word for one in overrides for word in ("--set", one))
    return ["colosim", "run", source, *settings, *seeded]


def run_options(command: Decorated) -> Decorated:
    """Give a command --design, --seed and --set."""
    return designs_option(seed_option(overrides_option(command)))


def look_options(command: Decorated) -> Decorated:
    """Give a command that draws --width and --style."""
    return _width_option(style_option(command))


def refuse_look(*, drawn: bool) -> None:
    """Refuse --width and --style where no figure is drawn.

    :raises click.UsageError: if one was given, and none is.
    """
    context = click.get_current_context()
    for name in ("width", "style"):
        if not drawn and context.get_parameter_source(name) == ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name} is for a figure; write one with -o FILE.svg")


def each_seed(seed: int | None, seeds: Sequence[int]) -> tuple[int | None, ...]:
    """Return the seeds of the two options; one that is None is the scenario's own.

    :raises click.UsageError: if both were given.
    """
    if seed is not None and seeds:
        raise click.UsageError("--seed and --seeds do not go together")
    return tuple(seeds) or (seed,)
