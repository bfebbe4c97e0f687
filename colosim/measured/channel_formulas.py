"""What RAM over multifd channels is made of, as rows of a fit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from colosim.designs.registry import load_design
from colosim.host.host import PAGE_BYTES
from colosim.measured.conditions import CHANNEL_RECEIVE_BUFFER_BYTES, CHANNEL_SEND_BUFFER_BYTES
from colosim.measured.stage_rows import between, rows_of

if TYPE_CHECKING:
    from colosim.measured.measurement import MeasuredRun
    from colosim.measured.stage_rows import Row

STALL_NS = 42_000_000
"""A delayed ACK: 40 ms, and half a tick of 4 ms."""


def channels(run: MeasuredRun) -> Iterator[Row]:
    """Give RAM sent over multifd channels where no link was the limit.

    With quick ACKs both sides work at once, and the writers are the slower ones.  Else the readers
    begin when a delayed ACK has come: with the device state if the buffers take every page, else
    40 ms and half a tick on, and the writers have then written what the buffers take.
    """
    count = load_design(run.design).traits.channels
    if not count or run.conditions.limited:
        return
    begin, sent, read = "p_synced", "p_size_sent", "s_ram_loaded"
    buffers = count * (CHANNEL_SEND_BUFFER_BYTES + CHANNEL_RECEIVE_BUFFER_BYTES)

    def writing(pages: float) -> dict[str, float]:
        return {"stream_start": 1, "channel_write": PAGE_BYTES * pages}

    if not run.conditions.delayed_ack:
        yield from rows_of(run, "channels", between(begin, read, run.way_ns), writing)
        return
    if PAGE_BYTES * (run.median("dirty_pages") or 0) > buffers:
        yield from rows_of(
            run,
            "channels, stalled",
            between(begin, read, STALL_NS),
            lambda n: {"channel_write": PAGE_BYTES * n - buffers},
        )
        return

    at_once = [one for one in run.counted() if (one.between(begin, sent) or 0) < STALL_NS // 2]
    yield from rows_of(run, "channels write", between(begin, sent), writing, checkpoints=at_once)
    yield from rows_of(
        run,
        "channels read",
        between(sent, read, run.way_ns),
        lambda n: {"stream_wake": 1, "channel_read": PAGE_BYTES * n},
        checkpoints=at_once,
    )
