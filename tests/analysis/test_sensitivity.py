"""Which costs a result hangs on: ranges, what moves along, and what comes of it."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest

from colosim import ColosimError, run
from colosim.analysis.sensitivity import COLUMNS, Range, ranges, sensitivity
from colosim.cli.main import main
from colosim.scenario import loads
from colosim.scenario.costs import Costs
from colosim.scenario.presets import preset_names, sums_of

if TYPE_CHECKING:
    from pathlib import Path

BARE = "name: s\ndesigns: [split, qsb]\ncheckpoints: 1\nguest: {dirty: {pages: 500}}\n"
TEXT = BARE + "network: {delayed_ack: false}\n"
LAB = BARE + "hosts: {preset: lab-qemu25}\nnetwork: {preset: lab-veth}\n"


def ranges_of(text: str) -> dict[tuple[str, str], Range]:
    """Return the ranges of a scenario by cost and side."""
    return {(one.cost, one.side): one for one in ranges(loads(text))}


def ns(key: str, value: int) -> float:
    """Return a cost in ns per unit."""
    name = Costs.keys()[key]
    return value / {"page": 1_000, "byte": 10**6, "hunk": 1_000}.get(name[-4:], 1)


def test_a_fitted_cost_goes_two_standard_errors_and_another_to_half_and_double() -> None:
    """By the preset's origins: reset 503 +- 11.2 us; teardown 0.07 ns/B without an error."""
    found = ranges_of(LAB)
    reset, teardown = found["reset", "both"], found["teardown", "both"]
    assert (reset.fitted, reset.low, reset.high) == (True, {"reset": 480_600}, {"reset": 525_400})
    assert (teardown.fitted, teardown.value) == (False, 70_000)
    assert (teardown.low, teardown.high) == ({"teardown": 35_000}, {"teardown": 140_000})
    stream_wake = found["stream_wake", "both"]
    assert (stream_wake.low, stream_wake.high) == ({"stream_wake": 0}, {"stream_wake": 823_000})


def test_hosts_that_differ_have_ranges_of_their_own() -> None:
    """A cost that the scenario states has no standard error; one that is nothing has no range."""
    found = ranges_of(LAB.replace("lab-qemu25}", "lab-qemu25, secondary: {costs: {reset: 1 ms}}}"))
    assert found["reset", "primary"].fitted
    own = found["reset", "secondary"]
    assert (own.fitted, own.low["reset"], own.high["reset"]) == (False, 500_000, 2_000_000)
    assert ("device_save_state", "primary") not in found


@pytest.mark.parametrize("host", [*filter(sums_of, preset_names("hosts"))])
def test_determined_sums_stay_what_they_are(host: str) -> None:
    """Whatever cost of a sum moves, the sum at either end is that of the preset."""
    costs = loads(f"name: s\nhosts: {{preset: {host}}}").hosts.primary.costs
    usual = {key: getattr(costs, name) for key, name in Costs.keys().items()}
    sums, moved = sums_of(host), 0
    assert sums
    for one in ranges_of(f"name: s\nhosts: {{preset: {host}}}").values():
        for end in (one.low, one.high):
            for terms in sums:
                before, after = (
                    sum(many * ns(key, at[key]) for key, many in terms.items())
                    for at in (usual, {**usual, **end})
                )
                gave_all = any(end.get(key) == 0 for key in terms)
                moved += bool(terms.keys() & end.keys())
                assert gave_all or after == pytest.approx(before, rel=0.01)
    assert moved


def test_the_ends_are_what_the_runs_give() -> None:
    """Largest swing first; each end is that of the scenario with the cost set on both hosts."""
    scenario = loads(TEXT)
    found = sensitivity(scenario, "split")
    assert found.value == run(scenario, "split").summary["pause_ns"]["p50"]
    swings = [one.swing for one in found.effects]
    assert swings == sorted(swings, reverse=True)
    top = found.effects[0]
    assert top.range.cost == "reset"
    assert found.assumed == len(found.effects)
    for end, value in ((top.range.low, top.at_low), (top.range.high, top.at_high)):
        both = {f"hosts.{side}.costs.reset": end["reset"] for side in ("primary", "secondary")}
        varied = run(scenario.vary(both), "split").summary
        assert varied["pause_ns"]["p50"] == value


def test_an_order_that_changes_is_told() -> None:
    """A copy that only one of two equally dear designs makes turns them round."""
    text = TEXT.replace("[split, qsb]", "[flat, qsb]")
    costs = "{flat_write: 3 us/page, qsb_write: 3 us/page, reset: 0 us}"
    found = sensitivity(loads(text + f"hosts: {{primary: {{costs: {costs}}}}}\n"))
    changing = {one.range.cost for one in found.effects if one.order_changes}
    assert "flat_write" in changing
    assert "lost_heartbeat" not in changing
    assert not any(one.verdict_changes for one in found.effects)


def test_the_command_writes_table_and_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The CSV file has every cost, the table those that move the quantity; in 80 columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "s.yaml").write_text(TEXT.replace(", qsb", ""), "utf-8")
    asked = ["sensitivity", "s.yaml", "-o", "t.svg", "--data", "t.csv", "--quantity"]
    assert main([*asked, "transaction_ns.p50"]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert printed.startswith("s split: transaction_ns.p50 ")
    rows = list(csv.reader((tmp_path / "t.csv").read_text("utf-8").splitlines()))
    assert tuple(rows[0]) == COLUMNS
    assert rows[1][:5] == ["reset", "both", "5400 us", "10800 us", "21600 us"]
    assert "<svg" in (tmp_path / "t.svg").read_text("utf-8")
    assert main(["sensitivity", "s.yaml", "-o", "s.yaml.svg", "--quantity", "verdict"]) == 2
    assert "'verdict' is no number of a summary" in capsys.readouterr().err
    assert not (tmp_path / "s.yaml.svg").exists()


def test_a_word_is_no_quantity() -> None:
    """A key that is a word, or none, is refused before anything runs."""
    for key in ("verdict", "pause_ns", "no_such"):
        with pytest.raises(ColosimError, match="is no number of a summary"):
            sensitivity(loads(TEXT), quantity=key)
