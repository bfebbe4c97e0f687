"""What it costs to refuse a text that is made to cost much, beside loading a good scenario.

Run alone, as the budgets are::

    pytest tests/benchmarks --benchmark-only -s
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from colosim.errors import ScenarioError
from colosim.scenario import DEFAULT_DESIGNS, loads
from colosim.scenario.document import DOCUMENT_BYTES_MAX
from tests.scenario.test_document import HOSTILE

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

GOOD = Path(__file__).parents[1] / "scenarios" / "valid" / "everything.yaml"
BUDGET_RATIO = 300
MANY_FAULTS = {
    "unknown keys": "".join(f"zz{i}: 1\n" for i in range(4_900)),
    "faults": "faults:\n" + "  - {kil: primary, at: 1, a: 3}\n" * 1_400,
    "designs": "designs:\n" + "".join(f"  - d{i}\n" for i in range(9_000)),
    "bounds": "expect:\n  split:\n" + "".join(f"    k{i}: 1\n" for i in range(4_900)),
}
TEXTS = HOSTILE | {name: f"name: x\n{text}" for name, text in MANY_FAULTS.items()}


def good_s() -> float:
    """Return what loading a scenario with every key takes, the least of several."""

    def once() -> float:
        begun = time.perf_counter()
        loads(GOOD.read_text(encoding="utf-8"), known_designs=DEFAULT_DESIGNS)
        return time.perf_counter() - begun

    return min(once() for _ in range(5))


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_a_refusal_costs_no_more_than_so_many_scenarios(
    text: str, benchmark: BenchmarkFixture
) -> None:
    """A text that is made to cost time is refused in at most that of 300 scenarios."""

    def refuse() -> None:
        with pytest.raises(ScenarioError):
            loads(text[:DOCUMENT_BYTES_MAX], known_designs=DEFAULT_DESIGNS)

    benchmark.pedantic(refuse, rounds=2)  # type: ignore[no-untyped-call]
    assert benchmark.stats is not None
    ratio = benchmark.stats.stats.min / good_s()
    benchmark.extra_info["ratio"] = round(ratio, 1)
    assert ratio <= BUDGET_RATIO
