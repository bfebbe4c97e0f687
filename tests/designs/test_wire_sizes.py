"""Bytes on the wire, exactly as measured with a bare PC machine."""

from __future__ import annotations

import pytest

from colosim.designs import load_designs
from colosim.runs.simulation import Simulation
from colosim.scenario import loads

FIXED_BYTES = {
    "qsb": 119_034,
    "split": 12_875,
    "device-first": 12_875 - 171,
    "flat": 119_062,
    "qemu-3.1": 12_928,
    "qemu-5.1": 12_928,
    "qemu-11": 12_963,
}
"""What a checkpoint sends beside its pages: measured on runs of QEMU 2.5.50, 2.7, 7.2 and 11.1.3.

`device-first` and `qemu-3.1` were not measured: the one is `split` without RAM's set-up section
(read), the other as `qemu-5.1` (assumed).
"""


def wire_bytes(design: str, pages: int, zero_share: str = "0%") -> int:
    """Return what one checkpoint sends from the primary."""
    text = f"""
name: wire
checkpoints: 1
checkpoint_delay: 10 s
guest: {{ram: 1 GiB, zero_share: {zero_share}, dirty: {{pages: {pages}}}}}
"""
    scenario = loads(text, file="wire.yaml", known_designs=tuple(load_designs()))
    run = Simulation(scenario, design).run()
    return run.primary.bytes_written


@pytest.mark.parametrize("design", list(FIXED_BYTES))
@pytest.mark.parametrize("pages", [0, 1, 490, 16_386, 60_002])
def test_a_full_page_costs_4104_bytes(design: str, pages: int) -> None:
    """A checkpoint sends 4104 bytes a dirty page and the design's fixed part, to the byte."""
    assert wire_bytes(design, pages) == 4104 * pages + FIXED_BYTES[design]


@pytest.mark.parametrize("design", list(FIXED_BYTES))
def test_a_zero_page_costs_9_bytes(design: str) -> None:
    """A zero page is its header and one byte."""
    assert wire_bytes(design, 1000, "25%") == 4104 * 750 + 9 * 250 + FIXED_BYTES[design]


@pytest.mark.parametrize("channels", [1, 2, 4, 16])
@pytest.mark.parametrize("pages", [0, 1, 128, 129, 4_096])
def test_multifd_sends_packets_and_two_syncs_a_channel(pages: int, channels: int) -> None:
    """Measured on 11.1.3: pages by 128 under a header of 1344 bytes, two headers a channel more."""
    packets = -(-pages // 128) + 2 * channels
    design = f"qemu-11+multifd={channels}"
    assert wire_bytes(design, pages) == 4096 * pages + 12_979 + 1344 * packets


def test_of_a_zero_page_multifd_sends_only_the_offset() -> None:
    """It has a slot of its packet's header and no content."""
    assert wire_bytes("qemu-11+multifd=2", 1000, "25%") == 4096 * 750 + 12_979 + 1344 * (8 + 4)
