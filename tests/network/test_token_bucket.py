from __future__ import annotations

from colosim.runs.simulation import Simulation
from colosim.scenario import loads

BURST = 125_358
PAGE = 4104
SCENARIO = """
name: bucket
checkpoints: 3
checkpoint_delay: 400 ms
guest: {ram: 128 MiB, dirty: {pages: 500}}
hosts: {preset: lab-qemu72}
network: {preset: lab-veth-200mbit}
"""


def test_messages_leave_the_bucket_full() -> None:
    """After a pause of 400 ms the whole burst is free, though a request has just passed."""
    simulation = Simulation(loads(SCENARIO), "qemu-5.1", keep=False).run()
    ram = simulation.tally.distribution("ram_ns").quantile(50)
    link_ns = (500 * PAGE + 190 - BURST) * 8 * 1514 * 5 // 1448
    assert link_ns < ram < link_ns + 700_000
