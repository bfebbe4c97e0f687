"""From one's own logs to a preset: fits of imported runs, without anything that the lab noted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from colosim.cli.main import main
from colosim.errors import LogError
from colosim.measured.conditions import open_loop
from colosim.measured.cost_file import text_of
from colosim.measured.imported import import_run, write_imported
from colosim.measured.logs_alone import FITTED, bare, logs_alone
from colosim.measured.measured import measured
from colosim.measured.own_fit import fit_logs, fit_own, notes_of
from colosim.measured.own_runs import read_own
from colosim.measured.validation_record import logs_alone_table
from colosim.runs.directory import run_into
from colosim.runs.run import simulate
from colosim.scenario import load, loads

if TYPE_CHECKING:
    from collections.abc import Sequence

DATA = Path(__file__).parent / "data"
RECORD = Path(__file__).parents[2] / "results" / "validation"
SIDES = ("primary", "secondary")
LINK = ("network.preset=lab-veth-1gbit", "guest.ram=128 MiB", "hosts.preset=lab-qemu72")
NO_LINK = ("network.preset=lab-veth", *LINK[1:])
BASE = "lab-qemu72"
"""Of another QEMU, so that what the fit does not find would be wrong."""


def imported(
    folder: Path, name: str, stated: Sequence[str] = (), sides: Sequence[str] = SIDES
) -> Path:
    """Return the run directory of a pair's logs."""
    logs = [DATA / f"qemu111-{name}-{side}.log.gz" for side in sides]
    run = import_run(*logs, design="qemu-11", stated=stated)
    write_imported(run, folder / name)
    return folder / name


@pytest.mark.slow
def test_logs_alone_predict_other_runs_behind_a_link(tmp_path: Path) -> None:
    """A preset fitted to plain logs of two runs gives the pauses of others within 5%.

    Each checkpoint with its measured pages; the median of the errors of a run.
    """
    runs = [imported(tmp_path, "1gbit", LINK), imported(tmp_path, "small", NO_LINK)]
    found, links, _ = fit_own(runs, base=BASE)
    assert not links
    (tmp_path / "my-host.yaml").write_text(text_of(found, "mine", own=True), "utf-8")
    (tmp_path / "x.yaml").write_text("name: x\nhosts: {preset: ./my-host.yaml}", "utf-8")
    hosts = load(tmp_path / "x.yaml").hosts
    assert hosts.primary.accelerator == "tcg"
    for name in ("x_probe_c0_n16000_b1000", "base_c0_n16000_b1000", "base_c0_n4000_b1000"):
        run = measured(f"qemu111/{name}")
        scenario = open_loop(run).model_copy(update={"hosts": hosts})
        table = simulate(scenario, run.design).checkpoints
        real = np.array([one.pause_ns for one in run.checkpoints if one.complete], float)
        assert abs(np.median(table.pause_ns[2:] / real[2:] - 1)) < 0.05


def test_logs_alone_predict_other_runs() -> None:
    """Of two runs under KVM only what traces show gives the record's pauses of three others."""
    found = logs_alone(["qemu111, KVM"])
    kept = (RECORD / "logs-alone.csv").read_text(encoding="utf-8").splitlines()
    told = logs_alone_table(found).splitlines()
    assert told == [kept[0], *(line for line in kept if "KVM" in line)]
    assert all(abs(one.error) < 0.05 for one in found)


@pytest.mark.slow
def test_logs_alone_predict_every_run_behind_a_limit() -> None:
    """Nothing is stated, not even the links: those behind a limit are met within 5%, all recorded.

    The fits name what they do not determine.
    """
    found = logs_alone()
    assert logs_alone_table(found) == (RECORD / "logs-alone.csv").read_text(encoding="utf-8")
    limited = [one for one in found if one.limited]
    assert len(limited) == 15
    assert all(abs(one.error) < 0.05 for one in limited)
    made, links = fit_logs([bare(measured(f"qemu72/{name}")) for name in FITTED["qemu72"]])
    assert made.estimates["page_scan"].undetermined
    rates = {link.bits_per_s for link in links.values()}
    assert rates == {None, 203_000_000, 1_020_000_000}


def test_every_cost_says_where_it_is_from(tmp_path: Path) -> None:
    """Each value of the preset is of the runs, or named as the base preset's, with its origin."""
    runs = [imported(tmp_path, "1gbit", LINK), imported(tmp_path, "small", NO_LINK)]
    found, links, own = fit_own(runs, base=BASE)
    text = text_of(found, "mine", own=True)
    assert (
        'cache_flush: {value: "536 ns/page", origin: "fit to 2 of your runs: cache flush"}' in text
    )
    assert 'qsb_write: {value: "440 ns/page", origin: "from lab-qemu72: ' in text
    assert 'page_scan: {value: "402 ns/page", origin: "undetermined by 1 of your runs, ' in text
    told = " ".join(" ".join(notes_of(found, links, own)).split())
    assert (
        "from lab-qemu72, since the runs do not determine them: bitmap_sync_ram, page_scan" in told
    )
    assert "to determine bitmap_sync_ram, record runs with two sizes of guest RAM" in told
    assert "no standard errors, which take three runs" in told
    assert "link:" not in told


def test_a_link_that_was_not_named_is_estimated(tmp_path: Path) -> None:
    """Without --network the rate that a run's RAM streams show is taken, and said: here 1 Gbit/s.

    Of a run without a limit it is said that hosts, not the link, decide; beside the other too.
    """
    runs = [imported(tmp_path, "1gbit", LINK[1:]), imported(tmp_path, "small")]
    found, links, own = fit_own(runs, base=BASE)
    (limited, link), (other, no_link) = links.items()
    assert link.bits_per_s == pytest.approx(1.0e9 * 1538 / 1514, rel=0.02)
    assert no_link.bits_per_s is None
    assert not own[1].ram_known
    told = " ".join(" ".join(notes_of(found, links, own)).split())
    assert f"link of {limited}: not stated, estimated as" in told
    assert f"link of {other}: not stated, and RAM moved as fast as hosts do" in told


@pytest.mark.parametrize(
    ("side", "fitted"),
    [
        ("primary", {"vm_stop", "vm_start", "device_save", "bitmap_sync"}),
        ("secondary", {"cache_flush", "reset", "device_load"}),
    ],
)
def test_one_side_is_fitted_to_what_it_shows(tmp_path: Path, side: str, fitted: set[str]) -> None:
    """One log alone determines the costs of its side; the others stay the base preset's."""
    found, _, _ = fit_own([imported(tmp_path, "1gbit", LINK, [side])], base=BASE)
    determined = {key for key, one in found.estimates.items() if not one.undetermined}
    assert fitted <= determined
    assert ("cache_flush" in determined) is (side == "secondary")


def test_runs_that_are_no_pair_are_refused(tmp_path: Path) -> None:
    """A simulated run, two of one name, and times beyond measure are refused."""
    run_into(tmp_path / "simulated", loads("name: x\ncheckpoints: 3"), "split")
    with pytest.raises(LogError, match="is a simulated run"):
        read_own(tmp_path / "simulated")
    run = imported(tmp_path, "1gbit", LINK)
    with pytest.raises(LogError, match="two runs are called"):
        fit_own([run, run], base=BASE)


def test_the_three_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Import, fit, and a scenario that names the file: what the README shows."""
    monkeypatch.chdir(tmp_path)
    logs = [str(DATA / f"qemu111-1gbit-{side}.log.gz") for side in SIDES]
    assert main(["qemu", "import", *logs, "--network", "lab-veth-1gbit"]) == 0
    assert main(["qemu", "fit", "runs", "-o", "my-host.yaml"]) == 0
    assert "hosts: {preset: ./my-host.yaml}" in capsys.readouterr().out
    assert main(["run", "idle", "--set", "hosts.preset=./my-host.yaml", "--tables", "none"]) == 0
    assert main(["qemu", "fit", "runs", "qemu111/*"]) == 2
    assert "no run directory; your own runs are fitted by themselves" in capsys.readouterr().err


def test_times_beyond_measure_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs whose stages the fit misses by more than it should are of no one pair."""
    run = imported(tmp_path, "1gbit", LINK)
    monkeypatch.setattr("colosim.measured.own_fit.BEYOND_MEASURE", 0.05)
    with pytest.raises(LogError, match="they are not of one pair of hosts"):
        fit_own([run], base=BASE)
