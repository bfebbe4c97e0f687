"""Presets of one's own: beside the scenario, or in the user's folder."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest

from colosim import run
from colosim.cli.main import main
from colosim.errors import ScenarioError
from colosim.runs.directory import run_into, write_run
from colosim.runs.stored import read_run
from colosim.scenario import Scenario, load, loads, resolve
from colosim.scenario import presets as shipped

HOST = (shipped._FOLDER / "hosts" / "kvm-xeon.yaml").read_text("utf-8").partition("spread:")[0]
NETWORK = (shipped._FOLDER / "networks" / "10gbe.yaml").read_text("utf-8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a scenario's presets, and an empty one of the user's within."""
    monkeypatch.setenv("COLOSIM_PRESETS", str(tmp_path / "own"))
    (tmp_path / "my-host.yaml").write_text(HOST.replace("470 us", "471 us"), "utf-8")
    (tmp_path / "my-net.yaml").write_text(NETWORK.replace("10 Gbit/s", "7 Gbit/s"), "utf-8")
    for family in ("hosts", "networks"):
        (tmp_path / "own" / family).mkdir(parents=True)
    return tmp_path


def scenario(folder: Path, text: str) -> Scenario:
    """Load a scenario of this text that stands in a folder."""
    (folder / "x.yaml").write_text(f"name: x\ncheckpoints: 2\n{text}\n", "utf-8")
    return load(folder / "x.yaml")


def test_a_path_is_beside_the_scenario(folder: Path) -> None:
    """A preset's path starts at the scenario's folder; a side may have its own, and costs more."""
    made = scenario(
        folder,
        "hosts: {preset: ./my-host.yaml, secondary: {preset: kvm-xeon, costs: {reset: 1 ns}}}\n"
        "network: {preset: my-net.yaml, latency: 1 us}",
    )
    assert made.hosts.primary.preset == made.hosts.preset == "./my-host.yaml"
    assert made.hosts.primary.costs.vm_stop_ns == 471_000
    assert made.hosts.secondary.costs.vm_stop_ns == 470_000
    assert (made.network.bandwidth_bytes_per_s, made.network.latency_ns) == (875_000_000, 1000)
    again = made.vary({"hosts.secondary.costs.vm_stop": "1 us", "network.latency": "2 us"})
    assert again.hosts.primary.costs.vm_stop_ns == 471_000
    assert again.network.bandwidth_bytes_per_s == 875_000_000
    assert again.vary({"hosts.preset": "kvm-xeon"}).hosts.primary.costs.vm_stop_ns == 470_000
    assert pickle.loads(pickle.dumps(made)) == made  # noqa: S301 - our own


def test_a_manifest_needs_no_preset_file(folder: Path) -> None:
    """What a run directory says of its scenario is whole: the preset's file may be gone."""
    made = scenario(folder, "hosts: {preset: ./my-host.yaml}\nnetwork: {preset: ./my-net.yaml}")
    run_into(folder / "run", made, "split")
    for file in folder.glob("my-*.yaml"):
        file.unlink()
    assert read_run(folder / "run").scenario == made == loads(resolve(made))
    with pytest.raises(ScenarioError, match=r"my-host.yaml:1:1: the preset cannot be read"):
        load(folder / "x.yaml")


def test_a_name_is_in_the_users_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name may be one of the user's presets; no shipped one is shadowed; both are listed."""
    own = folder / "own" / "hosts"
    (own / "mine.yaml").write_text((folder / "my-host.yaml").read_text("utf-8"), "utf-8")
    (own / "kvm-xeon.yaml").write_text((folder / "my-host.yaml").read_text("utf-8"), "utf-8")
    assert scenario(folder, "hosts: {preset: mine}").hosts.primary.costs.vm_stop_ns == 471_000
    assert scenario(folder, "hosts: {preset: kvm-xeon}").hosts.primary.costs.vm_stop_ns == 470_000
    with pytest.raises(ScenarioError, match=r"'minee' is not known.*did you mean 'mine'"):
        scenario(folder, "hosts: {preset: minee}")
    assert main(["presets"]) == 0
    shown = capsys.readouterr()
    assert re.search(r"^  mine +a Xeon server.*\[your own\]$", shown.out, re.MULTILINE)
    assert len(re.findall(r"^  kvm-xeon ", shown.out, re.MULTILINE)) == 1
    assert "kvm-xeon.yaml is not read: a shipped preset has its name" in shown.err


def test_a_path_that_is_set_is_from_the_current_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--set names a preset as the shell sees it, also for a scenario that stands elsewhere."""
    monkeypatch.chdir(folder)
    found = load("compare", overrides=["hosts.preset=./my-host.yaml"])
    assert found.hosts.primary.costs.vm_stop_ns == 471_000
    made = Scenario.model_validate({"name": "x", "network": {"preset": "./my-net.yaml"}})
    assert made.network.bandwidth_bytes_per_s == 875_000_000


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("vm_stop:", "vm_stopp:", "5:3: the key 'vm_stopp' is unknown in values; did you mean"),
        ("470 us", "470", "5:20: vm_stop: "),
        ("description:", "describtion:", "2:1: the key 'describtion' is unknown in the preset"),
        ("values:", "accelerator: vmx\nvalues:", "3:14: accelerator: 'vmx' is not known"),
        ("values:", "values: 3\nothers:", "values: expected a mapping"),
    ],
)
def test_every_fault_of_a_preset_has_its_place(
    folder: Path, old: str, new: str, message: str
) -> None:
    """A fault in a preset's file is told with that file's line and column."""
    text = HOST.replace(old, new, 1)
    (folder / "my-host.yaml").write_text(text, "utf-8")
    with pytest.raises(ScenarioError) as raised:
        scenario(folder, "hosts: {preset: my-host.yaml}")
    assert message in str(raised.value)
    assert all(Path(fault.file).name == "my-host.yaml" for fault in raised.value.faults)


def test_an_own_preset_has_a_spread_of_its_own(folder: Path) -> None:
    """What a fit wrote scatters from a file too, and from a manifest when that is gone."""
    lab = (shipped._FOLDER / "hosts" / "lab-qemu25.yaml").read_text("utf-8")
    file = folder / "lab.yaml"
    file.write_text(lab, "utf-8")
    text = "designs: [split]\nspread: measured\nhosts: {preset: ./lab.yaml}"
    made = scenario(folder, text)
    digest = run(made).digest
    assert digest == run(made.vary({"hosts.preset": "lab-qemu25"})).digest
    plain = scenario(folder, text.replace("lab.yaml", "my-host.yaml"))
    assert run(plain).digest == run(plain.vary({"spread": "none"})).digest
    write_run(run(made), folder / "run")
    resolved = resolve(made)
    file.unlink()
    assert run(read_run(folder / "run").scenario).digest == digest
    with pytest.raises(ScenarioError, match="scatters stands in its file, which was not read"):
        run(loads(resolved))


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (
            '  stops: {ratios: "1", again: "0%", origin: "x"}',
            "the key 'stops' is unknown in spread",
        ),
        ('  stop: {ratios: "1 2", again: "0%", origin: "x"}', "expected 21 rising ratios"),
        ('  stop: {again: "0%", origin: "x"}', "stop needs the key 'ratios', which is missing"),
    ],
)
def test_a_spread_that_is_wrong_has_its_place(folder: Path, line: str, fault: str) -> None:
    """An unknown stage, too few ratios and a missing key are told at their line."""
    text = HOST + "spread:\n" + line + "\n"
    (folder / "bad.yaml").write_text(text, "utf-8")
    with pytest.raises(ScenarioError, match=re.escape(fault)) as found:
        scenario(folder, "hosts: {preset: ./bad.yaml}")
    assert found.value.faults[0].line == text.count("\n")
