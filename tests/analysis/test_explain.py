from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import colosim
from colosim.analysis.explain import Explanation, explain
from colosim.analysis.graph import Kind
from colosim.analysis.report_text import WIDTH
from colosim.analysis.timeline import Phrase, describe
from colosim.analysis.ways_out import BY_ITSELF, IF_DONE, NEVER
from colosim.runs.run import simulate
from colosim.scenario import loads
from colosim.trace.sentences import parse
from tests.analysis.cases import STREAM, scenario
from tests.checkers.wrong_designs import SMALL, Eager

if TYPE_CHECKING:
    from collections.abc import Sequence

FREEZE = f"freeze: secondary, {STREAM}"


def explained(
    design: str, *faults: str, overrides: Sequence[str] = (), seed: int | None = None
) -> Explanation:
    """Return the explanation of the shared scenario with these faults."""
    return explain(scenario(*faults, overrides=tuple(overrides)), design, seed=seed)


@pytest.mark.parametrize("design", ["qsb", "split", "device-first", "flat", "qemu-5.1"])
@pytest.mark.parametrize(
    "faults",
    [
        (),
        (FREEZE,),
        (f"{FREEZE}, for: 30 s",),
        (f"kill: secondary, {STREAM}",),
        (f"vanish: secondary, {STREAM}",),
        (f"freeze: primary, {STREAM}",),
        ("vanish: network, at: 2.3 s, for: 10 s",),
        ("fail: primary, what: device save, at: {checkpoint: 3, step: 'primary: RAM stream'}",),
    ],
)
def test_every_text_fits_a_mail(design: str, faults: tuple[str, ...]) -> None:
    """Text is plain ASCII of at most 76 columns, whatever happens."""
    text = str(explained(design, *faults))
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= WIDTH
    assert text.endswith("\n")
    assert not any(line != line.rstrip() for line in text.splitlines())


def test_a_recovered_run_says_what_released_it() -> None:
    """After a thaw it is told that the peer went on, and how the pair stood just before."""
    one = explained("split", f"{FREEZE}, for: 30 s")
    assert one.verdict == "failed_over"
    assert one.state is not None
    thawed_ns = one.state.at_ns + 1
    assert thawed_ns == 30_000_000_000 + next(
        event.time_ns for event in one.story.events if event.who == "fault"
    )
    assert [hold.thread for hold in one.state.holds if hold.side == "primary"] == [
        "checkpoint thread"
    ]
    assert one.released_by[1] == (
        "Before that, the secondary's process had gone on, and the stream with it "
        f"({thawed_ns / 1e9:.6f} s)."
    )
    assert [release.at_ns for release in one.state.releases if release.when == BY_ITSELF] == [
        thawed_ns
    ]


def test_a_postponed_failover_is_told() -> None:
    """A command that comes in the middle of a load is told to be postponed and asked for again."""
    kill = "kill: primary, at: {checkpoint: 3, step: 'secondary: device load', progress: 0%}"
    overrides = (
        "manager.heartbeat=1 ms",
        "manager.timeout=1 ms",
        "hosts.secondary.costs.device_load=300 ms",
    )
    one = explained("qsb", kill, overrides=overrides)
    assert one.verdict == "failed_over"
    told = [event.what for event in one.story.events]
    assert "postpones the failover: it is just loading a checkpoint" in told
    assert one.released_by[1].startswith("The failover was postponed, as a checkpoint was just")


def test_giving_up_comes_by_itself_when_it_is_said_to() -> None:
    """The moment at which TCP is said to give a vanished peer up is when it does."""
    one = explained("split", f"vanish: secondary, {STREAM}")
    assert one.state is not None
    (given_up,) = [release.at_ns for release in one.state.releases if release.when == BY_ITSELF]
    times = [
        event.time_ns
        for event in one.story.events
        if event.what == "its kernel gives the connection up: timed out"
    ]
    assert times == [given_up]


@pytest.mark.parametrize(
    ("ways_out", "overrides"),
    [
        (("thaw: secondary, at: 20 s",), ()),
        (("kill: secondary, at: 20 s",), ()),
        (("vanish: secondary, at: 20 s",), ("horizon=2000 s",)),
        ((), ("manager.policy=yank-then-lost-heartbeat",)),
        ((), ("network.user_timeout=10 s",)),
    ],
)
def test_each_way_out_of_the_hang_holds_when_it_is_tried(
    ways_out: tuple[str, ...], overrides: tuple[str, ...]
) -> None:
    """What the text says would release the hang does release it."""
    hang = explained("split", FREEZE)
    assert hang.verdict == "hung"
    assert hang.state is not None
    assert [release.when for release in hang.state.releases].count(IF_DONE) == 4
    assert not [release for release in hang.state.releases if release.when == BY_ITSELF]
    assert explained("split", FREEZE, *ways_out, overrides=overrides).verdict == "failed_over"


def test_a_starved_receiver_is_freed_by_no_timer() -> None:
    """`qemu-5.1`'s secondary behind a frozen primary: TCP has nothing to time out."""
    one = explained("qemu-5.1", f"freeze: primary, {STREAM}")
    assert one.verdict == "hung"
    assert one.survivor == "secondary"
    assert one.state is not None
    assert [(way.when, way.event) for way in one.state.releases] == [
        (NEVER, "x-colo-lost-heartbeat alone"),
        (IF_DONE, "the primary's process goes on (SIGCONT)"),
        (IF_DONE, "the primary's process is killed"),
        (NEVER, "TCP's own timers"),
        (IF_DONE, "yank on the secondary (out of band, QEMU 6.0 on)"),
    ]


def test_a_stopped_guest_behind_a_free_lock_needs_the_command() -> None:
    """After a kill under policy ``wait`` the command is the way out, and it would be served."""
    one = explained("split", f"kill: secondary, {STREAM}", overrides=["manager.policy=wait"])
    assert one.verdict == "stopped"
    assert one.state is not None
    assert one.state.holds == ()
    (way,) = one.state.releases
    assert way.event == "x-colo-lost-heartbeat on the primary"
    assert "What would release it" in str(one)


def test_a_completed_run_is_a_short_story() -> None:
    """Without a fault the last checkpoint is told, from its request to its commit."""
    one = explained("split")
    assert one.verdict == "completed"
    assert one.story.checkpoint == 5
    told = one.story.events
    assert (told[0].since_ns, told[0].who, told[0].what) == (
        0,
        "primary",
        "sends CHECKPOINT_REQUEST",
    )
    assert told[-1].what == "checkpoint 5 committed"
    assert "Who waits for whom" not in str(one)


def test_a_harmless_fault_is_told_with_its_own_checkpoint() -> None:
    """If the pair went on, the story is that of the checkpoint that the fault struck."""
    one = explained(
        "split",
        "freeze: secondary, for: 100 ms, "
        "at: {checkpoint: 2, step: 'primary: RAM stream', progress: 40%}",
    )
    assert one.verdict == "completed"
    assert one.story.checkpoint == 2
    assert one.story.events[-1].what == "checkpoint 2 committed"


def test_a_fault_between_checkpoints_begins_the_story() -> None:
    """A fault that strikes while no checkpoint runs is where the story begins."""
    one = explained("qsb", "freeze: secondary, at: 2.3 s")
    assert one.story.checkpoint is None
    assert one.story.begins_ns == 2_300_000_000
    assert "From the fault at 2.300000 s on" in str(one)


def test_a_step_that_a_design_lacks_is_said() -> None:
    """A case that does not apply is explained as such, without a graph."""
    one = explained("qsb", "freeze: primary, at: {checkpoint: 3, step: 'primary: device save'}")
    assert one.verdict == "not_applicable"
    assert "The design has no step 'primary: device save'." in str(one)
    assert one.state is None
    assert "flowchart TD" in one.mermaid


def test_graphs_carry_the_chains() -> None:
    """Mermaid and DOT have every node and edge of the graph, under the run's title."""
    one = explained("split", FREEZE)
    assert one.state is not None
    graph = one.state.graph
    assert one.mermaid.startswith("%% t, design split: hung; at 1000.000000 s\n")
    assert one.mermaid.count("-->") == one.dot.count(" -> ") == len(graph.edges)
    assert {node.kind for node in graph.nodes} == {
        Kind.GUEST,
        Kind.COMMAND,
        Kind.THREAD,
        Kind.LOCK,
        Kind.BUFFER,
        Kind.MANAGER,
        Kind.PEER,
    }


def test_plain_data_survives_json() -> None:
    """The data for JSON has the verdict, the story, the chains and what would release."""
    data = json.loads(json.dumps(explained("split", FREEZE).to_dict()))
    assert data["verdict"] == "hung"
    assert data["state"]["graph"]["chains"][0][0] == "cluster manager"
    assert data["state"]["graph"]["cycles"] == []
    assert data["state"]["releases"][0]["when"] == NEVER
    assert data["story"]["events"][0]["since_ns"] == 0


def test_the_stop_that_lasts_is_the_one_that_is_told() -> None:
    """A longer stop before does not move the moment since when no guest serves."""
    faults = ("freeze: primary, at: 1 s, for: 20 s", "kill: primary, at: 22 s")
    overrides = ["manager.policy=wait", "horizon=30 s"]
    one = explained("qsb", *faults, overrides=overrides)
    since_ns = one.end_ns - one.guest_stopped_ns
    assert 21_000_000_000 < since_ns <= 22_000_000_000
    assert f"No guest has served since {since_ns / 1e9:.6f} s" in " ".join(str(one).split())


def test_without_a_survivor_both_hosts_are_lost() -> None:
    """If both sides are lost it is said how, and not that a survivor's lock is free."""
    faults = ("kill: primary, at: 3 s", "freeze: secondary, at: 3.5 s")
    one = explained("qsb", *faults, overrides=["manager.policy=wait"])
    assert one.verdict == "stopped"
    text = " ".join(str(one).split())
    assert "both hosts are lost: the primary is killed and the secondary is frozen" in text
    assert "lock is free" not in text
    assert "What would release" not in text


def test_the_checkers_watch_what_is_explained() -> None:
    """A design that breaks a rule is explained with the verdict and the reason of its run."""
    planted = loads(SMALL, known_designs=("split",))
    one = explain(planted, Eager)
    run = simulate(planted, Eager)
    assert (one.verdict, one.reason) == ("violated", run.reason)


def test_a_fault_whose_moment_never_came_is_said() -> None:
    """A run whose fault never struck is told so, and as one that was simulated."""
    late = "freeze: secondary, at: {checkpoint: 4, step: 'primary: RAM stream'}"
    one = explained("split", "kill: secondary, at: 1 s", late)
    assert one.verdict == "not_applicable"
    assert "its moment never came" in " ".join(str(one).split())
    assert "Nothing was simulated" not in str(one)


def test_the_package_explains() -> None:
    """``colosim.explain`` takes a scenario and gives the explanation."""
    one = colosim.explain(scenario(FREEZE), "split", seed=7)
    assert isinstance(one, colosim.Explanation)
    assert one.seed == 7
    assert one.title == "t, design split: hung"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("primary: memory staging_buffer", 4, None),
        ("primary: stop", 180_000, None),
        (
            "primary: iothread lock got by main loop for monitor",
            12_000_000_000,
            Phrase("primary", "main loop takes the iothread lock (monitor), after 12.000 s"),
        ),
        (
            "fault: vanish network",
            0,
            Phrase("fault", "the network vanishes: nothing comes back from it"),
        ),
        (
            "secondary: fault device load fails",
            0,
            Phrase("fault", "the secondary's device load fails"),
        ),
        ("cluster manager: powers primary off", 0, Phrase("manager", "powers the primary off")),
        (
            "cluster manager: cannot send yank to the secondary",
            0,
            Phrase("manager", "cannot send yank to the secondary"),
        ),
        ("fault ends: network is as before", 0, Phrase("fault", "the network is as before")),
        ("fault ends: primary is as before", 0, Phrase("fault", "the primary's host is as before")),
        ("faults end", 0, Phrase("fault", "all faults end")),
        ("checkpoint aborted", 3, Phrase("pair", "checkpoint 3 aborted")),
        ("primary: a step of one's own", 0, Phrase("primary", "a step of one's own")),
        ("primary: a step of one's own", 5000, Phrase("primary", "a step of one's own, 0.005 ms")),
    ],
)
def test_events_are_told_in_words(name: str, value: int, told: Phrase | None) -> None:
    """Each event of the record reads as a sentence's end; bookkeeping is left out."""
    assert describe(parse(name), value) == told


def test_the_wait_for_a_delayed_ack_is_told() -> None:
    """How long VMSTATE_LOADED stood, and the pause without, as a run with +nodelay has it."""
    told = str(explain("compare", "split"))
    assert "Wait      VMSTATE_LOADED stood for 34.503 ms in the secondary's kernel:" in told
    nodelay = colosim.run("compare", "split+nodelay", tables=False).summary["pause_ns"]["p50"]
    words = f"with +nodelay the median pause is {nodelay / 1e6:.3f} ms, not 87.584 ms"
    assert words in " ".join(told.split())
    assert "\nWait " not in str(explain("compare", "split+nodelay"))


@pytest.mark.parametrize(("design", "waits"), [("split", True), ("qemu-11", False)])
def test_a_failover_that_waits_for_the_checkpoint_delay_says_so(
    design: str, *, waits: bool
) -> None:
    """The patch's thread looks for the command when it has slept; QEMU's since 3.1 is woken."""
    idle = "name: idle\ncheckpoint_delay: 10 s\nduration: 40 s\nguest: {ram: 64 MiB}\n"
    told = str(explain(loads(f"{idle}faults: [{{kill: secondary, at: 15 s}}]"), design))
    words = "the failover waited for the end of the checkpoint delay"
    assert (words in " ".join(told.split())) is waits
