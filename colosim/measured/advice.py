"""What to record next: by cost, the run that would determine it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

_NEXT: Final = (
    (("message", "vm_stop"), "both sides' logs"),
    (
        ("vm_start", "device_save", "bitmap_sync"),
        "the primary's log, with -trace 'migration_bitmap_sync*'",
    ),
    (("bitmap_sync_ram",), "runs with two sizes of guest RAM (--set guest.ram=... at the import)"),
    (
        ("socket_write", "stream_start"),
        "a run without a bandwidth limit whose checkpoints have 250 to 600 dirty pages",
    ),
    (
        ("socket_read", "cache_load", "stream_wake"),
        "both sides' logs of a run without a bandwidth limit, of more than 300 dirty pages",
    ),
    (
        ("cache_flush", "device_load"),
        "the secondary's log, with -trace 'colo_flush_ram_cache_*'",
    ),
    (("reset",), "the secondary's log of QEMU 11, likewise: it resets the machine at each load"),
    (("cache_flush_first",), "the secondary's log from the entry into COLO on, under KVM"),
    (("channel_write", "channel_read"), "a run with multifd channels (--design qemu-11+multifd=4)"),
)


def next_runs(undetermined: Collection[str]) -> list[str]:
    """Return, a line each, what would determine costs that a fit left at a base preset's values.

    Of costs that only designs before QEMU 3.1 have (staging), nothing is said.
    """
    lines = []
    for costs, record in _NEXT:
        wanted = [cost for cost in costs if cost in undetermined]
        if wanted:
            lines.append(f"{', '.join(wanted)}, record {record}")
    return lines
