"""Benchmarks are timed: only ``pytest tests/benchmarks --benchmark-only`` runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave this folder out of a run that was not asked for benchmarks."""
    return None if config.getoption("benchmark_only", default=False) else True
