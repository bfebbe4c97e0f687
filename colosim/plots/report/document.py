"""What stands in a report, in which order: the verdict first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import colosim
from colosim.plots.report import parts
from colosim.plots.report.elements import element, section, words
from colosim.plots.style import labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from colosim.runs.run import Run

__all__ = ["report"]

_STYLE = Path(__file__).with_name("style.css")


def report(runs: Sequence[Run]) -> str:
    """Return runs written up as an HTML document that needs nothing beside it.

    How they ended stands first; then what they cost, figures as inline SVG, why those ended that
    did not just complete, every checkpoint, and what the runs were made of.  There is no script in
    it and no address; the same runs are the same text.

    :raises ValueError: if there is no run.
    """
    if not runs:
        raise ValueError("a report needs at least one run")
    named = [parts.Named(name, run) for name, run in zip(labels(runs), runs, strict=True)]
    title = _title(runs)
    body = [
        element("header", element("h1", words(title)), *_descriptions(runs)),
        element("main", *_sections(named)),
        element("footer", words(f"Written by colosim {colosim.__version__}.")),
    ]
    head = [
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        element("title", words(title)),
        element("style", _STYLE.read_text(encoding="utf-8")),
    ]
    page = element("html", element("head", *head), element("body", *body), lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def _title(runs: Sequence[Run]) -> str:
    names = ", ".join(dict.fromkeys(run.scenario.name for run in runs))
    designs = ", ".join(dict.fromkeys(run.design for run in runs))
    return f"{names}: {designs}"


def _descriptions(runs: Sequence[Run]) -> list[str]:
    texts = dict.fromkeys(run.scenario.description for run in runs if run.scenario.description)
    return [element("p", words(text)) for text in texts]


def _sections(named: Sequence[parts.Named]) -> list[str]:
    found = [
        ("costs", "Memory, latency, liveness", [parts.quantities(named)]),
        ("figures", "Figures", list(parts.figures(named))),
        ("explanation", "Why it ended so", list(parts.explanations(named))),
        ("checkpoints", "Checkpoints", list(parts.checkpoints(named))),
        ("provenance", "Provenance", list(parts.provenance(named))),
    ]
    told = [one for one in found if one[2]]
    links = [
        element("li", element("a", words(title), href=f"#{identity}"))
        for identity, title, _ in told
    ]
    contents = element("nav", element("ul", *links), aria_label="Contents")
    return [
        section("verdict", "How it ended", parts.verdicts(named)),
        contents,
        *(section(identity, title, *content) for identity, title, content in told),
    ]
