"""Small scenarios for the tests of runs."""

from __future__ import annotations

import pytest

from colosim.scenario import Scenario, loads

PLAIN = """
name: plain
checkpoints: 4
warmup: 1
checkpoint_delay: 50 ms
guest: {ram: 64 MiB, dirty: {pages: 3000}}
hosts: {preset: lab-qemu25}
network: {preset: lab-veth, send_buffer: 256 KiB, receive_buffer: 1 MiB}
"""
FROZEN = (
    PLAIN
    + """
faults:
  - {freeze: secondary, at: {checkpoint: 2, step: "primary: RAM stream", progress: 40%}}
expect:
  split: {verdict: hung}
  qsb: {verdict: failed_over}
"""
)


@pytest.fixture
def plain() -> Scenario:
    """Return a scenario without a fault; its transfers are larger than the socket buffers."""
    return loads(PLAIN)


@pytest.fixture
def frozen() -> Scenario:
    """Return a scenario whose secondary freezes in the middle of a stream."""
    return loads(FROZEN)
