"""The text of a review, in lines that fit a mail; as Markdown its tables stand in blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from textwrap import fill
from typing import TYPE_CHECKING, Final

from colosim.analysis.ways_out import BY_ITSELF, IF_DONE, NEVER
from colosim.designs.registry import load_design
from colosim.explore.review import LASTING, Finding
from colosim.runs.verdict import VIOLATED
from colosim.trace.fields import VERDICTS

if TYPE_CHECKING:
    from colosim.analysis.explain import Explanation
    from colosim.explore.review import Review, Turned

WIDTH: Final = 78
HEADLINES: Final = {
    "pause p50": "pause",
    "lock, P, p50": "primary's lock held",
    "lock, S, p50": "secondary's lock held",
    "memory, P": "primary's memory",
    "memory, S": "secondary's memory",
    "monitor deaf": "monitor deaf",
    "latency p99": "clients' latency p99",
}
"""The quantities that its first two sentences name, where they changed, and in which words."""
_IN_FULL: Final = {label: words for label, words in HEADLINES.items() if "'s " in words} | {
    "staging, P": "primary's staging",
    "staging, S": "secondary's staging",
}
"""What its tables call those that a comparison abbreviates."""
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
    parts += ["\n".join(_opening(review)), "\n".join(_brief(review))]
    for head, lines in (
        ("Worse", [*_table(_found(review, 1)), *_why(review), *_faults(review, worse=True)]),
        ("Better", [*_table(_found(review, -1)), *_faults(review, worse=False)]),
        ("Equal, to 1%", [*_equal(review), *_safety(review)]),
        ("Faults at every step", [*_counts(review)]),
        ("What the model leaves out here", [*_left_out(review)]),
    ):
        body = "\n".join(lines) or "  nothing"
        parts.append(f"## {head}\n\n```text\n{body}\n```" if markdown else f"{head}\n{body}")
    return "\n\n".join(parts) + "\n"


def summary_of(review: Review) -> str:
    """Return the review in few lines: what got worse and why, and what got better at most."""
    lines = [_title(review), *_brief(review), *_table(_found(review, 1)), *_why(review)]
    return "\n".join(lines) + "\n"


def _brief(review: Review) -> Iterator[str]:
    """Yield in two sentences what got worse and what got better."""
    for head, change in (("Worse", 1), ("Better", -1)):
        turned = [_many(one) for one in review.turned if (one.worse if change > 0 else one.better)]
        found = _found(review, change)
        said = [
            f"{one.after} under {one.scenario}, not {one.before}"
            for one in found
            if one.label == "verdict"
        ]
        said += turned + [_times(found, label) for label in HEADLINES]
        yield _wrapped(f"{head}: {'; '.join(filter(None, said)) or 'nothing'}.", "")


def _times(found: list[Finding], label: str) -> str:
    """Return by what a quantity changed, from scenario to scenario; nothing if it did not."""
    ratios = sorted(one.ratio for one in found if one.label == label and one.ratio)
    ends = dict.fromkeys(f"{ratio:.2g}" for ratio in (*ratios[:1], *ratios[-1:]))
    return f"{HEADLINES[label]} x {' to '.join(ends)}" if ends else ""


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
    yield "Times are medians, quantiles or the longest."


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
    return _IN_FULL.get(one.label, one.label), one.scenario, one.before, one.after, _ratio(one)


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
            yield from _turned(turned)


def _many(turned: Turned) -> str:
    count, under = len(turned.cases), Counter(one.under for one in turned.cases)
    where = ", ".join(f"{many:,} under {name}" for name, many in under.items())
    end = f"end{'' if count > 1 else 's'} {turned.after}, not {turned.before}"
    return f"{count:,} fault{'s' if count > 1 else ''} {end} ({where})"


def _turned(turned: Turned) -> Iterator[str]:
    yield ""
    yield _wrapped(_many(turned))
    cases = [one.case for one in turned.cases]
    for head, counted in (
        ("at", Counter(f"{case.side}: {case.step}" for case in cases)),
        ("by", Counter(f"{case.fault} of the {case.victim}" for case in cases)),
    ):
        words = [f"{what} ({count})" for what, count in counted.most_common(_STEPS_SHOWN)]
        left = len(counted) - len(words)
        yield _wrapped(f"{head} {', '.join(words)}{f', and {left} more' if left else ''}", "    ")
    told, replay = turned.cases[0].example()
    yield _wrapped(f"the first: {told.opening}", "    ")
    yield _wrapped(replay, "    ")


def _equal(review: Review) -> Iterator[str]:
    equal: dict[str, list[str]] = {}
    for one in _found(review, 0):
        equal.setdefault(_IN_FULL.get(one.label, one.label), []).append(
            f"{one.after} under {one.scenario}"
        )
    for label, where in equal.items():
        yield _wrapped(f"{label}: {', '.join(where)}")


def _safety(review: Review) -> Iterator[str]:
    if not any(one.case.verdict == VIOLATED for one in review.struck):
        yield _wrapped(f"safety: no rule broke in {len(review.struck):,} faults")


def _counts(review: Review) -> Iterator[str]:
    """Yield the table of verdicts, and what happens at moments that only the design has."""
    rows = []
    for explored in review.explored:
        counts, under = explored.counts(), explored.scenario.name
        old, new = counts[review.parent], counts[review.design]
        numbers = [(word, old.get(word, 0), new.get(word, 0)) for word in VERDICTS]
        for word, *both in (*numbers, ("all", sum(old.values()), sum(new.values()))):
            if any(both):
                rows.append(Finding(word, under, f"{both[0]:,}", f"{both[1]:,}", None, 0))
    yield from _table(rows)
    only = ", ".join(f"{count:,} {word}" for word, count in review.new_moments.most_common())
    if only:
        yield _wrapped(f"At moments that only {review.design} has: {only}.")
    few = [one.scenario.name for one in review.explored if one.space.faults == LASTING]
    if few:
        yield _wrapped(f"Under {' and '.join(few)} only what lasts: {', '.join(LASTING)}.")


def _left_out(review: Review) -> Iterator[str]:
    for one in dict.fromkeys(one for told in review.explanations for one in told.left_out):
        yield _wrapped(f"{one.id}: {one.changes}")
