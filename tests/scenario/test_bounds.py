from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from colosim.runs.run import simulate
from colosim.scenario import loads
from colosim.scenario.bounds import BoundError, parse_bound
from colosim.trace.fields import SUMMARY_KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator

HOLDS = [
    ("pause_ns.p99", "< 100 ms", 99_999_999, True),
    ("pause_ns.p99", "< 100 ms", 100_000_000, False),
    ("pause_ns.p99", "<= 100 ms", 100_000_000, True),
    ("pause_ns.p99", ">100ms", 100_000_001, True),
    ("pause_ns.p99", ">= 100 ms", 99_999_999, False),
    ("pause_ns.p99", "1 ms .. 5 ms", 5_000_000, True),
    ("pause_ns.p99", "1 ms..5 ms", 5_000_001, False),
    ("pause_ns.p99", "< 100000000", 99_999_999, True),
    ("pause_ns.mean", "< 1 ms", 999_999.5, True),
    ("pause_ns.count", "18", 18, True),
    ("pause_ns.p99", "< 100 ms", None, False),
    ("memory_peak_bytes.primary.staging_buffer", "4 MiB", 4 << 20, True),
    ("memory_peak_bytes.secondary.extra_total", "< 5 MiB", 5 << 20, False),
    ("wire_bytes", "< 1 MiB", 5, True),
    ("checkpoints.aborted", "0", 0, True),
    ("events", "<= 500", 501, False),
    ("verdict", "hung", "hung", True),
    ("verdict", "hung", "completed", False),
    ("survivor", "none", None, True),
    ("survivor", "primary", None, False),
    ("time_to_guest_ns", "absent", None, True),
    ("time_to_guest_ns", "absent", 5, False),
    ("time_to_guest_ns", "< 8 s", None, False),
    ("guest_stopped_ns_longest", "== 3 s", 3_000_000_000, True),
]


@pytest.mark.parametrize(("key", "text", "value", "holds"), HOLDS)
def test_holds(key: str, text: str, value: float | str | None, *, holds: bool) -> None:
    """A bound holds or not; its ends count as its operator says; nothing keeps no bound."""
    assert parse_bound(key, text).holds(value) is holds


REFUSED = [
    (
        "pause",
        "< 1 ms",
        True,
        ("'pause' is not a key of summary.json; did you mean 'pause_ns.count'?"),
    ),
    (
        "lock_hold_ns.primary",
        "< 1 ms",
        True,
        (
            "'lock_hold_ns.primary' is not a key of summary.json;"
            " it has parts, such as 'lock_hold_ns.primary.count'"
        ),
    ),
    (
        "memory_peak_bytes.primary.staging_bufer",
        "< 5 MiB",
        True,
        (
            "'memory_peak_bytes.primary.staging_bufer' is not a key of summary.json;"
            " did you mean 'memory_peak_bytes.primary.staging_buffer'?"
        ),
    ),
    (
        "events",
        "< 5 ms",
        False,
        "'5 ms': no unit is wanted here; expected a whole number, such as '20'",
    ),
    ("reason", "hung", True, "'reason' is a sentence; bound the verdict instead"),
    (
        "end_ns",
        "absent",
        False,
        (
            "'absent' is only for time_to_guest_ns, start_pause_ns, "
            "time_to_client_ns; end_ns is always there"
        ),
    ),
    ("verdict", "< hung", False, "'< hung': verdict is a word and has no order; state it bare"),
    (
        "pause_ns.p50",
        "",
        False,
        "'' is no bound; expected such as '< 100 ms', '>= 3' or '1 ms .. 5 ms'",
    ),
]


@pytest.mark.parametrize(("key", "text", "of_key", "message"), REFUSED)
def test_refused(key: str, text: str, message: str, *, of_key: bool) -> None:
    """A key that the summary has not, or a bound of another kind, is refused."""
    with pytest.raises(BoundError) as caught:
        parse_bound(key, text)
    assert (str(caught.value), caught.value.of_key) == (message, of_key)


@pytest.mark.parametrize("design", ["qsb", "split", "flat", "qemu-5.1"])
def test_the_keys_are_those_of_a_summary(design: str) -> None:
    """A summary has the keys of the one table of them, in its order, and no other."""
    service, disk = "{arrivals: {regular: 20 /s}}", "{replication: nbd, writes: {rate: 20 /s}}"
    text = f"{{name: x, checkpoints: 3, service: {service}, disk: {disk}}}"
    summary = simulate(loads(text), design, tables=False).summary
    found = [key for key in dotted(summary) if "memory_peak" not in key]
    others: set[str] = set() if design == "qemu-5.1" else {"start_pause_ns"}
    assert found == [key for key in SUMMARY_KEYS if "memory_peak" not in key and key not in others]
    assert set(dotted(summary)) <= set(SUMMARY_KEYS)


def dotted(summary: dict[str, Any], above: str = "") -> Iterator[str]:
    """Yield the dotted key of each value."""
    for key, value in summary.items():
        if isinstance(value, dict):
            yield from dotted(value, f"{above}{key}.")
        else:
            yield f"{above}{key}"
