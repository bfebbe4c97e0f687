"""Real runs beside simulated ones, in the commands that show runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from colosim.analysis.compare import compare
from colosim.analysis.stage_difference import stage_differences
from colosim.analysis.standstill import standstill
from colosim.cli.main import main
from colosim.errors import LogError
from colosim.measured.imported import import_run, write_imported
from colosim.plots.style import looks
from colosim.runs.stored import read_run
from colosim.scenario import load, loads

DATA = Path(__file__).parent / "data"
SHORT = ("run", "idle", "--designs", "qemu-11", "--set", "checkpoints=4", "--set", "warmup=0")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a real run, one that stood still, and a simulated one."""
    folder = tmp_path_factory.mktemp("runs")
    for name in ("1gbit", "yank"):
        logs = [DATA / f"qemu111-{name}-{side}.log.gz" for side in ("primary", "secondary")]
        write_imported(import_run(*logs, design="qemu-11"), folder / name)
    assert main([*SHORT, "--out", str(folder / "out")]) == 0
    (folder / "out" / "idle" / "qemu-11").rename(folder / "simulated")
    return folder


def test_compare_puts_a_real_run_beside_designs(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run directories stand side by side, or beside the designs of a scenario."""
    real, simulated = str(runs / "1gbit"), str(runs / "simulated")
    assert main(["compare", real, simulated, "--format", "json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first["pause_ns"]["p50"] == 180_571_000
    assert second["ratios"]["pause_ns.p50"] == second["pause_ns"]["p50"] / 180_571_000
    assert main(["compare", "idle", "--designs", "split", real]) == 0
    assert "split" in capsys.readouterr().out
    assert main(["compare", real, "--designs", "split"]) == 2
    assert main(["compare", "idle", "hang"]) == 2


def test_a_scenario_names_a_run_directory_as_measured(runs: Path) -> None:
    """``measured:`` takes the directory of an imported run, and its medians stand beside."""
    scenario = loads(
        f"name: x\ncheckpoints: 2\ndesigns: [qemu-11]\nmeasured: {{qemu-11: {runs / '1gbit'}}}"
    )
    assert compare(scenario).measured["qemu-11"]["pause_ns.p50"] == 180_571_000
    (runs / "x.yaml").write_text(
        "name: x\ncheckpoints: 2\ndesigns: [qemu-11]\nmeasured: {qemu-11: 1gbit}"
    )
    beside_it = compare(load(runs / "x.yaml"), ["qemu-11"])
    assert beside_it.measured["qemu-11"]["pause_ns.p50"] == 180_571_000


def test_diff_of_a_real_and_a_simulated_run_goes_by_stage(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What both know of their checkpoints is shown as medians, in both orders; status 1."""
    real, simulated = str(runs / "1gbit"), str(runs / "simulated")
    for one, other in ((real, simulated), (simulated, real)):
        assert main(["diff", one, other]) == 1
        shown = capsys.readouterr().out
        assert "\nprimary bitmap sync " in shown
        assert "\npause " in shown
        assert "lock hold" not in shown
    assert main(["diff", real, real]) == 0
    simulated_run = read_run(simulated)
    costs = simulated_run.scenario.hosts.primary.costs
    by_column = {one.column: one for one in stage_differences(read_run(real), simulated_run)}
    sync = simulated_run.checkpoints.primary_bitmap_sync_ns.median()
    assert by_column["primary_bitmap_sync_ns"].right == sync - costs.stream_start_ns


def test_explain_tells_where_a_real_run_stands(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The yanked pair of 11.1.3: both sides' last steps, what they wait for, and what frees them.

    The primary stood in the RAM stream with the lock until the yank, as the log shows; simulated
    with the peer frozen there qemu-11 hangs, and the yank frees it.
    """
    told = standstill(read_run(runs / "yank"))
    primary, secondary = told.stands
    assert (told.checkpoint, primary.step, secondary.step) == (4, "RAM stream", "RAM load")
    assert (primary.waits_for, primary.lock) == ("room in the socket", "save")
    assert 25.0e9 < primary.stood_ns < 25.2e9
    assert "yank, served out of band" in told.ended_by[0]
    verdicts = {one.design: one.verdict for one in told.simulated}
    assert verdicts["qemu-11"] == verdicts["split"] == "hung"
    assert verdicts["qemu-5.1"] == verdicts["qsb"] == "failed_over"
    ways = {(way.when, way.event.partition(" ")[0]) for way in told.simulated[0].releases}
    assert {("never", "x-colo-lost-heartbeat"), ("if done", "yank")} <= ways
    assert main(["explain", str(runs / "yank")]) == 0
    shown = capsys.readouterr().out
    assert "by qemu-11 it is in 'RAM stream'" in shown
    assert main(["explain", str(runs / "yank"), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["stands"][0]["step"] == "RAM stream"
    assert main(["explain", str(runs / "yank"), "--format", "dot"]) == 2


def test_explain_of_a_run_that_goes_on_says_so(runs: Path) -> None:
    """A run whose last checkpoint was committed, or a simulated one, stands nowhere."""
    with pytest.raises(LogError, match="nothing stands still"):
        standstill(read_run(runs / "1gbit"))
    with pytest.raises(LogError, match="is a simulated run"):
        standstill(read_run(runs / "simulated"))


def test_a_log_that_ends_in_a_checkpoint_is_told_to_its_end() -> None:
    """The trace of May 2020 stops in its second checkpoint; steps that it cannot tell are named."""
    logs = [DATA / f"may2020-{side}.log" for side in ("primary", "secondary")]
    told = standstill(import_run(*logs))
    primary, secondary = told.stands
    assert (primary.step, primary.or_in) == ("device stream", ("VMSTATE_RECEIVED",))
    assert secondary.step == "RAM load"
    assert not told.ended_by


def test_a_timeline_has_a_real_and_a_simulated_run_below_each_other(
    runs: Path, tmp_path: Path
) -> None:
    """Each with its own processes and its name; one run alone is as it was."""
    both = tmp_path / "both.perfetto-trace"
    assert main(["timeline", str(runs / "1gbit"), str(runs / "simulated"), "-o", str(both)]) == 0
    content = both.read_bytes()
    for name in (b"qemu-11 (real), primary: qemu-system", b"qemu-11, secondary: qemu-system"):
        assert content.count(name) == 1
    assert main(["timeline", str(runs / "1gbit"), "-o", str(tmp_path / "one")]) == 0
    assert b"(real)" not in (tmp_path / "one").read_bytes()


def test_validation_is_drawn_of_several_sources(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Simulated runs are held against the real ones beside them; tables are added to them."""
    sources = [str(runs / "1gbit"), str(runs / "simulated")]
    table = tmp_path / "table.csv"
    output = ["-o", str(tmp_path / "v.svg")]
    assert main(["plot", *sources, "--kind", "validation", *output, "--data", str(table)]) == 0
    (row,) = table.read_text("utf-8").splitlines()[1:]
    assert row.startswith("idle,qemu-11,180571000,")
    more = ["plot", *sources, str(table), "--kind", "validation", *output]
    assert main([*more, "--data", str(tmp_path / "both.csv")]) == 0
    assert len((tmp_path / "both.csv").read_text("utf-8").splitlines()) == 3
    capsys.readouterr()
    assert main(["plot", str(runs / "simulated"), "--kind", "validation", *output]) == 2
    assert "which real run of qemu-11 it is held against is not told" in capsys.readouterr().err
    assert main(["plot", str(runs / "1gbit"), "--kind", "validation", *output]) == 2


def test_a_real_and_a_simulated_run_of_one_design_look_different(runs: Path) -> None:
    """Their curves have other names, and other colours or dashes."""
    real, simulated = read_run(runs / "1gbit"), read_run(runs / "simulated")
    (name, _, look), (other, _, another) = looks([real, simulated])
    assert (name, other) == ("qemu-11 (real)", "qemu-11")
    assert look != another
