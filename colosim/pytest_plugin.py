"""A pytest plugin that collects scenario files with an ``expect:`` as tests, one a design.

It is installed with colosim and does nothing unless asked: ``pytest --colosim``, or ``colosim =
true`` in pytest's configuration. Then every ``.yaml`` or ``.yml`` file that has a top-level
``expect:``, or a ``name:`` and what looks like a misspelt one, is a test file; each design that the
scenario names is one test, which passes when every bound that holds for the design is met. ``pytest
--colosim scenarios/hang.yaml`` needs nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

_SUFFIXES = frozenset({".yaml", ".yml"})
_KEY = re.compile(r"^([^\s#:]+)[ \t]*:", re.MULTILINE)
#: A larger file is no scenario (the loader refuses it too), and is not read.
_SIZE_LIMIT_BYTES = 1 << 20


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer ``--colosim`` and the configuration value ``colosim``, both off."""
    text = "collect colosim scenario files with an 'expect:' as tests"
    parser.getgroup("colosim").addoption("--colosim", action="store_true", help=text)
    parser.addini("colosim", text, type="bool", default=False)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ScenarioFile | None:
    """Take a scenario file with an ``expect:``, if asked to."""
    if not (parent.config.getoption("colosim") or parent.config.getini("colosim")):
        return None
    if file_path.suffix not in _SUFFIXES or file_path.stat().st_size > _SIZE_LIMIT_BYTES:
        return None
    keys = _KEY.findall(file_path.read_text(encoding="utf-8", errors="replace"))
    if "expect" in keys or ("name" in keys and any(map(_like_expect, keys))):
        return ScenarioFile.from_parent(parent, path=file_path)
    return None


def _like_expect(key: str) -> bool:
    """Tell whether a key is a misspelling of ``expect``: loading the scenario will say so."""
    word = key.strip("'\"").lower()
    return word.startswith("expect") or bool(get_close_matches(word, ["expect"], cutoff=0.8))


class ScenarioFile(pytest.File):
    """A scenario file; its tests are its designs."""

    def collect(self) -> Iterator[ScenarioItem]:
        """Load the scenario and name one test a design.

        :raises pytest.Collector.CollectError: if the scenario is wrong; it carries every fault.
        """
        # Here and not above: a pytest run that was not asked for scenarios must not load them.
        from colosim.designs import DesignNames  # noqa: PLC0415
        from colosim.errors import ScenarioError  # noqa: PLC0415
        from colosim.scenario import load  # noqa: PLC0415

        try:
            scenario = load(str(self.path), known_designs=DesignNames())
        except ScenarioError as error:
            raise self.CollectError(str(error)) from error
        for design in scenario.designs:
            yield ScenarioItem.from_parent(self, name=design)


class ScenarioItem(pytest.Item):
    """One design under one scenario, held to the scenario's ``expect:``."""

    def runtest(self) -> None:
        """Run the design and check every bound.

        :raises UnmetBoundsError: if a bound is not met.
        """
        import colosim  # noqa: PLC0415 - as in ScenarioFile.collect

        outcomes = colosim.check(str(self.path), designs=[self.name])
        unmet = [str(outcome) for outcome in outcomes if not outcome.passed]
        if unmet:
            raise UnmetBoundsError("\n".join(unmet))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show colosim's own words where they say all, and pytest's traceback otherwise."""
        from colosim.errors import ColosimError  # noqa: PLC0415 - as in ScenarioFile.collect

        if isinstance(excinfo.value, (UnmetBoundsError, ColosimError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Name the test as file and design."""
        return self.path, None, f"{self.path.name}: {self.name}"


class UnmetBoundsError(AssertionError):
    """A design missed bounds of its scenario's ``expect:``; one line each."""
