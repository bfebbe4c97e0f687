"""Values of a summary in words for people: three or four digits and a unit."""

from __future__ import annotations

from typing import Any, Final

from colosim.runs.statistics import CONSTANT, is_constant
from colosim.trace.fields import OPEN, value_of

TIMES: Final = ((10**9, "s"), (10**6, "ms"), (10**3, "us"), (1, "ns"))
_SIZES: Final = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B"))
_DIGITS: Final = 4


def with_unit(value: int, units: tuple[tuple[int, str], ...]) -> str:
    """Return `value` in the largest unit that leaves at least 1, rounded to four digits."""
    size, unit = next((pair for pair in units if value >= pair[0]), units[-1])
    if size == 1:
        return f"{value} {unit}"
    whole = len(str(value // size))
    places = max(0, _DIGITS - whole)
    scaled = (value * 10**places * 2 + size) // (2 * size)
    text = str(scaled)
    if not places:
        return f"{text} {unit}"
    return f"{text[:-places]}.{text[-places:]} {unit}"


def value_in_words(summary: dict[str, Any], key: str) -> str:
    """Return the value of a dotted key of a summary for people."""
    if lasts(summary, key):
        return "to the end"
    return CONSTANT if says_nothing(summary, key) else in_words(key, value_of(summary, key))


def says_nothing(summary: dict[str, Any], key: str) -> bool:
    """Tell whether a key is a p90 or p99 of values that were all the same."""
    head, _, part = key.rpartition(".")
    return part in {"p90", "p99"} and is_constant(value_of(summary, head))


def lasts(summary: dict[str, Any], key: str) -> bool:
    """Tell whether a time of a summary is that of what lasts to the end of the run.

    It is as long as the run's horizon, so its number would say nothing: of the guest's last stop,
    also as a pause, and of a deaf monitor, also as a hold of the lock.
    """
    value = value_of(summary, key)
    return bool(value) and value in {
        summary[time] for time, flag in OPEN.items() if summary.get(flag)
    }


def in_words(key: str, value: Any) -> str:
    """Return the value of a dotted summary key for people; ``-`` if there is none."""
    if value is None:
        return "-"
    if value == 0 and key == "time_to_guest_ns":
        return "never gone"  # by whatever fault
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, int):
        return str(value)
    if key.endswith("_share"):
        return f"{value // 10**4}.{value // 10**3 % 10}%"
    if key.endswith(".count"):
        return f"{value:,}"
    parts = key.replace(".", "_").split("_")
    if "ns" in parts:
        return with_unit(value, TIMES)
    if "bytes" in parts:
        return with_unit(value, _SIZES)
    return f"{value:,}"
