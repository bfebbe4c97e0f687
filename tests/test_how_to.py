"""The pages below docs/how-to do what they say, and the picture of the rooms is the code's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from textwrap import dedent, indent
from typing import TYPE_CHECKING

import pytest

import colosim
from colosim.cli.main import main
from colosim.designs import registry

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
HOW_TO = ROOT / "docs" / "how-to"
SCREEN = 60
"""Lines of a page at most."""
DESCRIBED = 38
"""Where in a line of the picture its description begins."""


def block(page: str, kind: str) -> str:
    """Return the fenced block of one kind of a page."""
    text = (HOW_TO / page).read_text(encoding="utf-8")
    found = re.search(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder from which packages are found, as if pip had installed them there."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    caches = (registry._registered, registry._loaded, registry.load_design)
    for cache in caches:
        cache.cache_clear()
    yield tmp_path
    for cache in caches:
        cache.cache_clear()


def test_a_design_is_known_by_its_entry_point(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page's class, installed with the page's entry point, is listed and runs by name."""
    (site / "colosim_unlocked.py").write_text(block("design.md", "python"), encoding="utf-8")
    info = site / "colosim_unlocked-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: colosim-unlocked\nVersion: 1.0\n")
    groups = tomllib.loads(block("design.md", "toml"))["project"]["entry-points"]
    (info / "entry_points.txt").write_text(
        "".join(
            f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
            for group, entries in groups.items()
        )
    )
    assert main(["designs"]) == 0
    assert "unlocked  " in capsys.readouterr().out
    assert main(["run", "hang", "--design", "unlocked", "--tables", "none"]) == 0
    assert colosim.run("hang", "unlocked", tables=False).verdict == "failed_over"


def copy_of_package(folder: Path, *changed: str) -> None:
    """Put the package into a folder: links, but copies of the files (or folders) to be changed."""

    def put(shipped: Path) -> None:
        inner = [name for name in changed if Path(name).is_relative_to(shipped.relative_to(ROOT))]
        target = folder / shipped.relative_to(ROOT)
        if not inner:
            target.symlink_to(shipped)
        elif shipped.is_file() or shipped.relative_to(ROOT).as_posix() in changed:
            (shutil.copyfile if shipped.is_file() else shutil.copytree)(shipped, target)
        else:
            target.mkdir()
            for path in sorted(shipped.iterdir()):
                if path.name != "__pycache__":
                    put(path)

    put(ROOT / "colosim")


def printed(folder: Path, asked: str) -> str:
    """Return what a new process prints that has the package of a folder."""
    done = subprocess.run(
        [sys.executable, "-c", asked],
        capture_output=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        text=True,
    )
    assert done.stderr == ""
    return done.stdout


def test_a_preset_is_a_file_in_its_folder(tmp_path: Path) -> None:
    """The page's file, in the folder of a package's presets, is a preset that a scenario may name.

    The names of presets are known from the start of a process, so it takes a new one.
    """
    folder = "colosim/scenario/presets/networks"
    copy_of_package(tmp_path, folder)
    page = block("preset.md", "yaml")
    (tmp_path / folder / "two-racks.yaml").write_text(page, encoding="utf-8")
    asked = """
from colosim.scenario import loads, preset
network = loads("name: x\\nnetwork: {preset: two-racks}").network
print(network.preset, network.latency_ns)
print(list(preset("networks", "two-racks").values) == list(preset("networks", "10gbe").values))
"""
    assert printed(tmp_path, asked) == "two-racks 120000\nTrue\n"


def test_a_fault_is_a_class_and_a_case(tmp_path: Path) -> None:
    """The page's class and case, put where the page says, are a fault that strikes both ends."""
    page = (HOW_TO / "fault.md").read_text(encoding="utf-8")
    found = dict(re.findall(r"^   ```([\w.]+)\n(.*?)^   ```$", page, re.MULTILINE | re.DOTALL))
    put = {
        "colosim/scenario/faults.py": (
            ("FAULT_KINDS: Final", f"{dedent(found['faults.py'])}\n\nFAULT_KINDS: Final"),
            ("    FreezeFault\n", "    FreezeFault | ResetFault\n"),
        ),
        "colosim/faults/effects.py": (
            ('        elif kind == "busy":', indent(dedent(found["effects.py"]), " " * 8) + "{}"),
        ),
    }
    copy_of_package(tmp_path, *put)
    for name, changes in put.items():
        text = (tmp_path / name).read_text(encoding="utf-8")
        for before, after in changes:
            assert text.count(before) == 1
            text = text.replace(before, after.format(before) if "{}" in after else after)
        (tmp_path / name).write_text(text, encoding="utf-8")
    asked = """
import colosim
from colosim.scenario import load
from colosim.trace.events import CallFailed, FaultStruck
run = colosim.run(load("compare").vary({"faults": [{"reset": "network", "at": "2 s"}]}), "split")
events = [event for _, event, _ in run.iter_events()]
print(FaultStruck("reset", "network") in events)
print(sorted({event.side for event in events if isinstance(event, CallFailed)}))
"""
    assert printed(tmp_path, asked) == "True\n['primary', 'secondary']\n"


@pytest.mark.parametrize("page", sorted(path.name for path in HOW_TO.glob("*.md")))
def test_a_page_fits_on_a_screen(page: str) -> None:
    """Whoever follows a page sees it whole, and it names a test to copy."""
    text = (HOW_TO / page).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= SCREEN
    assert "tests/" in text


def test_the_picture_has_every_room_in_the_order_of_the_arrows() -> None:
    """Each folder of colosim is in the picture and has its sentence; who knows whom is above."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    picture = text.split("```text\n")[1].split("```")[0]
    folders = {path.parent.name for path in (ROOT / "colosim").glob("*/__init__.py")}
    sentences = set(re.findall(r"^\| `colosim/(\w+)` \|", text, re.MULTILINE))
    assert sentences == folders
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = contract["tool"]["importlinter"]["contracts"][0]["layers"]
    height = {
        room: at
        for at, layer in enumerate(layers)
        for room in re.findall(r"colosim\.(\w+)", layer)
        if room in folders
    }
    rooms = [
        (at, room)
        for at, line in enumerate(picture.splitlines())
        for room in re.findall(r"\w+", line[:DESCRIBED])
    ]
    assert {room for _, room in rooms} == folders
    assert all(
        height[one] <= height[other] for at, one in rooms for below, other in rooms if at < below
    )
