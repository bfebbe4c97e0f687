"""What a report says: verdicts, tables, figures, explanations, provenance."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

import colosim
from colosim.analysis.assumed import first_note
from colosim.analysis.counted import counted
from colosim.analysis.explain import explain
from colosim.analysis.facts import given
from colosim.errors import ColosimError
from colosim.plots import distribution, gantt, hang, memory, overview, sequence
from colosim.plots.lanes import fault_of, named, typical_checkpoint
from colosim.plots.look import FigureError
from colosim.plots.report.drawing import inline
from colosim.plots.style import labels
from colosim.plots.units import int_or_none
from colosim.runs.columns import TEXT
from colosim.runs.directory import versions
from colosim.runs.stored import read_manifest
from colosim.runs.verdict import COMPLETED, FAILED_OVER, NOT_APPLICABLE, UNFINISHED
from colosim.runs.wording import in_words, value_in_words
from colosim.scenario import resolve
from colosim.trace.events import COMMITTED
from colosim.trace.fields import value_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from colosim.runs.run import Run

    #: Its name in the document, and what draws it.
    Plan = tuple[str, Callable[[], Figure]]

_FOLDER = Path(__file__).parent

_QUANTITIES = {
    "Memory: how much beyond the guest's own RAM, at its peak?": {
        "memory_peak_bytes.primary.staging_buffer": "staging buffer, primary",
        "memory_peak_bytes.primary.extra_total": "all of it, primary",
        "memory_peak_bytes.secondary.staging_buffer": "staging buffer, secondary",
        "memory_peak_bytes.secondary.extra_total": "all of it, secondary",
    },
    "Latency: how long is the guest paused, and the lock held?": {
        "pause_ns.p50": "pause, median",
        "pause_ns.p99": "pause, 99%",
        "transaction_ns.p50": "transaction, median",
        "lock_hold_ns.primary.p50": "lock hold, primary, median",
        "lock_hold_ns.primary.max": "lock hold, primary, longest",
        "lock_hold_ns.secondary.p50": "lock hold, secondary, median",
        "wire_bytes_per_checkpoint.p50": "bytes a checkpoint, median",
    },
    "Liveness: can the survivor be told, and who serves?": {
        "checkpoints.completed": "checkpoints committed",
        "guest_stopped_ns_longest": "no guest ran, longest",
        "guest_running_share": "share of the run in which it ran",
        "monitor_deaf_ns_longest": "monitor deaf, longest",
        "time_to_guest_ns": "guest back after the fault",
    },
    "Clients: what do they see?": {
        "service.requests": "requests sent",
        "service.throughput_per_s": "answers a second",
        "service.latency_ns.p50": "latency, median",
        "service.latency_ns.p90": "latency, 90%",
        "service.latency_ns.p99": "latency, 99%",
        "service.met_pause": "requests that met a pause",
        "service.forced.mismatch": "checkpoints forced by a mismatch",
        "service.forced.timeout": "checkpoints forced by an old frame",
        "service.forced.replay": "checkpoints forced by a replay",
        "service.dropped": "requests dropped",
        "service.unanswered": "requests unanswered at the end",
        "service.outage_ns_longest": "no answer, longest",
        "time_to_client_ns": "client back after the fault",
    },
}

_FIGURES = {
    "overview": (
        "A checkpoint of each, and memory over time",
        (
            "Above: guest, threads, locks and wire in the checkpoint with the median pause, on one "
            "time axis. Below: what each host holds beyond the guest's own RAM, with its peak."
        ),
    ),
    "gantt": (
        "A checkpoint of each",
        "Guest, threads, locks and wire in the checkpoint with the median pause.",
    ),
    "memory": (
        "Memory by account",
        "What each host holds beyond the guest's own RAM, account upon account.",
    ),
    "distribution": (
        "Pauses and lock holds",
        "The share of checkpoints whose pause or lock hold is at most so long.",
    ),
    "hang": (
        "From the fault on",
        (
            "Who holds and who wants the iothread lock, how full the socket buffers are, which "
            "guest runs, and when a command was sent and served."
        ),
    ),
}
"""Titles and captions."""
_SEQUENCE = (
    "Every message, stream and lock hold, from top to bottom: a row a step, with its time in ms "
    "since the request."
)
_CHECKPOINTS = {
    "checkpoint": "checkpoint",
    "outcome": "outcome",
    "kind": "kind",
    "dirty_pages": "dirty pages",
    "pause_ns": "pause",
    "transaction_ns": "transaction",
    "ram_ns": "RAM",
    "lock_hold_primary_ns": "lock, primary",
    "lock_hold_secondary_ns": "lock, secondary",
    "wire_bytes": "bytes sent",
    "staging_buffer_content_bytes": "staged",
}
_ROWS_MAX = 40
"""Of more checkpoints the first and the last half of these are shown."""

_GOOD = {COMPLETED, FAILED_OVER}
_OPEN = {NOT_APPLICABLE, UNFINISHED, "unknown"}
"""Neither good nor bad: nothing was simulated, or a real log does not show how it ended."""


class Drawn(NamedTuple):
    """A figure as SVG text, or why there is none."""

    identity: str
    title: str
    caption: str
    svg: str
    error: str


def report(runs: Sequence[Run]) -> str:
    """Return runs written up as an HTML document that needs nothing beside it.

    What was given and how they ended stand first, with the figure that tells it; then what they
    cost, more figures as inline SVG, why those ended that
    did not just complete, every checkpoint, and what the runs were made of.  There is no script in
    it and no address; the same runs are the same text.

    :raises ValueError: if there is no run.
    """
    if not runs:
        raise ValueError("a report needs at least one run")
    names = labels(runs)
    named = [_Written(*one) for one in zip(range(len(runs)), names, runs, strict=True)]
    simulated = [one for one in named if one.run.verdict != NOT_APPLICABLE]
    templates = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    drawn = [_drawn(name, *_FIGURES[name], make) for name, make in _plans(simulated)]
    page = templates.get_template("report.html.jinja").render(
        style=(_FOLDER / "style.css").read_text(encoding="utf-8"),
        version=colosim.__version__,
        scenarios=list(dict.fromkeys(run.scenario.name for run in runs)),
        designs=list(dict.fromkeys(run.design for run in runs)),
        given=[*_given(runs)],
        runs=named,
        simulated=simulated,
        quantities=_quantities(runs),
        notes=[note for note in (counted(runs), first_note(runs)) if note],
        columns=list(_CHECKPOINTS.values()),
        half=_ROWS_MAX // 2,
        telling=drawn[:1],
        figures=drawn[1:],
    )
    return f"{page.lstrip()}\n"


def _given(runs: Sequence[Run]) -> Iterator[tuple[str, str, list[tuple[str, str]]]]:
    """Yield name, description, and load, network and faults of each scenario.

    What a real run was recorded under stands in its provenance.
    """
    for run in {run.scenario.name: run for run in runs}.values():
        rows = [] if run.source is not None else given(run.scenario)
        yield run.scenario.name, run.scenario.description, rows


def _quantities(runs: Sequence[Run]) -> list[tuple[str, list[list[str]]]]:
    """Return the rows that answer each question, a column a run."""
    groups = []
    for title, keys in _QUANTITIES.items():
        rows = [[label, *(_quantity(run, key) for run in runs)] for key, label in keys.items()]
        groups.append((title, [row for row in rows if set(row[1:]) != {"-"}]))
    return [group for group in groups if group[1]]


def _quantity(run: Run, key: str) -> str:
    head, _, part = key.rpartition(".")
    is_statistic = part in {"p50", "p90", "p99", "max"}
    if is_statistic and not value_of(run.summary, f"{head}.count"):
        return "-"
    return value_in_words(run.summary, key)


def _plans(simulated: Sequence[_Written]) -> Iterator[Plan]:
    """Yield the figures that the runs have, first what tells the verdict.

    A real log may show no memory.
    """
    drawn = [one.run for one in simulated]
    if not drawn:
        return
    struck = [run for run in drawn if _can(fault_of, run)]
    if struck:
        yield "hang", lambda: hang.figure(struck)
    if all(_can(memory.data, [run]) for run in drawn):
        yield "overview", lambda: overview.figure(drawn)
        yield "memory", lambda: memory.figure(drawn)
    else:
        yield "gantt", lambda: gantt.figure(drawn)
    if any(value_of(run.summary, "pause_ns.count") for run in drawn):
        yield "distribution", lambda: distribution.figure(drawn)


def _can(ask: Callable[[Any], object], what: object) -> bool:
    try:
        ask(what)
    except FigureError:
        return False
    return True


def _drawn(name: str, title: str, caption: str, make: Callable[[], Figure]) -> Drawn:
    identity = f"figure-{name}"
    try:
        return Drawn(identity, title, caption, inline(make(), identity, title), "")
    except FigureError as error:
        return Drawn(identity, title, caption, "", str(error))


class _Written:
    """A run as the template asks for it."""

    def __init__(self, index: int, name: str, run: Run) -> None:
        self.index = index
        self.name = name
        self.run = run
        self.good = run.verdict in _GOOD
        self.known = run.verdict not in _OPEN
        self.verdict = run.verdict.replace("_", " ")
        self.reason = run.reason[:1].upper() + run.reason[1:]
        self.count = len(run.checkpoints)
        self.scenario = resolve(run.scenario).rstrip()

    @property
    def source(self) -> dict[str, Any] | None:
        """Where an imported run comes from, None for a simulated one."""
        return self.run.source

    @property
    def is_explained(self) -> bool:
        """Whether there is something to explain, and a simulation to explain it by."""
        return self.run.verdict != COMPLETED and self.source is None

    def explanation(self) -> tuple[str, list[str]]:
        """Return a title and lines of text; without title, one line that says what is wrong."""
        run = self.run
        try:
            told = explain(run.scenario, run.design, seed=run.seed)
        except ColosimError as error:
            return "", [f"Not explained: {error}."]
        if told.verdict != run.verdict:
            return "", [f"This version of colosim has it end otherwise: {told.verdict}."]
        return told.title, str(told).splitlines()

    def sequence(self) -> Drawn:
        """Return the messages of the first checkpoint that did not commit, or of a typical one."""
        rows = self.run.checkpoints
        other = rows[(rows["outcome"] != COMMITTED) & rows["primary_request_at_ns"].notna()]
        try:
            number = (
                int((other["checkpoint"]).iloc[0]) if len(other) else typical_checkpoint(self.run)
            )
        except FigureError as error:
            return Drawn("", "", "", "", str(error))
        title = f"Messages of {self.name}, {named(self.run, number)}"
        name = f"sequence-{self.index}"
        return _drawn(name, title, _SEQUENCE, lambda: sequence.figure(self.run, number))

    def checkpoints(self) -> list[list[str]]:
        """Return the rows of its checkpoints; of many the first and the last."""
        rows = self.run.checkpoints.to_dict("records")
        if len(rows) > _ROWS_MAX:
            rows = rows[: _ROWS_MAX // 2] + rows[-_ROWS_MAX // 2 :]
        return [
            [
                str(row[key]) if key in TEXT else in_words(key, int_or_none(row[key]))
                for key in _CHECKPOINTS
            ]
            for row in rows
        ]

    def provenance(self) -> dict[str, str]:
        """Return what the run was made of: enough to make it again."""
        run, source = self.run, self.source
        made = versions() if run.path is None else read_manifest(run.path)["versions"]
        return {
            "scenario": run.scenario.name,
            "design": run.design,
            **({"seed": str(run.seed)} if source is None else _noted(source)),
            "digest": f"SHA-256 {run.digest}",
            "made with": ", ".join(f"{key} {value}" for key, value in made.items()),
        }


def _noted(source: dict[str, Any]) -> dict[str, str]:
    """Return what is known of a real run: its logs, and its conditions where they were noted."""
    logs = ", ".join(str(log.get("source", log)) for log in source.get("logs", ()))
    conditions = source.get("conditions") or {}
    noted = ", ".join(f"{key} {value}" for key, value in conditions.items() if value is not None)
    return {
        "imported from": f"{source.get('kind', 'a log')}: {logs}",
        "QEMU": source.get("qemu") or "not known",
        "conditions": noted or "not known",
    }
