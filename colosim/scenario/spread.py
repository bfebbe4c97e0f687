"""How much the stages of a checkpoint scatter on one host: what a fit of its costs left.

A preset has it under ``spread``, a line a stage; stages are the simulator's steps of work, messages
and streams.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

from colosim.trace.steps import (
    BITMAP_SYNC,
    CACHE_FLUSH,
    DEVICE_LOAD,
    DEVICE_SAVE,
    RAM_LOAD,
    RESET,
    START,
    STOP,
    VMSTATE_FILL,
    VMSTATE_SAVE,
)

LEVELS_PERCENT: Final = (2.5, *range(5, 100, 5), 97.5)
"""The quantiles that stand for the distribution of a ratio: every twentieth, and the ends.

Rarer ones are left out: the largest of a few hundred ratios says little of others."""
MILLE: Final = 1_000
NONE, MEASURED = "none", "measured"
KINDS: Final = (NONE, MEASURED)
"""What a scenario says of it."""

MESSAGE: Final = "message"
STREAM_START: Final = "stream start"
STREAM_HELD: Final = "stream held up"
"""What a stream takes beyond a link slower than its writer, over what writing its pages takes: of
most nothing.  On the labs' two cores a thread that waits for its core leaves the link idle."""
CHANNELS_HELD: Final = "channels held up"
"""The same of a stream over multifd channels."""
STREAM_WRITE: Final = "stream write"
STREAM_READ: Final = "stream read"
VMSTATE_SEND: Final = "vmstate send"
CHANNEL_WRITE: Final = "channel write"
CHANNEL_READ: Final = "channel read"
STAGES: Final = (
    *(MESSAGE, STREAM_START, STREAM_HELD, STREAM_WRITE, STREAM_READ),
    *(CHANNELS_HELD, VMSTATE_SEND, CHANNEL_WRITE, CHANNEL_READ),
    *(STOP, START, BITMAP_SYNC, VMSTATE_SAVE, DEVICE_SAVE, VMSTATE_FILL),
    *(RESET, RAM_LOAD, CACHE_FLUSH, DEVICE_LOAD),
)
"""What can scatter; what a preset does not name does not."""


@dataclass(frozen=True, slots=True)
class StageSpread:
    """How one stage scatters: what it took over what its costs say.

    ``ratios_mille``: the quantiles of `LEVELS_PERCENT`, in thousandths.  ``again_percent``: of a
    hundred checkpoints those whose ratio is that of the checkpoint before; the others have one of
    their own.  So the correlation of neighbours is that share, whatever the distribution.
    """

    ratios_mille: tuple[int, ...]
    again_percent: int
    origin: str


def parse_stage(name: str, ratios: str, again: str, origin: str) -> StageSpread:
    """Return a stage's spread from a preset's texts, such as ``"0.52 0.6 ..."`` and ``"14%"``.

    :raises ValueError: if they are none, or no stage has this name.
    """
    if name not in STAGES:
        raise ValueError(f"no stage is called {name!r}; expected one of {', '.join(STAGES)}")
    try:
        mille = tuple(int(Decimal(text) * MILLE) for text in ratios.split())
    except InvalidOperation:
        raise ValueError(f"ratios {ratios!r} are no numbers") from None
    percent = again.removesuffix("%")
    if len(mille) != len(LEVELS_PERCENT) or list(mille) != sorted(mille) or mille[0] < 0:
        raise ValueError(f"expected {len(LEVELS_PERCENT)} rising ratios, such as '0.9 ... 1.2'")
    if not percent.isdecimal() or int(percent) >= 100:  # noqa: PLR2004 - a percentage
        raise ValueError(f"again {again!r} is no share below 100%")
    return StageSpread(mille, int(percent), origin)


def stage_fields(stage: StageSpread) -> dict[str, str]:
    """Return the texts of a stage's spread, which `parse_stage` reads."""
    ratios = " ".join(f"{mille // MILLE}.{mille % MILLE:03}" for mille in stage.ratios_mille)
    return {"ratios": ratios, "again": f"{stage.again_percent}%", "origin": stage.origin}


def stage_text(name: str, stage: StageSpread) -> str:
    """Return a stage's line in a preset."""
    fields = ", ".join(f'{key}: "{text}"' for key, text in stage_fields(stage).items())
    return f"  {name}: {{{fields}}}"
