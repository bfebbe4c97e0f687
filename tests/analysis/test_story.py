from __future__ import annotations

from colosim.analysis.explanation import Explanation, explain
from tests.analysis.cases import STREAM, scenario

FREEZE = f"freeze: secondary, {STREAM}"
FENCING = ("manager.fence=true", "manager.delay=2 s")


def explained(design: str, *faults: str, overrides: tuple[str, ...] = ()) -> Explanation:
    """Return the explanation of the shared scenario with these faults."""
    return explain(scenario(*faults, overrides=overrides), design)


def told(one: Explanation) -> list[tuple[str, str]]:
    """Return who did what, in order."""
    return [(happening.who, happening.what) for happening in one.story.happenings]


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
    at = "at: {checkpoint: 3, step: 'primary: VMSTATE_LOADED'}"
    one = explained("qsb", f"kill: secondary, {at}")
    assert one.verdict == "failed_over"
    assert told(one)[-1] == ("primary", "serves alone")
    assert any(who == "fault" for who, _ in told(one))


def test_a_heal_of_what_was_well_is_left_out() -> None:
    """That the network is as before is told only if something was off."""
    text = str(explained("split", "heal: network, at: 2.3 s"))
    assert "is as before" not in text
    text = str(explained("split", "vanish: network, at: 2.3 s, for: 100 ms"))
    assert "the network is as before" in text
