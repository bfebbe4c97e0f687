"""Designs are found by name: this package's at once, others' by their entry points."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from colosim.designs import DesignNames, load_design, load_designs, registry
from colosim.designs.split import Split
from colosim.errors import DesignError, ScenarioError
from colosim.scenario import loads

if TYPE_CHECKING:
    from collections.abc import Iterator

OWN = [
    *("qsb", "split", "device-first", "flat", "qemu-3.1", "qemu-5.1", "qemu-11"),
    *("remus", "unprotected"),
]


@pytest.fixture
def forgotten() -> Iterator[None]:
    """Let the registry look designs up anew, and forget afterwards what it found."""
    caches = (registry._registered, registry._loaded, registry.load_design)
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


class Quick(Split):
    """A design of another package."""

    name = "quick"


@pytest.fixture
def registered(forgotten: None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Register a good design, one that cannot be imported and one that is none; note look-ups."""
    points = [
        EntryPoint("split", "nowhere:Other", registry.GROUP),
        EntryPoint("zzz", "nowhere:Broken", registry.GROUP),
        EntryPoint("quick", "good:Quick", registry.GROUP),
        EntryPoint("number", "numbers:Number", registry.GROUP),
    ]
    looked_up: list[str] = []

    def entry_points(*, group: str) -> list[EntryPoint]:
        looked_up.append(group)
        return points

    package = ModuleType("good")
    package.Quick = Quick  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "good", package)
    monkeypatch.setattr(metadata, "entry_points", entry_points)
    return looked_up


def test_a_design_of_this_package_is_found_without_a_look_up(registered: list[str]) -> None:
    """Neither its name, nor a name with remedies, nor a scenario that names it asks for others."""
    assert load_design("split") is Split
    assert issubclass(load_design("split+yank"), Split)
    assert "qemu-5.1" in DesignNames()
    loads("{name: x, designs: [split, qsb+yank]}", known_designs=DesignNames())
    assert registered == []


def test_other_packages_are_looked_up_once(registered: list[str]) -> None:
    """However often a name is not this package's, entry points are read once a process."""
    assert load_design("quick") is Quick
    assert load_design("quick+nodelay").name == "quick+nodelay"
    assert [*DesignNames()] == [*OWN, "number", "quick", "zzz"]
    assert len(DesignNames()) == len(OWN) + 3
    assert registered == [registry.GROUP]


def test_one_name_is_one_class() -> None:
    """A name with remedies gives the same class each time."""
    assert load_design("split+yank") is load_design("split+yank")
    assert load_design("split+yank") is not load_design("qsb+yank")


def test_a_broken_design_stops_only_who_asks_for_it(registered: list[str]) -> None:
    """Designs by name are used beside one that cannot be loaded; it, and a list of all, fails."""
    assert load_design("split") is Split
    assert load_design("quick") is Quick
    for broken in ("zzz", "zzz+yank"):
        with pytest.raises(DesignError, match=r"^design 'zzz' \(nowhere:Broken\) cannot be loaded"):
            load_design(broken)
    with pytest.raises(DesignError, match=r"^design 'number' \(numbers:Number\) is not a subclass"):
        load_designs()


def test_an_unknown_design_is_told_with_the_nearest_of_all(registered: list[str]) -> None:
    """Names of other packages are offered too, without loading them."""
    with pytest.raises(DesignError) as caught:
        load_design("quik")
    assert str(caught.value) == (
        f"no design is called 'quik'; there are {', '.join(OWN)}, number, quick, zzz; "
        "did you mean 'quick'?"
    )
    with pytest.raises(ScenarioError, match="did you mean 'quick'") as wrong:
        loads("{name: x, designs: [quik]}", known_designs=DesignNames())
    assert len(wrong.value.faults) == 1


def test_a_short_run_looks_no_package_up() -> None:
    """A run of a design of this package reads no entry point of the colosim group."""
    code = (
        "from importlib import metadata\n"
        "groups = []\n"
        "look_up = metadata.entry_points\n"
        "metadata.entry_points = lambda **given: groups.append(given) or look_up(**given)\n"
        "import colosim\n"
        "colosim.run('idle', 'split+nodelay', overrides=['checkpoints=2'])\n"
        "print([given for given in groups if given.get('group') == 'colosim.designs'])\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
