"""Validation: errors are what contract says, the record is current, fault runs come out right."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from colosim.cli.main import main
from colosim.designs import DesignNames
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
from colosim.plots import validation
from colosim.plots.style import save
from colosim.runs.run import simulate
from colosim.scenario import loads

if TYPE_CHECKING:
    from colosim.measured.measurement import MeasuredRun

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "results" / "validation"
SPLIT = "qemu25/split-ram512-n16384-bw1000"


SAMPLE = 19
"""Of so many conditions of runs over multifd channels, which take longest, one is simulated."""


@pytest.fixture(scope="module")
def every() -> list[ValidatedRun]:
    """Return the shipped runs, validated: all but most of those over multifd channels.

    Where a run stays, its repeats stay.
    """
    runs = [measured(name) for name in names()]
    long = [run for run in runs if "+multifd" in run.design and run.fault is None]
    conditions_of = list(dict.fromkeys((run.design, run.conditions) for run in long))
    kept = conditions_of[::SAMPLE]
    return validate(
        [run for run in runs if run not in long or (run.design, run.conditions) in kept]
    )


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
    """Staging buffer content, its capacity and bytes on the wire are exact to 0.1%, at worst."""
    for name, (_, median, p90) in overall(every).items():
        if name.endswith("_bytes"):
            assert (median, p90) == pytest.approx((0, 0), abs=0.001), name
    wire = [stage for run in every if (stage := run.stage("wire_bytes")) is not None]
    assert max(abs(stage.error) for stage in wire) < 0.001


def test_every_fault_run_comes_out_as_measured(every: list[ValidatedRun]) -> None:
    """Monitor answered, command served, guest again, yank, thaw: all as the real survivor did."""
    faults = {run.id: run.fault for run in every if run.fault is not None}
    assert len(faults) == 40
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


@pytest.mark.parametrize(("labs", "median", "p90"), [(("qemu25", "qemu72"), 0.003, 0.08)])
def test_errors_stay_where_they_are(
    every: list[ValidatedRun], labs: tuple[str, ...], median: float, p90: float
) -> None:
    """Pauses of runs without a fault stay within 0.3% in the median and 8% at p90, open loop."""
    own = [run for run in every if run.id.startswith(labs)]
    _, *found = overall(own, faulty=False)["pause"]
    assert found[0] < median
    assert found[1] < p90


def test_of_qemu_11_the_recorded_errors_are_as_the_page_says() -> None:
    """By kind of run the median error and the worst, in hundredths: behind a link, idle, busy."""
    recorded = pd.read_csv(RECORD / "runs.csv").query("stage == 'pause' and fault.isna()")
    found: dict[str, list[float]] = {}
    for row in recorded.itertuples():
        run = measured(str(row.id))
        if run.lab == "qemu111" and run.qemu.startswith("11"):
            limited = run.conditions.bandwidth_bits is not None
            kind = "limited" if limited else "idle" if conditions.is_fitted(run) else "busy"
            found.setdefault(kind, []).append(abs(float(str(row.error))))
    told = {
        kind: (
            len(errors),
            *(round(100 * at, 1) for at in (sorted(errors)[(len(errors) - 1) // 2], max(errors))),
        )
        for kind, errors in found.items()
    }
    assert told == {"limited": (12, 1.6, 6.6), "idle": (28, 2.3, 21.1), "busy": (25, 7.2, 32.1)}


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
    """A plain design has no channel to cut off, and a misspelt fault is none at all."""
    run = measured("qemu72/fault_s_stop_idle_1")
    assert run.fault is not None
    fault = dataclasses.replace(run.fault, fault="channel")
    with pytest.raises(LogError, match=r"a channel was cut off, and qemu-5\.1 has none"):
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
    """``colosim qemu validate --record results/validation`` would write of these what is there.

    Each line of a run stands there; only the errors over all runs need all of them.
    """
    for name, text in tables(every).items():
        if name != "overall.csv":
            kept = (RECORD / name).read_text(encoding="utf-8").splitlines()
            own = {run.id for run in every}
            assert [line for line in kept[1:] if line.partition(",")[0] in own] == [
                *text.splitlines()[1:]
            ], name


@pytest.mark.slow
def test_the_whole_record_is_current(tmp_path: Path) -> None:
    """It would write just what is there, of all runs; the figure too."""
    from colosim.cli.qemu.validating import draw  # noqa: PLC0415 - matplotlib

    whole = validate([measured(name) for name in names()])
    for name, text in tables(whole).items():
        assert (RECORD / name).read_text(encoding="utf-8") == text, name
    draw(whole, tmp_path / "pause.svg")
    assert (tmp_path / "pause.svg").read_bytes() == (RECORD / "pause.svg").read_bytes()


@pytest.mark.slow
def test_the_recorded_cross_validation_is_current() -> None:
    """Fitting without each run in turn gives the errors that are recorded."""
    runs = [measured(name) for name in names()]
    again = errors(validate(runs, costs_of=cross_validation_costs(runs)))
    assert again == (RECORD / "cross-validation.csv").read_text(encoding="utf-8")


def test_the_figure_is_current(tmp_path: Path) -> None:
    """The recorded figure is what the recorded medians are drawn as."""
    save(validation.figure(pd.read_csv(RECORD / "pause.csv")), tmp_path / "pause.svg")
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


@pytest.mark.parametrize(
    "name", ["kvm_c0_n500_binf", "kvm_r1024_c0_n500", "q72_kvm_c0_n500_binf", "base_c0_n500_binf"]
)
def test_under_kvm_the_first_checkpoint_flushes_all_of_guest_ram(name: str) -> None:
    """The first pause is then of seconds, here within a third; under emulation as short as others.

    A page took 11 to 20 us from run to run, and it is one cost.

    Its pages are those of all of RAM (measured: 64 more, of ROMs); the next are a few hundred.
    """
    run = measured(f"qemu111/{name}")
    kvm = run.conditions.accelerator == "kvm"
    flushed = [one.flush_pages or 0 for one in run.checkpoints]
    assert (flushed[0] == run.conditions.ram_bytes // 4096 + 64) is kvm
    assert max(flushed[2:]) < 1000
    pauses = [one.pause_ns or 0 for one in run.checkpoints]
    simulated = [one.pause_ns for one in simulate_open_loop(run)]
    assert simulated[0] == pytest.approx(pauses[0], rel=0.35)
    assert (simulated[0] > 10**9) is kvm
    assert max(simulated[2:]) < 10**8


def test_a_second_stall_is_expected_as_often_as_one_channel_goes_ahead() -> None:
    """Of 20 checkpoints of 4,000 pages over 4 channels 11 stalled twice; 46% are to be expected.

    Each is compared with one of its kind.
    """
    (found,) = validate([measured("qemu111/base_c4_n4000_binf")])
    assert found.second_stalls == (20, 11, 9.2)
    pause = found.stage("pause")
    assert pause is not None
    assert pause.measured > 80_000_000
    assert abs(pause.error) < 0.06


@pytest.mark.parametrize(
    "name",
    ["qemu25/split-ram512-n500-bw0", "qemu111/x_quickack_c4_n500", "qemu111/kvm_c0_n500_binf"],
)
def test_the_printed_scenario_is_what_the_closed_loop_simulates(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """``colosim qemu scenario`` prints a file whose run has the same pauses, one by one."""
    assert main(["qemu", "scenario", name]) == 0
    loaded = loads(capsys.readouterr().out, known_designs=DesignNames())
    run = measured(name)
    assert loaded.measured == {run.design: name}
    (design,) = loaded.designs
    assert simulate(loaded, design).checkpoints.pause_ns.tolist() == [
        one.pause_ns for one in simulate_closed_loop(run)
    ]


def test_a_scenario_is_of_one_run(capsys: pytest.CaptureFixture[str]) -> None:
    """A pattern of several names is refused."""
    assert main(["qemu", "scenario", "qemu25/split-*"]) == 2
    assert "a scenario is of one" in capsys.readouterr().err
