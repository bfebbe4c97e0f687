from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colosim.errors import ScenarioError
from colosim.scenario import DEFAULT_DESIGNS, Scenario, load, loads, resolve, template

SCENARIOS = Path(__file__).parent.parent / "scenarios"
VALID = sorted((SCENARIOS / "valid").glob("*.yaml"))
INVALID = sorted((SCENARIOS / "invalid").glob("*.yaml"))


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_valid(path: Path) -> None:
    """A valid scenario loads, and what resolve makes of it loads as an equal one."""
    scenario = load(path, known_designs=DEFAULT_DESIGNS)
    assert loads(resolve(scenario)) == scenario


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_invalid(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An invalid scenario gives exactly the faults that stand beside it."""
    monkeypatch.chdir(path.parent)
    with pytest.raises(ScenarioError) as caught:
        load(path.name, known_designs=DEFAULT_DESIGNS)
    assert f"{caught.value}\n" == path.with_suffix(".expected.txt").read_text(encoding="utf-8")


def test_every_expectation_has_its_scenario() -> None:
    """No text of expected faults is left over."""
    expected = {
        path.name.removesuffix(".expected.txt") for path in (SCENARIOS / "invalid").glob("*.txt")
    }
    assert expected == {path.stem for path in INVALID}


def test_measured_pages_are_found_beside_the_file() -> None:
    """A CSV file is looked for beside the scenario; empty lines are passed over."""
    dirty = load(SCENARIOS / "valid" / "measured.yaml").guest.dirty
    assert getattr(dirty, "measured_pages", None) == (16384, 16386, 0)


def test_no_such_file() -> None:
    """A file that is not there is a fault too."""
    with pytest.raises(ScenarioError) as caught:
        load("no/such.yaml")
    assert str(caught.value) == (
        "no/such.yaml:1:1: 'no/such.yaml' is neither a file nor a shipped scenario"
    )


def test_a_folder_is_no_scenario(tmp_path: Path) -> None:
    """A folder is refused as such."""
    with pytest.raises(ScenarioError, match="is a folder; expected a scenario file"):
        load(tmp_path)


def test_unknown_designs_pass_when_none_are_known() -> None:
    """Without a list of known designs their names are left unchecked."""
    assert loads("name: x\ndesigns: [my-own]").designs == ("my-own",)


def test_faults_are_many_but_not_endless() -> None:
    """Of thousands of faults the first hundred are told, and how many more there are."""
    text = "name: x\n" + "".join(f"zz{i}: 1\n" for i in range(1000))
    with pytest.raises(ScenarioError) as caught:
        loads(text)
    assert len(caught.value.faults) == 101
    assert caught.value.faults[-1].message == "... and 900 more faults"


EVERYTHING = resolve(load(SCENARIOS / "valid" / "everything.yaml")).splitlines()
LINES = [*template("fuzz").splitlines(), *EVERYTHING]
VALUES = st.sampled_from(
    (
        "",
        "null",
        "true",
        "-1",
        "nan",
        "1e999999999",
        "[]",
        "{}",
        "[1]",
        "{a: 1}",
        "3 MB",
        "0 s",
        "'x'",
        "1 TiB",
        "*",
        "&a",
        "!x",
        "- 1",
        "none",
        "unlimited",
        "random",
        "primary",
        "{checkpoint: 3}",
        "[{kill: primary, at: 1 s}]",
        "{pages: 5}",
        "{csv: /dev/zero}",
        "{hot: {rate: 1 pages/s, working_set: 1 pages}}",
        "{csv: x, values: 1 2 3}",
    )
)


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """Return a scenario with a few lines damaged."""
    lines = list(EVERYTHING)
    for _ in range(draw(st.integers(1, 5))):
        index = draw(st.integers(0, len(lines) - 1))
        line = lines[index]
        lines[index] = draw(
            st.one_of(
                st.builds("{}: {}".format, st.just(line.partition(":")[0]), VALUES),
                st.just("  " + line),
                st.just(line.replace(":", "x:", 1)),
                st.sampled_from(LINES),
                st.just(""),
            )
        )
    return "\n".join(lines)


@given(damaged())
def test_damaged_scenarios(text: str) -> None:
    """A damaged scenario gives a ScenarioError or a Scenario that round-trips."""
    try:
        scenario = loads(text, known_designs=DEFAULT_DESIGNS)
    except ScenarioError as error:
        assert str(error).replace("\n", " ").isprintable()  # noqa: PT017 - as good
    else:
        assert loads(resolve(scenario)) == scenario


@given(st.binary(max_size=100))
def test_any_bytes_after_a_name(data: bytes) -> None:
    """Any text after a name gives a ScenarioError or a Scenario, never anything else."""
    try:
        scenario = loads("name: x\n" + data.decode("latin-1"))
    except ScenarioError as error:
        assert error.faults  # noqa: PT017 - no error is as good
    else:
        assert isinstance(scenario, Scenario)
