"""RAM over multifd channels: who carries which packets, and what that does to a checkpoint."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colosim.designs.multifd import LEAD_PACKETS, PACKET_BYTES, PACKET_PAGES, shares
from colosim.host.host import PAGE_BYTES
from colosim.runs.run import simulate
from colosim.scenario import Scenario, loads


@given(
    pages=st.integers(0, 100_000),
    channels=st.integers(1, 16),
    zero=st.integers(0, 100),
    lead=st.booleans(),
)
def test_channels_carry_every_page_once_in_packets(
    pages: int, channels: int, zero: int, *, lead: bool
) -> None:
    """Pages, zero pages and bytes add up; without a lead no channel has two packets more."""
    zero_pages = pages * zero // 100
    found = shares(3, pages, zero_pages, channels, lead=lead)
    packets = -(-pages // PACKET_PAGES)
    whole = PAGE_BYTES * (pages - zero_pages) + PACKET_BYTES * (packets + channels)
    assert sum(one.pages for one in found) == pages
    assert sum(one.zero_pages for one in found) == zero_pages
    assert sum(one.size_bytes for one in found) == whole
    assert {one.stream_bytes for one in found} == {whole}
    own = [-(-one.pages // PACKET_PAGES) for one in found]
    ahead = min(packets, LEAD_PACKETS) if lead else 0
    assert max(own[0] - ahead, *own) <= -(-(packets - ahead) // channels) + ahead
    assert sum(own[1:]) <= packets - ahead


def conditions(lead: str, pages: int = 4_000) -> Scenario:
    """Return a scenario whose channels' sockets take ten packets each, but not eleven."""
    return loads(
        f"""
name: lead
checkpoints: 6
seed: 3
guest: {{ram: 128 MiB, dirty: {{pages: {pages}}}}}
hosts: {{preset: lab-qemu111, primary: {{channel_lead: {lead}}}}}
network: {{preset: lab-veth, send_buffer: 3400 KiB, receive_buffer: 1850 KiB, ack_tick_phase: 0 ns}}
"""
    )


def late(scenario: Scenario, channels: int) -> list[bool]:
    """Return which checkpoints held the lock for a delayed ACK."""
    rows = simulate(scenario, f"qemu-11+multifd={channels}").checkpoints
    return [hold > 40_000_000 for hold in rows.lock_hold_primary_ns.tolist()]


@pytest.mark.parametrize("channels", [4, 8])
def test_a_channel_ahead_of_the_others_stalls_a_checkpoint_that_fits(channels: int) -> None:
    """32 packets round 4 or 8 channels fit into their sockets; 12 ahead in one of them do not."""
    assert late(conditions("0%"), channels) == [False] * 6
    assert late(conditions("100%"), channels) == [True] * 6
    assert late(conditions("100%", pages=500), channels) == [False] * 6


def test_which_checkpoints_have_a_lead_is_drawn_by_their_number() -> None:
    """Under one seed the same checkpoints stall over 4 channels as over 8; under others, others."""
    drawn = [late(conditions("50%").vary({"seed": seed}), 4) for seed in range(4)]
    assert late(conditions("50%").vary({"seed": 1}), 8) == drawn[1]
    assert len({tuple(one) for one in drawn}) == 4
    assert 0 < sum(sum(one) for one in drawn) < 24


def test_behind_a_link_no_channel_goes_ahead() -> None:
    """There a channel takes its next packet as its socket has room: `channel_lead` moves none."""
    some, none = (
        simulate(conditions(lead).vary({"network.bandwidth": "1 Gbit/s"}), "qemu-11+multifd=4")
        for lead in ("100%", "0%")
    )
    assert some.checkpoints.pause_ns.tolist() == none.checkpoints.pause_ns.tolist()


def test_channels_with_nothing_to_carry_cost_nothing() -> None:
    """Three packets over 3 channels take what they do over 16, but for the SYNCs."""
    few, many = (
        simulate(conditions("0%", pages=384), f"qemu-11+multifd={channels}").checkpoints
        for channels in (3, 16)
    )
    apart = [a - b for a, b in zip(many.ram_ns.tolist(), few.ram_ns.tolist(), strict=True)]
    assert max(map(abs, apart)) < 300_000
