"""Remedies behind a design's name: what each frees, what it does not, and what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from colosim.designs import load_design
from colosim.designs.registry import DesignNames
from colosim.designs.remedies import REMEDIES, options_of, with_remedies
from colosim.errors import DesignError, ScenarioError
from colosim.runs.run import simulate
from colosim.runs.simulation import Simulation, steps_of
from colosim.runs.verdict import judge
from colosim.scenario import loads
from colosim.trace.events import PagesCounted

if TYPE_CHECKING:
    from typing import Any

    from colosim.scenario import Scenario

CONDITIONS = """
name: remedies
checkpoints: 4
checkpoint_delay: 500 ms
guest: {ram: 512 MiB, dirty: {pages: 16386}}
hosts: {preset: lab-qemu25}
network: {preset: lab-veth, send_buffer: 4 MiB, receive_buffer: 2 MiB}
"""
S = 10**9
MID_STREAM = "at: {checkpoint: 1, step: 'primary: RAM stream', progress: 40%}"
FROZEN_SECONDARY = f"faults: [{{freeze: secondary, {MID_STREAM}}}]"
FROZEN_PRIMARY = f"faults: [{{freeze: primary, {MID_STREAM}}}]"


def scenario(more: str = "", *overrides: str) -> Scenario:
    """Return the conditions of the hang with `more` added."""
    return loads(CONDITIONS + more, overrides=overrides, known_designs=DesignNames())


def simulated(design: str, more: str = "", *overrides: str) -> Simulation:
    """Run one design under the conditions of the hang."""
    return Simulation(scenario(more, *overrides), design).run()


def summary(design: str, *overrides: str) -> dict[str, Any]:
    """Return the summary of a run in which nothing fails."""
    return simulate(scenario("", *overrides), design, tables=False).summary


# ---- names -----------------------------------------------------------------------------------


@pytest.mark.parametrize("design", ["qsb", "split", "device-first", "flat", "qemu-5.1"])
@pytest.mark.parametrize("remedy", REMEDIES, ids=lambda remedy: remedy.name)
def test_any_design_takes_any_remedy(design: str, remedy: Any) -> None:
    """Nothing fails, so every checkpoint commits, and the run bears the whole name."""
    name = f"{design}+{remedy.usage}"
    found = summary(name)
    assert (found["verdict"], found["design"]) == ("completed", name)


def test_a_remedy_with_its_default_needs_no_value() -> None:
    """Left out, a value is the remedy's own."""
    (option,) = options_of("split+send-timeout")[1]
    assert option.value == 5 * S


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("splitt+yank", "did you mean 'split'"),
        ("split+yang", "did you mean 'yank'"),
        ("split+", "no remedy is called ''"),
        ("split+yank=1s", "takes no value"),
        ("split+send-timeout=5", "'5' has no unit"),
        ("split+send-timeout=0s", "out of range"),
        ("split+socket-buffers=1KiB", "out of range"),
        ("split+yank+yank", "stands twice"),
    ],
)
def test_a_wrong_name_is_refused(name: str, message: str) -> None:
    """The message says what is wrong with it, and names the nearest."""
    with pytest.raises(DesignError, match=message.replace("+", r"\+")):
        load_design(name)


def test_a_scenario_lists_designs_with_remedies() -> None:
    """A scenario's list takes such names, keeps them as they are, and points at a wrong one."""
    designs = ("split", "split+send-timeout=5s", "qemu-5.1+yank+nodelay")
    loaded = scenario(f"designs: [{', '.join(designs)}]")
    assert loaded.designs == designs
    with pytest.raises(ScenarioError, match=r":8:11: .*did you mean 'nodelay'"):
        scenario("designs: [split+nodelai]")


def test_options_set_the_keys_that_they_stand_for() -> None:
    """A remedy that is a key of the scenario is that key, and no other."""
    _, options = options_of("split+user-timeout=3s+nodelay+socket-buffers=8MiB+yank")
    base = scenario()
    changed = with_remedies(base, options)
    assert changed == scenario(
        "manager: {policy: yank-then-lost-heartbeat}",
        "network.user_timeout=3 s",
        "network.nagle=false",
        "network.send_buffer=8 MiB",
        "network.receive_buffer=8 MiB",
    )
    assert with_remedies(base, ()) is base


def test_each_remedy_says_where_it_comes_from() -> None:
    """An origin names a QEMU commit or version, a Linux setting, or says *proposed*."""
    for remedy in REMEDIES:
        assert any(word in remedy.origin for word in ("QEMU", "Linux", "proposed")), remedy.name


# ---- what they free --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("remedy", "back_after_ns"),
    [
        ("send-timeout=5s", (5 * S, 5.6 * S)),
        ("user-timeout=5s", (5.2 * S, 5.8 * S)),
        ("yank", (3 * S, 4.6 * S)),
        ("ram-outside-lock", (2 * S, 3.6 * S)),
        ("socket-buffers=128MiB", (2 * S, 3.1 * S)),
    ],
)
@pytest.mark.parametrize("design", ["split", "device-first"])
def test_a_remedy_frees_the_blocked_sender(
    design: str, remedy: str, back_after_ns: tuple[float, float]
) -> None:
    """The frozen destination hangs the design for ever; with the remedy the guest runs again."""
    run = simulated(f"{design}+{remedy}", FROZEN_SECONDARY)
    judgement = judge(run)
    assert judge(simulated(design, FROZEN_SECONDARY)).verdict == "hung"
    assert (judgement.verdict, judgement.survivor) == ("failed_over", "primary")
    back = run.service.time_to_guest_ns
    assert back is not None
    assert back_after_ns[0] <= back <= back_after_ns[1]


@pytest.mark.parametrize("remedy", ["nodelay", "receive-outside-lock", "chunked-lock=1MiB"])
def test_what_does_not_touch_the_blocked_send_frees_nobody(remedy: str) -> None:
    """A lock that is let go between chunks is held in the chunk that blocks."""
    assert judge(simulated(f"split+{remedy}", FROZEN_SECONDARY)).verdict == "hung"


@pytest.mark.parametrize("remedy", ["receive-outside-lock", "yank"])
def test_a_remedy_frees_the_waiting_receiver(remedy: str) -> None:
    """Under `qemu-5.1` a frozen primary hangs the secondary in its receive; not so with these."""
    assert judge(simulated("qemu-5.1", FROZEN_PRIMARY)).verdict == "hung"
    judgement = judge(simulated(f"qemu-5.1+{remedy}", FROZEN_PRIMARY))
    assert (judgement.verdict, judgement.survivor) == ("failed_over", "secondary")


@pytest.mark.parametrize("remedy", ["send-timeout=5s", "user-timeout=5s", "ram-outside-lock"])
def test_no_timeout_of_a_send_frees_a_receiver(remedy: str) -> None:
    """The secondary has nothing to send, so nothing of its own times out."""
    assert judge(simulated(f"qemu-5.1+{remedy}", FROZEN_PRIMARY)).verdict == "hung"


def test_a_send_timeout_frees_the_sender_of_a_vanished_peer() -> None:
    """Without it TCP itself gives up, after a quarter of an hour."""
    fault = FROZEN_SECONDARY.replace("freeze", "vanish")
    bare, timed = (simulated(name, fault) for name in ("split", "split+send-timeout=5s"))
    assert bare.service.time_to_guest_ns is not None
    assert timed.service.time_to_guest_ns is not None
    assert bare.service.time_to_guest_ns > 900 * S
    assert timed.service.time_to_guest_ns < 5.6 * S


# ---- what they cost --------------------------------------------------------------------------


@pytest.mark.parametrize("remedy", ["send-timeout=5s", "user-timeout=5s", "yank"])
def test_a_timeout_costs_nothing_when_nothing_fails(remedy: str) -> None:
    """The run is the same, event for event."""
    assert summary(f"split+{remedy}")["digest"] == summary("split")["digest"]


@pytest.mark.parametrize("remedy", ["send-timeout=5s", "user-timeout=5s"])
def test_a_timeout_costs_the_protection_that_a_pause_would_not_have(remedy: str) -> None:
    """A peer that thaws after ten seconds is left by then; without the remedy COLO goes on."""
    quiet = "manager: {policy: wait}\n"
    fault = quiet + FROZEN_SECONDARY.replace("at:", "for: 10 s, at:")
    assert judge(simulated("split", fault)).verdict == "completed"
    assert judge(simulated(f"split+{remedy}", fault)).verdict != "completed"


def test_a_send_that_still_moves_does_not_time_out() -> None:
    """The timeout counts from the last byte that found room, not from the start of the send."""
    slow = "network.bandwidth=100 Mbit/s", "network.preset=lab-veth"
    found = summary("split+send-timeout=1s", *slow)
    assert found["lock_hold_ns"]["primary"]["p50"] > 4 * S
    assert found["verdict"] == "completed"


def test_nodelay_saves_the_wait_for_a_delayed_ack() -> None:
    """The secondary's last small message no longer waits some 40 ms for an ACK."""
    bare, remedied = (summary(name)["pause_ns"]["p50"] for name in ("split", "split+nodelay"))
    assert 30 * 10**6 < bare - remedied < 45 * 10**6


def test_large_buffers_cost_kernel_memory() -> None:
    """What the network has not taken yet stands in the primary's send buffer."""
    slow = "network.bandwidth=1 Gbit/s", "network.preset=lab-veth"
    names = ("split", "split+socket-buffers=128MiB")
    bare, remedied = (summary(name, *slow) for name in names)
    for found, least, most in ((bare, 3, 4), (remedied, 50, 65)):
        level = found["memory_peak_bytes"]["primary"]["socket_send_buffer"]
        assert least << 20 <= level <= most << 20
    assert remedied["lock_hold_ns"]["primary"]["p50"] < bare["lock_hold_ns"]["primary"]["p50"] / 5


def test_ram_outside_the_lock_shortens_the_hold_to_the_device_save() -> None:
    """The hold is that of `qemu-5.1`; what is sent and the guest's pause stay as they are."""
    bare, remedied, qemu_5_1 = (
        summary(name) for name in ("split", "split+ram-outside-lock", "qemu-5.1")
    )
    held = remedied["lock_hold_ns"]["primary"]["p50"]
    assert held == qemu_5_1["lock_hold_ns"]["primary"]["p50"]
    assert held < bare["lock_hold_ns"]["primary"]["p50"] / 100
    for key in ("pause_ns", "wire_bytes_per_checkpoint"):
        assert remedied[key]["p50"] == bare[key]["p50"]


def test_receiving_outside_the_lock_shortens_the_secondarys_hold() -> None:
    """What is left is the load; the pause stays as it is."""
    bare, remedied = (summary(name) for name in ("qemu-5.1", "qemu-5.1+receive-outside-lock"))
    held = remedied["lock_hold_ns"]["secondary"]["p50"]
    assert held < bare["lock_hold_ns"]["secondary"]["p50"] / 4
    assert remedied["pause_ns"]["p50"] == bare["pause_ns"]["p50"]


def test_chunks_bound_the_hold_and_send_the_same_bytes() -> None:
    """A hold lasts as long as one chunk blocks; the pause grows by no more than rounding."""
    bare, remedied = (summary(name) for name in ("split", "split+chunked-lock=8MiB"))
    held = remedied["lock_hold_ns"]["primary"]["p50"]
    assert held < bare["lock_hold_ns"]["primary"]["p50"] / 5
    assert remedied["wire_bytes"] == bare["wire_bytes"]
    assert abs(remedied["pause_ns"]["p50"] - bare["pause_ns"]["p50"]) < 10_000


def test_between_chunks_the_main_loop_gets_its_turn() -> None:
    """A command that comes in mid-stream is served after the chunk, not after the stream."""
    waited = []
    for name in ("split", "split+chunked-lock=8MiB"):
        served: list[int] = []

        def ask(simulation: Simulation, served: list[int] = served) -> None:
            def answer(thread: Any) -> Any:
                served.append(simulation.env.now)
                yield thread.work(1000)

            def send() -> None:
                simulation.hosts["primary"].monitor.send("query", answer)

            simulation.env.call_at(505_000_000, send)

        run = Simulation(scenario(), name, prepare=ask).run()
        assert judge(run).verdict == "completed"
        waited.append(served[0] - 505_000_000)
    assert waited[0] > 30 * 10**6
    assert waited[1] < 6 * 10**6


@pytest.mark.parametrize("remedy", REMEDIES, ids=lambda remedy: remedy.name)
def test_a_remedy_leaves_the_protocol_steps_as_they_are(remedy: Any) -> None:
    """Faults name the same steps of both sides, with and without it."""
    bare, remedied = (
        set(steps_of(load_design(name), scenario())) for name in ("split", f"split+{remedy.usage}")
    )
    assert remedied == bare


# ---- is it safe to send pages without the lock? ----------------------------------------------

LATE = "guest.late_writes=1000 pages/s"
LOST_LATER = "faults: [{kill: primary, at: {checkpoint: 2, step: 'primary: before device save'}}]"


@pytest.mark.parametrize("design", ["qemu-5.1", "split+ram-outside-lock", "qemu-5.1+yank"])
def test_late_writes_tear_what_is_sent_without_the_lock(design: str) -> None:
    """Pages written between saving RAM and device state make a takeover's state torn."""
    judgement = judge(simulated(design, LOST_LATER, LATE))
    assert judgement.verdict == "violated"
    assert "torn state" in judgement.reason
    assert "guest.late_writes" in judgement.reason


@pytest.mark.parametrize("design", ["qsb", "flat", "split", "device-first"])
def test_what_is_saved_under_one_hold_is_of_one_moment(design: str) -> None:
    """Writers that need the lock cannot come between: the same writes tear nothing."""
    fault = LOST_LATER.replace("before device save", "after VMSTATE_SEND")
    assert judge(simulated(design, fault, LATE)).verdict == "failed_over"


@pytest.mark.parametrize("design", ["qemu-5.1", "split+ram-outside-lock"])
def test_without_late_writes_sending_outside_the_lock_is_safe(design: str) -> None:
    """Stopping the guest drains its devices; if nothing else writes, nothing is torn."""
    assert judge(simulated(design, LOST_LATER)).verdict == "failed_over"


def test_late_pages_are_sent_with_the_next_checkpoint() -> None:
    """They are in the dirty bitmap: one checkpoint later RAM has them."""
    run = simulated("qemu-5.1", "", LATE)
    late = [value for _, event, value in run.record if event == PagesCounted("primary", "late")]
    dirty = [value for _, event, value in run.record if event == PagesCounted("primary", "dirty")]
    assert len(late) == 4
    assert dirty == [16386, *(16386 + pages for pages in late[:-1])]
