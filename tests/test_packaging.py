"""What is shipped: pins, entry points, the wheel's content, the README's commands."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from itertools import chain
from pathlib import Path

import pytest

import colosim
from colosim.scenario import shipped

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def normalised(requirement: str) -> str:
    """Return the name in a requirement, spelled as package indexes compare names."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^A-Za-z0-9._-]", requirement)[0]).lower()


def pins() -> dict[str, str]:
    """Return the constraints file as name to what stands behind it."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return {normalised(line): line for line in lines if not line.startswith("#")}


def test_every_dependency_is_pinned() -> None:
    """Each dependency, of each extra, is pinned to one version."""
    extras = PROJECT["optional-dependencies"].values()
    wanted = [*PROJECT["dependencies"], *chain.from_iterable(extras)]
    missing = {normalised(requirement) for requirement in wanted} - pins().keys() - {"colosim"}
    assert not missing


def test_pins_name_a_version_and_no_place() -> None:
    """The constraints are exact versions, and say nothing of any machine or index."""
    for line in pins().values():
        assert re.fullmatch(r"[\w.-]+==[\w.]+( ; [\w '!=]+)?", line), line


def test_the_designs_are_registered() -> None:
    """Each of the five designs stands in the entry points under its name, and loads."""
    registered = {point.name: point.load() for point in entry_points(group="colosim.designs")}
    assert registered.keys() >= {"qsb", "split", "device-first", "flat", "qemu-5.1"}


def test_one_version() -> None:
    """Package, citation and changelog name the same version."""
    assert re.search(
        rf"^version: {re.escape(colosim.__version__)}$",
        (ROOT / "CITATION.cff").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert f"## [{colosim.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_public_name_loads() -> None:
    """Each name in ``colosim.__all__`` is there when asked for, and no other is."""
    for name in colosim.__all__:
        assert getattr(colosim, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        getattr(colosim, "nonsense")  # noqa: B009 - mypy knows that it is not there


def test_the_readme_has_the_two_commands() -> None:
    """The README's commands use the pins; CI runs the one that stands below its mark."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = dict(re.findall(r"<!-- ci: (\w+) -->\n```sh\n(.+)\n```", readme))
    assert commands.keys() == {"compare", "test"}
    for command in commands.values():
        assert "-c constraints.txt" in command
    assert commands["compare"].endswith("colosim compare scenarios/compare.yaml")
    assert ".venv/bin/pytest" in commands["test"]


def test_the_wheel_has_every_file_of_the_package(wheel: Path) -> None:
    """Code, presets, templates, measured tables, type marker and scenarios are in the wheel."""
    expected = {
        path.relative_to(ROOT)
        for path in (ROOT / "colosim").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    } | {
        Path("colosim/_scenarios") / path.relative_to(ROOT / "scenarios")
        for path in (ROOT / "scenarios").rglob("*")
        if path.is_file()
    }
    packed = {path.relative_to(wheel) for path in wheel.rglob("*") if path.is_file()}
    assert Path("colosim/py.typed") in packed
    assert expected - packed == set()


def test_shipped_scenarios_run_by_name_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    """Away from the source tree, each shipped scenario is found by its name and is valid."""
    names = list(shipped())
    assert {"compare", "hang"} <= set(names)
    code = (
        f"import sys; sys.path.insert(0, {str(wheel)!r})\n"
        "import colosim; print(colosim.__file__)\n"
        "from colosim.cli.main import main; sys.exit(main(['validate', *sys.argv[1:]]))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, *names],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        str(wheel / "colosim" / "__init__.py"),
        *(f"{name}: valid" for name in names),
    ]
