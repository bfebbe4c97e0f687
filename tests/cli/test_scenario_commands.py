"""``validate``, ``resolve``, ``schema`` and ``designs``."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import jsonschema
import pytest
from ruamel.yaml import YAML

from colosim.cli.main import main
from colosim.designs import load_designs
from colosim.designs.remedies import OF_SOME, REMEDIES

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """Return a scenario without a fault."""
    path = tmp_path / "good.yaml"
    path.write_text("name: good\nguest: {ram: 4 GiB}\n", encoding="utf-8")
    return path


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """Return a scenario with a fault in each of two lines."""
    path = tmp_path / "bad.yaml"
    path.write_text("name: bad\nguest:\n  ram: 4 GB\nsede: 1\n", encoding="utf-8")
    return path


def test_a_valid_scenario_is_said_so(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``validate`` of a right scenario says so and ends with 0."""
    assert main(["validate", str(good)]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{good}: valid\n"
    assert captured.err == ""


def test_every_fault_of_every_file_is_reported(
    good: Path,
    bad: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """``validate`` goes on behind a fault and a wrong file: all faults are told, status 2."""
    monkeypatch.chdir(bad.parent)
    assert main(["validate", bad.name, good.name, "none.yaml"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "good.yaml: valid\n"
    lines = captured.err.splitlines()
    assert len(lines) == 3
    size, key, missing = lines
    assert size.startswith("bad.yaml:3:")
    assert "GiB" in size
    assert key.startswith("bad.yaml:4:1: ")
    assert "seed" in key
    assert missing.startswith("none.yaml:1:1: ")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"name: x\n", ("-: valid\n", "")),
        (b"name: x\nsede: 1\n", ("", "-:2:1: the key 'sede' is unknown; did you mean 'seed'?\n")),
        (b"", ("", "-:1:1: the file is empty; expected a scenario, at least 'name: NAME'\n")),
    ],
)
def test_validate_reads_standard_input(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    text: bytes,
    told: tuple[str, str],
) -> None:
    """``validate -`` is ``validate`` of what it is given."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert main(["validate", "-"]) == (2 if told[1] else 0)
    assert capsys.readouterr() == told


def test_a_closed_standard_input_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is bad usage, and no scenario."""
    monkeypatch.setattr("sys.stdin", None)
    assert main(["validate", "-"]) == 2
    assert "standard input is closed" in capsys.readouterr().err


def test_validate_wants_a_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    """``validate`` of nothing is bad usage, not success."""
    assert main(["validate"]) == 2
    assert "SCENARIO" in capsys.readouterr().err


def test_an_override_is_validated_too(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A fault in ``--set`` is a fault of the scenario."""
    assert main(["validate", str(good), "--set", "guest.ram=4 GB"]) == 2
    assert "GiB" in capsys.readouterr().err


def test_resolve_prints_a_scenario_that_means_the_same(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What ``resolve`` prints is whole, with the override in it, and resolves to itself."""
    assert main(["resolve", str(good), "--set", "seed=7"]) == 0
    first = capsys.readouterr().out
    assert YAML(typ="safe").load(first)["seed"] == 7
    again = tmp_path / "again.yaml"
    again.write_text(first, encoding="utf-8")
    assert main(["resolve", str(again)]) == 0
    assert capsys.readouterr().out == first


def test_resolve_of_a_wrong_scenario_prints_nothing(
    bad: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``resolve`` of a wrong scenario tells its faults and leaves standard output empty."""
    assert main(["resolve", str(bad)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 2


def test_schema_is_json_schema_and_takes_a_scenario(
    good: Path, bad: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``schema`` prints a JSON Schema that takes a right scenario and refuses a wrong key."""
    assert main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    validator = jsonschema.validators.validator_for(schema)
    validator.check_schema(schema)
    read = YAML(typ="safe", pure=True)
    assert not list(validator(schema).iter_errors(read.load(good)))
    assert list(validator(schema).iter_errors(read.load(bad)))


def test_designs_says_where_each_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    """``designs --origin`` says the origin of each design and remedy too."""
    assert main(["designs", "--origin"]) == 0
    printed = capsys.readouterr().out
    origins = [design.origin for design in load_designs().values()]
    for origin in (*origins, *(remedy.origin for remedy in (*REMEDIES, *OF_SOME))):
        assert origin in printed


@pytest.mark.parametrize("words", [["--design", "qsb,split"], ["--designs", "qsb"] * 2])
def test_what_shows_one_run_names_one_design(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Designs are named alike in every command; one that draws a single run says that it does."""
    assert main(["sequence", "idle", *words]) == 2
    assert "this is of one run; name one design, not qsb, " in capsys.readouterr().err
