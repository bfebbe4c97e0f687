"""Which cases there are: every step, on both sides, every moment, every fault, every victim."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest

from colosim.designs import load_designs
from colosim.explore.cases import Space, case_scenario, moments_of, share_ppm
from colosim.explore.choices import ChoicesError
from colosim.explore.faults import DEFAULT_FAULTS, requested_faults, victims_of
from colosim.faults.steps import READS, RECEIVES, SENDS, WORKS, WRITES, Step
from colosim.runs.simulation import steps_of

if TYPE_CHECKING:
    from colosim.scenario import Scenario

MIB = 1 << 20


def test_every_step_of_every_design_is_struck_on_both_sides(conditions: Scenario) -> None:
    """The steps of all cases are the steps of the designs' protocols, no more and no less."""
    space = Space(conditions, faults=["freeze"])
    struck = {(case.design, case.choices["side"], case.choices["step"]) for case in space}
    steps = {
        (design, *step)
        for design in conditions.designs
        for step in steps_of(load_designs()[design], conditions)
    }
    assert struck == steps


def test_the_enumeration_is_complete(conditions: Scenario) -> None:
    """The cases are as many as told first: moments times faults times victims, no two alike."""
    space = Space(conditions, ["split"], ["freeze", "vanish 1 s", "fail"])
    texts = [case.text for case in space]
    steps = space.steps("split").values()
    moments = sum(len(moments_of(step, 6 * MIB)) for step in steps)
    fails = sum(len(step.may_fail) for step in steps)
    # A freeze has two victims, what vanishes three; what may fail does so on its own side.
    assert len(texts) == len(set(texts)) == space.count() == moments * (2 + 3) + fails


def test_pairs_of_faults_are_complete(conditions: Scenario) -> None:
    """Two faults at once: as many cases as told first, no two alike."""
    space = Space(conditions, ["split"], ["fail", "slow latency 100 30 s"], depth=2)
    texts = [case.text for case in space]
    assert len(texts) == len(set(texts)) == space.count()


def test_two_faults_strike_at_the_same_moment_or_one_later(conditions: Scenario) -> None:
    """With m moments and w ways to strike at each there are w² m (m + 1) / 2 pairs."""
    one = Space(conditions, ["qsb"], ["kill"]).count() // 2
    assert Space(conditions, ["qsb"], ["kill"], depth=2).count() == 4 * one * (one + 1) // 2


def test_messages_are_struck_before_after_and_while_they_are_waited_for() -> None:
    """A message that is sent has two moments; one that has to be waited for has three."""
    sent = Step("primary", "CHECKPOINT_REQUEST", SENDS, 0)
    awaited = Step("primary", "CHECKPOINT_REPLY", RECEIVES, 0, 1000)
    there = Step("secondary", "VMSTATE_SIZE", RECEIVES, 0, 0)
    assert [moments_of(step, 6 * MIB) for step in (sent, awaited, there)] == [
        ["before", "after"],
        ["before", "while it waits", "after"],
        ["before", "after"],
    ]


def test_streams_are_struck_at_the_marks_where_they_change() -> None:
    """First byte, buffers full, half, the rest fits, last byte; a small one never fills buffers."""
    large = Step("primary", "RAM stream", WRITES, 0, 1000, 64 * MIB)
    small = Step("primary", "device stream", WRITES, 0, 1000, 12_665)
    read = Step("secondary", "RAM load", READS, 0, 1000, 64 * MIB)
    work = Step("secondary", "reset", WORKS, 0, 1000)
    assert [moments_of(step, 6 * MIB)[1:-1] for step in (large, small, read, work)] == [
        ["first byte", "buffers full", "during 50%", "rest fits", "last byte"],
        ["first byte", "during 50%", "last byte"],
        ["first byte", "during 50%", "rest fits", "last byte"],
        ["during 50%"],
    ]
    marks = ["first byte", "buffers full", "rest fits", "last byte", "during 40%"]
    assert [share_ppm(large, mark, 6 * MIB) for mark in marks] == [
        1,
        93_750,
        906_250,
        1_000_000,
        400_000,
    ]


def test_each_fault_has_its_victims_the_peer_first() -> None:
    """A side at its step sees its peer struck, itself, or the network; a function fails at home."""
    assert {words: victims_of(words, "primary") for words in ("freeze", "vanish 1 s", "fail")} == {
        "freeze": ("secondary", "primary"),
        "vanish 1 s": ("secondary", "primary", "network"),
        "fail": ("primary",),
    }
    assert victims_of("slow latency 10 1 s", "secondary") == ("network",)
    assert victims_of("close compare 5 s", "secondary") == ("compare",)


def test_sockets_of_the_proxy_fail_where_output_is_compared(conditions: Scenario) -> None:
    """Each of them at every moment of a design with clients, none without, and none of `remus`."""
    faults, designs = ["freeze mirror", "close compare 5 s"], ["split", "remus"]
    assert Space(conditions, designs, faults).count() == 0
    clients = conditions.vary({"designs": designs, "service": {"arrivals": {"poisson": "200 /s"}}})
    space = Space(clients, designs, faults)
    cases = list(space)
    assert len(cases) == space.count() > 60
    assert {case.design for case in cases} == {"split"}
    struck = {(case.faults[0].kind, case.faults[0].target) for case in cases}
    assert struck == {("freeze", "mirror"), ("close", "compare")}


def test_faults_are_taken_as_they_are_asked_for() -> None:
    """Each fault once, in the order given; all that are known if none is."""
    assert requested_faults(["freeze", "vanish 5 s", "freeze"]) == ("freeze", "vanish 5 s")
    assert requested_faults([]) == DEFAULT_FAULTS


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("melt", "'melt' is no fault"),
        ("freeze 3", "has no unit"),
        ("kill 3 s", "kill does not end"),
        ("close", "expected 'close mirror ...' or 'close compare ...'"),
        ("close mirror 3", "has no unit"),
        ("slow 0.1 3 s", "expected 'slow bandwidth"),
        ("slow latency much", "'slow latency much'"),
        ("busy", "expected for how long"),
        ("freeze 0 s", "'freeze 0 s': '0 s' is too small; expected a time of at least 1 ns"),
        ("freeze -3 s", "'freeze -3 s': '-3 s' is negative"),
        ("freeze 9999999 s", "is too large; expected a time of at most 1000000 s"),
        ("slow latency 0", "'slow latency 0': '0' is too small; expected a factor"),
        ("slow latency 100 0 s", "'0 s' is too small"),
        ("busy 0 s", "'busy 0 s': '0 s' is too small"),
        (
            "fail nothing",
            "'nothing' is not known; expected .* RAM save, loadvm_state_begin, device load",
        ),
        ("leak RAM", "'RAM' is not known; expected what fails"),
    ],
)
def test_a_wrong_fault_is_told(words: str, message: str) -> None:
    """What is no fault is refused with what was expected."""
    with pytest.raises(ChoicesError, match=message):
        requested_faults([words])


def test_a_leak_is_a_failure_that_keeps_the_lock(conditions: Scenario) -> None:
    """Where the lock is held a function may leak it; qemu-5.1 streams RAM without it."""
    cases = list(Space(conditions, ["qsb", "qemu-5.1"], ["leak"]))
    assert [(case.design, case.choices["fault"]) for case in cases] == [
        ("qsb", "leak RAM save"),
        ("qsb", "leak device save"),
        ("qsb", "leak device load"),
        ("qemu-5.1", "leak device save"),
        ("qemu-5.1", "leak device load"),
    ]
    for case in cases:
        (fault,) = case.faults
        assert (fault.kind, getattr(fault, "leaks_lock", None)) == ("fail", True)


def test_a_design_in_which_nothing_can_strike_has_no_cases(conditions: Scenario) -> None:
    """`qemu-5.1` streams RAM without its lock: only `split`'s can be leaked there."""
    space = Space(conditions, ["qemu-5.1", "split"], ["leak RAM save"])
    assert [case.design for case in space] == ["split"]
    assert list(Space(conditions, ["qemu-5.1"], ["leak RAM save"])) == []


def test_a_design_that_is_listed_twice_counts_once(conditions: Scenario) -> None:
    """The cases of a design are the same however often it is asked for."""
    assert Space(conditions, ["qsb", "split", "qsb"]).designs == ("qsb", "split")


def test_a_case_is_replayed_under_the_scenario_as_it_was_given(conditions: Scenario) -> None:
    """The command has file and overrides quoted for a shell; without them the scenario's name."""
    command = ["colosim", "run", "my file.yaml", "--set", "network.latency=1 ms"]
    case = next(iter(Space(conditions, ["qsb"], ["kill"])))
    told = Space(conditions, ["qsb"], ["kill"], command=command).replay_command(case)
    assert told.startswith("colosim run 'my file.yaml' --set 'network.latency=1 ms' --choices ")
    assert shlex.split(told) == [*command, "--choices", case.text]
    by_name = Space(conditions, ["qsb"]).replay_command(case)
    assert by_name.startswith("colosim run conditions --choices 'design=qsb, ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("when=during 140%", "'140%' is no share of a step; expected 0% to 100%"),
        ("when=during -5%", "'-5%' is no share"),
        ("when=during abc", "'abc' is not a quantity; expected a share"),
        ("fault=freeze 9999999 s", "'9999999 s' is too large"),
        ("design=qsb", "'qsb' is chosen, but --design says split"),
    ],
)
def test_choices_that_cannot_be_are_told(conditions: Scenario, words: str, message: str) -> None:
    """A share beyond the step, a time beyond all times, and another design are refused."""
    with pytest.raises(ChoicesError, match=message):
        case_scenario(conditions, f"side=primary, step=RAM stream, {words}", ["split"])


def test_a_case_may_be_of_any_design(conditions: Scenario) -> None:
    """What was explored with other designs than the scenario's replays without naming them."""
    narrow = conditions.model_copy(update={"designs": ("qsb",)})
    for design in ("split", "split+yank"):
        assert case_scenario(narrow, f"design={design}, step=RAM stream").designs == (design,)


def test_an_unlimited_link_has_no_rate_to_slow(conditions: Scenario) -> None:
    """Where the link has no limit, only its latency is made worse."""
    slow = [words for words in Space(conditions).faults if words.startswith("slow")]
    assert slow == ["slow latency 100 30 s"]


def test_a_short_list_of_choices_is_a_whole_case(conditions: Scenario) -> None:
    """What is left out takes its first alternative; any share of a stream may be given."""
    text = "side=primary, step=RAM stream, when=during 40%, fault=freeze"
    (fault,) = case_scenario(conditions, text, ["split"]).faults
    assert (fault.kind, fault.target, fault.at_step, fault.progress_ppm, fault.at_checkpoint) == (
        "freeze",
        "secondary",
        "primary: during RAM stream",
        400_000,
        1,
    )


def test_exploration_leaves_the_scenarios_own_faults_aside(conditions: Scenario) -> None:
    """A case has its own faults, no expectations, and a length that shows whether it recovers."""
    base = Space(conditions).base
    assert (base.faults, base.expect, base.checkpoints, base.warmup) == ((), {}, 4, 0)
    assert base.guest == conditions.guest
