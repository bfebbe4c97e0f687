"""A host for tests whose moments hang on its costs: they stay as the shipped presets move."""

from __future__ import annotations

from pathlib import Path

FAST = Path(__file__).with_name("fast_host.yaml").as_posix()
"""The path of its preset."""
ON_FAST_HOSTS = f"hosts: {{preset: {FAST}}}\n"
"""The line of a scenario whose hosts are such."""
