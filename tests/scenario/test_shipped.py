from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from colosim.designs import load_designs
from colosim.errors import ScenarioError
from colosim.measured.measured import measured, names
from colosim.scenario import find, load, loads, resolve, schema, shipped, template
from colosim.scenario.guest import FixedDirty, RateDirty
from colosim.scenario.shipped_scenarios import shipped_folder

if TYPE_CHECKING:
    from pathlib import Path

_DESIGNS = tuple(load_designs())


@pytest.fixture(name="folder")
def fixture_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that stands for the shipped scenarios."""
    shipped_at = tmp_path / "_scenarios"
    (shipped_at / "lab").mkdir(parents=True)
    (shipped_at / "hang.yaml").write_text("name: hang\n")
    (shipped_at / "lab" / "old.yaml").write_text("name: old\nguest: {dirty: {csv: pages.csv}}\n")
    (shipped_at / "lab" / "pages.csv").write_text("dirty_pages\n3\n")
    monkeypatch.setattr("colosim.scenario.shipped_scenarios.shipped_folder", lambda: shipped_at)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return shipped_at


def test_names(folder: Path) -> None:
    """Shipped scenarios are named by their path below the folder."""
    assert shipped() == ["hang", "lab/old"]


def test_found_by_name(folder: Path) -> None:
    """A shipped scenario loads by its name, with the CSV file beside it."""
    assert load("hang").name == "hang"
    assert getattr(load("lab/old").guest.dirty, "measured_pages", ()) == (3,)


def test_a_file_goes_first(folder: Path, tmp_path: Path) -> None:
    """A file of that name in the current folder is meant before a shipped scenario."""
    (tmp_path / "work" / "hang").write_text("name: my-own\n")
    assert load("hang").name == "my-own"


def test_a_folder_of_that_name_does_not_hide_it(folder: Path, tmp_path: Path) -> None:
    """A folder called as a shipped scenario does no harm."""
    (tmp_path / "work" / "hang").mkdir()
    assert find("hang") == folder / "hang.yaml"


def test_nearest_name(folder: Path) -> None:
    """A name that is nearly one of the shipped is told the right one."""
    with pytest.raises(ScenarioError, match=r"did you mean 'hang'\?"):
        load("hnag")


def test_folder_is_found() -> None:
    """The folder of the shipped scenarios is that of the package or of the checkout."""
    found = shipped_folder()
    assert found is None or found.name in {"_scenarios", "scenarios"}


def test_template_loads_as_it_is() -> None:
    """What init writes is a scenario, also with its commented parts taken in."""
    text = template("my-own.1")
    assert loads(text).name == "my-own.1"


@pytest.mark.parametrize("name", ["", "a b", "../x", "a\nseed: 3", "{name}", 'x"'])
def test_template_refuses_what_is_no_name(name: str) -> None:
    """A name that a scenario cannot have gets no template."""
    with pytest.raises(ScenarioError, match="is not a name"):
        template(name)


@pytest.mark.parametrize("name", shipped())
def test_shipped_scenario_resolves(name: str) -> None:
    """A shipped scenario has its file's name, and what resolve prints of it is its equal."""
    scenario = load(name, known_designs=_DESIGNS)
    assert scenario.name == name.rpartition("/")[2]
    assert loads(resolve(scenario), known_designs=_DESIGNS) == scenario


@pytest.mark.parametrize("name", shipped())
def test_shipped_scenario_has_the_conditions_of_its_measured_runs(name: str) -> None:
    """The runs that a scenario names under measured are of its design and conditions."""
    scenario = load(name, known_designs=_DESIGNS)
    for design, table in scenario.measured.items():
        run = measured(table)
        assert run.design == design
        assert run.conditions.ram_bytes == scenario.guest.ram_bytes
        assert run.conditions.checkpoint_delay_ns == scenario.checkpoint_delay_ns
        network, lab = scenario.network, run.conditions
        assert (network.payload_bytes, network.frame_bytes) == (lab.payload_bytes, lab.frame_bytes)
        assert network.delayed_ack is lab.delayed_ack
        if lab.bandwidth_bits:
            assert network.bandwidth_bytes_per_s == lab.bandwidth_bits // 8
        if lab.latency_ns:
            assert network.latency_ns == lab.latency_ns
        dirty = scenario.guest.dirty
        if isinstance(dirty, RateDirty):
            assert run.conditions.write_rate == dirty.rate_pages_per_s
            assert run.conditions.working_set_pages == dirty.working_set_pages
        else:
            assert isinstance(dirty, FixedDirty)
            assert run.median("dirty_pages") == dirty.pages


def test_every_plain_measured_run_has_a_scenario() -> None:
    """Each measured run without a fault is named by one of the lab's scenarios.

    Not those of qemu111: `colosim qemu scenario` prints the conditions of each.
    """
    lab = [load(name, known_designs=_DESIGNS) for name in shipped() if name.startswith("lab/")]
    named = {table for scenario in lab for table in scenario.measured.values()}
    own = {name for name in names() if not name.startswith("qemu111/")}
    assert named == {name for name in own if "fault" not in name}


def test_schema_beside_the_shipped_scenarios_is_current() -> None:
    """The schema that the modelines point to is what ``colosim schema`` prints."""
    folder = shipped_folder()
    assert folder is not None
    file = folder / "scenario.schema.json"
    assert json.loads(file.read_text("utf-8")) == schema()
    for name in shipped():
        modeline = find(name).read_text("utf-8").partition("\n")[0]
        assert (find(name).parent / modeline.partition("$schema=")[2]).resolve() == file.resolve()
