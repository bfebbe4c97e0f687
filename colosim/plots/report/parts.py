"""The parts of a report: verdicts, tables, figures, explanations, provenance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from colosim.analysis.explain import explain
from colosim.errors import ColosimError
from colosim.plots import distribution, gantt, hang, memory, overview, sequence
from colosim.plots.lanes import fault_of, typical_checkpoint
from colosim.plots.report.drawing import inline
from colosim.plots.report.elements import element, lines_of, scrolled, table_of, words
from colosim.plots.style import FigureError
from colosim.plots.units import whole
from colosim.runs.directory import versions
from colosim.runs.stored import read_manifest
from colosim.runs.summary import value_of
from colosim.runs.verdict import COMPLETED, FAILED_OVER, NOT_APPLICABLE
from colosim.runs.wording import in_words
from colosim.scenario import resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from matplotlib.figure import Figure

    from colosim.runs.run import Run

    #: Its name in the document, title, caption, and what draws it.
    Plan = tuple[str, str, str, Callable[[], Figure]]

__all__ = [
    "Named",
    "checkpoints",
    "explanations",
    "figures",
    "provenance",
    "quantities",
    "verdicts",
]


class Named(NamedTuple):
    """A run, and what it is called in this report."""

    name: str
    run: Run


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
        "guest_stopped_ns_longest": "no guest served, longest",
        "monitor_deaf_ns_longest": "monitor deaf, longest",
        "time_to_service_ns": "service back after the fault",
    },
}

_GOOD = {COMPLETED, FAILED_OVER}
_OPEN = {NOT_APPLICABLE, "unknown"}
"""Neither good nor bad: nothing was simulated, or a real log does not show how it ended."""
_MARKS = {True: "\N{CHECK MARK}", False: "\N{MULTIPLICATION X}"}
_CHECKPOINTS = {
    "checkpoint": "checkpoint",
    "outcome": "outcome",
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


# ---- words and tables ----------------------------------------------------------------------------


def verdicts(runs: Sequence[Named]) -> str:
    """Return how each run ended, and why in a sentence."""
    items = []
    for index, (name, run) in enumerate(runs):
        good = run.verdict in _GOOD
        told_apart = run.verdict not in _OPEN
        mark = element("span", _MARKS[good] if told_apart else "?", aria_hidden="true")
        word = element("span", f"{mark} {words(run.verdict.replace('_', ' '))}", class_="word")
        head = f"{word} {element('strong', words(name))}"
        reason = run.reason[:1].upper() + run.reason[1:]
        told = [element("p", words(f"{reason}."))]
        if is_explained(run):
            why = element("a", words(f"Why {name} ended so"), href=f"#explanation-{index}")
            told.append(element("p", why))
        kind = ("good" if good else "bad") if told_apart else "neutral"
        items.append(element("li", head, *told, class_=kind))
    return element("ul", *items, class_="verdicts")


def quantities(runs: Sequence[Named]) -> str:
    """Return the table that answers the three questions, a column a run."""
    groups = []
    for title, keys in _QUANTITIES.items():
        rows = [[label, *(_quantity(run, key) for _, run in runs)] for key, label in keys.items()]
        groups.append((title, [row for row in rows if any(cell != "-" for cell in row[1:])]))
    names = [name for name, _ in runs]
    return table_of("What it costs", ["", *names], [group for group in groups if group[1]])


def _quantity(run: Run, key: str) -> str:
    head, _, part = key.rpartition(".")
    is_statistic = part in {"p50", "p99", "max"}
    if is_statistic and not value_of(run.summary, f"{head}.count"):
        return "-"
    return in_words(key, value_of(run.summary, key))


def checkpoints(runs: Sequence[Named]) -> Iterator[str]:
    """Yield each run's checkpoints as a table that can be opened."""
    for name, run in _simulated(runs):
        rows = run.checkpoints.to_dict("records")
        half = _ROWS_MAX // 2
        shown = rows if len(rows) <= _ROWS_MAX else [*rows[:half], *rows[-half:]]
        title = f"{name}: {len(rows)} checkpoints"
        if len(shown) < len(rows):
            title += f", the first and last {half} of them"
        cells = [[_cell(key, row[key]) for key in _CHECKPOINTS] for row in shown]
        table = table_of(title, list(_CHECKPOINTS.values()), [("", cells)])
        yield _details(title, table)


def _cell(key: str, value: Any) -> str:
    return str(value) if key == "outcome" else in_words(key, whole(value))


def _simulated(runs: Sequence[Named]) -> list[Named]:
    """Return the runs that have tables: not those whose fault did not apply."""
    return [named for named in runs if named.run.verdict != NOT_APPLICABLE]


# ---- figures -------------------------------------------------------------------------------------


def figures(runs: Sequence[Named]) -> Iterator[str]:
    """Yield the figures, each under its heading; what cannot be drawn says why."""
    own = _simulated(runs)
    if not own:
        return
    drawn = [run for _, run in own]
    struck = [run for run in drawn if _is_struck(run)]
    plans = list(_checkpoint_and_memory(drawn))
    if any(value_of(run.summary, "pause_ns.count") for run in drawn):
        plans.append(
            (
                "distribution",
                "Pauses and lock holds",
                "The share of checkpoints whose pause or lock hold is at most so long.",
                lambda: distribution.figure(drawn),
            )
        )
    if struck:
        plans.append(
            (
                "hang",
                "From the fault on",
                (
                    "Who holds and who wants the iothread lock, how full the socket buffers are, "
                    "which guest runs, and when a command was sent and served."
                ),
                lambda: hang.figure(struck),
            )
        )
    for identity, title, caption, make in plans:
        yield element("h3", words(title)) + _figure(identity, title, caption, make)
    yield element("h3", "Message sequences")
    for index, (name, run) in enumerate(own):
        yield _sequence(index, name, run)


def _checkpoint_and_memory(drawn: list[Run]) -> Iterator[Plan]:
    """Yield the figures of a typical checkpoint and of memory; a real log may show no memory."""
    try:
        memory.data(drawn)
    except FigureError:
        yield (
            "gantt",
            "A checkpoint of each",
            "Guest, threads, locks and wire in the checkpoint with the median pause.",
            lambda: gantt.figure(drawn),
        )
        return
    yield (
        "overview",
        "A checkpoint of each, and memory over time",
        (
            "Above: guest, threads, locks and wire in the checkpoint with the median pause, on one "
            "time axis. Below: what each host holds beyond the guest's own RAM, with its peak."
        ),
        lambda: overview.figure(drawn),
    )
    yield (
        "memory",
        "Memory by account",
        "What each host holds beyond the guest's own RAM, account upon account.",
        lambda: memory.figure(drawn),
    )


def _is_struck(run: Run) -> bool:
    try:
        fault_of(run)
    except FigureError:
        return False
    return True


def _sequence(index: int, name: str, run: Run) -> str:
    """Return the messages of the checkpoint that did not commit last, or else of a typical one."""
    rows = run.checkpoints
    other = rows[(rows["outcome"] != "committed") & rows["primary_request_at_ns"].notna()]
    try:
        number = int(other["checkpoint"].iloc[0]) if len(other) else typical_checkpoint(run)
    except FigureError as error:
        return element("p", words(f"{error}."))
    title = f"Messages of {name}, checkpoint {number}"
    caption = (
        "Every message, stream and lock hold, from top to bottom: a row a step, with its time in "
        "ms since the request."
    )
    drawn = _figure(f"sequence-{index}", title, caption, lambda: sequence.figure(run, number))
    return _details(title, drawn, is_open=run.verdict not in _GOOD)


def _details(title: str, content: str, *, is_open: bool = False) -> str:
    """Return what is to be opened, or stands open at first."""
    summary = element("summary", words(title))
    if is_open:
        return element("details", summary, content, open="")
    return element("details", summary, content)


def _figure(identity: str, title: str, caption: str, make: Callable[[], Figure]) -> str:
    try:
        return inline(make(), f"figure-{identity}", title, caption)
    except FigureError as error:
        return element("p", words(f"Not drawn: {error}."))


# ---- explanation and provenance ------------------------------------------------------------------


def explanations(runs: Sequence[Named]) -> Iterator[str]:
    """Yield why each run did not just complete; those that nobody survived stand open."""
    for index, (name, run) in enumerate(runs):
        if is_explained(run):
            title = f"{name}: {run.verdict.replace('_', ' ')}"
            told = _details(title, _explained(run), is_open=run.verdict not in _GOOD)
            yield element("div", told, id=f"explanation-{index}")


def is_explained(run: Run) -> bool:
    """Whether there is something to explain, and a simulation to explain it by."""
    return run.verdict != COMPLETED and _source(run) is None


def _explained(run: Run) -> str:
    try:
        explanation = explain(run.scenario, run.design, seed=run.seed)
    except ColosimError as error:
        return element("p", words(f"Not explained: {error}."))
    if explanation.verdict != run.verdict:
        told = f"This version of colosim has it end otherwise: {explanation.verdict}."
        return element("p", words(told))
    return scrolled(lines_of(str(explanation)), f"Explanation of {explanation.title}")


def _source(run: Run) -> dict[str, Any] | None:
    """Return where an imported run comes from, None for a simulated one."""
    source = getattr(run, "source", None)
    if source is None and run.path is not None:
        source = read_manifest(run.path).get("source")
    return source


def provenance(runs: Sequence[Named]) -> Iterator[str]:
    """Yield what each run was made of: enough to make it again."""
    for name, run in runs:
        made = versions() if run.path is None else read_manifest(run.path)["versions"]
        facts = {
            "scenario": run.scenario.name,
            "design": run.design,
            "seed": str(run.seed),
            "digest": f"SHA-256 {run.digest}",
            "made with": ", ".join(f"{key} {value}" for key, value in made.items()),
        }
        source = _source(run)
        if source is not None:
            logs = ", ".join(str(log.get("source", log)) for log in source.get("logs", ()))
            facts["imported from"] = f"{source.get('kind', 'a log')}: {logs}"
        pairs = [element("dt", words(key)) + element("dd", words(facts[key])) for key in facts]
        text = element("pre", words(resolve(run.scenario).rstrip()))
        yield element("h3", words(name))
        yield element("dl", *pairs)
        title = f"scenario of {name}, every default filled in"
        yield _details(title, scrolled(text, f"Scenario of {name}"))
