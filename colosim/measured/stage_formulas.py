"""What each measured stage of a checkpoint is made of: the cost model's own formulas, as rows.

A row says that a measured time is a sum of costs times known amounts (pages, bytes, chunks...), the
same sum that `colosim.designs` spends there.  Amounts carry the unit that makes costs nanoseconds:
a cost per page is in ns per page, one per byte in ns per byte.

A stage here may be a little longer than the piece of work in the simulator that it stands for: time
between two pieces of work (taking the lock, a return to the caller) goes to one of them, so that
nothing of a pause is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from colosim.designs.registry import load_design
from colosim.designs.secondary import FIRST_WINDOW_BYTES
from colosim.host.host import GIB
from colosim.host.staging import INITIAL_BYTES, qsb_walked_chunks
from colosim.measured.channel_formulas import channels
from colosim.measured.conditions import is_released
from colosim.measured.protocol import protocol_of
from colosim.measured.stage_rows import Row, between, median, rows_of
from colosim.trace.events import SECONDARY, StepDone
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
)

if TYPE_CHECKING:
    from colosim.measured.measurement import MeasuredCheckpoint, MeasuredRun

PAGE_STREAM_BYTES = 4104
"""A page on the wire: 4096 bytes and its header."""
WHOLE_BYTES = 119_014
"""What a staged vmstate has beside its pages."""
DEVICE_BYTES = 12_900
"""What follows streamed RAM: its end mark, the size, the device state."""
IN_FLIGHT_BYTES = (430 + 870) * 1024
"""What both sockets take in where no link is the limit, as the lab's network preset has it."""
STREAM_WRITE = "stream write"
"""The stage of a short stream's writer."""
_STREAM_ENDS = ("p_ram_sent", "p_size_sent")
"""Where RAM is streamed through the main channel: the first of these that the run shows is the
stage at which all of it is in the socket."""
HELD_UP_NS = 2_000_000
"""A stream that took so long beyond its link was held up by something else than its start."""


def _bitmap_sync(run: MeasuredRun, begin: str) -> Iterator[Row]:
    """Yield the rows of the bitmap's synchronisation, which begins at the point `begin`."""
    ram = run.conditions.ram_bytes / GIB
    amounts = {"bitmap_sync": 1, "bitmap_sync_ram": ram}
    yield from rows_of(run, BITMAP_SYNC, between(begin, "p_synced"), lambda _n: amounts)


def _whole_bytes(pages: float) -> float:
    return PAGE_STREAM_BYTES * pages + WHOLE_BYTES


def _chunks(pages: float) -> float:
    return float(qsb_walked_chunks(int(_whole_bytes(pages))))


def rows(run: MeasuredRun) -> list[Row]:
    """Return every row of a run."""
    if is_released(run):
        return [*_released(run), *_stream(run), *channels(run), *_failover(run)]
    return [*_common(run), *_whole(run), *_stream(run), *_loading(run), *_failover(run)]


def _common(run: MeasuredRun) -> Iterator[Row]:
    """Give the stages that all designs of QEMU 2.5 and 2.7 have in common."""
    yield from rows_of(
        run, "request", between("request", "s_request", run.way_ns), lambda _n: {"message": 1}
    )
    yield from rows_of(
        run, "reply", between("s_request", "p_reply", run.way_ns), lambda _n: {"message": 1}
    )
    yield from rows_of(
        run, "received", between("s_filled", "p_received", run.way_ns), lambda _n: {"message": 1}
    )
    yield from rows_of(run, STOP, between("p_reply", "p_stopped"), lambda _n: {"vm_stop": 1})
    yield from rows_of(run, START, between("p_loaded", "p_resumed"), lambda _n: {"vm_start": 1})
    yield from _bitmap_sync(run, "p_lock_taken")


def _whole(run: MeasuredRun) -> Iterator[Row]:
    """Give the primary's save, and the transfer of a whole staged vmstate."""
    if run.design == "split":
        yield from rows_of(
            run, DEVICE_SAVE, between("p_ram_sent", "p_lock_free"), lambda _n: {"device_save": 1}
        )
        yield from _limited(run)
        return
    fixed = {"device_save": 1.0, "vmdesc": 1.0}
    flat = run.design == "flat"

    def save(pages: float, fresh: float = 0) -> dict[str, float]:
        if flat:
            amounts = {"page_scan": pages, "flat_write": pages}
        else:
            amounts = {"page_scan": pages, "qsb_write": pages, "qsb_walk": _chunks(pages)}
        if fresh > 0:
            amounts["flat_growth" if flat else "qsb_growth"] = fresh
        return fixed | amounts

    saving = between("p_synced", "p_lock_free")
    yield from rows_of(run, "save", saving, save)
    first = run.checkpoints[:1]
    if first and _whole_bytes(first[0].dirty_pages or 0) > INITIAL_BYTES:
        yield from rows_of(
            run,
            "first save",
            saving,
            lambda n: save(n, _whole_bytes(n) - INITIAL_BYTES),
            checkpoints=first,
        )
    if run.conditions.bandwidth_bits is None:
        yield from rows_of(
            run,
            VMSTATE_FILL,
            between("s_vmstate_send", "s_filled"),
            lambda n: {
                "stream_wake": 1,
                "staging_start": 1,
                "socket_read": _whole_bytes(n),
                "staging_fill": _whole_bytes(n),
            },
        )
        yield from rows_of(
            run,
            "vmstate send",
            between("p_lock_free", "p_sent"),
            lambda n: {"socket_write": _whole_bytes(n), "staging_send": _whole_bytes(n)},
        )


def beyond_link_ns(run: MeasuredRun, one: MeasuredCheckpoint) -> int | None:
    """Return what a checkpoint's stream took beyond its link, None if no link was its limit.

    The device state that follows rides along with the last pages.  The token bucket lets its
    burst pass at once; added latency is there twice.
    """
    conditions = run.conditions
    took = one.between("p_synced", "s_ram_loaded")
    if conditions.bandwidth_bits is None or took is None or one.dirty_pages is None:
        return None
    burst = conditions.burst_bytes * conditions.payload_bytes // conditions.frame_bytes
    passing = PAGE_STREAM_BYTES * one.dirty_pages + DEVICE_BYTES
    beside = run.way_ns + 2 * conditions.latency_ns
    return took - conditions.link_ns(passing - burst) - beside if passing > burst else None


def _limited(run: MeasuredRun) -> Iterator[Row]:
    """Give what a stream through a slow link takes beyond the link: its start."""
    if run.conditions.latency_ns or not _streams(run):
        return

    def time(one: MeasuredCheckpoint) -> int | None:
        over = beyond_link_ns(run, one)
        return None if over is None or over >= HELD_UP_NS else over

    yield from rows_of(run, "limited stream", time, lambda _n: {"stream_start": 1})


def _loading(run: MeasuredRun) -> Iterator[Row]:
    """Give the secondary's stages under its lock (QEMU 2.5 and 2.7)."""
    yield from rows_of(run, RESET, between("s_lock_taken", "s_reset"), lambda _n: {"reset": 1})
    if run.design == "flat":
        yield from rows_of(
            run,
            "load",
            between("s_reset", "s_loaded"),
            lambda n: {"flat_load": n, "device_load": 1, "vmdesc_load": 1},
        )
        return
    devices = {"device_load": 1.0}
    if run.design == "qsb":
        yield from rows_of(
            run,
            RAM_LOAD,
            between("s_reset", "s_flush_begin"),
            lambda n: {"qsb_load": n, "qsb_walk": _chunks(n)},
        )
        devices["vmdesc_load"] = 1.0
    yield from rows_of(
        run,
        CACHE_FLUSH,
        between("s_flush_begin", "s_flush_end"),
        lambda n: {"cache_flush": n},
        pages=lambda one: one.flush_pages,
    )
    yield from rows_of(run, DEVICE_LOAD, between("s_flush_end", "s_loaded"), lambda _n: devices)


def _released(run: MeasuredRun) -> Iterator[Row]:
    """Give the stages of QEMU 7.2 and 11, whose own guest on the secondary stops and starts too."""
    if not run.conditions.latency_ns:
        way = run.way_ns
        yield from rows_of(
            run,
            "stops",
            between("request", "p_stopped", 2 * way),
            lambda _n: {"message": 2, "vm_stop": 2},
        )
        yield from rows_of(
            run, "reply", between("s_stopped", "p_reply", way), lambda _n: {"message": 1}
        )
    yield from _limited(run)
    yield from rows_of(run, START, between("p_loaded", "p_resumed"), lambda _n: {"vm_start": 1})
    yield from rows_of(
        run, DEVICE_SAVE, between("p_stopped", "p_sync_begin"), lambda _n: {"device_save": 1}
    )
    yield from _bitmap_sync(run, "p_sync_begin")
    yield from rows_of(
        run,
        CACHE_FLUSH,
        between("s_flush_begin", "s_flush_end"),
        lambda n: {"cache_flush": n},
        pages=lambda one: one.flush_pages or None,
    )

    if run.conditions.accelerator == "kvm" and _streams(run):
        yield from rows_of(
            run,
            "first cache flush",
            between("s_flush_begin", "s_flush_end"),
            lambda n: {"cache_flush_first": n},
            pages=lambda one: one.flush_pages,
            checkpoints=run.checkpoints[:1],
        )

    resets = StepDone(SECONDARY, RESET) in protocol_of(run.design).events[SECONDARY]
    if resets:
        yield from rows_of(
            run, RESET, between("s_received", "s_flush_begin"), lambda _n: {"reset": 1}
        )

    def devices(one: MeasuredCheckpoint) -> int | None:
        before, after = (
            one.between("s_size", "s_received" if resets else "s_flush_begin"),
            one.between("s_flush_end", "s_loaded"),
        )
        return None if before is None or after is None else before + after

    yield from rows_of(run, DEVICE_LOAD, devices, lambda _n: {"device_load": 1, "vm_start": 1})


def _failover(run: MeasuredRun) -> Iterator[Row]:
    """Give what the survivor needed from the lost-heartbeat command to a running guest."""
    fault = run.fault
    if fault is None or fault.command_ns is None or fault.running_ns is None:
        return
    ram = float(run.conditions.ram_bytes)
    primary = fault.victim == "secondary"
    if fault.when == "load" or not primary:
        # The reply came behind other work (the load; the bottom half itself): only what follows it.
        served = fault.command_ns if fault.when == "load" else 0
        amounts = {"cache_free": ram, "failover": 1.0}
        if not served:
            amounts["lost_heartbeat"] = 1.0
        yield Row(run.name, "take over (secondary)", fault.running_ns - served, amounts)
        return
    yield Row(run.name, "command", float(fault.command_ns), {"lost_heartbeat": 1.0})
    yield Row(
        run.name, "take over", float(fault.running_ns), {"lost_heartbeat": 1.0, "failover": 1.0}
    )


def _stream(run: MeasuredRun) -> Iterator[Row]:
    """Give RAM streamed where no link was the limit: its reading, and its writing if it was short.

    Of a long one nothing is learnt of the writer: the reader, and what the sockets take in, decide
    when writing ends.  A short one is taken as the writer's own until `held_up` tells otherwise.
    """
    if not _streams(run) or run.conditions.limited:
        return

    def pages(one: MeasuredCheckpoint) -> int | None:
        many = one.dirty_pages or 0
        return many if PAGE_STREAM_BYTES * many > FIRST_WINDOW_BYTES else None

    yield from rows_of(
        run,
        "stream read",
        between("p_synced", "s_ram_loaded", run.way_ns),
        lambda n: {
            "stream_start": 1,
            "stream_wake": 1,
            "socket_read": PAGE_STREAM_BYTES * n,
            "cache_load": n,
        },
        pages=pages,
    )
    written = rows_of(
        run,
        STREAM_WRITE,
        between("p_synced", _stream_end(run)),
        lambda n: {"stream_start": 1, "page_scan": n, "socket_write": PAGE_STREAM_BYTES * n},
        pages=pages,
    )
    yield from (row for row in written if _short(row.amounts["page_scan"]))


def _streams(run: MeasuredRun) -> bool:
    """Whether RAM goes through the main channel as it is saved."""
    return protocol_of(run.design).streams_ram() and not load_design(run.design).traits.channels


def _stream_end(run: MeasuredRun) -> str:
    shown = {stage for one in run.checkpoints for stage in one.stages}
    return next((stage for stage in _STREAM_ENDS if stage in shown), _STREAM_ENDS[-1])


def _short(pages: float) -> bool:
    return PAGE_STREAM_BYTES * pages <= 2 * IN_FLIGHT_BYTES


def held_up(row: Row, costs: Mapping[str, float]) -> bool:
    """Return whether by these costs the writer of a `STREAM_WRITE` row had to wait for its reader.

    It cannot be further ahead than `IN_FLIGHT_BYTES`.
    """
    pages = row.amounts["page_scan"]
    write_ns = pages * (costs["page_scan"] + PAGE_STREAM_BYTES * costs["socket_write"])
    read_ns = costs["stream_wake"] + pages * (
        costs["cache_load"] + PAGE_STREAM_BYTES * costs["socket_read"]
    )
    return write_ns < read_ns * (1 - IN_FLIGHT_BYTES / (PAGE_STREAM_BYTES * pages))


def in_flight_bytes(run: MeasuredRun, page_ns: float) -> float | None:
    """Return what was not yet read when the last byte was written, `page_ns` a page, as the median.

    None where a link was the limit, or the sockets could take in half of the transfer or more.
    """
    long = [one for one in run.counted() if not _short(one.dirty_pages or 0)]
    tails = [float(one.tail_ns) for one in long if one.tail_ns is not None]
    if not tails or not _streams(run) or run.conditions.limited:
        return None
    return (median(tails) - run.way_ns) / page_ns * PAGE_STREAM_BYTES
