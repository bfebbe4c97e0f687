"""Which verbs the two sides of a design have: plain, with remedies, or with multifd channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colosim.designs.multifd import MultifdPrimary, MultifdSecondary
from colosim.designs.primary import Primary
from colosim.designs.remedied import IN_VERBS, RemediedPrimary, RemediedSecondary
from colosim.designs.secondary import Secondary

if TYPE_CHECKING:
    from colosim.designs.traits import Traits


def sides_of(traits: Traits, late_writes_pages_per_s: int) -> tuple[type[Primary], type[Secondary]]:
    """Return the classes of the two sides under a design's options and with late writes."""
    if traits.channels:
        return MultifdPrimary, MultifdSecondary
    if late_writes_pages_per_s or any(option.name in IN_VERBS for option in traits.remedies):
        return RemediedPrimary, RemediedSecondary
    return Primary, Secondary
