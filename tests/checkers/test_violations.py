"""Each checker sees the violation that is planted for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from colosim.checkers import RULES
from colosim.host.failover import COMMAND
from colosim.trace.events import GuestRunning
from tests.checkers.wrong_designs import (
    Doubled,
    Eager,
    Greedy,
    Hasty,
    Impatient,
    Liar,
    Promising,
    Thief,
    Torn,
    Undead,
    Wrong,
    run_of,
    violation_of,
)

if TYPE_CHECKING:
    from colosim.designs import Design
    from colosim.runs.simulation import Simulation

SIDE = "secondary COLO incoming thread"
CHECKPOINT = "primary checkpoint thread"
LOCK = "one owner of the lock"
FREEZE = "faults: [{{freeze: primary, at: {{checkpoint: 1, step: '{}'}}}}]\n"
PLANTED = [
    (Impatient, "", LOCK, CHECKPOINT, "takes a lock that it holds"),
    (Thief, "", LOCK, CHECKPOINT, "gets the lock for start"),
    (Greedy, "", "bytes are kept", "secondary", "reads CHECKPOINT_REQUEST of 8 B"),
    (Doubled, "", "checkpoints go forward", SIDE, "loads device state again"),
    (Torn, FREEZE.format("primary: before FLUSH"), "no torn state", "secondary main loop",
     "takes over with RAM of checkpoint 0, but device state of checkpoint 1"),
    (Eager, "", "output commit", CHECKPOINT, "before the secondary has said"),
    (Liar, "", "output commit", SIDE, "says VMSTATE_LOADED, but has not"),
    (Hasty, "", "output commit", CHECKPOINT, "which nobody acknowledged"),
    (Promising, "", "output commit", SIDE, "does not have whole"),
    (Undead, "faults: [{freeze: primary, at: 100 ms}]\n", "a frozen process stands", "primary",
     "does something while it is frozen"),
]  # fmt: skip


@pytest.mark.parametrize(("design", "more", "rule", "thread", "detail"), PLANTED)
def test_a_wrong_design_is_caught(
    design: type[Design], more: str, rule: str, thread: str, detail: str
) -> None:
    """The run ends as `violated`, with the rule, who broke it, and how."""
    violation = violation_of(run_of(design, more))
    assert (violation.rule, violation.thread) == (rule, thread)
    assert detail in violation.detail


def test_the_design_that_the_wrong_ones_break_is_right() -> None:
    """Unbroken it runs through with every checker on."""
    run = run_of(Wrong)
    assert run.verdict == "completed", run.reason


def test_a_violation_tells_the_events_around_it_and_how_to_replay_it() -> None:
    """Some events before, the one that broke the rule, and some after it, with the command."""
    violation = violation_of(run_of(Eager))
    assert violation.at is not None
    assert violation.events[violation.at] == (violation.at_ns, GuestRunning("primary"), 0)
    assert 0 < violation.at < len(violation.events) - 1
    assert str(violation).splitlines()[-1] == "replay: colosim run planted --design eager"
    assert f"> {violation.at_ns:>16,} ns  primary: guest running" in str(violation)


def test_a_rule_that_the_model_itself_holds_is_told_alike() -> None:
    """What the lock refuses becomes a violation with its events and the replay command, too."""
    violation = violation_of(run_of(Impatient))
    assert violation.events
    assert violation.replay


def test_the_verdict_has_the_sentence_only() -> None:
    """The reason of a violated run is one line; time, rule and thread stand in it."""
    run = run_of(Eager)
    violation = violation_of(run)
    assert run.reason == violation.sentence
    assert "\n" not in run.reason


def tell_the_secondary(simulation: Simulation) -> None:
    """Let the secondary be told that its peer is lost, though it is not."""
    monitor = simulation.hosts["secondary"].monitor
    command = simulation.failovers["secondary"].lost_heartbeat

    def tell() -> None:
        monitor.send(COMMAND, command)

    simulation.env.call_at(60_000_000, tell)


def test_two_primaries_under_a_manager_that_fences_are_a_violation() -> None:
    """A secondary that takes over while the primary serves is none that the manager fenced for."""
    violation = violation_of(run_of(Wrong, "manager: {fence: true}\n", tell_the_secondary))
    assert (violation.rule, violation.thread) == ("at most one primary", "cluster manager")


def test_two_primaries_without_fencing_must_be_called_a_split_brain() -> None:
    """The verdict says so; one that said anything else would be a violation."""
    run = run_of(Wrong, "", tell_the_secondary)
    assert run.verdict == "split_brain"
    assert run.simulation is not None
    run.simulation.judged("failed_over")
    violation = run.simulation.violation
    assert violation is not None
    assert violation.rule == "at most one primary"


def test_a_split_brain_that_is_over_at_the_end_is_still_one() -> None:
    """Both served for a while, then one died: worst wins."""
    kill = "faults: [{kill: primary, at: 3 s}]\n"
    run = run_of(Wrong, kill, tell_the_secondary)
    assert run.verdict == "split_brain"
    assert "ran for a time" in run.reason


def test_every_rule_has_a_violation_of_its_own() -> None:
    """No checker is without a planted violation."""
    planted = {rule for _, _, rule, _, _ in PLANTED} | {"at most one primary"}
    assert planted == {checker.rule for checker in RULES}
