"""What results consist of: each key of a summary, with its unit, its meaning and when it is empty.

`SUMMARY` is the one table of these keys: `colosim.runs.summary` fills it, ``expect:`` in a scenario
bounds them (`colosim.scenario.bounds`), and ``docs/fields.md`` is generated from it. The columns of
tables are of the same type (`colosim.runs.columns`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from colosim.trace.events import PRIMARY, SECONDARY
from colosim.trace.quantities import MEANINGS, SPANS, WIRE_BYTES
from colosim.trace.steps import ACCOUNTS

NS: Final = "ns"
BYTES: Final = "bytes"
PAGES: Final = "pages of 4 KiB"
NUMBER: Final = "a number"
SLOPE: Final = "bytes/ns"
"""The one unit of real numbers; all other numbers are integers."""
PPM: Final = "ppm"
WORD: Final = "a word"
YES_NO: Final = "true or false"
SENTENCE: Final = "a sentence"

VERDICTS: Final = {
    "completed": "the run reached its length, and the pair commits checkpoints",
    "failed_over": "one guest serves alone, its failover done",
    "unfinished": "the horizon came before the length, and none of the words below fits: nothing "
    "is claimed",
    "unprotected": "a guest runs, but no checkpoint commits (any more) and nobody took over",
    "stopped": "no guest has run for `patience`, though the survivor's iothread lock is free",
    "hung": "no guest has run for `patience`, and the survivor's iothread lock is held by a thread "
    "that waits for what has not come",
    "split_brain": "both guests served at once, the output of each going out",
    "violated": "a safety rule broke: a fault of the design, or of colosim",
    "not_applicable": "nothing can be said: the design has no such step, or a fault never came",
}
"""How a run ends, best first."""


SEED_MAX: Final = 2**64 - 1
"""No seed is larger."""


@dataclass(frozen=True, slots=True)
class Field:
    """A key of a summary (dotted) or a column of a table.

    A part of the name in capitals stands for each word of `STANDS_FOR`.  `absent`: when there is no
    value, ``""`` if there always is one; `words`: those that it can be, if they are few.
    """

    name: str
    unit: str
    meaning: str
    absent: str = ""
    words: tuple[str, ...] = ()


STATISTICS: Final = {
    "count": "how many there are after the warm-up and COLO's start, of committed checkpoints if "
    "nothing else is said; a number",
    "mean": "their mean, rounded half up",
    "p50": "their median; quantiles are nearest rank, from 10,000 values on at most 0.1% too high",
    "p90": "their 90% quantile",
    "p99": "their 99% quantile",
    "max": "the largest",
}
"""What is said of a quantity that checkpoints have."""

STANDS_FOR: Final = {
    "SIDE": {PRIMARY: "the host whose guest runs at first", SECONDARY: "its replica"},
    "STATISTIC": STATISTICS,
    "CAUSE": {
        "mismatch": "the newest answer of the primary had no equal among the secondary's",
        "timeout": "a frame had waited for too long",
        "replay": "likewise, beside an answer to a request that the secondary executed twice",
    },
    "ACCOUNT": {
        **ACCOUNTS,
        "extra_total": "the sum of all accounts of a side",
    },
}

_SIDES: Final = (PRIMARY, SECONDARY)
_VERDICTS: Final = tuple(VERDICTS)
_NO_CHANCE: Final = "the verdict hangs on no choice"
_NO_FAULT: Final = "no fault struck, or no guest runs any more"

SUMMARY: Final = (
    Field("scenario", WORD, "name of the scenario"),
    Field("design", WORD, "name of the design, with its remedies"),
    Field("seed", NUMBER, "seed of every random stream; 0 of a real run"),
    Field("digest", WORD, "SHA-256 over the events, in hexadecimal digits"),
    Field(
        "verdict",
        WORD,
        "how the run ended (`unknown` of a real run whose log ends within a checkpoint)",
        words=_VERDICTS,
    ),
    Field(
        "survivor",
        WORD,
        "the side that outlived the fault, or serves alone",
        "nothing was lost, or both sides were",
        _SIDES,
    ),
    Field(
        "false_failover",
        YES_NO,
        "whether a side took over though no fault had frozen, killed or cut off its peer",
        words=("true", "false"),
    ),
    Field("reason", SENTENCE, "why the verdict is what it is"),
    Field(
        "warning",
        SENTENCE,
        "whom a manager that asks the monitors would take for lost, though nothing has failed",
        "a fault struck, the run did not complete, or no monitor was deaf for that long",
    ),
    Field(
        "depends_on",
        WORD,
        "the choice that the verdict hangs on and that real QEMU leaves to chance",
        "it hangs on none",
        ("lock",),
    ),
    Field("otherwise.verdict", WORD, "the verdict with the other choice", _NO_CHANCE, _VERDICTS),
    Field("otherwise.survivor", WORD, "the survivor with the other choice", _NO_CHANCE, _SIDES),
    Field("checkpoints.completed", NUMBER, "checkpoints that were committed, warm-up included"),
    Field("checkpoints.aborted", NUMBER, "checkpoints that an error or a failover ended"),
    *(Field(f"{name}.STATISTIC", NS, MEANINGS[name]) for name in SPANS),
    Field(
        "lock_hold_ns.SIDE.STATISTIC",
        NS,
        f"{MEANINGS['lock_hold_ns']}; one that is open when the run ends counts up to there",
    ),
    Field("memory_peak_bytes.SIDE.ACCOUNT", BYTES, "peak of an account of memory over the run"),
    Field("wire_bytes", BYTES, "what the primary sent in the whole run, messages and streams"),
    Field("wire_bytes_per_checkpoint.STATISTIC", BYTES, MEANINGS[WIRE_BYTES]),
    Field("events", NUMBER, "steps of the simulation, not of onlookers; of a real run, events"),
    Field("end_ns", NS, "when the run ended"),
    Field("guest_stopped_ns_longest", NS, "longest time in which no guest ran"),
    Field("guest_stopped_open", YES_NO, "whether that lasts to the end", words=("true", "false")),
    Field(
        "guest_running_share",
        PPM,
        "share of the run in which the primary's guest ran, or that of a side that took over",
    ),
    Field(
        "monitor_deaf_ns.STATISTIC",
        NS,
        "longest time of a checkpoint in which a monitor could serve no command (see "
        "monitor_deaf_ns_longest); one that is open when the run ends counts up to there",
    ),
    Field(
        "monitor_deaf_ns_longest",
        NS,
        "longest time in which a monitor could serve no command, because a thread had the iothread "
        "lock: the survivor's monitor, either side's if both live",
    ),
    Field("monitor_deaf_open", YES_NO, "whether that lasts to the end", words=("true", "false")),
    Field(
        "time_to_guest_ns",
        NS,
        "from the first fault that took the guest away until one runs again; 0 if none did",
        _NO_FAULT,
    ),
    Field(
        "start_pause_ns",
        NS,
        "pause of COLO's start, the first checkpoint, where that is of a kind of its own (under "
        "KVM its flush copies all of guest RAM where the secondary's guest runs); other statistics "
        "leave that checkpoint out",
        "it is as any other, or did not come so far",
    ),
    Field("service.requests", NUMBER, "requests that clients have sent"),
    Field("service.answered", NUMBER, "those whose answer has left for the client"),
    Field(
        "service.dropped",
        NUMBER,
        "those lost for good: the tap's queue was full, or the comparison's",
    ),
    Field("service.unanswered", NUMBER, "those not answered when the run ended"),
    Field("service.throughput_per_s", NUMBER, "answers a second of the run"),
    Field(
        "service.latency_ns.STATISTIC",
        NS,
        "from sending a request to its answer at the client",
    ),
    Field(
        "service.forced.CAUSE",
        NUMBER,
        "checkpoints that the comparison of outputs began ahead of the timer",
    ),
    Field(
        "service.met_pause",
        NUMBER,
        "requests that were under way while the primary's guest was stopped",
    ),
    Field(
        "service.held_peak_bytes",
        BYTES,
        "most bytes of answers that waited at once for the end of a checkpoint",
    ),
    Field("service.outage_ns_longest", NS, "longest time without an answer"),
    Field(
        "time_to_client_ns",
        NS,
        "from the first fault to the first answer to a request that was sent after it",
        "no fault struck, or no client was answered any more",
    ),
    Field("disk.writes", NUMBER, "what the primary's guest has written to its disk"),
    Field("disk.unanswered", NUMBER, "writes that wait for the secondary when the run ends"),
    Field(
        "disk.unreplicated",
        NUMBER,
        "writes that the secondary does not have for sure, for the disk's connection failed or a "
        "failover ended the replication",
    ),
    Field(
        "disk.latency_ns.STATISTIC",
        NS,
        "from a write of the guest to the secondary's answer, or to the error that ended its wait",
    ),
)
"""The keys of ``summary.json``, in their order; those of a real run are empty where its log does
not show them.  Those of clients, ``service`` and ``time_to_client_ns``, are there where the
scenario has a service, those of ``disk`` where its disk has writes.  A design may have accounts of
memory of its own."""


def keys_of(field: Field) -> Iterator[str]:
    """Yield the keys that a field stands for."""
    choices = (STANDS_FOR.get(part, (part,)) for part in field.name.split("."))
    return (".".join(parts) for parts in product(*choices))


SUMMARY_KEYS: Final = {key: field for field in SUMMARY for key in keys_of(field)}
"""The field of each dotted key."""

NUMERIC_KEYS: Final = tuple(
    key for key, field in SUMMARY_KEYS.items() if field.unit not in {WORD, YES_NO, SENTENCE}
)
"""The dotted keys that have a number."""

OPEN: Final = {
    "guest_stopped_ns_longest": "guest_stopped_open",
    "monitor_deaf_ns_longest": "monitor_deaf_open",
}
"""The key that tells of a time whether it lasts to the end of the run."""


def value_of(summary: dict[str, Any], key: str) -> Any:
    """Return the value of a dotted key, None if the summary has none."""
    value: Any = summary
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            return None
        value = value[part]
    return value
