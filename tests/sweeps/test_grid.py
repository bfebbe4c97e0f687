"""The grid of a sweep: which runs there are, in what order, and what is refused."""

from __future__ import annotations

import json
import shlex
from decimal import ROUND_HALF_UP, Decimal, localcontext
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colosim.cli.main import main
from colosim.errors import ScenarioError
from colosim.sweeps.axes import _spaced
from colosim.sweeps.grid import Grid, grid_of, load_grid
from colosim.sweeps.points import simulate_points
from tests.sweeps.conftest import SCENARIO

if TYPE_CHECKING:
    from pathlib import Path


def loaded(text: str, folder: Path) -> Grid:
    """Return the grid of a sweep's text."""
    (folder / "small.yaml").write_text(SCENARIO)
    (folder / "sweep.yaml").write_text(text)
    return load_grid(folder / "sweep.yaml")


def test_runs_are_a_product_in_the_order_of_the_axes(grid: Grid) -> None:
    """The first axis is the slowest, the seed the fastest; values are in base units."""
    bandwidths = (12_500_000, 39_528_471, 125_000_000, 395_284_708, 1_250_000_000)
    expected = list(product((1024, 32_768), ("qsb", "split"), bandwidths, range(1, 7)))
    points = [grid.point(number) for number in range(len(grid))]
    assert [(*point.values, point.seed) for point in points] == expected
    assert [point.design for point in points] == [design for _, design, _, _ in expected]


def test_axes_that_are_zipped_go_together(tmp_path: Path) -> None:
    """They move as one, where the first of them stands; an axis may have one value."""
    grid = loaded(
        "scenario: small.yaml\n"
        "axes: {guest.ram: [64 MiB, 1 GiB], lock: [fifo, barging], patience: 5 s,\n"
        "       checkpoint_delay: [10 ms, 20 ms], design: split}\n"
        "zip: [[guest.ram, checkpoint_delay]]",
        tmp_path,
    )
    assert [grid.point(number).values for number in range(len(grid))] == [
        (1 << 26, "fifo", 5 * 10**9, 10**7, "split"),
        (1 << 26, "barging", 5 * 10**9, 10**7, "split"),
        (1 << 30, "fifo", 5 * 10**9, 2 * 10**7, "split"),
        (1 << 30, "barging", 5 * 10**9, 2 * 10**7, "split"),
    ]


def test_designs_and_seed_are_the_scenarios_unless_given(tmp_path: Path) -> None:
    """Without an axis ``design`` it is the first, with the designs of the scenario."""
    grid = loaded("scenario: hang\naxes: {checkpoints: [5, 6]}", tmp_path)
    assert grid.axes[0].key == "design"
    assert grid.designs == grid.scenario.designs
    assert grid.seeds == (grid.scenario.seed,)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "scenaro: small.yaml\naxes: {design: [qsb]}",
            [
                "1:1: the key 'scenaro' is unknown; did you mean 'scenario'?",
                "1:1: the sweep needs the key 'scenario', which is missing",
            ],
        ),
        ("- 1", ["1:1: expected a sweep: scenario: and axes:"]),
        (
            "scenario: small.yaml\naxes: {}",
            ["2:7: axes: expected keys and their values, such as {design: [qsb, split]}"],
        ),
        (
            (
                "scenario: small.yaml\n"
                "axes:\n"
                "  desgn: [qsb]\n"
                "  design: [splt]\n"
                "  guest.dirty.page: [1]\n"
                "  network: [1]\n"
                "  bandwidth: 3\n"
                "  seed: 3\n"
                "  lock: {log: [1, 2], points: 2}\n"
                "  checkpoints: {log: [9, 3], points: 2}\n"
                "  warmup: {linear: [1, 3], points: 9}\n"
                "  patience: {linear: [1 s], points: 9}\n"
                "  network.latency: [1 ms, 2, {}, ~]\n"
                "  checkpoint_delay: [1 ms, 1000 us]\n"
                "  guest.ram: []\n"
                "  faults: [1]\n"
                "  guest.dirty.phases.for: [1 s]\n"
                "seeds: 5..1"
            ),
            [
                "3:3: 'desgn' is no key of a scenario; did you mean 'design'?",
                "4:12: design: the design 'splt' is not known; there are qsb, split, ",
                "5:3: 'guest.dirty.page' is no key of a scenario; did you mean 'guest.dirty.pages'",
                "6:3: 'network' has keys of its own; name one, such as 'network.preset'",
                "7:3: 'bandwidth' is no key of a scenario; did you mean 'network.bandwidth'?",
                "8:3: 'seed' is no axis; give seeds: beside axes:, such as seeds: 1..5",
                "9:9: lock has no numbers, and so no range; expected a list of values",
                "10:16: checkpoints: a range goes from a smaller number above 0 to a larger one",
                "11:11: warmup: 9 points are more than there are between 1 and 3",
                "12:13: patience: expected a list of values, or a range such as {log: [1000, ",
                "13:27: network.latency: '2' has no unit; expected a time in ns, us, ms, s, min ",
                "13:30: network.latency: expected a list of values, or a range such as {log: ",
                "13:34: network.latency: expected a list of values, or a range such as {log: ",
                "14:21: checkpoint_delay: '1000 us' is there twice",
                "15:14: guest.ram: the list is empty; expected a list of values, or a range ",
                "16:3: 'faults' has keys of its own; name one, such as 'faults.0.",
                "17:3: 'guest.dirty.phases.for' names no position in a list; expected one, as in",
                "18:8: seeds: '5..1': expected seeds such as 1..5, 7 or [1, 2, 3]",
            ],
        ),
        (
            (
                "scenario: small.yaml\n"
                "axes: {checkpoints: [1, 2], warmup: [0], lock: [fifo, barging]}\n"
                "zip: [[checkpoints, lok], [warmup, checkpoints]]"
            ),
            [
                "3:6: zip: 'checkpoints' is there 2 times",
                "3:7: zip: 'lok' is no axis; did you mean 'lock'?",
                "3:27: zip: axes that go together have as many values: warmup 1, checkpoints 2",
            ],
        ),
        (
            (
                "scenario: small.yaml\naxes: {checkpoints: {linear: [1, 1000], points: 1000},\n"
                "  warmup: {linear: [1, 1000], points: 1000}}\nseeds: 1..100"
            ),
            ["2:1: 500,000,000 runs are more than 10,000,000"],
        ),
        (
            "scenario: smal\naxes: {lock: fifo}",
            ["1:11: scenario: 'smal' is neither a file"],
        ),
    ],
)
def test_each_fault_is_told_with_its_place(text: str, told: list[str], tmp_path: Path) -> None:
    """Every fault of a file at once: line, column, what was expected, the nearest right key."""
    with pytest.raises(ScenarioError) as error:
        loaded(text, tmp_path)
    lines = [line.partition(".yaml:")[2] or line for line in str(error.value).splitlines()]
    assert [line[: len(start)] for line, start in zip(lines, told, strict=True)] == told


def test_values_of_python_are_those_of_a_file(tmp_path: Path) -> None:
    """Whole numbers are in the base unit of their key, texts as in a file, arrays are lists."""
    grid = grid_of(
        "hang",
        {
            "guest.dirty.pages": np.array([100, 200]),
            "network.bandwidth": ["1 Gbit/s", 250_000_000],
            "network.nagle": [True, False],
            "checkpoint_delay": {"log": ["1 ms", "100 ms"], "points": 3},
            "design": "mainline",
        },
        seeds=range(3),
        together=[("guest.dirty.pages", "network.bandwidth")],
    )
    text = (
        "scenario: hang\n"
        "axes: {guest.dirty.pages: [100, 200], network.bandwidth: [1 Gbit/s, 2 Gbit/s],\n"
        "       network.nagle: [true, false],\n"
        "       checkpoint_delay: {log: [1 ms, 100 ms], points: 3}, design: [qemu-11]}\n"
        "seeds: [0, 1, 2]\n"
        "zip: [[guest.dirty.pages, network.bandwidth]]"
    )
    assert grid.to_dict() == loaded(text, tmp_path).to_dict()
    with pytest.raises(ScenarioError, match=r"sweep:1:1: 'lok' is no key .* mean 'lock'"):
        grid_of("hang", {"lok": ["fifo"]})


def test_a_command_runs_a_point(grid: Grid, capsys: pytest.CaptureFixture[str]) -> None:
    """What a failure's line has is the same run, event for event."""
    (row,) = simulate_points(grid, grid.source_digest, [17])
    assert isinstance(row, dict)
    words = shlex.split(grid.command(grid.point(17)))
    assert main([*words[1:], "--tables", "none", "--format", "json"]) == 0
    (summary,) = json.loads(capsys.readouterr().out)
    assert row["digest"] == summary["digest"]
    assert row["pause_ns.p99"] == summary["pause_ns"]["p99"]
    assert grid.point(17).seed == summary["seed"] == 6


@given(st.integers(1, 2**50), st.integers(1, 2**50), st.integers(2, 40))
def test_logarithmic_ranges_are_exact(one: int, other: int, points: int) -> None:
    """Each value is the integer nearest to the real one, found with 100 digits."""
    low, high = sorted((one, other))
    with localcontext() as context:
        context.prec = 100
        ratio = Decimal(high) / Decimal(low)
        exact = [Decimal(low) * ratio ** (Decimal(n) / (points - 1)) for n in range(points)]
        nearest = [int(value.to_integral_value(ROUND_HALF_UP)) for value in exact]
    if len(set(nearest)) == points:
        assert _spaced("log", low, high, points) == nearest
