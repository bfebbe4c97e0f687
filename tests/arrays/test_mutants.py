"""Each of these faults put into the array engine is noticed by a few random grids."""

from __future__ import annotations

import inspect
import sys
from types import FunctionType

import pytest

from colosim.arrays import direction, summary
from tests.arrays.own_designs import random_protocol
from tests.arrays.test_exact import CHANCE, ORDER, of_seed

D = direction.Direction
MUTANTS = [
    (D._send, "acked > now", "acked > now + 10**7"),
    (D._send, "leaves + self.latency", "leaves + self.latency + 1"),
    (D._receive, "arrives <= now", "arrives < now"),
    (D._takes_along, "amount < TSO_BYTES", "amount < 0"),
    (D._write, "self.drained > now", "self.drained > now + 10**6"),
    (D._begin, "amount > self.receive_buffer", "amount < 0"),
    (D._wait_for_window, "opens > one.left)", "opens < 0)"),
    (D._takes_along, "pushes & last.held", "pushes & False"),
    (D._has_left, "arrived = left", "arrived = left + 10**6"),
    (D._begin, "queue(self.drained", "queue(self.drained + 10**6"),
    (D._wait_for_ack, "waits > 0", "waits > 10**9"),
    (D._join, "one.begun_ns + one.read_ns", "one.begun_ns"),
    (summary.Summary._catch_up, "<= at", "<= at - 10**6"),
]
"""Functions, a piece of each, and what stands there instead."""


def differences() -> int:
    """Return how many keys differ, or points are refused needlessly, on some random grids."""
    found = [
        of_seed(seed, design)
        for seed in range(10)
        for design in ("qsb", "split", "qemu-11", random_protocol(seed))
    ]
    return sum(len(one.differ) for one in found) + sum(
        why not in {*CHANCE, *ORDER} for one in found for why in map(_reason, one.needless)
    )


def _reason(refusal: str) -> str:
    return refusal.rpartition(": ")[2]


@pytest.mark.slow
@pytest.mark.parametrize("mutant", range(len(MUTANTS)))
def test_a_fault_in_the_engine_is_noticed(mutant: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the fault some key of some point differs from the simulation's."""
    function, piece, other = MUTANTS[mutant]
    assert isinstance(function, FunctionType)
    source = inspect.cleandoc(f"\n{inspect.getsource(function)}")
    assert source.count(piece) >= 1
    module = sys.modules[function.__module__]
    made: dict[str, FunctionType] = {}
    code = compile(source.replace(piece, other, 1), module.__file__ or "", "exec")
    exec(code, vars(module), made)  # noqa: S102 - that is how a fault gets in
    owner = getattr(module, function.__qualname__.partition(".")[0])
    monkeypatch.setattr(owner, function.__name__, made[function.__name__])
    assert differences() > 0
