"""Conditions that the tests of exploration share: `hang`'s, smaller."""

from __future__ import annotations

import pytest

from colosim.designs import load_designs
from colosim.scenario import Scenario, loads

CONDITIONS = """
name: conditions
designs: [qsb, split, device-first, flat, qemu-5.1]
checkpoint_delay: 500 ms
guest: {ram: 128 MiB, dirty: {pages: 4096}}
hosts: {preset: lab-qemu25}
network: {preset: lab-veth, send_buffer: 4 MiB, receive_buffer: 2 MiB}
faults: [{kill: primary, at: 3 s}]
expect: {qsb: {verdict: failed_over}}
"""


@pytest.fixture(scope="session")
def conditions() -> Scenario:
    """Return a scenario with a fault and an expectation of its own, which exploration leaves."""
    return loads(CONDITIONS, known_designs=tuple(load_designs()))
