"""When a side looks for a failover, what its timer needs, and how a guest ends."""

from __future__ import annotations

import pytest

from colosim.runs.run import Run, simulate
from colosim.scenario import loads
from colosim.trace.events import Sent
from tests.fast_host import ON_FAST_HOSTS

S = 10**9


SMALL = "preset: 1gbe, send_buffer: 4 MiB, receive_buffer: 2 MiB"
TEXT = """
name: looks
duration: 60 s
checkpoint_delay: 10 s
guest: {{ram: 256 MiB, dirty: {{pages: 2000}}}}
network: {{preset: 1gbe}}
faults: {faults}
{more}
"""


def run_of(design: str, faults: str, more: str = "") -> Run:
    """Return a run with a checkpoint delay of ten seconds."""
    return simulate(loads(TEXT.format(faults=faults, more=more), file="looks.yaml"), design)


def test_a_failover_is_looked_for_before_the_sleep() -> None:
    """v13 does not sleep through x-checkpoint-delay when a broken send ends a transaction well.

    What is flushed under the lock fits into the buffers of a frozen secondary, the last 31 pages do
    not: the primary blocks in them without its lock, is told, and counts the transaction as done.
    """
    frozen = "[{freeze: secondary, at: {checkpoint: 0, step: 'secondary: RAM load'}}]"
    more = "manager: {heartbeat: 1 s, timeout: 3 s, fence: false}\n"
    text = TEXT.replace("pages: 2000", "pages: 1535").replace("preset: 1gbe", SMALL)
    run = simulate(loads(text.format(faults=frozen, more=more)), "split")
    assert (run.verdict, run.survivor) == ("failed_over", "primary")
    names = [str(event) for _, event, _ in run.iter_events()]
    assert names.index("primary: RAM tail begins") < names.index("primary: COLO exit (request)")
    assert names.count("primary: sends CHECKPOINT_REQUEST") == 1
    assert run.summary["time_to_guest_ns"] < 4 * S


@pytest.mark.parametrize(("design", "late"), [("split", False), ("qemu-5.1", True)])
def test_the_timer_needs_the_main_loop(design: str, late: bool) -> None:  # noqa: FBT001
    """A main loop that is busy from 15 s to 35 s: 5.1's timer, due at 20 s, fires at 35 s.

    From then on it is due every ten seconds anew; v13 sleeps, and asks nobody.
    """
    run = run_of(design, "[{busy: primary, at: 15 s, for: 20 s}]", "manager: {policy: wait}")
    requests = [
        at for at, event, _ in run.iter_events() if event == Sent("primary", "CHECKPOINT_REQUEST")
    ]
    begun = [at // S for at in requests]
    assert begun == ([10, 35, 45, 55] if late else [10, 20, 45, 55])


@pytest.mark.parametrize("design", ["qemu-5.1", "qemu-11"])
def test_a_timer_that_is_due_while_the_lock_is_held_fires_when_it_is_free(design: str) -> None:
    """11 sends RAM with the lock, for longer than the delay: the next comes a delay after that.

    As in base_c0_n16000_b1000 of the lab: due every 1.1 s, held for 3.8 s, next after 4.93 s.  5.1
    sends without it, so its timer keeps its beat.
    """
    text = "name: beat\ncheckpoints: 4\ncheckpoint_delay: 300 ms\nnetwork: {preset: 1gbe}\n"
    text += "guest: {ram: 1 GiB, dirty: {pages: 18000}}\n" + ON_FAST_HOSTS
    rows = simulate(loads(text), design).checkpoints
    begun, freed = rows.primary_request_at_ns, rows.primary_size_sent_at_ns
    if design == "qemu-5.1":
        assert [int(at) % (300 * 10**6) for at in begun] == [0] * 4
    else:
        assert (begun.to_numpy()[1:] - freed.to_numpy()[:-1]).tolist() == [300 * 10**6] * 3


def test_the_flush_walks_the_bitmap_of_all_guest_ram() -> None:
    """16 us a GiB on the preset's host, on either side: 16 ms for a TiB, whatever is dirty."""
    spent = {}
    for ram in ("1 GiB", "1 TiB"):
        text = f"name: walk\ncheckpoints: 2\nguest: {{ram: {ram}, dirty: {{pages: 100}}}}\n"
        spent[ram] = simulate(loads(text), "split").checkpoints.secondary_cache_flush_ns[0]
    assert spent["1 TiB"] - spent["1 GiB"] == 1023 * 16_000


@pytest.mark.parametrize("design", ["qsb", "split", "device-first"])
def test_a_guest_that_powers_itself_off_ends_both_sides(design: str) -> None:
    """One more checkpoint, then GUEST_SHUTDOWN instead of the guest's start (v9 to v16)."""
    run = run_of(design, "[{shutdown: guest, at: 15 s}]")
    assert (run.verdict, run.reason) == (
        "completed",
        "the guest has powered itself off, on both sides",
    )
    names = [str(event) for _, event, _ in run.iter_events()]
    after = names[names.index("fault: shutdown guest") :]
    # The sleep that is under way is slept out; only one that is to begin is not.
    assert after.count("primary: sends CHECKPOINT_REQUEST") == 1
    assert "primary: guest running" not in after
    assert names[-1] == "secondary: receives GUEST_SHUTDOWN"


def test_released_qemu_has_no_message_for_a_guests_end() -> None:
    """From 2.8 on there is no GUEST_SHUTDOWN: what would come of it is not claimed."""
    run = run_of("qemu-5.1", "[{shutdown: guest, at: 15 s}]")
    assert (run.verdict, run.reason) == (
        "not_applicable",
        "the design has no step 'shutdown: guest'",
    )


def test_a_panicked_guest_makes_its_qemu_abort_at_the_next_stop() -> None:
    """No way leads from guest-panicked to colo: the primary is gone, its secondary takes over."""
    run = run_of("split", "[{panic: guest, at: 15 s}]", "manager: {heartbeat: 1 s, timeout: 3 s}")
    assert (run.verdict, run.survivor) == ("failed_over", "secondary")
    events = [str(event) for _, event, _ in run.iter_events()]
    panic, abort = events.index("fault: panic guest"), events.index("primary: process killed")
    assert "primary: guest stopped" in events[panic:abort]
    assert "primary: sends CHECKPOINT_REQUEST" in events[panic:abort]


def test_a_second_failover_needs_a_peer_that_has_come_back() -> None:
    """Nobody pairs the survivor anew, so a fault on a peer that is dead already never comes.

    (launchpad 1881231 has a recovery between two failovers, which is not modelled.)
    """
    kills = "[{kill: secondary, at: 15 s}, {kill: secondary, at: 50 s}]"
    run = run_of("qemu-11", kills, "manager: {heartbeat: 1 s, timeout: 3 s}")
    assert run.verdict == "not_applicable"
    assert run.reason.startswith("kill secondary at 50.00 s never came; without it failed_over")
    assert run.reason.endswith("a run ends with its failover, and no pair is made again")
