"""What a fit leaves: by stage, how single checkpoints scatter about what the costs say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from colosim.designs.registry import load_design
from colosim.measured.measurement import WARMUP
from colosim.measured.stage_formulas import HELD_UP_NS, PAGE_STREAM_BYTES, beyond_link_ns, rows
from colosim.scenario.spread import (
    CHANNEL_READ,
    CHANNEL_WRITE,
    CHANNELS_HELD,
    LEVELS_PERCENT,
    MESSAGE,
    MILLE,
    STREAM_HELD,
    STREAM_READ,
    STREAM_START,
    STREAM_WRITE,
    VMSTATE_SEND,
    StageSpread,
)
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

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from colosim.measured.measurement import MeasuredRun

_LEAST = 20
"""Ratios of so many checkpoints are needed to speak of a distribution."""
_TRANSFERS = {VMSTATE_FILL, "vmstate send", "stream write", "stream read"}
_DELAYED_ACK_NS = range(40_000_000, 44_000_001)
"""How much longer a transfer takes that waits for a delayed ACK, up to a tick of the kernel late.

The network model has that wait itself; as a ratio of a short transfer it would stretch long ones.
"""
_OF = {
    "request": MESSAGE,
    "reply": MESSAGE,
    "received": MESSAGE,
    STOP: STOP,
    "stops": STOP,
    START: START,
    BITMAP_SYNC: BITMAP_SYNC,
    "save": VMSTATE_SAVE,
    DEVICE_SAVE: DEVICE_SAVE,
    "vmstate send": VMSTATE_SEND,
    VMSTATE_FILL: VMSTATE_FILL,
    "limited stream": STREAM_START,
    "stream write": STREAM_WRITE,
    "stream read": STREAM_READ,
    STREAM_HELD: STREAM_HELD,
    CHANNELS_HELD: CHANNELS_HELD,
    "channels": CHANNEL_WRITE,
    "channels write": CHANNEL_WRITE,
    "channels read": CHANNEL_READ,
    RESET: RESET,
    RAM_LOAD: RAM_LOAD,
    "load": RAM_LOAD,
    CACHE_FLUSH: CACHE_FLUSH,
    DEVICE_LOAD: DEVICE_LOAD,
}
"""What scatters in the simulator (`colosim.scenario.spread.STAGES`), by a fit's stage.  Not: the
first save and flush, which are one a run, and what a delayed ACK has the most part in."""


def scatter(runs: Sequence[MeasuredRun], costs: Mapping[str, float]) -> dict[str, StageSpread]:
    """Return how stages scatter in runs without a fault, each with at least `_LEAST` checkpoints.

    A ratio is a stage's measured time over what `costs` (ns per unit) say of it, a checkpoint each;
    what a checkpoint has in common with the last one is the rank correlation of neighbours.
    """
    found: dict[str, list[tuple[str, int, float]]] = {}
    for run in (run for run in runs if run.fault is None):
        for number, stage, ratio in (*_ratios(run, costs), *_held_up(run, costs)):
            found.setdefault(_OF[stage], []).append((f"{run.name} {stage}", number, ratio))
    return {
        stage: _spread(each, f"fit, what it left: {count} checkpoints")
        for stage, each in found.items()
        if (count := len({(one.split()[0], number) for one, number, _ in each})) >= _LEAST
    }


def _ratios(run: MeasuredRun, costs: Mapping[str, float]) -> Iterator[tuple[int, str, float]]:
    """Yield (checkpoint, stage, ratio) of a run."""
    for number, one in enumerate(run.checkpoints[WARMUP:]):
        alone = replace(run, checkpoints=(*run.checkpoints[:WARMUP], one))
        for row in rows(alone):
            fitted = sum(costs[key] * amount for key, amount in row.amounts.items() if key in costs)
            waited = row.stage in _TRANSFERS and int(row.measured_ns - fitted) in _DELAYED_ACK_NS
            if row.stage in _OF and fitted > 0 and not waited:
                yield number, row.stage, row.measured_ns / fitted


def _held_up(run: MeasuredRun, costs: Mapping[str, float]) -> Iterator[tuple[int, str, float]]:
    """Yield (checkpoint, stage, ratio) of streams behind a link: beyond it, over writing the pages.

    It is 0 of a stream whose start explains it (`colosim.measured.stage_formulas.HELD_UP_NS`).
    """
    if not {"page_scan", "socket_write"} <= costs.keys():
        return
    page_ns = costs["page_scan"] + PAGE_STREAM_BYTES * costs["socket_write"]
    held = CHANNELS_HELD if load_design(run.design).traits.channels else STREAM_HELD
    for number, one in enumerate(run.checkpoints[WARMUP:]):
        over_ns = beyond_link_ns(run, one)
        if over_ns is not None and one.dirty_pages:
            over_ns *= over_ns >= HELD_UP_NS
            yield number, held, over_ns / (one.dirty_pages * page_ns)


def _spread(ratios: list[tuple[str, int, float]], origin: str) -> StageSpread:
    values = np.array([ratio for _, _, ratio in ratios])
    mille = np.rint(np.percentile(values, LEVELS_PERCENT) * MILLE).astype(int)
    ranks = dict(zip(((one, number) for one, number, _ in ratios), _ranks(values), strict=True))
    pairs = [
        (rank, ranks[one, number + 1])
        for (one, number), rank in ranks.items()
        if (one, number + 1) in ranks
    ]
    again = np.corrcoef(np.array(pairs).T)[0, 1] if len(pairs) >= _LEAST else 0
    return StageSpread(tuple(mille.tolist()), max(0, round(100 * float(again))), origin)


def _ranks(values: NDArray[np.float64]) -> list[int]:
    """Return twice the rank of each value, of equal ones that of their middle."""
    ordered = np.sort(values)
    below, with_equal = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    return list((below + with_equal).tolist())
