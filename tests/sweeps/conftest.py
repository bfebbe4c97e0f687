"""A small sweep: three designs, two axes, seeds, one combination that cannot stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from colosim.executors.engines import opened
from colosim.sweeps.grid import Grid, load_grid
from colosim.sweeps.store import Store
from colosim.sweeps.sweep import run_sweep

if TYPE_CHECKING:
    from pathlib import Path

SCENARIO = """
name: small
checkpoints: 3
checkpoint_delay: 20 ms
guest: {ram: 64 MiB, dirty: {rate: 50000 pages/s, working_set: 4 MiB, pattern: uniform}}
"""
SWEEP = """
scenario: small.yaml
axes:
  guest.dirty.working_set: [4 MiB, 128 MiB]     # more than the guest has
  design: [qsb, split]
  network.bandwidth: {log: [100 Mbit/s, 10 Gbit/s], points: 5}
seeds: 1..6
"""


@pytest.fixture
def grid(tmp_path: Path) -> Grid:
    """Return the grid: 120 runs, of which 60 cannot be."""
    (tmp_path / "small.yaml").write_text(SCENARIO)
    (tmp_path / "grid.yaml").write_text(SWEEP)
    return load_grid(tmp_path / "grid.yaml")


def files_of(store: Store) -> dict[str, bytes]:
    """Return what a sweep leaves, by name, without its batches."""
    assert store.folder is not None
    return {path.name: path.read_bytes() for path in store.folder.iterdir() if path.is_file()}


@pytest.fixture
def undisturbed(grid: Grid, tmp_path: Path) -> dict[str, bytes]:
    """Return what is left when nothing goes wrong."""
    store = Store(grid, tmp_path / "undisturbed")
    with opened("inline") as engine:
        run_sweep(store, engine)
    return files_of(store)
