"""How much longer, or shorter, the work of each checkpoint takes on a host than its costs say.

Drawn by stage and checkpoint from named streams, so every design that runs under one seed has the
same draws, and a stage more or less moves no other.  Everything is an integer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from colosim.engine.streams import Streams
from colosim.scenario.spread import (
    CHANNEL_READ,
    CHANNEL_WRITE,
    CHANNELS_HELD,
    MILLE,
    STREAM_HELD,
    STREAM_READ,
    STREAM_WRITE,
    VMSTATE_SEND,
    StageSpread,
)
from colosim.trace.steps import VMSTATE_FILL

_DRAWN_AS = {
    VMSTATE_FILL: STREAM_READ,
    CHANNEL_READ: STREAM_READ,
    VMSTATE_SEND: STREAM_WRITE,
    CHANNEL_WRITE: STREAM_WRITE,
    CHANNELS_HELD: STREAM_HELD,
}
"""Stages that move RAM one way or another, one of them in a design: with the draws of one, so that
a checkpoint that is slow in a design is in the others."""
_BITS = 64
_MASK = (1 << _BITS) - 1
_PERCENT = 100


def ratio_mille(stage: StageSpread, rank: int) -> int:
    """Return the ratio at a rank of 64 bits, on straight lines between the stage's quantiles."""
    at = rank * (len(stage.ratios_mille) - 1)
    low = at >> _BITS
    below, above = stage.ratios_mille[low : low + 2]
    return below + ((above - below) * (at & _MASK) >> _BITS)


def _ratios(stage: StageSpread, raw: Iterator[int]) -> Iterator[int]:
    """Yield the ratio of each checkpoint."""
    ratio = -1
    for again, rank in zip(raw, raw, strict=True):
        if ratio < 0 or again * _PERCENT >> _BITS >= stage.again_percent:
            ratio = ratio_mille(stage, rank)
        yield ratio


class Spread:
    """The draws of one side."""

    def __init__(self, side: str, seed: int, stages: Mapping[str, StageSpread]) -> None:
        streams = Streams(seed)
        self._stages = {
            name: _ratios(stage, streams.endless(f"spread of {side}: {_DRAWN_AS.get(name, name)}"))
            for name, stage in stages.items()
        }
        self._latest = dict.fromkeys(stages, (-1, MILLE))

    def beyond(self, stage: str, checkpoint: int, spent_ns: int) -> int:
        """Return what a stage takes beside work that costs `spent_ns`, 0 if it does not scatter."""
        return self.of(stage, checkpoint, spent_ns) if stage in self._stages else 0

    def of(self, stage: str, checkpoint: int, spent_ns: int) -> int:
        """Return what work that costs `spent_ns` takes in a checkpoint, none before the last."""
        if stage not in self._stages:
            return spent_ns
        number, ratio = self._latest[stage]
        while number < checkpoint:
            number, ratio = number + 1, next(self._stages[stage])
        self._latest[stage] = number, ratio
        return spent_ns * ratio // MILLE
