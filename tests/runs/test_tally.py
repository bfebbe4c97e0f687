"""The count of what a summary says of checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from colosim.runs.run import simulate
from colosim.runs.tally import Tally
from colosim.trace.dispatch import Dispatcher
from colosim.trace.quantities import HOLDS, SPANS, WIRE_BYTES

if TYPE_CHECKING:
    from colosim.scenario import Scenario


def counted(flat: list[int], step: int, end_ns: int) -> dict[str, Any]:
    """Return what a tally says of a record that it is fed `step` integers at a time."""
    tally = Tally(1)
    dispatcher = Dispatcher(tally.on)
    for at in range(0, len(flat), step):
        dispatcher.feed(flat[at : at + step])
    tally.finish(end_ns)
    names = (*SPANS, WIRE_BYTES, *HOLDS.values())
    return {
        "outcomes": tally.outcomes,
        "wire": tally.wire_bytes,
        "deaf": tally.deaf_ns,
        **{name: tally.distribution(name).summary() for name in names},
    }


@pytest.mark.parametrize(("design", "aborted"), [("qsb", 1), ("split", 0)])
def test_a_record_is_counted_alike_however_it_is_cut(
    frozen: Scenario, design: str, aborted: int
) -> None:
    """Event by event, by the hundred or in one go, a record gives the same figures."""
    simulation = simulate(frozen, design).simulation
    assert simulation is not None
    flat, end_ns = list(simulation.record.chunks), simulation.end_ns
    whole = counted(flat, len(flat), end_ns)
    assert [counted(flat, step, end_ns) for step in (3, 300)] == [whole, whole]
    assert whole["outcomes"] == {"committed": 2, "aborted": aborted}
