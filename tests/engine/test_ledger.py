"""The memory ledger: levels and their events."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from colosim.engine.environment import Environment
from colosim.engine.ledger import Ledger
from colosim.trace.events import MemoryLevel
from colosim.trace.record import Record


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ram_cache", "dirty_bitmap", "staging_buffer"]), st.integers(0, 100)
        )
    )
)
def test_every_change_of_a_level_is_an_event(moves: list[tuple[str, int]]) -> None:
    """Accounts have the last of their levels, and what changes one is recorded, nothing else."""
    record = Record(Environment(), keep=True)
    ledger = Ledger("primary", record)
    levels: dict[str, int] = {}
    changes = []
    for account, level in moves:
        if levels.get(account) != level:
            changes.append((0, MemoryLevel("primary", account), level))
        ledger.hold(account, level)
        levels[account] = level
    record.close()
    assert ledger.levels == levels
    assert ledger.total_bytes == sum(levels.values())
    assert list(record) == changes
