"""The pytest plugin that collects scenarios with an ``expect:``."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import colosim
import colosim.designs  # once for all: pytester forgets what a test has loaded, numpy loads once

if TYPE_CHECKING:
    from collections.abc import Sequence

SCENARIO = "name: small\ndesigns: [qsb, split]\nexpect:\n  split: {verdict: hung}\n"


class Outcome(SimpleNamespace):
    """What `colosim.check` says of one bound."""

    def __str__(self) -> str:
        """Say it in words."""
        return f"verdict is {self.verdict}, expected hung"


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Put a check in place that lets ``qsb`` pass and ``split`` fail; return what it was asked."""
    asked: list[str] = []

    def check(_path: str, *, designs: Sequence[str]) -> list[Any]:
        asked.extend(designs)
        return [Outcome(passed=name == "qsb", verdict="completed") for name in designs]

    monkeypatch.setattr(colosim, "check", check, raising=False)
    return asked


def test_nothing_is_collected_unless_asked(pytester: pytest.Pytester, checked: list[str]) -> None:
    """Without the option a scenario file is no test."""
    pytester.makefile(".yaml", small=SCENARIO)
    pytester.runpytest_inprocess().assert_outcomes()
    assert checked == []


def test_each_design_is_a_test(pytester: pytest.Pytester, checked: list[str]) -> None:
    """With ``--colosim`` each design passes or fails by itself, and a failure says the bound."""
    pytester.makefile(".yaml", small=SCENARIO)
    result = pytester.runpytest_inprocess("--colosim", "-v")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["small.yaml::qsb PASSED*", "small.yaml::split FAILED*", "verdict is completed, expected*"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    assert checked == ["qsb", "split"]


def test_the_configuration_can_ask_too(pytester: pytest.Pytester, checked: list[str]) -> None:
    """``colosim = true`` in pytest's configuration does what the option does."""
    pytester.makeini("[pytest]\ncolosim = true\n")
    pytester.makefile(".yml", small=SCENARIO)
    pytester.runpytest_inprocess().assert_outcomes(passed=1, failed=1)
    assert checked == ["qsb", "split"]


def test_a_scenario_without_bounds_is_no_test(pytester: pytest.Pytester) -> None:
    """YAML files that expect nothing, scenarios or not, are left alone."""
    pytester.makefile(".yaml", small="name: small\n", other="a: [", export="name: x\nexport: y\n")
    pytester.runpytest_inprocess("--colosim").assert_outcomes()


@pytest.mark.parametrize("key", ["expects", "Expect", "expct", "expected", "'expectation'"])
def test_a_misspelt_expect_is_an_error(pytester: pytest.Pytester, key: str) -> None:
    """A scenario whose bounds stand under a misspelt key fails, as it does in ``colosim check``."""
    pytester.makefile(".yaml", small=SCENARIO.replace("expect:", f"{key}:"))
    result = pytester.runpytest_inprocess("--colosim")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*small.yaml:3:1: the key * is unknown*"])


def test_a_wrong_scenario_is_an_error_with_its_faults(pytester: pytest.Pytester) -> None:
    """A scenario with faults is an error of collection that names file, line and column."""
    pytester.makefile(".yaml", small=SCENARIO + "sede: 1\n")
    result = pytester.runpytest_inprocess("--colosim")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*small.yaml:5:1: *seed*"])
