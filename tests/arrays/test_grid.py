"""`colosim.grid`: a row a point and design, and its own check against simulations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import colosim
from colosim.designs.split import Split
from colosim.errors import GridError
from colosim.runs.run import as_scenario
from tests.arrays.comparing import compare

if TYPE_CHECKING:
    from colosim.designs.design import Steps
    from colosim.designs.primary import Primary

AXES: dict[str, list[object]] = {
    "guest.dirty.pages": [100, 16386, 31],
    "network.bandwidth": ["1 Gbit/s", 10**9],
}


def test_a_grid_has_a_row_a_point_and_design() -> None:
    """Axes are in base units, in the order in which they are given, designs the slowest."""
    frame = colosim.grid("compare", AXES, designs=["qsb", "split"])
    assert frame["design"].tolist() == ["qsb"] * 6 + ["split"] * 6
    assert frame["guest.dirty.pages"].tolist() == [100, 100, 16386, 16386, 31, 31] * 2
    assert frame["network.bandwidth"].tolist() == [125_000_000, 10**9] * 6
    assert frame["exact"].tolist() == [True] * 12
    one = colosim.run(
        as_scenario("compare").vary({"guest.dirty.pages": 100, "network.bandwidth": 10**9}), "split"
    )
    assert frame["pause_ns.p99"][7] == one.summary["pause_ns"]["p99"]
    assert frame["lock_hold_ns.primary.max"][7] == one.summary["lock_hold_ns"]["primary"]["max"]


def test_presets_and_switches_are_axes_too() -> None:
    """What is no number parts the grid, and its rows stay in order."""
    axes: dict[str, list[object]] = {
        "network.nagle": [True, False],
        "hosts.preset": ["lab-qemu72", "lab-qemu25"],
    }
    frame = colosim.grid("compare", axes | {"checkpoint_delay": ["1 ms", "9 ms"]}, designs=["qsb"])
    assert frame["network.nagle"].tolist() == [True] * 4 + [False] * 4
    assert frame["checkpoint_delay"].tolist() == [1_000_000, 9_000_000] * 4
    nodelay = frame["pause_ns.p50"][4:].tolist()
    assert all(slow > fast for slow, fast in zip(frame["pause_ns.p50"][:4], nodelay, strict=True))


@pytest.mark.parametrize(
    ("scenario", "more", "why"),
    [
        ("hang", {}, "faults"),
        ("compare", {"duration": "2 s"}, "a length in time"),
        ("compare", {"model": "reference"}, "the reference model"),
        ("compare", {"spread": "measured", "hosts.preset": "lab-qemu25"}, "a spread"),
        ("compare", {"manager.answered_by": "monitor"}, "a manager that asks the monitors"),
        ("compare", {"horizon": "1 s"}, "past the horizon"),
        ("compare", {"network.send_buffer": "4 GiB", "guest.ram": "8 GiB",
            "guest.dirty.pages": 10**6}, "a stream beyond 3 GB, whose square is beyond 63 bits"),
    ],
)  # fmt: skip
def test_a_point_that_is_not_for_arrays_says_why(
    scenario: str, more: dict[str, object], why: str
) -> None:
    """A refused point has its reason, and no numbers."""
    axes = {key: [value] for key, value in more.items()} or {"checkpoint_delay": ["50 ms"]}
    frame = colosim.grid(scenario, axes, designs=["split"])
    assert frame["exact"].tolist() == [why]
    assert frame.attrs["refused"] == {why: 1}
    assert frame.filter(like="_ns.").isna().all(axis=None)


def test_a_run_of_hours_is_equal() -> None:
    """Millionths of its length are beyond 63 bits."""
    long = as_scenario("compare").vary({"checkpoint_delay": "9000 s", "horizon": "90000 s"})
    found = compare(long, [{"checkpoints": 3}], "split")
    assert (found.accepted, found.differ) == (1, [])


def test_the_guests_writes_to_a_disk_are_refused_by_name() -> None:
    """What a stop waits for follows from every write on its own: that is simulated."""
    writes = {"rate": "500 /s", "size": "4 KiB"}
    scenario = as_scenario("compare").vary({"disk": {"replication": "nbd", "writes": writes}})
    frame = colosim.grid(scenario, AXES, designs=["qemu-5.1"])
    assert frame.attrs["refused"] == {"the guest's writes to a disk": 6}


class Deceived(Split):
    """Takes the kind of a number for its value, which no operator can notice."""

    name = "deceived"
    summary = "s"
    origin = "o"

    def save(self, p: Primary) -> Steps:
        """Work longer if a number is an integer."""
        yield from super().save(p)
        yield from p.work("device save", 1000 if type(p.dirty_pages) == int else 0)  # noqa: E721


class Identical(Split):
    """Takes whether two numbers are one object for whether they are equal."""

    name = "identical"
    summary = "s"
    origin = "o"

    def save(self, p: Primary) -> Steps:
        """Work longer if two numbers are the same object."""
        yield from super().save(p)
        yield from p.work("device save", 1000 if p.dirty_pages is p.zero_pages else 0)


def test_a_design_that_compares_with_is_is_refused() -> None:
    """Whether two numbers are one object, columns cannot say: the design is refused by name."""
    frame = colosim.grid("compare", AXES, designs=[Identical])
    assert set(frame["exact"]) == {"a design that compares with 'is'"}


def test_a_point_that_is_another_simulated_is_an_error() -> None:
    """Corners and a few points between are simulated too; the first that differs is named."""
    with pytest.raises(GridError, match=r"deceived at guest.dirty.pages=.*: .* is \d+ on arrays"):
        colosim.grid("compare", AXES, designs=[Deceived])
