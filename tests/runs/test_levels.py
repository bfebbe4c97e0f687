"""The socket buffers' levels, and the peaks that the summary has of them."""

from __future__ import annotations

from fractions import Fraction

import pytest

from colosim.designs import load_designs
from colosim.network.transfer import Transfer
from colosim.runs.curves import Stretch, curves_of
from colosim.runs.run import simulate
from colosim.scenario import loads
from tests.runs.conftest import PLAIN

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
