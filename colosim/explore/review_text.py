"""The text of a review, in lines that fit a mail; as Markdown its tables stand in blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from textwrap import fill
from typing import TYPE_CHECKING, Final

from colosim.analysis.compare import LABELS
from colosim.analysis.ways_out import BY_ITSELF, IF_DONE, NEVER
from colosim.designs.registry import load_design
from colosim.runs.verdict import VIOLATED
from colosim.trace.fields import VERDICTS

if TYPE_CHECKING:
    from colosim.analysis.explain import Explanation
    from colosim.explore.review import Finding, Review, Turned

WIDTH: Final = 78
HEADLINES: Final = (
    "verdict",
    LABELS["pause_ns.p50"],
    LABELS["memory_peak_bytes.primary.extra_total"],
    LABELS["service.latency_ns.p99"],
)
"""What a summary shows of what got better."""
_STEPS_SHOWN: Final = 4
_FREES: Final = {
    BY_ITSELF: "By itself",
    IF_DONE: "What frees it, if it is done",
    NEVER: "What never frees it",
}


def text_of(review: Review, *, markdown: bool = False) -> str:
    """Return the whole review: worse, better, equal, and what the model leaves out."""
    title = _title(review)
    parts = [f"# {title}" if markdown else f"{title}\n{'=' * len(title)}"]
    parts.append("\n".join(_opening(review)))
    for head, lines in (
        ("Worse", [*_table(_found(review, 1)), *_why(review), *_faults(review, worse=True)]),
        ("Better", [*_table(_found(review, -1)), *_faults(review, worse=False)]),
        ("Equal, to 1%", [*_equal(review), *_safety(review)]),
        ("Every fault at every step", [*_counts(review)]),
        ("What the model leaves out here", [*_left_out(review)]),
    ):
        body = "\n".join(lines) or "  nothing"
        parts.append(f"## {head}\n\n```text\n{body}\n```" if markdown else f"{head}\n{body}")
    return "\n\n".join(parts) + "\n"


def summary_of(review: Review) -> str:
    """Return the review in few lines: what got worse, of what got better the headlines."""
    under = review.explored.scenario.name
    worse = [*_table(_found(review, 1)), *_why(review)]
    lines = [_title(review), "Worse", *(worse or ["  nothing"]), ""]
    lines += [_wrapped(_many(turned, under)) for turned in review.turned if turned.worse]
    better = _found(review, -1)
    shown = {one.label: one for one in reversed(better) if one.label in HEADLINES}
    headlines = [one for one in better if one in shown.values()] or better[:_STEPS_SHOWN]
    lines += ["Better", *_table(headlines)]
    lines.append(f"  and {len(better) - len(headlines)} more; {len(_found(review, 0))} are equal")
    lines += [_wrapped(_many(turned, under)) for turned in review.turned if turned.better]
    return "\n".join(lines) + "\n"


def _title(review: Review) -> str:
    outcome = "a verdict got worse" if review.got_worse else "no verdict got worse"
    return f"{review.design} against {review.parent}: {outcome}"


def _wrapped(text: str, indent: str = "  ") -> str:
    return fill(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_on_hyphens=False,
        break_long_words=False,
    )


def _opening(review: Review) -> Iterator[str]:
    for name in (review.design, review.parent):
        yield _wrapped(f"{name}: {load_design(name).summary}", "")
    scenarios = ", ".join(one.scenario for one in review.explanations)
    yield _wrapped(f"Under {scenarios}. Before is {review.parent}, after {review.design}.", "")
    yield "P is the primary, S the secondary; times are medians, quantiles or the longest."


def _found(review: Review, change: int) -> list[Finding]:
    return [one for one in review.findings if one.change == change]


def _table(found: list[Finding]) -> Iterator[str]:
    """Yield the quantities, the verdict first: under which scenario, before, after, ratio."""
    if not found:
        return
    rows = [("", "under", "before", "after", ""), *map(_row, found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        left = f"  {row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}"
        cells = (f"  {cell:>{width}}" for cell, width in zip(row[2:], widths[2:], strict=True))
        yield (left + "".join(cells)).rstrip()


def _row(one: Finding) -> tuple[str, str, str, str, str]:
    return one.label, one.scenario, one.before, one.after, _ratio(one)


def _ratio(one: Finding) -> str:
    return "" if one.ratio is None else f"x {one.ratio:.3g}"


def _why(review: Review) -> Iterator[str]:
    """Say of each verdict that got worse where it is, when, and what frees it."""
    worse = {one.scenario for one in review.findings if one.label == "verdict" and one.change > 0}
    for told in review.explanations:
        if told.scenario in worse:
            yield f"\n  Under {told.scenario} it ends {told.verdict}"
            yield from _told(told)


def _told(told: Explanation) -> Iterator[str]:
    yield _wrapped(f"Where: {told.opening}", "    ")
    for what in told.faults:
        yield _wrapped(f"When: {what}", "    ")
    ways = () if told.state is None else told.state.releases
    for when, head in _FREES.items():
        found = [f"{way.event}" for way in ways if way.when == when]
        if found or (when == BY_ITSELF and ways):
            yield _wrapped(f"{head}: {'; '.join(found) or 'nothing'}", "    ")


def _faults(review: Review, *, worse: bool) -> Iterator[str]:
    """Tell the faults that end otherwise than with the parent, at moments that both have."""
    for turned in review.turned:
        if turned.worse if worse else turned.better:
            yield from _turned(review, turned)


def _many(turned: Turned, under: str) -> str:
    count = len(turned.cases)
    many = f"{count:,} faults end" if count > 1 else "1 fault ends"
    return f"{many} {turned.after}, not {turned.before} (under {under})"


def _turned(review: Review, turned: Turned) -> Iterator[str]:
    cases = turned.cases
    yield f"\n  {_many(turned, review.explored.scenario.name)}"
    for head, counted in (
        ("at", Counter(f"{case.side}: {case.step}" for case in cases)),
        ("by", Counter(f"{case.fault} of the {case.victim}" for case in cases)),
    ):
        words = [f"{what} ({count})" for what, count in counted.most_common(_STEPS_SHOWN)]
        left = len(counted) - len(words)
        yield _wrapped(f"{head} {', '.join(words)}{f', and {left} more' if left else ''}", "    ")
    told, replay = review.example(cases[0])
    yield _wrapped(f"the first: {told.opening}", "    ")
    yield _wrapped(replay, "    ")


def _equal(review: Review) -> Iterator[str]:
    equal: dict[str, list[str]] = {}
    for one in _found(review, 0):
        equal.setdefault(one.label, []).append(f"{one.after} under {one.scenario}")
    for label, where in equal.items():
        yield _wrapped(f"{label}: {', '.join(where)}")


def _safety(review: Review) -> Iterator[str]:
    broken = [one for one in review.outcomes if one.verdict == VIOLATED]
    if not broken:
        yield _wrapped(f"safety: no rule broke in {len(review.outcomes):,} faults")


def _counts(review: Review) -> Iterator[str]:
    """Yield the table of verdicts, and what happens at moments that only the design has."""
    counts = review.explored.counts()
    rows = [["", review.parent, review.design]]
    for word in VERDICTS:
        numbers = [counts[name].get(word, 0) for name in (review.parent, review.design)]
        if any(numbers):
            rows.append([word, *(f"{number:,}" for number in numbers)])
    rows.append(["all", *(f"{sum(counts[name].values()):,}" for name in rows[0][1:])])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for word, *cells in rows:
        numbers_text = (f"  {cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True))
        yield f"  {word:<{widths[0]}}{''.join(numbers_text)}"
    new = ", ".join(f"{count:,} {word}" for word, count in review.new_moments.most_common())
    if new:
        yield _wrapped(f"At moments that only {review.design} has: {new}.")


def _left_out(review: Review) -> Iterator[str]:
    for one in dict.fromkeys(one for told in review.explanations for one in told.left_out):
        yield _wrapped(f"{one.id}: {one.changes}")
