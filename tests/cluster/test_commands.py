"""Commands of an operator, the agent on each host, and faults that strike the failover itself."""

from __future__ import annotations

from itertools import product

import pytest

from colosim.host.failover import STEPS
from colosim.runs.run import Run, run
from colosim.runs.verdict import judge
from colosim.scenario import loads
from colosim.trace.events import (
    AgentYanks,
    CommandReceived,
    CommandRefused,
    CommandServed,
    GuestRunning,
    GuestStopped,
    OperatorSends,
)
from tests.cluster.test_outcomes import LAB, MID_STREAM, simulate

S, MS = 10**9, 10**6
IDLE = "at: {checkpoint: 3, step: 'primary: before CHECKPOINT_REQUEST'}"
FROZEN = f"faults: [{{freeze: secondary, {MID_STREAM}}}]\nmanager: {{policy: wait}}\n"


def commanded(design: str, commands: str, more: str = "") -> Run:
    """Run a design with commands."""
    return run(loads(f"{LAB}commands: [{commands}]\n{more}"), design)


def events(ended: Run, *kinds: type) -> list[tuple[int, str]]:
    """Return the time, in ms, and the sentence of each event of some kinds."""
    return [
        (at_ns // MS, str(event)) for at_ns, event, _ in ended.iter_events() if type(event) in kinds
    ]


def test_commands_are_served_in_order_and_yank_needs_no_lock() -> None:
    """While the sender is blocked with the lock, all wait but the yank, which ends that."""
    ended = commanded(
        "split",
        "{at: 4 s, to: primary, command: query-status}, {at: 5 s, to: primary, command: yank}, "
        "{at: 6 s, to: primary, command: x-colo-lost-heartbeat}, "
        "{at: 7 s, to: primary, command: x-colo-lost-heartbeat}",
        FROZEN,
    )
    assert ended.verdict == "failed_over"
    assert events(ended, OperatorSends, CommandReceived, CommandServed, CommandRefused) == [
        (4000, "primary: operator sends query-status"),
        (4000, "primary: monitor receives query-status"),
        (5000, "primary: operator sends yank"),
        (5000, "primary: monitor serves yank out of band"),
        (5000, "primary: monitor serves query-status"),
        (6000, "primary: operator sends x-colo-lost-heartbeat"),
        (6000, "primary: monitor receives x-colo-lost-heartbeat"),
        (6000, "primary: monitor serves x-colo-lost-heartbeat"),
        (7000, "primary: operator sends x-colo-lost-heartbeat"),
        (7000, "primary: monitor receives x-colo-lost-heartbeat"),
        (7000, "primary: monitor serves x-colo-lost-heartbeat"),
        (7000, "primary: refuses x-colo-lost-heartbeat"),
    ]


def test_a_guest_that_is_stopped_runs_again_after_the_next_checkpoint_or_by_cont() -> None:
    """COLO's vm_start does not ask who has stopped the guest; between checkpoints cont does it."""
    stop = "{at: 100 ms, to: primary, command: stop}"
    alone = events(commanded("split", stop), GuestRunning, GuestStopped)[:4]
    assert alone[:2] == [(0, "primary: guest running"), (100, "primary: guest stopped")]
    assert alone[2][0] > 500
    both = commanded("split", f"{stop}, {{at: 300 ms, to: primary, command: cont}}")
    assert events(both, GuestRunning, GuestStopped)[1:3] == [
        (100, "primary: guest stopped"),
        (300, "primary: guest running"),
    ]
    assert both.verdict == "completed"


def test_a_command_strikes_at_a_protocol_step_and_its_moment_must_come() -> None:
    """It is sent as the step ends; a step that never comes makes the run not applicable."""
    at = "{checkpoint: 2, step: 'primary: after VMSTATE_SEND'}"
    command = f"{{at: {at}, to: primary, command: query-status}}"
    ended = commanded("split", command)
    (sent,) = (at_ns for at_ns, event, _ in ended.iter_events() if type(event) is OperatorSends)
    assert sent == ended.checkpoints["primary_vmstate_send_at_ns"][2]
    missed = commanded("split", command, "faults: [{kill: secondary, at: 1 s}]\n")
    assert missed.verdict == "not_applicable"
    assert "command primary (query-status) at primary: after VMSTATE_SEND" in missed.reason


@pytest.mark.parametrize(("design", "verdict"), [("split", "hung"), ("qemu-5.1", "split_brain")])
def test_a_failover_of_a_healthy_pair_joins_a_thread_that_wants_its_lock(
    design: str, verdict: str
) -> None:
    """The main loop joins the incoming thread under the lock that this waits for, to load.

    So up to QEMU 6.1 ("Fixed SVM hang when do failover before PVM crash", November 2021); where the
    lock is given back around the join both guests run: nobody had failed.
    """
    at = "{checkpoint: 2, step: 'secondary: during device fill'}"
    command = f"{{at: {at}, to: secondary, command: x-colo-lost-heartbeat}}"
    cont = "{at: 20 s, to: primary, command: cont}"
    ended = commanded(design, f"{command}, {cont}" if design != "split" else command)
    assert ended.verdict == verdict, ended.reason


@pytest.mark.parametrize("answered_by", ["agent", "monitor"])
@pytest.mark.parametrize(
    ("agents", "verdict"), [("", "hung"), (", local_yank_after: 10 s", "failed_over")]
)
def test_an_agent_yanks_its_own_deaf_qemu(agents: str, verdict: str, answered_by: str) -> None:
    """Ten seconds without an answer, at the next heartbeat: the sender fails, the lock is free."""
    manager = f"manager: {{timeout: 10 s, answered_by: {answered_by}{agents}}}"
    ended = simulate("split", f"faults: [{{freeze: secondary, {MID_STREAM}}}]\n{manager}")
    judgement = judge(ended)
    assert (judgement.verdict, judgement.survivor) == (verdict, "primary")
    yanks = [(at, event.side) for at, event, _ in ended.record if isinstance(event, AgentYanks)]
    assert yanks == ([(14 * S, "primary"), (14 * S, "secondary")] if agents else [])


def test_agents_leave_a_pair_alone_whose_monitors_answer_in_time() -> None:
    """A deaf time shorter than theirs moves nothing: the run is the same, event by event."""
    alone, watched = (
        simulate("split", f"manager: {{{key}}}")
        for key in ("timeout: 3 s", "local_yank_after: 2 s")
    )
    assert list(alone.record) == list(watched.record)


@pytest.mark.parametrize("side", STEPS)
def test_each_step_of_a_failover_can_be_struck(side: str) -> None:
    """The survivor is killed in the middle of its own failover: nobody serves."""
    peer = {"primary": "secondary", "secondary": "primary"}[side]
    for step, design in product(STEPS[side], ("split", "qemu-5.1")):
        struck_ns = []
        for moment in (f"step: '{side}: before {step}'", f"step: '{side}: {step}', progress: 50%"):
            strikes = f"{{kill: {side}, at: {{checkpoint: 1, {moment}}}}}"
            ended = simulate(design, f"faults: [{{freeze: {peer}, {IDLE}}}, {strikes}]")
            assert judge(ended).verdict == "stopped", (design, moment, judge(ended))
            struck_ns.append(ended.injector.struck[-1][0])
            if step == "join":  # a wait: it has no share
                break
        assert struck_ns == sorted(set(struck_ns))
