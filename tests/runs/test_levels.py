"""The socket buffers' levels, and the peaks that the summary has of them."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colosim.designs import load_designs
from colosim.network.transfer import Transfer
from colosim.runs.curves import Stretch, curves_of
from colosim.runs.run import simulate
from colosim.runs.simulation import Simulation
from colosim.scenario import loads
from tests.runs.conftest import PLAIN
from tests.runs.figures import hold_to_the_tables

STEP = 'at: {checkpoint: 2, step: "primary: RAM stream", progress: 40%}'
FAULTS = {
    "none": "",
    "freeze": f"faults: [{{freeze: secondary, {STEP}}}]",
    "thaw": f"faults: [{{freeze: secondary, {STEP}, for: 30 s}}]",
    "kill": f"faults: [{{kill: secondary, {STEP}}}]",
    "vanish": f"faults: [{{vanish: secondary, {STEP}}}]",
    "slow": "faults: [{slow: network, what: bandwidth, factor: 0.1, at: 60 ms, for: 80 ms}]",
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("design", load_designs())
def test_the_highest_breakpoint_is_the_peak(design: str, fault: str) -> None:
    """Each account's highest breakpoint is its peak in the summary, also through a fault."""
    run = simulate(loads(PLAIN + FAULTS[fault]), design)
    memory = run.memory
    assert (memory.level_bytes >= 0).all()
    for side in ("primary", "secondary"):
        peaks = run.summary["memory_peak_bytes"][side]
        for account, peak in peaks.items():
            if account == "extra_total":
                continue
            rows = memory[(memory.side == side) & (memory.account == account)]
            highest = int(rows.level_bytes.max()) if len(rows) else 0
            assert peak == highest
            assert rows.time_ns.is_monotonic_increasing


def test_a_transfer_within_its_buffers() -> None:
    """A write of 1000 bytes in 100 ns over 1000 ns of link, read at once: a ramp up and down."""
    transfer = Transfer(500, 1000, 100, 1000, 10, 5000, 5000, read_ns=0, reader_ns=0)
    sending, receiving = curves_of(Stretch((transfer,), 1510, None, last=False).shape)
    assert [tuple(map(float, point)) for point in sending] == [
        (0.0, 0.0, 9.0),
        (100.0, 900.0, -1.0),
        (1000.0, 0.0, 0.0),
    ]
    assert max(point.level for point in receiving) == 0


def test_a_transfer_that_nobody_reads() -> None:
    """Without a reader the receive buffer fills, then the send buffer, and there they stay."""
    transfer = Transfer(0, 1000, 0, 1000, 10, 300, 400)
    end = Fraction(5000)
    sending, receiving = curves_of(Stretch((transfer,), end, end, last=True).shape)
    assert [*map(int, sending[-1])][1:] == [300, 0]
    assert [*map(int, receiving[-1])][1:] == [400, 0]


def test_a_window_that_closes_holds_back_what_follows() -> None:
    """Behind a stream that is read late, of 300 more bytes 100 enter the buffer, the rest waits."""
    stream = Transfer(0, 1000, 0, 1000, 10, 5000, 1100, read_ns=100, reader_ns=5000)
    more = Transfer(2000, 300, 0, 300, 10, 5000, 1100, read_ns=30, reader_ns=5100)
    sending, receiving = curves_of(Stretch((stream, more), 6000, None, last=False).shape)
    assert max(point.level for point in receiving) == 1100
    assert [*sending[-3]] == [2100, 200, 0]
    assert sending[-1].level == receiving[-1].level == 0


SMALL = """
name: small
checkpoints: 3
checkpoint_delay: 20 ms
guest: {ram: 64 MiB, dirty: {pages: 600}}
hosts: {preset: kvm-xeon}
"""
NETWORKS = st.fixed_dictionaries(
    {
        "preset": st.sampled_from(["lab-veth", "10gbe", "1gbe", "wan-5ms"]),
        "send_buffer": st.integers(64, 4096).map("{} KiB".format),
        "receive_buffer": st.integers(64, 4096).map("{} KiB".format),
    }
)


MESSAGES_BYTES = 64
"""More than the messages that pass beside a stream, which only a fluid books, and rounding."""


def followed(simulation: Simulation) -> None:
    """Follow the direction of the streams as a fluid from the start on, to the end."""
    direction = simulation.connection.to_secondary
    direction.disturb()
    # It never comes to rest.
    setattr(direction, "_has_come_to_rest", lambda _: False)  # noqa: B010


@given(network=NETWORKS, design=st.sampled_from(["split", "qsb", "qemu-5.1", "device-first"]))
@settings(max_examples=15)
def test_streams_that_meet_fill_no_more_than_the_fluid(
    network: dict[str, str], design: str
) -> None:
    """No more is unread than when the streams are followed, nor than the window lets through."""
    scenario = loads(f"{SMALL}network: {json.dumps(network)}\n")
    run = simulate(scenario, design)
    hold_to_the_tables(run)
    fluid = Simulation(scenario, design, prepare=followed).run().peaks.of("secondary")
    peak = run.summary["memory_peak_bytes"]["secondary"]["socket_receive_buffer"]
    assert peak <= fluid["socket_receive_buffer"] + MESSAGES_BYTES
    assert peak <= int(network["receive_buffer"].split()[0]) << 10
