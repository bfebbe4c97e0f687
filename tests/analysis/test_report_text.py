from __future__ import annotations

import re

import pytest

from colosim.analysis.explain import explain
from tests.analysis.cases import STREAM, scenario

FREEZE = f"freeze: secondary, {STREAM}"
KILL = f"kill: secondary, {STREAM}"


def facts_of(design: str, *faults: str, overrides: tuple[str, ...] = ()) -> str:
    """Return the facts of an explanation in one line."""
    text = str(explain(scenario(*faults, overrides=overrides), design))
    return " ".join(text.split("\n\n")[2].split())


def test_the_manager_is_told_in_order_of_time() -> None:
    """Loss, fencing, yank and command stand in the order in which they came."""
    overrides = (
        "manager.fence=true",
        "manager.delay=2 s",
        "manager.policy=yank-then-lost-heartbeat",
    )
    facts = facts_of("split", FREEZE, overrides=overrides)
    assert re.findall(r"(\d+)\.0{6} s: (\w+)", facts[facts.index("Manager") :]) == [
        ("7", "takes"),
        ("9", "powers"),
        ("9", "yank"),
        ("10", "x"),
    ]
    assert "9.000000 s: powers the secondary off" in facts
    assert "9.000000 s: yank to the primary, served out of band" in facts


def test_a_loss_counts_from_the_fault_that_it_sees() -> None:
    """After a harmless fault, how late a loss is seen is counted from the one that caused it."""
    harmless = "freeze: secondary, at: 300 ms, for: 50 ms"
    facts = facts_of("split", harmless, "freeze: secondary, at: 2.3 s")
    assert "5.000000 s: takes the secondary for lost, 2700.000 ms after the freeze" in facts


def test_a_loss_that_the_monitor_shows_counts_from_nothing() -> None:
    """With heartbeats of the monitor it is not said how long after a fault a loss was seen."""
    overrides = ("manager.answered_by=monitor",)
    facts = facts_of("split", FREEZE, "thaw: secondary, at: 40 s", overrides=overrides)
    losses = re.findall(r"takes the \w+ for lost(,? ?[-\d.]*)", facts)
    assert losses
    assert not any(re.search(r"\d", after) and "after" in after for after in losses)
    assert "after the fault" not in facts
    assert "asks the monitors" in facts


def test_two_losses_of_one_side_are_both_told() -> None:
    """A side that is taken for lost twice is told so twice, in order."""
    faults = ("freeze: secondary, at: 2.3 s, for: 10 s", "freeze: secondary, at: 12.5 s")
    facts = facts_of("split", *faults, overrides=("manager.policy=wait",))
    assert re.findall(r"(\S+) s: takes the secondary", facts) == ["5.000000", "15.000000"]


def test_a_manager_that_acts_without_a_fault_is_told() -> None:
    """A monitor deaf for longer than the timeout is taken for lost, and that is said."""
    overrides = (
        "manager.answered_by=monitor",
        "manager.heartbeat=10 ms",
        "manager.timeout=20 ms",
    )
    assert "takes the primary for lost" in facts_of("split", overrides=overrides)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (f"{FREEZE}, for: 300 ms", "40% of it, for 300 ms"),
        ("vanish: network, at: 2.3 s, for: 10 s", "vanish network, for 10 s"),
        (
            "slow: network, what: latency, factor: 4, at: 2.3 s, for: 2 s",
            "slow network, latency times 4, for 2 s",
        ),
        (
            "fail: primary, what: RAM save, leaks_lock: true, at: 1 s",
            "fail primary, RAM save, leaking the lock",
        ),
        ("busy: primary, at: 1 s, for: 2 s", "busy primary, for 2 s"),
        (
            "freeze: secondary, at: {rate: 20 /min}, for: 100 ms",
            "freeze secondary, at random, 20 /min, for 100 ms",
        ),
    ],
)
def test_a_fault_is_told_with_all_its_keys(fault: str, told: str) -> None:
    """What a fault strikes, how much, at which moment and for how long stand in its line."""
    assert told in facts_of("split", fault)


def test_a_lost_connection_to_a_monitor_is_told() -> None:
    """That the manager loses its connection, and has it again, stands among what it did."""
    facts = facts_of("qsb", "disconnect: primary, at: 1 s, for: 2 s")
    assert "1.000000 s: loses its connection to the primary's monitor" in facts
    assert "3.000000 s: is connected to the primary's monitor again" in facts
