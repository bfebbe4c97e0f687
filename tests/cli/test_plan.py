"""``colosim plan``: what meets the bounds, what is best, and what is told if nothing does."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from colosim.cli.main import main
from colosim.scenario import load
from colosim.scenario.bounds import read_bound
from colosim.sweeps.plan import nearest_miss

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Plan = Callable[..., tuple[int, str]]

SWEEP = """
scenario: compare
axes:
  design: [qsb, split]
  checkpoint_delay: [20 ms, 100 ms]
  network.bandwidth: [1 Gbit/s, 10 Gbit/s]
seeds: 1..10
"""


@pytest.fixture
def planned(tmp_path: Path) -> Path:
    """Write a small sweep."""
    (tmp_path / "small.yaml").write_text(SWEEP)
    return tmp_path


@pytest.fixture
def plan(planned: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Return what runs ``colosim plan`` on the small sweep: its exit status and output."""

    def run(*words: str) -> tuple[int, str]:
        given = ["plan", str(planned / "small.yaml"), "--jobs", "1", "--out", str(planned / "out")]
        status = main([*given, *words])
        told = capsys.readouterr()
        return status, told.out + told.err

    return run


def test_the_best_of_those_that_meet_all_is_chosen(planned: Path, plan: Plan) -> None:
    """The chosen point runs most among those in bounds; its scenario file says how."""
    words = ("--meet", "guest_stopped_open == false", "--maximise", "guest_running_share")
    status, told = plan("--meet", "pause_ns.p99 < 120 ms", *words)
    assert status == 0, told
    assert "small: 80 runs, 80 on arrays, 0 refused" in told
    with (planned / "out" / "plan.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 8
    met = [row for row in rows if row["meets"] == "yes"]
    assert {row["design"] for row in met} == {"split"}
    assert all(int(row["pause_ns.p99"]) < 120_000_000 for row in met)
    (chosen,) = [row for row in rows if row["chosen"] == "yes"]
    assert chosen["guest_running_share"] == max(row["guest_running_share"] for row in met)
    scenario = load(planned / "out" / "1-split.yaml", known_designs=("split",))
    assert scenario.designs == ("split",)
    assert scenario.checkpoint_delay_ns == int(chosen["checkpoint_delay"])
    assert (planned / "out" / "plan.png").read_bytes().startswith(b"\x89PNG")


def test_what_only_a_simulation_has_is_simulated(planned: Path, plan: Plan) -> None:
    """A bound on a sum of memory leaves what meets it, though arrays do not answer it."""
    status, told = plan("--meet", "memory_peak_bytes.primary.extra_total < 8 MiB")
    assert status == 0, told
    with (planned / "out" / "plan.csv").open() as stream:
        met = {row["design"] for row in csv.DictReader(stream) if row["meets"] == "yes"}
    assert met == {"split"}


def test_what_is_left_is_simulated_with_the_measured_spread(plan: Plan) -> None:
    """A bound that holds for steady work may not hold where the work of checkpoints scatters."""
    words = ("--meet", "pause_ns.max < 110 ms")
    steady, scattered = plan(*words), plan(*words, "--spread")
    assert steady[0] == 0, steady
    assert scattered[1] != steady[1]


def test_the_front_is_tried_under_faults(planned: Path, plan: Plan) -> None:
    """A bound behind --under is asked for under that scenario's faults, of the front alone."""
    words = ("--meet", "pause_ns.p99 < 1 s", "--under", "hang", "--meet")
    status, told = plan(*words, "verdict == failed_over")
    assert status == 0, told
    assert "failed_over" in told
    assert (planned / "out" / "1-qsb.yaml").exists()
    status, hung = plan(*words, "verdict == hung", "--under", "hang", "--meet", "end_ns > 0 s")
    assert status == 0, hung
    assert "hung" in hung
    assert "failed_over" not in hung


def test_two_bounds_of_one_key_are_each_asked_of_the_worst_seed(planned: Path, plan: Plan) -> None:
    """From below and from above, with ``=`` or without."""
    status, told = plan("--meet=pause_ns.p99 > 90 ms", "--meet", "pause_ns.p99 < 130 ms")
    assert status == 0, told
    with (planned / "out" / "plan.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    pauses = {int(row["pause_ns.p99"]) for row in rows if row["meets"] == "yes"}
    assert pauses == {
        pause for row in rows if 90_000_000 < (pause := int(row["pause_ns.p99"])) < 130_000_000
    }
    assert {path.name for path in (planned / "out").glob("*.yaml")} == {
        "1-split.yaml",
        "2-qsb.yaml",
    }


def test_nothing_meets_it_and_the_nearest_miss_is_told(planned: Path, plan: Plan) -> None:
    """The exit status is 1, and the point that misses by the least is named with its number."""
    bounds = (
        "pause_ns.p99 < 1 ms",
        "wire_bytes > 1 MiB",
        "memory_peak_bytes.primary.extra_total < 1 B",
    )
    status, told = plan(*(word for bound in bounds for word in ("--meet", bound)))
    assert status == 1
    assert "nothing meets all; nearest is split, checkpoint_delay=" in told
    assert " ms, not < 1 ms" in told


def test_only_what_a_plan_has_written_goes_with_the_next(planned: Path, plan: Plan) -> None:
    """Files of a plan before are removed from its folder; one of one's own stays as it is."""
    (planned / "out").mkdir()
    own = planned / "out" / "1-own.yaml"
    own.write_text("name: own\n")
    for bound in ("< 120 ms", "< 1 us"):
        plan("--meet", f"pause_ns.p99 {bound}")
    assert own.read_text() == "name: own\n"
    assert [file.name for file in (planned / "out").glob("*.yaml")] == ["1-own.yaml"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give what is asked for"),
        (["--meet", "pause < 1 ms"], "'pause' is not a key of summary.json"),
        (["--meet", "pause_ns.p99 < soon"], "'soon'"),
        (["--meet", "design == split"], "design is no result to bound"),
        (["--meet", "end_ns > 1 s", "--minimise", "end_ns", "--maximise", "end_ns"], "not both"),
    ],
)
def test_what_is_no_bound_is_refused(
    planned: Path, plan: Plan, words: list[str], message: str
) -> None:
    """One message, exit status 2, nothing written."""
    status, told = plan(*words)
    assert (status, message in told) == (2, True)
    assert not (planned / "out").exists()


def test_why_every_run_fails_is_told(planned: Path, plan: Plan) -> None:
    """Where values cannot stand together in any point, the first is told, and nothing written."""
    (planned / "small.yaml").write_text(
        "scenario: compare\naxes: {design: [split], network.receive_buffer: [4 KiB],"
        " network.mss: [8 KiB]}\n"
    )
    status, told = plan("--meet", "verdict == completed")
    assert status == 2
    assert "every run fails, such as split, network.receive_buffer=4 KiB" in told
    assert not (planned / "out").exists()


def test_a_value_that_is_not_there_misses_any_bound() -> None:
    """A point without it is as far as can be; of a range, a value misses the end beyond it."""
    needs = [read_bound("survivor == primary"), read_bound("pause_ns.p99 1 ms .. 100 ms")]
    table = pd.DataFrame(
        {"survivor": [None, "primary", "primary"], "pause_ns.p99": [10**6, 110 * 10**6, None]},
        [0, 10, 20],
    )
    assert nearest_miss(table.convert_dtypes(), needs) == (10, needs[1], 110 * 10**6)
    assert nearest_miss(table[:1].convert_dtypes(), needs) == (0, needs[0], None)
    assert needs[1].missed_by(110 * 10**6) == 0.1
