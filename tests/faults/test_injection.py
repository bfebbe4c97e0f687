"""Faults strike where and when the scenario says, and nowhere else."""

from __future__ import annotations

import pytest

from colosim.designs import load_designs
from colosim.engine.clock import per_page_ns
from colosim.faults.steps import Moment, moment
from colosim.runs.simulation import Simulation, steps_of
from colosim.runs.verdict import judge
from colosim.scenario import loads
from colosim.trace.events import FaultStruck, Sent

BASE = """
name: faults
checkpoints: 4
checkpoint_delay: 500 ms
guest: {ram: 256 MiB, dirty: {pages: 16386}}
hosts: {preset: lab-qemu25}
network: {preset: lab-veth-1gbit, send_buffer: 4 MiB, receive_buffer: 2 MiB}
"""


def simulate(design: str, faults: str, more: str = "") -> Simulation:
    """Run `design` with `faults`."""
    text = f"{BASE}faults: [{faults}]\n{more}"
    scenario = loads(text, file="faults.yaml", known_designs=tuple(load_designs()))
    return Simulation(scenario, design).run()


def struck(run: Simulation) -> list[tuple[int, str]]:
    """Return when which faults struck."""
    return [(at_ns, str(event)) for at_ns, event, _ in run.record if isinstance(event, FaultStruck)]


def when(run: Simulation, name: str, index: int = 0) -> int:
    """Return the time of an event."""
    return [at_ns for at_ns, event, _ in run.record if str(event) == name][index]


def test_a_step_is_read_with_its_word_and_progress() -> None:
    """`before`, `during` (halfway) and `after` are words; a progress means during."""
    assert [
        moment("primary: RAM stream"),
        moment("primary: RAM stream", 400_000),
        moment("secondary: during cache flush"),
        moment("primary: before VMSTATE_SEND"),
        moment("primary: after device save"),
    ] == [
        Moment("primary", "RAM stream", "before"),
        Moment("primary", "RAM stream", "during", 400_000),
        Moment("secondary", "cache flush", "during", 500_000),
        Moment("primary", "VMSTATE_SEND", "before"),
        Moment("primary", "device save", "after"),
    ]


def test_a_fault_before_a_message_keeps_it_from_being_sent() -> None:
    """A thread that freezes before a message has not sent it."""
    run = simulate(
        "split", "{freeze: primary, at: {checkpoint: 1, step: 'primary: before VMSTATE_SEND'}}"
    )
    sent = [str(event) for _, event, _ in run.record if event == Sent("primary", "VMSTATE_SEND")]
    assert len(sent) == 1


def test_a_fault_after_a_message_lets_it_go_and_nothing_else() -> None:
    """A thread that freezes after a message has sent it, and does not take the lock next."""
    run = simulate(
        "split", "{freeze: primary, at: {checkpoint: 1, step: 'primary: after VMSTATE_SEND'}}"
    )
    names = [str(event) for _, event, _ in run.record]
    assert names.count("primary: sends VMSTATE_SEND") == 2
    assert names.count("primary: iothread lock got by checkpoint thread for save") == 1


def test_a_fault_during_a_step_strikes_at_its_share() -> None:
    """40% of a flush is 40% of its time after its begin, to the nanosecond."""
    run = simulate(
        "split",
        "{freeze: secondary, at: {checkpoint: 0, step: 'secondary: cache flush', progress: 40%}}",
    )
    ((at_ns, _),) = struck(run)
    costs, ram = run.hosts["secondary"].costs, run.scenario.guest.ram_bytes
    flush_ns = per_page_ns(16386, costs.cache_flush_ps_per_page)
    flush_ns += costs.bitmap_sync_ram_ns_per_gib * ram // 2**30
    assert at_ns == when(run, "secondary: reset") + flush_ns * 400_000 // 1_000_000


def test_a_thawed_thread_goes_on_with_what_was_left() -> None:
    """A frozen flush takes its own time and the freeze, no more and no less."""
    moment_ = "at: {{checkpoint: 0, step: 'secondary: cache flush', progress: 40%}}"
    fault = f"{{{{freeze: secondary, {moment_}{{}}}}}}"
    quiet = simulate("split", "")
    thawed = simulate("split", fault.format(", for: 700 ms"))
    ended = [when(run, "secondary: cache flush") for run in (quiet, thawed)]
    assert ended[1] - ended[0] == 700_000_000
    assert judge(thawed).verdict == "completed"


@pytest.mark.parametrize("design", ["qsb", "split", "device-first", "flat", "qemu-5.1"])
def test_a_slow_link_makes_the_stream_slower_and_heals(design: str) -> None:
    """A tenth of the bandwidth for a while makes checkpoints longer, then all is as before."""
    run = simulate(design, "{slow: network, factor: 0.1, at: 2 s, for: 3 s}")
    quiet = simulate(design, "")
    assert judge(run).verdict == "completed"
    assert run.end_ns > quiet.end_ns
    assert run.tally.distribution("pause_ns").quantile(50) >= quiet.tally.distribution(
        "pause_ns"
    ).quantile(50)


@pytest.mark.parametrize(
    ("side", "what", "says"),
    [
        ("primary", "savevm_state_begin", "save vm state begin error"),
        ("primary", "device save", "device save failed"),
        ("primary", "RAM save", "RAM save failed"),
        ("secondary", "loadvm_state_begin", "load vm state begin error"),
        ("secondary", "device load", "device load failed"),
    ],
)
def test_a_failing_function_ends_colo_with_the_lock_free(side: str, what: str, says: str) -> None:
    """An error return releases the lock, leaves COLO and waits for the manager."""
    fault = f"{{fail: {side}, what: {what}, at: {{checkpoint: 1, step: '{side}: VMSTATE_SEND'}}}}"
    run = simulate("split", fault, "manager: {policy: wait}\n")
    end = run.primary if side == "primary" else run.secondary
    assert end.exit_reason == f"error: {says}"
    assert run.hosts[side].lock.owner is None


def test_the_set_up_section_is_sent_without_the_lock() -> None:
    """A peer that is lost at `savevm_state_begin` leaves the primary's lock free: no hang.

    A function that fails in it is not a step that a design without it has.
    """
    at = "at: {checkpoint: 1, step: 'secondary: during loadvm_state_begin'}"
    run = simulate("split", f"{{freeze: secondary, {at}}}", "manager: {policy: wait}\n")
    ((at_ns, _),) = struck(run)
    assert at_ns == when(run, "secondary: receives VMSTATE_SEND", 1) + 1
    fails = "{fail: primary, what: savevm_state_begin, at: {checkpoint: 1, step: 'primary: stop'}}"
    assert [simulate(design, fails).injector.never_struck != [] for design in ("qsb", "split")] == [
        True,
        False,
    ]


def test_a_step_that_a_design_lacks_is_said_so() -> None:
    """A fault at a step of another design is not silently nothing."""
    fault = "{freeze: secondary, at: {checkpoint: 1, step: 'secondary: cache flush'}}"
    text = f"{BASE}faults: [{fault}]\n"
    scenario = loads(text, file="faults.yaml", known_designs=tuple(load_designs()))
    missing = {name: Simulation(scenario, name).missing_steps() for name in ("split", "flat")}
    assert missing == {"split": [], "flat": ["'secondary: cache flush'"]}


def test_steps_are_the_protocols_in_order() -> None:
    """The steps of `split` are listed as they come in one checkpoint, each side's once."""
    scenario = loads(BASE, file="faults.yaml", known_designs=tuple(load_designs()))
    primary = [
        step for side, step in steps_of(load_designs()["split"], scenario) if side == "primary"
    ]
    assert primary == [
        "CHECKPOINT_REQUEST",
        "CHECKPOINT_REPLY",
        "stop",
        "VMSTATE_SEND",
        "savevm_state_begin",
        "bitmap sync",
        "RAM stream",
        "device save",
        "RAM tail",
        "VMSTATE_SIZE",
        "device stream",
        "VMSTATE_RECEIVED",
        "VMSTATE_LOADED",
        "start",
    ]


def test_a_fault_while_a_message_is_awaited_finds_its_thread_in_the_receive() -> None:
    """`during` a message is while its receiver waits for it; one that is there already, never."""
    at = "at: {checkpoint: 1, step: 'primary: during VMSTATE_LOADED'}"
    awaited = simulate("split", f"{{freeze: primary, {at}}}")
    ((at_ns, _),) = struck(awaited)
    received = when(awaited, "primary: receives VMSTATE_RECEIVED", 1)
    assert at_ns == received + 1
    assert awaited.primary.thread.waits_for == "VMSTATE_LOADED"
    there = simulate(
        "split", "{freeze: primary, at: {checkpoint: 1, step: 'primary: during VMSTATE_SEND'}}"
    )
    assert struck(there) == []


def test_a_share_of_a_stream_that_has_not_begun_is_waited_for() -> None:
    """Under `device-first` the secondary reads before the primary writes: half is half of that."""
    run = simulate(
        "device-first",
        "{freeze: secondary, at: {checkpoint: 1, step: 'secondary: RAM load', progress: 50%}}",
    )
    ((at_ns, _),) = struck(run)
    assert at_ns > when(run, "primary: RAM stream begins", 1) + 100_000_000


def test_a_function_that_fails_at_a_time_does_so_when_it_is_next_called() -> None:
    """`fail` at a time lets the next call return its error."""
    run = simulate(
        "split", "{fail: primary, what: device save, at: 700 ms}", "manager: {policy: wait}\n"
    )
    assert run.primary.exit_reason == "error: device save failed"


def test_a_link_that_two_faults_cut_stays_cut_until_both_have_ended() -> None:
    """The end of a lost link does not bring a vanished host back."""
    run = simulate(
        "qsb",
        "{vanish: secondary, at: 700 ms}, {vanish: network, at: 800 ms, for: 100 ms}",
        "manager: {policy: wait}\n",
    )
    assert run.connection.down
    healed = simulate(
        "qsb",
        "{vanish: secondary, at: 700 ms, for: 400 ms}, {vanish: network, at: 800 ms, for: 100 ms}",
        "manager: {policy: wait}\n",
    )
    assert judge(healed).verdict == "completed"
