"""What a table says of the assumed costs of its hosts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import colosim
from colosim.analysis.assumed import note_of
from colosim.cli.main import main
from colosim.runs.directory import run_into
from colosim.runs.stored import read_run
from colosim.runs.wording import in_words
from colosim.scenario import loads, resolve
from colosim.scenario.hosts import each_cost

if TYPE_CHECKING:
    import pytest

TEXT = """
name: guess
designs: [qsb, split]
checkpoints: 3
guest: {ram: 64 MiB, dirty: {pages: 400}}
network: {preset: 10gbe, nagle: false}
"""


def test_the_line_has_the_pause_with_all_assumed_costs_at_half_and_at_twice() -> None:
    """Those whose origin says so, on both hosts, the others as they are."""
    scenario = loads(TEXT)
    assumed = [one for one in each_cost(scenario.hosts) if one.is_assumed]
    known = [one for one in each_cost(scenario.hosts) if one.value]
    pauses = []
    for ends in (
        {one.cost: one.value // 2 for one in assumed},
        {one.cost: 2 * one.value for one in assumed},
    ):
        varied = {
            f"hosts.{side}.costs.{key}": value
            for key, value in ends.items()
            for side in ("primary", "secondary")
        }
        pause_ns = colosim.run(scenario.vary(varied), "split").summary["pause_ns"]["p50"]
        pauses.append(in_words("pause_ns.p50", pause_ns))
    many = sum(one.value > 0 for one in assumed)
    assert 0 < many < len(known)
    assert note_of(colosim.run(scenario, "split")) == (
        f"{many} of {len(known)} costs are assumed; at half and at twice of them split's pause "
        f"p50 is {pauses[0]} and {pauses[1]}."
    )


def test_costs_that_are_the_preset_s_are_assumed_wherever_they_stand(tmp_path: Path) -> None:
    """A resolved scenario, and a run that was written, has the same line as the scenario."""
    scenario = loads(TEXT)
    run = colosim.run(scenario, "qsb")
    assert note_of(colosim.run(loads(resolve(scenario)), "qsb")) == note_of(run)
    run_into(tmp_path / "run", scenario, "qsb")
    assert note_of(read_run(tmp_path / "run")) == note_of(run)
    own = {f"hosts.{side}.costs.vmdesc": "1 ms" for side in ("primary", "secondary")}
    stated = note_of(colosim.run(scenario.vary(own), "qsb"))
    assert int(stated.split()[0]) == int(note_of(run).split()[0]) - 1


def test_without_the_pause_the_line_tells_how_many() -> None:
    """A run that is long or has no checkpoint; of a host without any there is no line."""
    long = note_of(colosim.run(loads(TEXT.replace(": 3", ": 201")), "split"))
    unprotected = note_of(colosim.run(loads(TEXT), "unprotected"))
    assert long == unprotected
    assert long.endswith(" costs are assumed.")
    assert not note_of(colosim.run(loads(f"{TEXT}hosts: {{preset: lab-qemu111}}"), "split"))


def test_every_table_has_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """run, compare, both over seeds, and what a notebook shows."""
    monkeypatch.chdir(tmp_path)
    Path("guess.yaml").write_text(TEXT, "utf-8")
    compared = colosim.compare("guess.yaml")
    line = note_of(compared.runs["qsb"])
    for command in ("run", "compare"):
        for more in ([], ["--seeds", "1,2"]):
            assert main([command, "guess.yaml", *more]) == 0
            assert line in " ".join(capsys.readouterr().out.split())
    assert f"<p>{line}</p>" in compared._repr_html_().replace("&#x27;", "'")
    assert f"<p>{line.partition(';')[0]}.</p>" in compared.runs["qsb"]._repr_html_()
