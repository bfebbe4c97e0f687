"""What runs are called that end otherwise than well: each file says what is right of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from colosim.cli.main import STATUS_FAILED, STATUS_NOBODY_SERVES, main
from colosim.runs.check import outcomes_of
from colosim.runs.run import simulate
from colosim.scenario import load
from tests.runs.figures import hold_to_the_tables

FOLDER = Path(__file__).parents[1] / "scenarios" / "verdicts"
FILES = sorted(FOLDER.glob("*.yaml"))


def named(name: str) -> Path:
    """Return a file of the folder."""
    return FOLDER / f"{name}.yaml"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_run_is_what_its_scenario_expects(path: Path) -> None:
    """Every bound holds, and every figure of the summary is that of the tables."""
    scenario = load(path)
    assert scenario.expect
    for design in scenario.designs:
        run = simulate(scenario, design)
        assert [str(one) for one in outcomes_of(run) if not one.passed] == []
        hold_to_the_tables(run)


@pytest.mark.parametrize("name", ["slow-hang", "longer-than-the-run"])
@pytest.mark.parametrize("design", ["qsb", "split"])
def test_what_lasts_shorter_than_the_patience_is_not_for_ever(name: str, design: str) -> None:
    """The same stop is a hang or a standstill, or unfinished, as the scenario's patience says."""
    scenario = load(named(name)).vary({"designs": [design], "horizon": "30 s"})
    open_ns = simulate(scenario, design).summary["guest_stopped_ns_longest"]
    verdicts = [
        simulate(scenario.vary({"patience": patience_ns}), design).verdict
        for patience_ns in (open_ns, open_ns + 1)
    ]
    assert verdicts == [{"qsb": "stopped", "split": "hung"}[design], "unfinished"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("cut-off", "the horizon came after"),
        ("cut-off-too-early", "too early to tell what becomes of the fault"),
        ("busy-for-ever", "has waited for the iothread lock (stop) since 20.00 s"),
        ("nothing-had-failed", "though nothing had harmed its peer: a false failover"),
        ("never-came", "never came; without it completed"),
    ],
)
def test_the_reason_is_said(name: str, says: str) -> None:
    """A verdict that claims little says why."""
    scenario = load(named(name))
    assert says in simulate(scenario, scenario.designs[0]).reason


@pytest.mark.parametrize("command", ["run", "compare", "check"])
@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("cut-off", STATUS_FAILED),
        ("busy-for-ever", STATUS_FAILED),
        ("never-came", STATUS_FAILED),
        ("slow-hang", STATUS_NOBODY_SERVES),
        ("longer-than-the-run", STATUS_NOBODY_SERVES),
        ("plain-name", 0),
    ],
)
def test_what_was_not_foreseen_is_no_success(
    command: str,
    name: str,
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The exit status is 1 or 3 if ``expect:`` does not speak of the verdict, 0 if it does."""
    monkeypatch.chdir(tmp_path)
    text = named(name).read_text(encoding="utf-8")
    Path("foreseen.yaml").write_text(text, encoding="utf-8")
    Path("bare.yaml").write_text(text[: text.index("expect:")], encoding="utf-8")
    tables = ["--tables", "none"] if command == "run" else []
    assert main([command, "foreseen.yaml", *tables]) == 0
    assert main([command, "bare.yaml", *tables]) == status


def test_what_lasts_to_the_end_has_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A comparison says so, without a ratio: with another horizon it would be another."""
    monkeypatch.chdir(tmp_path)
    main(["compare", str(named("slow-hang")), "--design", "split,qsb"])
    lines = {line[:15].strip(): line.split()[2:] for line in capsys.readouterr().out.splitlines()}
    assert lines["guest stopped"] == ["to", "the", "end", "to", "the", "end"]
    assert lines["monitor deaf"][:3] == ["to", "the", "end"]
    assert lines["pause p99"] == ["to", "the", "end", "to", "the", "end"]
    assert "guest back" not in lines


def test_an_old_key_is_refused_with_the_new_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was one quantity is two: the message names both."""
    path = tmp_path / "old.yaml"
    path.write_text("name: old\nexpect: {qsb: {time_to_service_ns: < 4 s}}\n", encoding="utf-8")
    assert main(["check", str(path)]) == 2
    said = capsys.readouterr().err
    assert "'time_to_service_ns' is now time_to_guest_ns" in said
    assert "time_to_client_ns" in said
