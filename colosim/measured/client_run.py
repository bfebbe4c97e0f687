"""A measured run with clients: what they sent, what they saw, and under what conditions.

The tables of such runs ship as ``tables/proxy72/NAME.json``.  Times are integer nanoseconds since
the pair entered COLO, one checkpoint delay before its first request (where no timer made that, when
clients began); in a table they stand in microseconds, as they were recorded.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from colosim.errors import LogError
from colosim.measured.measurement import Conditions, nearest_rank

LAB: Final = "proxy72"
_FOLDER: Final = Path(__file__).parent / "tables" / LAB
_US: Final = 1000


@dataclass(frozen=True, slots=True)
class Seen:
    """What clients saw of a run, measured or simulated.

    Latencies (ns, nearest rank) count from the sending of a request to the last byte of its answer.
    `met_pause`: requests that were under way while the primary's guest stood.  `forced`,
    `periodic`: checkpoints that the comparison asked for, and others, from the first request on.
    """

    client_latency_p50: int
    client_latency_p90: int
    met_pause: int
    forced_checkpoints: int
    periodic_checkpoints: int

    @property
    def storms(self) -> bool:
        """Whether the timer has hardly a part: two of three checkpoints are forced, at least 5."""
        forced = self.forced_checkpoints
        return forced > max(2 * self.periodic_checkpoints, 4)


def latencies(values: Sequence[int]) -> tuple[int, int]:
    """Return median and 90% quantile."""
    return nearest_rank(values, 50), nearest_rank(values, 90)


@dataclass(frozen=True, slots=True)
class ClientRun:
    """A run of a pair with clients.

    `clock_ns`: CLOCK_MONOTONIC of the host as the pair entered COLO.  `service` and `output` are
    what a scenario says under these names of what the lab set; ``opens``: each request a
    connection of its own.  `guest_ns`: what requests took the primary's guest away from any pause,
    sorted, empty where hardly any was seen; `first_ns`: likewise what the first after each load
    took the secondary.
    `pages`: dirty pages of each checkpoint.  `cut_ns`: when the secondary's answers were cut off up
    to the next checkpoint.  `sent_ns`: when requests were due, empty where each was sent as the
    one before it was answered.  `lost`: requests without an answer.
    """

    name: str
    qemu: str
    conditions: Conditions
    clock_ns: int
    service: dict[str, Any]
    output: dict[str, Any]
    device_state_bytes: int
    guest_ns: tuple[int, ...]
    first_ns: tuple[int, ...]
    pages: tuple[int, ...]
    cut_ns: tuple[int, ...]
    end_ns: int
    lost: int
    met_pause: int
    forced_checkpoints: int
    periodic_checkpoints: int
    sent_ns: tuple[int, ...]
    latency_ns: tuple[int, ...]

    @property
    def seen(self) -> Seen:
        """What its clients saw."""
        return Seen(
            *latencies(self.latency_ns),
            self.met_pause,
            self.forced_checkpoints,
            self.periodic_checkpoints,
        )

    @property
    def condition(self) -> str:
        """Its name without what tells repeats apart."""
        return self.name.removesuffix("__busy").removesuffix("_r2")

    @property
    def compared(self) -> bool:
        """Whether its output was compared with the secondary's."""
        return bool(self.output["mode"] == "compared")

    @property
    def busy(self) -> bool:
        """Whether the machine had other work."""
        return self.name.endswith("__busy")


@lru_cache(maxsize=1)
def names() -> tuple[str, ...]:
    """Return the names of the shipped runs with clients, sorted."""
    return tuple(sorted(f"{LAB}/{file.stem}" for file in _FOLDER.glob("*.json")))


def client_run(name: str) -> ClientRun:
    """Return the shipped run of this name.

    :raises LogError: if there is none.
    """
    if name not in names():
        raise LogError(f"no measured run with clients is named {name!r}")
    return parse((_FOLDER / f"{name.partition('/')[2]}.json").read_text(encoding="utf-8"))


def dump(run: ClientRun) -> str:
    """Return a run as the text of a table, a line an entry, the same for equal runs."""
    table = asdict(run)
    sent, latency = table.pop("sent_ns"), table.pop("latency_ns")
    gaps = [after - before for before, after in zip((0, *sent), sent, strict=False)]
    table["sent_us_apart"] = [gap // _US for gap in gaps]
    for name in ("guest", "first"):
        table[f"{name}_us"] = [one // _US for one in table.pop(f"{name}_ns")]
    table["latency_us"] = [one // _US for one in latency]
    lines = [f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in table.items()]
    return "{\n " + ",\n ".join(lines) + "\n}\n"


def parse(text: str) -> ClientRun:
    """Return the run that a table holds, the inverse of `dump`.

    :raises LogError: if the text is no such table.
    """
    try:
        table = json.loads(text)
        sent, at = [], 0
        for gap in table.pop("sent_us_apart"):
            at += gap * _US
            sent.append(at)
        table["sent_ns"] = sent
        for name in ("guest", "first", "latency"):
            table[f"{name}_ns"] = [one * _US for one in table.pop(f"{name}_us")]
        table["conditions"] = Conditions(**table["conditions"])
        for field in fields(ClientRun):
            if isinstance(table[field.name], list):
                table[field.name] = tuple(table[field.name])
        return ClientRun(**table)
    except (ValueError, KeyError, TypeError) as error:
        raise LogError(f"not a measured table of clients: {error!r}") from error
