from __future__ import annotations

from colosim.analysis.explain import Explanation, explain
from colosim.runs.simulation import Simulation
from colosim.trace.events import COMMITTED, CheckpointEnded
from tests.analysis.cases import STREAM, scenario

FREEZE = f"freeze: secondary, {STREAM}"
FENCING = ("manager.fence=true", "manager.delay=2 s")


def explained(design: str, *faults: str, overrides: tuple[str, ...] = ()) -> Explanation:
    """Return the explanation of the shared scenario with these faults."""
    return explain(scenario(*faults, overrides=overrides), design)


def told(one: Explanation) -> list[tuple[str, str]]:
    """Return who did what, in order."""
    return [(event.who, event.what) for event in one.story.events]


def test_a_power_off_sends_no_reset() -> None:
    """A host that the manager powers off is told to be off; nothing is told of a kill or reset."""
    one = explained("qsb", FREEZE, overrides=FENCING)
    assert ("secondary", "is off: nothing runs on it, and no reset is sent") in told(one)
    assert "then resets" not in str(one)
    assert "had been killed" not in str(one)


def test_a_kill_still_sends_its_reset() -> None:
    """A killed process is told to be torn down and to reset, also in what released the run."""
    one = explained("split", FREEZE, "kill: secondary, at: 20 s")
    assert ("secondary", "its kernel tears its memory down, then resets") in told(one)
    assert "had been killed and its kernel sent a reset" in " ".join(one.released_by)


def test_a_host_that_is_off_gives_nothing_up() -> None:
    """The kernel of a host that is powered off is not told to give its connection up."""
    one = explained("split", f"freeze: primary, {STREAM}", overrides=("manager.fence=true",))
    assert not [what for who, what in told(one) if who == "primary" and "gives the" in what]


def test_a_fault_at_the_end_of_a_checkpoint_is_told_up_to_the_takeover() -> None:
    """A fault that the checkpoint outlives does not end the story with its commit."""
    quiet = Simulation(scenario(), "qsb").run().record
    commits = [at_ns for at_ns, event, _ in quiet if event == CheckpointEnded(COMMITTED)]
    one = explained("qsb", f"kill: secondary, at: {commits[3] - 50_000} ns")
    assert one.verdict == "failed_over"
    assert ("pair", "checkpoint 3 committed") in told(one)
    assert ("primary", "serves alone") in told(one)
    assert ("fault", "the secondary's process is killed") in told(one)


def test_what_comes_after_the_takeover_is_left_out() -> None:
    """The story of a run that was taken over ends with the takeover, whatever strikes later."""
    one = explained(
        "qsb", FREEZE, "thaw: secondary, at: 40 s", "slow: network, factor: 0.5, at: 50 s"
    )
    assert one.verdict == "failed_over"
    assert one.story.events[-1].time_ns < 40_000_000_000


def test_a_heal_of_what_was_well_is_left_out() -> None:
    """That the network is as before is told only if something was off."""
    lost, healed = "vanish: network, at: 2.3 s, for: 200 ms", "heal: network, at: 2.4 s"
    assert "is as before" not in str(explained("split", lost, healed, healed.replace("4", "45")))
    assert "the network is as before" in str(explained("split", lost))


def test_a_killed_peer_that_leaves_nothing_unread_closes_the_connection() -> None:
    """Nobody has shut it down by hand: its kernel did, with a FIN and no reset."""
    one = explain(
        scenario("kill: secondary, at: {checkpoint: 3, step: 'secondary: CHECKPOINT_REQUEST'}"),
        "split",
    )
    closed = "the secondary had been killed and its kernel closed the connection"
    assert closed in " ".join(one.released_by)
