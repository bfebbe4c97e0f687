"""A run of a grid on arrays has the row that its simulation has, but for what only that has."""

from __future__ import annotations

from colosim.sweeps.grid import grid_of
from colosim.sweeps.on_arrays import answered, rows_on_arrays
from colosim.sweeps.points import simulate_points
from colosim.sweeps.sweep import sweep

AXES = {
    "design": ["qsb", "split", "qemu-11+multifd=2"],
    "guest.dirty.pages": [40, 16386],
    "hosts.preset": ["lab-qemu72", "kvm-xeon"],
    "network.bandwidth": ["1 Gbit/s", "10 Gbit/s"],
}


def test_rows_on_arrays_are_those_of_simulations() -> None:
    """Every key that arrays answer is there, with the same value; the others are left out."""
    grid = grid_of("compare", AXES, seeds="1..2")
    numbers = range(len(grid))
    rows, refused = rows_on_arrays(grid, numbers)
    simulated = simulate_points(grid, grid.source_digest, list(numbers))
    assert len(rows) + sum(refused.values()) == len(grid)
    assert len(rows) >= 40
    for number, row in rows.items():
        other = simulated[number]
        assert isinstance(other, dict)
        there = {key for key, value in other.items() if value is not None}
        assert {key for key in there if answered(key)} == {
            key for key, value in row.items() if value is not None
        }
        assert {key: other[key] for key in row} == row


def test_a_sweep_has_the_same_rows_whatever_answers_them() -> None:
    """With runs on arrays, and others refused and simulated, a sweep lacks some keys only."""
    axes = {**AXES, "network.latency": ["0 s", "2 ms"]}
    auto = sweep("compare", axes, engine="auto")
    simulated = sweep("compare", axes)
    assert sum(auto.attrs["refused"].values()) > 0
    assert [key for key in simulated.columns if answered(key)] == list(auto.columns)
    assert auto.equals(simulated[list(auto.columns)])
