"""The memory ledger: levels, exact peaks, and the peak of the sum."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from colosim.engine.environment import Environment
from colosim.engine.ledger import Ledger
from colosim.network.transfer import Transfer
from colosim.trace.record import Record


def opened() -> tuple[Environment, Record, Ledger]:
    """Return a ledger with its environment and record."""
    env = Environment()
    record = Record(env, keep=True)
    return env, record, Ledger("primary", env, record)


@given(st.lists(st.tuples(st.sampled_from(["cache", "bitmap", "staging"]), st.integers(0, 100))))
def test_held_accounts_have_exact_levels_and_peaks(moves: list[tuple[str, int]]) -> None:
    """Levels, peaks, their sum and the peak of the sum are those of replaying every move."""
    _env, record, ledger = opened()
    levels: dict[str, int] = {}
    peaks: dict[str, int] = {}
    totals, changes = [0], 0
    for account, level in moves:
        changes += levels.get(account) != level
        ledger.hold(account, level)
        levels[account] = level
        peaks[account] = max(peaks.get(account, 0), level)
        totals.append(sum(levels.values()))
    assert (ledger.levels, ledger.peaks) == (levels, peaks)
    assert (ledger.total, ledger.total_peak) == (totals[-1], max(totals))
    record.close()
    assert len(list(record)) == changes


def stream(ledger: Ledger) -> Transfer:
    """Book 1000 bytes written in 100 ns that a link carries away in 1000 ns."""
    transfer = Transfer(0, 1000, 100, 1000, 0, 2000, 2000, read_ns=0, reader_ns=0)
    ledger.passes(
        "socket_send_buffer",
        transfer.sending_peak_bytes(),
        transfer.sending_from,
        transfer.left_ns(1000),
    )
    return transfer


def test_a_passing_stream_counts_towards_the_peaks() -> None:
    """A stream's highest level is its account's peak, and adds to what is held."""
    _env, _record, ledger = opened()
    ledger.hold("cache", 50)
    stream(ledger)
    assert ledger.peaks == {"cache": 50, "socket_send_buffer": 900}
    assert (ledger.total, ledger.total_peak) == (50, 950)


def test_what_is_held_while_a_stream_drains_counts_with_what_is_left_of_it() -> None:
    """The peak of the sum takes the stream's level to come, not the highest that it ever had."""
    env, _record, ledger = opened()
    stream(ledger)
    env.call_at(500, lambda: ledger.hold("cache", 450))
    env.call_at(900, lambda: ledger.hold("cache", 850))
    env.call_at(1000, lambda: ledger.hold("cache", 900))
    env.drive(2000)
    assert ledger.total_peak == 950
    assert ledger.peaks == {"cache": 900, "socket_send_buffer": 900}


def test_a_followed_level_counts_until_it_changes() -> None:
    """What is held while a followed stream stands in its buffer adds to that level."""
    _env, _record, ledger = opened()
    ledger.passing_level("socket_receive_buffer", 300)
    ledger.hold("cache", 50)
    assert (ledger.total, ledger.total_peak) == (50, 350)
    ledger.passing_level("socket_send_buffer", 100)
    assert ledger.total_peak == 450
    ledger.passing_level("socket_receive_buffer", 0)
    ledger.passing_level("socket_send_buffer", 0)
    ledger.hold("cache", 400)
    assert ledger.total_peak == 450
    assert ledger.peaks["socket_receive_buffer"] == 300
