"""What each step of a checkpoint costs on one host: the closed table of the cost model."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from colosim.scenario.fields import Measure
from colosim.scenario.units import PER_BYTE, PER_CHUNK, PER_GIB, PER_PAGE, TIME

__all__ = ["Costs", "Strict"]

_TIME_NS_MAX: Final = 10**15
_PER_PAGE_PS_MAX: Final = 10**15
_PER_BYTE_FS_MAX: Final = 10**15

Time = Annotated[int, Measure(TIME, 0, _TIME_NS_MAX)]
PerPage = Annotated[int, Measure(PER_PAGE, 0, _PER_PAGE_PS_MAX)]
PerByte = Annotated[int, Measure(PER_BYTE, 0, _PER_BYTE_FS_MAX)]
PerGib = Annotated[int, Measure(PER_GIB, 0, _TIME_NS_MAX)]
PerChunk = Annotated[int, Measure(PER_CHUNK, 0, _PER_PAGE_PS_MAX)]


class Strict(BaseModel):
    """Base of every model of a scenario: immutable, and no key beyond those it names."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True
    )


def _open_table(schema: dict[str, Any]) -> None:
    """Leave every key free in the JSON Schema: the preset fills what the scenario leaves out."""
    schema.pop("required", None)


class Costs(Strict):
    """Costs of one host, every key filled.

    Attribute names end in the unit of the integer: ``_ns``; ``_ps_per_page``; ``_fs_per_byte``;
    ``_ns_per_gib``; ``_ps_per_chunk``. In YAML the names are plain and the values carry their unit.
    """

    model_config = ConfigDict(json_schema_extra=_open_table)

    message_ns: Time = Field(
        alias="message",
        description="One protocol message: its write, the wake-up of the reader, its read.",
    )
    vm_stop_ns: Time = Field(
        alias="vm_stop", description="vm_stop_force_state(): vCPUs out, block devices drained."
    )
    vm_start_ns: Time = Field(alias="vm_start", description="vm_start(): until the vCPUs run.")
    bitmap_sync_ns: Time = Field(
        alias="bitmap_sync", description="Synchronising the dirty bitmap, fixed part."
    )
    bitmap_sync_ram_ns_per_gib: PerGib = Field(
        alias="bitmap_sync_ram",
        description="Synchronising the dirty bitmap, part that grows with guest RAM.",
    )
    page_scan_ps_per_page: PerPage = Field(
        alias="page_scan", description="Finding the next dirty page and testing it for zero."
    )
    qsb_write_ps_per_page: PerPage = Field(
        alias="qsb_write",
        description=(
            "A page into a QEMUSizedBuffer through the 32 KiB stream buffer (two copies), warm."
        ),
    )
    qsb_growth_fs_per_byte: PerByte = Field(
        alias="qsb_growth",
        description="Fresh QEMUSizedBuffer chunks: zero fill, page faults, the index copied.",
    )
    qsb_walk_ps_per_chunk: PerChunk = Field(
        alias="qsb_walk",
        description=(
            "qsb_get_iovec()'s linear scan, per 16 KiB chunk walked, at each flush of 32 KiB."
        ),
    )
    flat_write_ps_per_page: PerPage = Field(
        alias="flat_write", description="A page into a QIOChannelBuffer (one copy), warm."
    )
    flat_growth_fs_per_byte: PerByte = Field(
        alias="flat_growth", description="Growing a QIOChannelBuffer: realloc and page faults."
    )
    socket_write_fs_per_byte: PerByte = Field(
        alias="socket_write", description="Guest page or buffer into the socket (kernel copy)."
    )
    staging_send_fs_per_byte: PerByte = Field(
        alias="staging_send",
        description="Staged vmstate through the 32 KiB stream buffer to the socket.",
    )
    socket_read_fs_per_byte: PerByte = Field(
        alias="socket_read", description="Socket into the 32 KiB stream buffer."
    )
    cache_load_ps_per_page: PerPage = Field(
        alias="cache_load", description="Stream buffer into the RAM cache."
    )
    staging_fill_fs_per_byte: PerByte = Field(
        alias="staging_fill",
        description="Socket through the stream buffer into the staging buffer.",
    )
    stream_start_ns: Time = Field(
        alias="stream_start",
        description="Before RAM flows straight to the socket: set-up and the first pages.",
    )
    stream_wake_ns: Time = Field(
        alias="stream_wake",
        description=(
            "Fixed part of reading a bulk stream, hidden where the link is slower than the hosts: "
            "wake-up of the reader, TCP's window that starts anew."
        ),
    )
    staging_start_ns: Time = Field(
        alias="staging_start",
        description="The same beyond stream_wake where the whole vmstate fills a staging buffer.",
    )
    qsb_load_ps_per_page: PerPage = Field(
        alias="qsb_load", description="QEMUSizedBuffer into the RAM cache (two copies)."
    )
    flat_load_ps_per_page: PerPage = Field(
        alias="flat_load", description="QIOChannelBuffer into guest RAM."
    )
    cache_flush_ps_per_page: PerPage = Field(
        alias="cache_flush", description="RAM cache into guest RAM."
    )
    reset_ns: Time = Field(alias="reset", description="qemu_system_reset() before the load.")
    device_save_ns: Time = Field(
        alias="device_save", description="Saving device state, fixed part."
    )
    device_load_ns: Time = Field(
        alias="device_load", description="Loading device state, fixed part."
    )
    device_save_state_fs_per_byte: PerByte = Field(
        alias="device_save_state", description="Saving device state, per byte of it."
    )
    device_load_state_fs_per_byte: PerByte = Field(
        alias="device_load_state", description="Loading device state, per byte of it."
    )
    vmdesc_ns: Time = Field(
        alias="vmdesc", description="Building the JSON description of the device state."
    )
    vmdesc_load_ns: Time = Field(
        alias="vmdesc_load", description="Parsing past the JSON description."
    )
    lost_heartbeat_ns: Time = Field(
        alias="lost_heartbeat",
        description="Dispatch of the command x-colo-lost-heartbeat in the main loop.",
    )
    failover_ns: Time = Field(
        alias="failover", description="From the failover bottom half to the guest running."
    )
    cache_free_fs_per_byte: PerByte = Field(
        alias="cache_free", description="Freeing the RAM cache at failover, per byte of it."
    )
    teardown_fs_per_byte: PerByte = Field(
        alias="teardown",
        description="Resident memory of a killed process until its sockets reset, per byte.",
    )
