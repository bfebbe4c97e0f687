"""What each step of a checkpoint costs on one host: the closed table of the cost model."""

from __future__ import annotations

from typing import Annotated, Final

from colosim.scenario.fields import TIME_NS_MAX, Measure, Time
from colosim.scenario.section import Section
from colosim.scenario.units import PER_BYTE, PER_CHUNK, PER_GIB, PER_PAGE

_MOST: Final = 10**15
PerPage = Annotated[int, Measure(PER_PAGE, 0, _MOST)]
PerByte = Annotated[int, Measure(PER_BYTE, 0, _MOST)]
PerGib = Annotated[int, Measure(PER_GIB, 0, TIME_NS_MAX)]
PerChunk = Annotated[int, Measure(PER_CHUNK, 0, _MOST)]


class Costs(Section):
    """Costs of one host, every key filled.

    Attribute names end in the unit of the integer: ``_ns``; ``_ps_per_page``; ``_fs_per_byte``;
    ``_ns_per_gib``; ``_ps_per_chunk``. In YAML the names are plain and the values carry their unit.
    """

    example = "{reset: 500 us}"

    message_ns: Time
    """One protocol message: its write, the wake-up of the reader, its read."""
    vm_stop_ns: Time
    """vm_stop_force_state(): vCPUs out, block devices drained."""
    vm_start_ns: Time
    """vm_start(): until the vCPUs run."""
    bitmap_sync_ns: Time
    """Synchronising the dirty bitmap, fixed part."""
    bitmap_sync_ram_ns_per_gib: PerGib
    """Synchronising the dirty bitmap, part that grows with guest RAM."""
    page_scan_ps_per_page: PerPage
    """Finding the next dirty page and testing it for zero."""
    qsb_write_ps_per_page: PerPage
    """A page into a QEMUSizedBuffer through the 32 KiB stream buffer (two copies), warm."""
    qsb_growth_fs_per_byte: PerByte
    """Fresh QEMUSizedBuffer chunks: zero fill, page faults, the index copied."""
    qsb_walk_ps_per_chunk: PerChunk
    """qsb_get_iovec()'s linear scan, per 16 KiB chunk walked, at each flush of 32 KiB."""
    flat_write_ps_per_page: PerPage
    """A page into a QIOChannelBuffer (one copy), warm."""
    flat_growth_fs_per_byte: PerByte
    """Growing a QIOChannelBuffer: realloc and page faults."""
    socket_write_fs_per_byte: PerByte
    """Guest page or buffer into the socket (kernel copy)."""
    staging_send_fs_per_byte: PerByte
    """Staged vmstate through the 32 KiB stream buffer to the socket."""
    socket_read_fs_per_byte: PerByte
    """Socket into the 32 KiB stream buffer."""
    cache_load_ps_per_page: PerPage
    """Stream buffer into the RAM cache."""
    staging_fill_fs_per_byte: PerByte
    """Socket through the stream buffer into the staging buffer."""
    channel_write_fs_per_byte: PerByte
    """Guest pages into the sockets of multifd channels, all together; pages are searched meanwhile.
    """
    channel_read_fs_per_byte: PerByte
    """Sockets of multifd channels straight into the RAM cache, all together."""
    stream_start_ns: Time
    """Before RAM flows straight to the socket: set-up and the first pages."""
    stream_wake_ns: Time
    """Fixed part of reading a bulk stream, hidden where the link is slower than the hosts:
    wake-up of the reader, TCP's window that starts anew (a stream of ten segments has none).
    """
    staging_start_ns: Time
    """The same beyond stream_wake where the whole vmstate fills a staging buffer."""
    qsb_load_ps_per_page: PerPage
    """QEMUSizedBuffer into the RAM cache (two copies)."""
    flat_load_ps_per_page: PerPage
    """QIOChannelBuffer into guest RAM."""
    cache_flush_ps_per_page: PerPage
    """RAM cache into guest RAM."""
    cache_flush_first_ps_per_page: PerPage
    """RAM cache into guest RAM that was never touched: under KVM the first flush copies all of it.
    """
    reset_ns: Time
    """qemu_system_reset() before the load."""
    device_save_ns: Time
    """Saving device state, fixed part."""
    device_load_ns: Time
    """Loading device state, fixed part."""
    device_save_state_fs_per_byte: PerByte
    """Saving device state, per byte of it."""
    device_load_state_fs_per_byte: PerByte
    """Loading device state, per byte of it."""
    vmdesc_ns: Time
    """Building the JSON description of the device state."""
    vmdesc_load_ns: Time
    """Parsing past the JSON description."""
    lost_heartbeat_ns: Time
    """Dispatch of the command x-colo-lost-heartbeat in the main loop."""
    failover_ns: Time
    """From the failover bottom half to the guest running."""
    cache_free_fs_per_byte: PerByte
    """Freeing the RAM cache when COLO ends, per byte of it, with pages of 4 KiB."""
    cache_free_huge_fs_per_byte: PerByte
    """The same with huge pages."""
    teardown_fs_per_byte: PerByte
    """Resident memory of a killed process until its sockets reset, per byte in pages of 4 KiB."""
    teardown_huge_fs_per_byte: PerByte
    """The same per byte in huge pages."""
