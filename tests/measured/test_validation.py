"""Validation: errors are what contract says, the record is current, fault runs come out right."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from colosim.cli.main import main
from colosim.errors import LogError
from colosim.measured import conditions
from colosim.measured.fault_runs import simulate_fault
from colosim.measured.measured import measured, names
from colosim.measured.replay import SimulatedCheckpoint, simulate_closed_loop, simulate_open_loop
from colosim.measured.selection import select
from colosim.measured.validation import (
    ValidatedRun,
    compare_stage,
    cross_validation_costs,
    overall,
    validate,
)
from colosim.measured.validation_record import errors, tables

if TYPE_CHECKING:
    from colosim.measured.measurement import MeasuredRun

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "results" / "validation"
SPLIT = "qemu25/split-ram512-n16384-bw1000"


@pytest.fixture(scope="module")
def every() -> list[ValidatedRun]:
    """Return all shipped runs, validated."""
    return validate([measured(name) for name in names()])


def simulated(run: MeasuredRun, factors: list[float]) -> list[SimulatedCheckpoint]:
    """Return checkpoints whose pause is a factor of the measured one."""
    complete = [one for one in run.checkpoints if one.complete]
    blank: dict[str, Any] = dict.fromkeys(SimulatedCheckpoint._fields, 1)
    return [
        SimulatedCheckpoint(**blank | {"pause_ns": round((one.pause_ns or 0) * factor)})
        for one, factor in zip(complete, factors, strict=False)
    ]


def test_the_error_is_the_median_of_ratios_without_the_warm_up() -> None:
    """Two checkpoints are left out; of the rest's ratios the nearest-rank median counts, less 1."""
    run = measured(SPLIT)
    stage = compare_stage(run, "pause_ns", simulated(run, [9, 9, 1.1, 0.9, 1.2, 1.0, 1.3]), [])
    assert stage is not None
    assert stage.checkpoints == 5
    assert stage.error == pytest.approx(0.1, abs=1e-6)
    assert (stage.closed_simulated, stage.closed_error) == (None, None)


def test_the_closed_loop_compares_medians() -> None:
    """In the closed loop checkpoints do not correspond: medians are compared."""
    run = measured(SPLIT)
    loop = simulated(run, [9, 9, 2.0, 2.0, 2.0])
    stage = compare_stage(run, "pause_ns", simulated(run, [1] * 12), loop)
    assert stage is not None
    assert stage.closed_error == pytest.approx(1.0, rel=0.01)
    assert stage.error == pytest.approx(0, abs=1e-9)


def test_what_was_not_measured_has_no_stage() -> None:
    """QEMU 7.2's logs have no lock holds and no staging buffer, so no error is made up for them."""
    (found,) = validate([measured("qemu72/base_r128_n500_binf_t0")])
    assert [stage.name for stage in found.stages] == ["pause", "transaction", "ram", "wire_bytes"]


def test_bytes_are_exact(every: list[ValidatedRun]) -> None:
    """Staging buffer content, its capacity and bytes on the wire are exact to 0.1%."""
    for name, (_, median, p90) in overall(every).items():
        if name.endswith("_bytes"):
            assert (median, p90) == pytest.approx((0, 0), abs=0.001), name


def test_every_fault_run_comes_out_as_measured(every: list[ValidatedRun]) -> None:
    """Monitor answered, command served, guest again, yank, thaw: all as the real survivor did."""
    faults = {run.id: run.fault for run in every if run.fault is not None}
    assert len(faults) == 24
    assert [name for name, fault in faults.items() if not fault.right] == []


def test_a_wrong_simulation_of_a_fault_is_told(every: list[ValidatedRun]) -> None:
    """A fault run whose survivor does otherwise is not right, and says in what."""
    split = next(
        run.fault for run in every if run.id.endswith("split-fault-stop-ram512-n16384-bw0")
    )
    assert split is not None
    wrong = dataclasses.replace(
        split, simulated=dataclasses.replace(split.simulated, monitor_answered=True)
    )
    assert (split.right, wrong.right) == (True, False)
    assert wrong.shown()["monitor_answered"] == (False, True)


def test_errors_stay_where_they_are(every: list[ValidatedRun]) -> None:
    """Pauses of runs without a fault stay within 0.3% in the median and 8% at p90, open loop."""
    _, median, p90 = overall(every, faulty=False)["pause"]
    assert median < 0.003
    assert p90 < 0.08


def test_repeats_of_one_condition_stand_beside_the_error(every: list[ValidatedRun]) -> None:
    """The same condition measured twice gives the spread of both medians; once gives none."""
    spread = {run.id: stage.repeats for run in every if (stage := run.stage("pause")) is not None}
    assert spread["qemu25/old-ram512-n16384-bw0"] == pytest.approx(131_243 / 103_556 - 1, rel=0.01)
    assert spread["qemu25/split-ram1024-n30000-bw0"] is None


def test_open_loop_has_the_measured_pages_and_times() -> None:
    """Each checkpoint of the open loop has the pages that were measured for it."""
    run = measured("qemu72/base_r128_n16000_b1000_t2")
    complete = [one for one in run.checkpoints if one.complete]
    found = simulate_open_loop(run)
    assert [one.dirty_pages for one in found] == [one.dirty_pages for one in complete]


def test_closed_loop_finds_the_pages_itself() -> None:
    """In the closed loop dirty pages follow from the write rate, within 2% of the median."""
    run = measured("qemu72/base_r512_n4000_b1000_t0")
    found = sorted(one.dirty_pages for one in simulate_closed_loop(run))
    assert found[len(found) // 2] == pytest.approx(run.median("dirty_pages"), rel=0.02)


def test_nothing_measured_but_pages_and_clock_goes_in() -> None:
    """A run whose stages all took twice as long is simulated just the same, closed loop."""
    run = measured("qemu25/split-ram512-n4096-bw0")
    slower = dataclasses.replace(
        run,
        checkpoints=tuple(
            dataclasses.replace(one, stages={name: 2 * at for name, at in one.stages.items()})
            for one in run.checkpoints
        ),
    )
    assert simulate_closed_loop(run) == simulate_closed_loop(slower)


def test_an_unknown_design_has_no_host() -> None:
    """A run of a design that was never measured cannot be held against fitted costs."""
    run = dataclasses.replace(measured(SPLIT), design="gap")
    with pytest.raises(LogError, match="gap"):
        conditions.host_preset(run)


def test_pages_that_were_not_measured_are_not_taken_for_none() -> None:
    """A checkpoint whose dirty pages nobody counted cannot be simulated with them."""
    run = measured(SPLIT)
    checkpoints = list(run.checkpoints)
    checkpoints[3] = dataclasses.replace(checkpoints[3], dirty_pages=None)
    with pytest.raises(LogError, match="dirty pages of checkpoint 3 are unknown"):
        simulate_open_loop(dataclasses.replace(run, checkpoints=tuple(checkpoints)))


def test_a_fault_that_cannot_be_simulated_is_not_taken_for_another() -> None:
    """One channel cut off is none of the simulator's faults, and a misspelt one none at all."""
    run = measured("qemu72/fault_s_stop_idle_1")
    assert run.fault is not None
    fault = dataclasses.replace(run.fault, fault="channel")
    with pytest.raises(LogError, match="the fault 'channel' cannot be simulated"):
        simulate_fault(dataclasses.replace(run, fault=fault))
    with pytest.raises(ValueError, match="no fault is called 'frezee'; there are freeze, kill"):
        dataclasses.replace(run.fault, fault="frezee")


def test_only_fault_runs_have_a_survivor() -> None:
    """Asking for the survivor of a run without a fault is a mistake of the caller."""
    with pytest.raises(ValueError, match="no fault"):
        simulate_fault(measured(SPLIT))


def test_cross_validation_leaves_each_run_out() -> None:
    """Each run has costs of its own, fitted without it; a host with two runs has none."""
    runs = [measured(name) for name in names() if "/split-ram512" in name]
    costs = cross_validation_costs(runs)
    assert set(costs) == {run.name for run in runs}
    assert len({tuple(sorted(values.items())) for values in costs.values()}) == len(runs)
    assert cross_validation_costs(runs[:2]) == {}


def test_the_record_is_current(every: list[ValidatedRun]) -> None:
    """``colosim qemu validate --record results/validation`` would write what is there."""
    for name, text in tables(every).items():
        assert (RECORD / name).read_text(encoding="utf-8") == text, name


@pytest.mark.slow
def test_the_recorded_cross_validation_is_current() -> None:
    """Fitting without each run in turn gives the errors that are recorded."""
    runs = [measured(name) for name in names()]
    again = errors(validate(runs, costs_of=cross_validation_costs(runs)))
    assert again == (RECORD / "cross-validation.csv").read_text(encoding="utf-8")


def test_the_figure_is_current(every: list[ValidatedRun], tmp_path: Path) -> None:
    """The recorded figure is drawn again to the same bytes."""
    from colosim.cli.qemu.validating import draw  # noqa: PLC0415 - matplotlib

    draw(every, tmp_path / "pause.svg")
    assert (tmp_path / "pause.svg").read_bytes() == (RECORD / "pause.svg").read_bytes()


def test_validate_prints_one_array(capsys: pytest.CaptureFixture[str]) -> None:
    """--format json is one array with an element a run: id, design, stages, fault."""
    assert main(["qemu", "validate", SPLIT, "qemu72/fault_s_stop_idle_1", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["id"] for one in found] == [SPLIT, "qemu72/fault_s_stop_idle_1"]
    pause = found[0]["stages"]["pause"]
    assert set(pause) == {
        "checkpoints",
        "measured_ns",
        "measured_iqr_ns",
        "simulated_ns",
        "error",
        "closed_loop",
        "spread_of_repeats",
    }
    assert found[0]["fault"] is None
    assert found[1]["fault"]["right"] is True
    assert found[1]["fault"]["running_s"]["measured"] == 0.00133


def test_other_costs_are_simulated_with(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """--costs takes a preset file in place of the fitted one."""
    text = (ROOT / "colosim/scenario/presets/hosts/lab-qemu25.yaml").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("  vm_start:"))
    slow = tmp_path / "slow.yaml"
    slow.write_text(
        text.replace(line, '  vm_start: {value: "1 s", origin: "planted"}'), encoding="utf-8"
    )
    assert main(["qemu", "validate", SPLIT, "--costs", str(slow), "--format", "json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["stages"]["pause"]["simulated_ns"] > 10**9


def test_run_folders_names_and_patterns_are_runs(tmp_path: Path) -> None:
    """A pattern is every shipped run like it; files beside run folders are passed over."""
    (tmp_path / "README.md").write_text("x", encoding="utf-8")
    runs, passed_over = select(["qemu25/qio-ram512-*", str(tmp_path / "README.md")])
    assert [run.name for run in runs] == [n for n in names() if n.startswith("qemu25/qio-ram512-")]
    assert passed_over == [str(tmp_path / "README.md")]
    with pytest.raises(LogError, match="no measured run"):
        select(["qemu99/*"])
    with pytest.raises(LogError, match="none of these"):
        select([str(tmp_path / "README.md")])


def test_fit_writes_a_preset(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """``colosim qemu fit`` writes the costs where it is told and prints each with its error."""
    out = tmp_path / "costs.yaml"
    assert main(["qemu", "fit", "qemu25/*", "--design", "split", "-o", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "not told apart" in printed
    assert "cache_flush" in printed
    text = out.read_text(encoding="utf-8")
    assert "fit to 15 runs" in text
    shutil.rmtree(tmp_path)


def test_fit_wants_runs_of_one_host(capsys: pytest.CaptureFixture[str]) -> None:
    """Costs of two hosts are never mixed into one preset."""
    assert main(["qemu", "fit", "qemu25/qio-ram512-*", "qemu72/x_*"]) == 2
    assert "one host" in capsys.readouterr().err
