"""A guest that writes to the replicated disk: what its stops wait for, and what faults do to it."""

from __future__ import annotations

from typing import Any

import pytest

from colosim.errors import ScenarioError
from colosim.runs.run import Run, simulate
from colosim.scenario import loads
from colosim.trace.events import StepDone

DRAIN = StepDone("primary", "disk drain")
BOTH = "{policy: yank-then-lost-heartbeat, yank: [migration, block-node], failover: documented}"
WRITES = "rate: 500 /s, size: 4 KiB"


def pair(writes: str = WRITES, faults: str = "", more: str = "", **network: str) -> Run:
    """Run a pair whose guest writes."""
    link = "".join(f", {key}: {value}" for key, value in network.items())
    scenario = loads(
        f"""
name: guest-writes
checkpoints: 6
horizon: 30 s
checkpoint_delay: 500 ms
guest: {{ram: 128 MiB, dirty: {{pages: 570}}}}
hosts: {{preset: lab-qemu72}}
network: {{preset: lab-veth, send_buffer: 4 MiB, receive_buffer: 6 MiB{link}}}
disk: {{replication: nbd, writes: {{{writes}}}}}
faults: [{faults}]
{more or "manager: " + BOTH}
"""
    )
    return simulate(scenario, "qemu-11")


def disk(run: Run) -> dict[str, Any]:
    """Return what the summary says of the writes."""
    said: dict[str, Any] = run.summary["disk"]
    return said


def drains_ms(run: Run) -> list[float]:
    """Return how long each stop of the primary drained."""
    return [took / 1e6 for _, event, took in run.iter_events() if event == DRAIN]


def test_what_is_in_flight_at_a_stop_follows_from_rate_and_round_trip() -> None:
    """Every write takes the round trip; a stop waits for the last, at most so long."""
    for latency_ms, name in ((0.025, "25 us"), (10, "10 ms")):
        run = pair(latency=name)
        alone_ms = disk(run)["latency_ns"]["p50"] / 1e6
        assert 2 * latency_ms < alone_ms < 2 * latency_ms + 0.1
        assert max(drains_ms(run)) < alone_ms
    assert min(drains_ms(run)) > alone_ms - 2.1  # one is due each 2 ms


def test_more_writes_than_the_link_takes_fill_the_depth() -> None:
    """16 of 256 KiB are out at 1 Gbit/s, whatever more the guest wants: a stop drains 4 MiB.

    But for those that came while the secondary flushed what was written before, in its own stop.
    """
    writes = "rate: 1000 /s, size: 256 KiB"
    run = pair(writes, bandwidth="1 Gbit/s")
    assert all(drain < 3 for drain in drains_ms(run))
    run = pair(f"{writes}, flush_written: 0 ns/B", bandwidth="1 Gbit/s")
    assert all(30 < drain < 36 for drain in drains_ms(run))
    one_ms = 256 * 1024 * 8e3 / 1e9
    assert disk(run)["latency_ns"]["p50"] / 1e6 == pytest.approx(16 * one_ms, rel=0.1)


def test_a_write_takes_what_it_takes_over_the_connection() -> None:
    """The epoch's arithmetic beside one request of `in_flight`, byte by byte over the network."""
    for size, link in (("4 KiB", "10 Gbit/s"), ("1 MiB", "1 Gbit/s")):
        by_rate = disk(pair(f"rate: 3 /s, size: {size}", bandwidth=link))["latency_ns"]["p50"]
        scenario = loads(
            f"""
name: one
checkpoints: 4
checkpoint_delay: 500 ms
guest: {{ram: 128 MiB, dirty: {{pages: 570}}}}
hosts: {{preset: lab-qemu72}}
network: {{preset: lab-veth, send_buffer: 4 MiB, receive_buffer: 6 MiB, bandwidth: {link}}}
disk: {{replication: nbd, in_flight: {size}}}
"""
        )
        asked = drains_ms(simulate(scenario, "qemu-11"))[-1]
        assert by_rate / 1e6 == pytest.approx(asked, abs=0.1, rel=0.1)


def test_writes_stand_while_the_secondary_is_frozen() -> None:
    """As many as the depth wait for the thaw, no error comes, and the pair goes on."""
    frozen = "{freeze: secondary, at: 1250 ms, for: 1 s}"
    said = disk(pair(faults=frozen, more="manager: {policy: wait}"))
    waited_ms = said["latency_ns"]["max"] / 1e6
    assert 999 < waited_ms < 1010
    assert said["unreplicated"] == 0


@pytest.mark.parametrize(
    ("fault", "waited_ms"),
    [
        ("freeze: secondary", (2000, 3500)),
        ("vanish: secondary", (2000, 3500)),
        # The kernel resets the connection 15 ms after the kill: an error, and nobody waits.
        ("kill: secondary", (1, 40)),
    ],
)
def test_a_lost_secondary_leaves_the_guest_with_its_local_image(
    fault: str, waited_ms: tuple[float, float]
) -> None:
    """Writes wait for the yank or the reset, then go on without the secondary for ever."""
    run = pair(faults=f"{{{fault}, at: 1250 ms}}")
    said = disk(run)
    assert run.verdict == "failed_over"
    assert waited_ms[0] < said["latency_ns"]["max"] / 1e6 < waited_ms[1]
    assert said["unanswered"] == 0
    assert said["unreplicated"] > 10_000
    waited = 0 if fault.startswith("kill") else 16
    assert said["latency_ns"]["count"] + said["unreplicated"] - said["writes"] >= waited


def test_removing_the_child_hangs_if_writes_are_out() -> None:
    """A secondary frozen while the guest writes: x-blockdev-change waits until the yank (guestio).

    A guest that does not write has it answered at once.
    """
    commands = """
manager: {policy: wait}
commands:
- {at: 2 s, to: primary, command: x-blockdev-change}
- {at: 5 s, to: primary, command: yank block-node}
"""
    for rate, answered in (("500 /s", 5.0), ("0.01 /s", 2.001)):
        run = pair(f"rate: {rate}", "{freeze: secondary, at: 1250 ms}", commands)
        assert run.simulation is not None
        command = run.simulation.hosts["primary"].monitor.commands[0]
        assert (command.answered_ns or 0) / 1e9 == pytest.approx(answered, abs=0.002)


def test_both_models_of_the_network_have_the_same_writes() -> None:
    """With and without a fault the reference model counts and times them alike."""
    for faults in ("", "{vanish: disk, at: 1250 ms, for: 1 s}"):
        run = pair(faults=faults, latency="10 ms")
        slow = simulate(run.scenario.vary({"model": "reference"}), "qemu-11")
        fast, other = disk(run), disk(slow)
        assert abs(fast["writes"] - other["writes"]) < 20
        for part in ("p50", "p90", "max"):
            assert fast["latency_ns"][part] == pytest.approx(other["latency_ns"][part], rel=0.05)


def test_what_is_in_flight_is_said_once() -> None:
    """A disk with both forms is refused."""
    with pytest.raises(ScenarioError, match="in_flight follows from writes"):
        loads("name: x\ndisk: {replication: nbd, in_flight: 4 KiB, writes: {rate: 5 /s}}")
