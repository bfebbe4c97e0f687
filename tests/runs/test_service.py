"""How long service was lost to a fault."""

from __future__ import annotations

import pytest

from colosim.trace.events import GuestStopped
from tests.faults.test_injection import simulate

FROZEN = "{freeze: secondary, at: {checkpoint: 2, step: 'primary: RAM stream', progress: 40%}}"
WAIT = "manager: {policy: wait}"


def test_a_fault_in_a_pause_counts_from_its_moment_to_the_end_of_the_pause() -> None:
    """The guest was stopped already: what is lost to the fault is lost from the fault on."""
    run = simulate("qsb", FROZEN)
    (fault_ns, _), *_ = run.injector.struck
    guest = run.hosts["primary"].guest
    assert run.service.time_to_guest_ns == guest.since_ns - fault_ns


def test_a_harmless_fault_before_does_not_hide_what_the_next_takes() -> None:
    """A thaw of what is not frozen takes no service, the freeze after it does."""
    alone = simulate("qsb", FROZEN).service.time_to_guest_ns
    both = simulate("qsb", f"{FROZEN}, {{thaw: secondary, at: 1 s}}").service.time_to_guest_ns
    assert both == alone
    assert alone is not None
    assert alone > 10**9


def test_a_lost_link_that_strikes_at_a_stop_counts() -> None:
    """The guest stops while the link is down, and runs again when that carries again."""
    stop_ns = next(
        at_ns
        for at_ns, event, _ in simulate("split", "").record
        if event == GuestStopped("primary")
    )
    run = simulate("split", f"{{vanish: network, at: {stop_ns} ns, for: 2 s}}", WAIT)
    lost = run.service.time_to_guest_ns
    assert lost is not None
    assert lost >= 2 * 10**9
    assert lost == run.service.stopped_longest_ns


def test_a_fault_that_no_guest_noticed_took_no_service() -> None:
    """It is over before the guest is stopped: 0, though checkpoints stop the guest later."""
    run = simulate("split", "{vanish: network, at: 10 ms, for: 10 ms}", WAIT)
    assert run.service.time_to_guest_ns == 0


def test_service_that_never_comes_back_has_no_time() -> None:
    """Nobody tells the survivor: there is no time to service."""
    assert simulate("qsb", FROZEN, WAIT).service.time_to_guest_ns is None


@pytest.mark.parametrize("first", ["at: 1 s, for: 300 ms", "at: 100 ms, for: 5 ms"])
def test_of_several_losses_the_first_counts(first: str) -> None:
    """It is from the first fault that took the guest away until one ran again."""
    fault, long = f"{{freeze: primary, {first}}}", "{freeze: primary, at: 3 s, for: 900 ms}"
    alone = simulate("split", fault, WAIT).service.time_to_guest_ns
    both = simulate("split", f"{fault}, {long}", WAIT).service.time_to_guest_ns
    assert both == alone
    assert both is not None
    assert 5_000_000 <= both < 900_000_000


def test_a_guest_that_only_its_failover_stopped_was_not_away() -> None:
    """A peer that dies between checkpoints takes no guest away: the failover's own stop is short.

    Whether a client is answered meanwhile is another quantity.
    """
    run = simulate(
        "qemu-5.1", "{kill: secondary, at: {checkpoint: 1, step: 'primary: after start'}}"
    )
    assert run.failovers["primary"].done
    assert run.service.time_to_guest_ns == 0


def test_a_guest_that_is_away_to_the_end_has_no_time() -> None:
    """A link so slow that a pause never ends is no failure of a host, yet no guest comes back."""
    slow = "{slow: network, factor: 0.000001, at: {checkpoint: 2, step: 'primary: RAM stream'}}"
    run = simulate("split", slow, WAIT)
    assert run.service.time_to_guest_ns is None
    assert run.service.stopped_open


def test_a_guest_that_came_back_and_stands_for_good_is_not_back() -> None:
    """A fault in a pause that ends by itself, and then a failover that waits for the disk."""
    run = simulate(
        "split",
        "{freeze: secondary, at: {checkpoint: 1, step: 'secondary: after VMSTATE_LOADED'}}",
        "disk: {replication: nbd}\nmanager: {policy: lost-heartbeat, timeout: 3 s}",
    )
    assert run.service.stopped_open
    assert run.service.time_to_guest_ns is None
