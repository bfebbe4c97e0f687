"""A design of somebody else's, installed as a package of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MODULE = '''
"""A checkpoint design from outside: like `split`, with RAM streamed before the lock is taken."""

from colosim.designs.split import Split


class Unlocked(Split):
    """RAM outside the lock, device state inside."""

    name = "unlocked"
    summary = "RAM streamed without the lock"
    origin = "proposed"

    def checkpoint(self, p):
        from colosim.designs import messages as m

        yield from p.send(m.CHECKPOINT_REQUEST)
        yield from p.receive(m.CHECKPOINT_REPLY)
        with (yield from p.lock("stop")):
            yield from p.stop_guest()
        yield from p.send(m.VMSTATE_SEND)
        yield from p.savevm_state_begin()
        yield from p.stream_ram()
        with (yield from p.lock("save")):
            yield from p.save_device_state()
        yield from p.send_size()
        yield from p.send_staged()
        yield from p.receive(m.VMSTATE_RECEIVED)
        yield from p.receive(m.VMSTATE_LOADED)
        with (yield from p.lock("start")):
            yield from p.start_guest()
'''
PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "colosim-unlocked"
version = "1.0"

[project.entry-points."colosim.designs"]
unlocked = "colosim_unlocked:Unlocked"
"""


def colosim(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run colosim with the packages of `site` beside those installed."""
    return subprocess.run(
        [sys.executable, "-m", "colosim", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=site,
        env={**os.environ, "PYTHONPATH": str(site)},
    )


def test_an_installed_design_works_like_the_shipped_ones(tmp_path: Path) -> None:
    """A design that another package registers is listed, runs by name, and does not hang."""
    source, site = tmp_path / "source", tmp_path / "site"
    source.mkdir()
    (source / "colosim_unlocked.py").write_text(MODULE)
    (source / "pyproject.toml").write_text(PROJECT)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(site), str(source)], check=True, capture_output=True)

    listed = colosim(site, "designs")
    assert "unlocked" in listed.stdout
    ran = colosim(
        site, "run", "hang", "--set", "designs=[split, unlocked]",
        "--set", "expect={}", "--set", "measured={}",
        "--format", "json", "--out", str(tmp_path / "out"),
    )  # fmt: skip
    assert ran.returncode == 3, ran.stderr
    verdicts = {entry["design"]: entry["verdict"] for entry in json.loads(ran.stdout)}
    assert verdicts == {"split": "hung", "unlocked": "failed_over"}
