"""``colosim sweep``: what it prints, its exit statuses, and the files for clusters."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from colosim.cli.main import main
from tests.sweeps.conftest import SCENARIO, SWEEP

CLUSTER = Path(__file__).parents[2] / "docs" / "cluster"
FINE = """
scenario: small.yaml
axes: {design: [qsb, split], network.bandwidth: [1 Gbit/s, 10 Gbit/s]}
seeds: [1, 2]
"""

TORN = """
name: torn-ram
faults: [{kill: primary, at: {checkpoint: 0, step: "primary: during RAM stream", progress: 1}}]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a scenario and two sweeps, one of which has runs that fail."""
    (tmp_path / "small.yaml").write_text(SCENARIO)
    (tmp_path / "fine.yaml").write_text(FINE)
    (tmp_path / "failing.yaml").write_text(SWEEP.replace("1..6", "1"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def sweep(*words: str) -> int:
    """Run the command in this process."""
    return main(["sweep", *words, "--jobs", "1"])


def test_a_sweep_prints_verdicts_and_goes_on(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The counts first, the verdicts by design, the file; again, nothing is left to do."""
    table = (
        "small\n"
        "design  completed  runs\n"
        "qsb             4     4\n"
        "split           4     4\n"
        "sweeps/fine/results.parquet: written\n"
    )
    assert sweep("fine.yaml") == 0
    told, errors = capsys.readouterr()
    assert told == table
    counts, refused, simulated = errors.splitlines()
    assert counts == "fine: 8 runs, 0 done, 0 failed, 8 to do"
    assert refused == "8 refused: too few points alike"
    assert simulated.startswith("8 simulated in ")
    assert sweep("fine.yaml") == 0
    assert capsys.readouterr() == (table, "fine: 8 runs, 8 done, 0 failed, 0 to do\n")
    assert sorted(path.name for path in (folder / "sweeps" / "fine").iterdir()) == [
        *("batches", "failures.csv", "results.parquet", "sweep.json"),
    ]


def test_a_dry_run_runs_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says how many runs there are, how many are done, and what the others will take."""
    assert sweep("fine.yaml", "--dry-run", "--out", "there") == 0
    counts, estimate = capsys.readouterr().out.splitlines()
    assert counts == "fine: 8 runs, 0 done, 0 failed, 8 to do"
    assert estimate.startswith("some ")
    assert not (folder / "there").exists()
    sweep("fine.yaml", "--out", "there")
    capsys.readouterr()
    sweep("fine.yaml", "--dry-run", "--out", "there")
    assert capsys.readouterr().out == "fine: 8 runs, 8 done, 0 failed, 0 to do\n"


def test_failures_are_counted_and_do_not_end_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 1, and where to read why; they are not tried again unless that is asked for."""
    told = "colosim: 10 runs failed; sweeps/failing/failures.csv says why, and how to run each"
    assert sweep("failing.yaml") == 1
    out, err = capsys.readouterr()
    assert "split           5     5\n" in out
    assert err.splitlines()[-1].startswith(told)
    assert sweep("failing.yaml") == 1
    assert capsys.readouterr().err.startswith("failing: 20 runs, 10 done, 10 failed, 0 to do\n")
    assert sweep("failing.yaml", "--retry", "failed") == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith(told)


def test_it_may_end_at_the_first_failure(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is not finished then is told; the same command goes on."""
    text = (folder / "failing.yaml").read_text()
    (folder / "failing.yaml").write_text(text.replace("[4 MiB, 128 MiB]", "[128 MiB, 4 MiB]"))
    assert sweep("failing.yaml", "--stop-at-first-failure", "--engine", "simulate") == 1
    first, simulated, *others = capsys.readouterr().err.splitlines()
    assert simulated.startswith("4 simulated in ")
    assert [first, *others] == [
        "failing: 20 runs, 0 done, 0 failed, 20 to do",
        "16 runs are unfinished; the same command goes on from here",
        "colosim: 4 runs failed; sweeps/failing/failures.csv says why, and how to run each alone",
    ]


def test_what_is_wrong_is_bad_input(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A fault of the file, another sweep's folder, options that do not fit: status 2, one line."""
    (folder / "wrong.yaml").write_text(FINE.replace("design", "desgn"))
    assert sweep("wrong.yaml") == 2
    fault = "wrong.yaml:3:8: 'desgn' is no key of a scenario; did you mean 'design'?\n"
    assert capsys.readouterr().err == fault
    sweep("fine.yaml")
    capsys.readouterr()
    (folder / "fine.yaml").write_text(FINE.replace("[1, 2]", "1..3"))
    assert sweep("fine.yaml") == 2
    assert capsys.readouterr().err == (
        "colosim: sweeps/fine has the results of another sweep: seeds was [1, 2], is [1, 2, 3]; "
        "runs was 8, is 12; write to another folder (--out), or remove this one\n"
    )
    assert sweep("fine.yaml", "--scheduler", "tcp://here:1", "--executor", "local") == 2
    assert sweep("none.yaml") == 2
    assert "none.yaml:1:1: the file cannot be read: No such file" in capsys.readouterr().err


def test_a_broken_rule_is_status_4(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run in which a safety rule broke is a row like any other, and makes exit status 4."""
    (folder / "torn-ram.yaml").write_text(TORN)
    (folder / "torn.yaml").write_text(
        "scenario: torn-ram.yaml\naxes: {design: [qemu-3.1, qemu-5.1], faults.0.kill: primary}"
    )
    assert sweep("torn.yaml") == 4
    assert "violated" in capsys.readouterr().out


def test_editors_have_a_schema(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``schema sweep`` takes the sweeps that are right, and not those whose shape is wrong."""
    assert main(["schema", "sweep"]) == 0
    schema = json.loads(capsys.readouterr().out)
    check = Draft202012Validator(schema)
    yaml = YAML(typ="safe")
    for right in (FINE, SWEEP, (CLUSTER.parent / "pages.yaml").read_text(encoding="utf-8")):
        assert list(check.iter_errors(yaml.load(right))) == []
    wrong = yaml.load("axes: {lock: {log: [1, 2]}}\nseed: 3")
    told = [error.message.partition(" was")[0] for error in check.iter_errors(wrong)]
    assert len(told) == 3  # no scenario, seed, a range without points
    assert "What varies" in schema["properties"]["axes"]["description"]


def test_the_page_shows_its_file() -> None:
    """The sweep on the page is the file beside it."""
    page = (CLUSTER.parent / "sweeps.md").read_text(encoding="utf-8")
    assert f"```yaml\n{(CLUSTER.parent / 'pages.yaml').read_text(encoding='utf-8')}```" in page


def test_slurm_is_given_a_job_a_node() -> None:
    """The script for Slurm says, with ``--dry-run``, what a job of it runs."""
    pytest.importorskip("dask_jobqueue")
    script = str(CLUSTER / "slurm.py")
    printed = subprocess.run(
        [sys.executable, script, "--dry-run"], capture_output=True, text=True, check=True
    ).stdout
    assert "#SBATCH --cpus-per-task=16" in printed
    assert "--nthreads 1 " in printed
    assert "--nworkers 16 " in printed


def test_kubernetes_finds_its_own_parts() -> None:
    """Every part of the file is well formed, and names the others as they are called."""
    text = (CLUSTER / "kubernetes.yaml").read_text(encoding="utf-8")
    parts = {
        (part["kind"], part["metadata"]["name"]): part["spec"]
        for part in YAML(typ="safe").load_all(text)
    }
    assert list(parts) == [
        ("Deployment", "colosim-scheduler"),
        ("Service", "colosim-scheduler"),
        ("Deployment", "colosim-workers"),
        ("PersistentVolumeClaim", "colosim-sweeps"),
        ("Job", "colosim-sweep"),
    ]
    for kind in ("scheduler", "workers"):
        deployed = parts["Deployment", f"colosim-{kind}"]
        labels = deployed["template"]["metadata"]["labels"]
        assert deployed["selector"]["matchLabels"] == labels
    scheduler = parts["Deployment", "colosim-scheduler"]["template"]["metadata"]["labels"]
    assert parts["Service", "colosim-scheduler"]["selector"] == scheduler
    job = parts["Job", "colosim-sweep"]["template"]["spec"]
    (claim,) = (one["persistentVolumeClaim"] for one in job["volumes"] if "configMap" not in one)
    assert ("PersistentVolumeClaim", claim["claimName"]) in parts
    (container,) = job["containers"]
    mounted = {one["name"] for one in container["volumeMounts"]}
    assert mounted == {one["name"] for one in job["volumes"]}
    assert text.count("tcp://colosim-scheduler:8786") == 3  # its worker, its job, its first line
