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
    "qemu-5.1": 12_928,
}
"""What a checkpoint sends beside its pages: measured on runs of QEMU 2.5.50, 2.7 and 7.2.

`device-first` was not measured: it is `split` without RAM's set-up section (read).
"""


def wire_bytes(design: str, pages: int, zero_share: str = "0%") -> int:
    """Return what one checkpoint sends from the primary."""
    text = f"""
name: wire
checkpoints: 1
guest: {{ram: 1 GiB, zero_share: {zero_share}, dirty: {{pages: {pages}}}}}
"""
    scenario = loads(text, file="wire.yaml", known_designs=tuple(load_designs()))
    run = Simulation(scenario, design).run()
    return run.connection.to_secondary.bytes_written


@pytest.mark.parametrize("design", list(FIXED_BYTES))
@pytest.mark.parametrize("pages", [0, 1, 490, 16_386, 60_002])
def test_a_full_page_costs_4104_bytes(design: str, pages: int) -> None:
    """A checkpoint sends 4104 bytes a dirty page and the design's fixed part, to the byte."""
    assert wire_bytes(design, pages) == 4104 * pages + FIXED_BYTES[design]


@pytest.mark.parametrize("design", list(FIXED_BYTES))
def test_a_zero_page_costs_9_bytes(design: str) -> None:
    """A zero page is its header and one byte."""
    assert wire_bytes(design, 1000, "25%") == 4104 * 750 + 9 * 250 + FIXED_BYTES[design]
