"""The replicated disk under faults of its own and of the pair: verdicts, ways out, what is told."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from colosim.analysis.explain import explain
from colosim.analysis.graph import Kind
from colosim.analysis.left_out import LEFT_OUT
from colosim.analysis.ways_out import IF_DONE, NEVER
from colosim.errors import ScenarioError
from colosim.explore.cases import Space
from colosim.runs.run import Run, simulate
from colosim.runs.simulation import Simulation
from colosim.runs.verdict import judge
from colosim.scenario import Scenario, loads
from colosim.trace.events import AgentYanks, GuestRunning, StepDone

NO_YANK, MIGRATION, NODE, BOTH = (
    "policy: lost-heartbeat",
    "policy: yank-then-lost-heartbeat",
    "policy: yank-then-lost-heartbeat, yank: [block-node]",
    "policy: yank-then-lost-heartbeat, yank: [migration, block-node]",
)
DOCUMENTED = ", failover: documented"
IDLE = "1250 ms"
REPLY = "{checkpoint: 2, step: 'secondary: after CHECKPOINT_REPLY'}"
STREAM = "{checkpoint: 2, step: 'primary: RAM stream at 40%'}"
DESIGNS = ("qsb", "split", "device-first", "flat", "qemu-3.1", "qemu-5.1", "qemu-11")
HUNG, ALONE = "hung", "failed_over"


@cache
def scenario(
    faults: str, manager: str = NO_YANK, disk: str = "{replication: nbd}", more: str = ""
) -> Scenario:
    """Return a pair whose RAM does not fit into the buffers, with faults."""
    return loads(
        f"""
name: disk-faults
checkpoints: 6
horizon: 60 s
checkpoint_delay: 500 ms
guest: {{ram: 128 MiB, dirty: {{pages: 16000}}}}
hosts: {{preset: lab-qemu72}}
network: {{preset: lab-veth-1gbit, send_buffer: 4 MiB, receive_buffer: 2 MiB}}
disk: {disk}
manager: {{{manager}}}
faults: [{faults}]
{more}
"""
    )


def flushes(run: Run) -> list[int]:
    """Return what each flush of the disk took, in ns."""
    done = StepDone("primary", "disk flush")
    return [took for _, event, took in run.iter_events() if event == done]


def verdict(design: str, faults: str, manager: str = NO_YANK) -> str:
    """Return how a run ends, watched by every checker."""
    simulation = Simulation(scenario(faults, manager), design, keep=False)
    simulation.check()
    return judge(simulation.run()).verdict


MOMENTS = {"while idle": IDLE, "after CHECKPOINT_REPLY": REPLY, "in the RAM stream": STREAM}
YANKS = {"nothing": NO_YANK, "migration": MIGRATION, "block node": NODE, "both": BOTH}
FAILOVERS = {"short": "", "documented": DOCUMENTED}
FAULTS_OF_THE_PAGE = {"frozen": "freeze", "vanished": "vanish", "killed": "kill"}
PAGE = Path(__file__).parents[2] / "docs" / "disk.md"
HEAD = (
    f"| secondary | when | failover | {' | '.join(f'{yank} yanked' for yank in YANKS)} |\n"
    f"| --- | --- | --- | {' | '.join('---' for _ in YANKS)} |\n"
)


@cache
def ends(fault: str, at: str, manager: str) -> dict[str, str]:
    """Return how each design ends."""
    faults = f"{{{fault}: secondary, at: {at}}}"
    return {design: verdict(design, faults, manager) for design in DESIGNS}


def told(ends: dict[str, str]) -> str:
    """Return the verdicts of all designs, as the page has them."""
    if len(set(ends.values())) == 1:
        return next(iter(ends.values()))
    hung = ", ".join(design for design, verdict in ends.items() if verdict == HUNG)
    assert set(ends.values()) == {HUNG, ALONE}
    return f"hung ({hung}), else failed_over"


@pytest.mark.slow
def test_the_page_has_the_verdicts_of_all_designs(pytestconfig: pytest.Config) -> None:
    """Frozen, vanished or killed, at three moments, with each failover and each kind of yank."""
    rows = "".join(
        f"| {told_as} | {when} | {failover} | "
        + " | ".join(told(ends(fault, at, yank + more)) for yank in YANKS.values())
        + " |\n"
        for told_as, fault in FAULTS_OF_THE_PAGE.items()
        for when, at in MOMENTS.items()
        for failover, more in FAILOVERS.items()
        if fault != "kill" or not more
    )
    before, _, after = PAGE.read_text(encoding="utf-8").partition(HEAD)
    made = before + HEAD + rows + "\n" + after.partition("\n\n")[2]
    if pytestconfig.getoption("--update-results"):
        PAGE.write_text(made, encoding="utf-8", newline="\n")
    assert PAGE.read_text(encoding="utf-8") == made


def test_who_yanks_both_is_never_hung_and_who_is_killed_hangs_nobody() -> None:
    """Whatever the moment and the failover, the primary serves alone, in every design."""
    for at in MOMENTS.values():
        for more in FAILOVERS.values():
            for fault in ("freeze", "vanish"):
                assert set(ends(fault, at, BOTH + more).values()) == {ALONE}
        assert set(ends("kill", at, NO_YANK).values()) == {ALONE}


def test_agents_that_yank_both_free_their_own_qemu() -> None:
    """An agent finds a monitor deaf that waits for the disk; its yank of the migration alone fails.

    So the main loop's wait counts as deafness, whoever holds the lock in it.
    """
    for instances, ends in (("[migration]", HUNG), ("[migration, block-node]", ALONE)):
        manager = f"{NO_YANK}, local_yank_after: 2 s, yank: {instances}"
        run = simulate(scenario(f"{{freeze: secondary, at: {IDLE}}}", manager), "qemu-5.1")
        assert run.verdict == ends
        assert any(isinstance(event, AgentYanks) for _, event, _ in run.iter_events())
        assert run.simulation is not None
        assert run.simulation.tally.deaf_ns["primary"] >= 2 * 10**9


def test_a_disk_that_is_lost_by_itself_stops_the_guest_until_tcp_gives_up() -> None:
    """Its connection lost, the next stop waits; 15 retransmissions later the pair goes on."""
    hung = scenario("{vanish: disk, at: 1250 ms}")
    assert simulate(hung, "qemu-11").verdict == HUNG
    patient = hung.vary({"horizon": "1000 s"})
    assert simulate(patient, "qemu-11").verdict == "completed"
    healed = scenario("{vanish: disk, at: 1250 ms, for: 1 s}")
    run = simulate(healed, "qemu-11")
    assert run.verdict == "completed"
    assert sorted(took > 10**9 // 2 for took in flushes(run)) == [False] * 5 + [True]


def test_a_slow_disk_lengthens_the_stop_and_nothing_else() -> None:
    """Two round trips at a hundredfold latency, on the disk's connection alone."""
    slow = simulate(scenario("{slow: disk, what: latency, factor: 100, at: 0 s}"), "qemu-5.1")
    asis = simulate(scenario(""), "qemu-5.1")
    longer = [one - other for one, other in zip(flushes(slow), flushes(asis), strict=True)]
    assert longer == [4 * 99 * slow.scenario.network.latency_ns] * 6


def test_explain_names_the_flush_and_tells_the_yanks_apart() -> None:
    """The main loop waits for the disk, that for the secondary's main loop; the guest stands."""
    told = explain(scenario(f"{{freeze: secondary, at: {IDLE}}}"), "qemu-5.1")
    assert told.state is not None
    graph = told.state.graph
    chain = [node.key for node in graph.chain("primary: guest").nodes]
    assert chain == [
        "primary: guest",
        "primary: main loop",
        "primary: disk",
        "secondary: main loop",
        "secondary: process",
    ]
    assert graph.node("primary: disk").kind is Kind.DISK
    ways = {way.event.split(" (")[0]: way.when for way in told.state.releases}
    assert ways["yank of the block node on the primary"] == IF_DONE
    assert ways["yank of the migration alone"] == NEVER
    assert "disk" not in [one.id for one in told.left_out]
    without = explain(scenario(f"{{freeze: secondary, at: {IDLE}}}", disk="none"), "qemu-5.1")
    assert LEFT_OUT[0].id == "disk"
    assert LEFT_OUT[0] in without.left_out


def test_explore_strikes_the_flush_and_the_disk_alone() -> None:
    """A pair with a disk has its steps, and its connection as a victim; one without has neither."""
    in_flight = "{replication: nbd, in_flight: 64 KiB}"
    for disk, steps in ((in_flight, {"disk drain", "disk flush"}), ("none", set())):
        space = Space(scenario("", disk=disk), ["qemu-11"], ["vanish"])
        cases = list(space)
        struck = {case.choices["step"] for case in cases}
        assert {step for step in struck if step.startswith("disk")} == steps
        assert any(case.choices["victim"] == "disk" for case in cases) == bool(steps)


FAULTS = (
    "",
    "{freeze: secondary, at: 1250 ms, for: 2 s}",
    "{kill: secondary, at: 1250 ms}",
    "{vanish: network, at: 1250 ms, for: 1 s}",
    "{vanish: disk, at: 1250 ms, for: 2 s}",
    "{busy: secondary, at: 1250 ms, for: 2 s}",
)


@pytest.mark.parametrize("faults", FAULTS)
def test_the_reference_model_has_the_same_disk(faults: str) -> None:
    """Both models end alike, and every flush and every run of the guest comes within 20 ms."""
    known: list[list[tuple[str, int]]] = []
    ends = []
    for model in ("fast", "reference"):
        disk = "{replication: nbd, in_flight: 64 KiB}"
        made = scenario(faults, BOTH + DOCUMENTED, disk).vary({"model": model})
        run = simulate(made.vary({"guest.dirty.pages": 900}), "qemu-11")
        ends.append((run.verdict, run.summary["checkpoints"]))
        steps = (StepDone("primary", "disk flush"), GuestRunning("primary"))
        known.append([(str(event), at) for at, event, _ in run.iter_events() if event in steps])
    assert ends[0] == ends[1]
    both = list(zip(*known, strict=True))
    assert [one[0] for one, _ in both] == [other[0] for _, other in both]
    assert all(abs(one[1] - other[1]) < 20_000_000 for one, other in both)


@pytest.mark.parametrize(
    ("stated", "told"),
    [
        ("disk: nbd", "disk: 'nbd' is not known; expected a disk such as {replication: nbd}"),
        ("disk: {in_flight: 3 B}", "disk needs the key 'replication', which is missing"),
        ("faults: [{vanish: disk, at: 1 s}]", "vanish disk needs a disk; expected disk:"),
        (
            "commands: [{to: primary, command: drive_del, at: 1 s}]",
            "command primary (drive_del) needs a disk; expected disk: {replication: nbd}",
        ),
        ("manager: {failover: documented}", "a documented failover needs a disk"),
    ],
)
def test_what_needs_a_disk_says_so(stated: str, told: str) -> None:
    """A scenario without one that speaks of it is refused, with what would do."""
    with pytest.raises(ScenarioError) as refused:
        loads(f"name: x\n{stated}")
    assert told in str(refused.value)


def test_an_image_that_was_left_behind_is_told_of() -> None:
    """The disk is yanked and the pair goes on: the secondary that takes over has a stale image.

    Not if the primary takes over, nor if the yank came with the end.
    """
    yanked = "commands: [{at: 800 ms, to: primary, command: yank block-node}]"
    for faults, more, told in (
        ("{kill: primary, at: 2500 ms}", yanked, True),
        ("{kill: secondary, at: 2500 ms}", yanked, False),
        ("{kill: primary, at: 2500 ms}", "", False),
    ):
        found = explain(scenario(faults, BOTH, more=more), "qemu-11").left_out
        assert ("disk-image" in [one.id for one in found]) == told
