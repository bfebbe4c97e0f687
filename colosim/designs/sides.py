"""The two sides of a design: which verbs they have, plain, with remedies, or with channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from colosim.designs.background import FIRST, GAP, BackgroundPrimary, BackgroundSecondary
from colosim.designs.multifd import MultifdPrimary, MultifdSecondary, leads
from colosim.designs.primary import Primary
from colosim.designs.remedied import IN_VERBS, RemediedPrimary, RemediedSecondary
from colosim.designs.secondary import Secondary
from colosim.host.host import bitmap_bytes
from colosim.trace.events import PRIMARY, SECONDARY

if TYPE_CHECKING:
    from colosim.designs.side import Side
    from colosim.designs.traits import Traits
    from colosim.host.failover import Failover
    from colosim.host.host import Host
    from colosim.network.connection import Connection
    from colosim.scenario.model import Scenario


def sides_of(
    traits: Traits,
    scenario: Scenario,
    seed: int,
    hosts: Mapping[str, Host],
    connection: Connection,
    failovers: Mapping[str, Failover],
) -> tuple[Primary, Secondary]:
    """Give each side its COLO thread, its staging buffer and RAM cache, and return both."""
    made: dict[str, Side] = {}
    for side, kind, name in zip(
        (PRIMARY, SECONDARY),
        _kinds(traits, scenario.guest.late_writes_pages_per_s),
        ("checkpoint thread", "COLO incoming thread"),
        strict=True,
    ):
        host = hosts[side]
        outgoing, incoming = connection.of(side)
        staging = traits.staging(host.ledger, flat=traits.flat_staging)
        made[side] = kind(
            traits, host, host.thread(name), outgoing, incoming, staging, failovers[side]
        )
    primary, secondary = made[PRIMARY], made[SECONDARY]
    assert isinstance(primary, Primary)  # noqa: S101 - made above
    assert isinstance(secondary, Secondary)  # noqa: S101 - made above
    if isinstance(primary, MultifdPrimary) and isinstance(secondary, MultifdSecondary):
        channels = connection.all_of(connection.to_secondary)[1:]
        primary.open_channels(channels, leads(scenario, seed))
        secondary.open_channels(channels)
    primary.delay_ns = scenario.checkpoint_delay_ns
    if traits.ram_cache:
        ledger = hosts[SECONDARY].ledger
        ledger.hold("ram_cache", scenario.guest.ram_bytes)
        ledger.hold("cache_bitmap", bitmap_bytes(scenario.guest.ram_bytes))
    return primary, secondary


def _kinds(traits: Traits, late_writes_pages_per_s: int) -> tuple[type[Primary], type[Secondary]]:
    """Return the classes of the two sides under a design's options and with late writes."""
    if traits.channels:
        return MultifdPrimary, MultifdSecondary
    if any(option.name in {FIRST, GAP} for option in traits.remedies):
        return BackgroundPrimary, BackgroundSecondary
    if late_writes_pages_per_s or any(option.name in IN_VERBS for option in traits.remedies):
        return RemediedPrimary, RemediedSecondary
    return Primary, Secondary
