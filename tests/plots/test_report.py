"""The report: one HTML file."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import escape
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from colosim.analysis.assumed import first_note
from colosim.measured.imported import import_run, write_imported
from colosim.plots.report import report
from colosim.runs.run import simulate
from colosim.runs.stored import read_run
from colosim.runs.wording import in_words
from colosim.scenario import loads
from tests.runs.conftest import PLAIN

if TYPE_CHECKING:
    from colosim.runs.run import Run

LAB = Path(__file__).parents[1] / "measured" / "data"
VOID = {"meta", "br"}
REFERS = {"src", "href", "xlink:href", "srcset", "data", "action", "poster"}
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")
WIDTHS = (390, 1280)


class Page(HTMLParser):
    """An HTML document as its elements, in order, with their nesting checked."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[tuple[int, str]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take an element."""
        self.elements.append((tag, dict(attrs)))
        if re.fullmatch(r"h\d", tag):
            self.headings.append((int(tag[1]), ""))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take an element of an SVG without content."""
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """End what was begun last, and nothing else."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Take text."""
        tag = self._open[-1] if self._open else ""
        self.texts.setdefault(tag, []).append(data)
        if re.fullmatch(r"h\d", tag):
            level, text = self.headings[-1]
            self.headings[-1] = (level, text + data)

    def values(self, attribute: str) -> list[str]:
        """Return every value of an attribute."""
        return [value for _, one in self.elements if (value := one.get(attribute)) is not None]


@pytest.fixture(scope="module")
def text(frozen_pair: list[Run]) -> str:
    """Return the report of a run that failed over and one that hung."""
    return report(frozen_pair)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    """Return it as it is parsed."""
    return Page(text)


def test_the_verdict_is_first(page: Page, text: str) -> None:
    """Below what was given stands how each run ended, with the hang, and then what it cost."""
    assert page.headings[0] == (1, "plain: qsb, split")
    sections = [title for level, title in page.headings if level == 2]
    assert sections == [
        "How it ended",
        "Memory, latency, liveness",
        "Figures",
        "Why it ended so",
        "Checkpoints",
        "Provenance",
    ]
    given = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", text[: text.index("<main>")]))
    assert given["Load"] == "64.00 MiB of RAM, dirty: {pages: 3000 pages}"
    assert given["Fault"] == "freeze secondary at checkpoint 2, primary: RAM stream, 40% of it"
    assert "send buffer 262144 B" in given["Network"]
    first = text[text.index("<main>") : text.index("<nav")]
    assert 'figure id="figure-hang"' in first
    assert first.index("failed over") < first.index("hung")
    assert "iothread lock is held by its checkpoint thread" in first


def test_nothing_outside_is_referred_to(page: Page, text: str) -> None:
    """No script, no address: each reference is to something in the document, which is there."""
    names = page.values("id")
    assert len(names) == len(set(names))
    references = [value for name in REFERS for value in page.values(name)]
    references += [f"#{name}" for name in re.findall(r"url\(#([^)]+)\)", text)]
    assert references
    assert {value[1:] for value in references} <= set(names)
    assert all(value.startswith("#") for value in references)
    assert "url(" not in re.sub(r"url\(#", "", text)
    assert not {"script", "link", "iframe", "img", "object"} & {tag for tag, _ in page.elements}
    assert "://" not in text
    assert "@import" not in text


def test_it_can_be_read_out(page: Page, text: str) -> None:
    """Language, title, headings without gaps, names for figures and boxes, heads for tables."""
    assert ("html", {"lang": "en"}) in page.elements
    assert page.texts["title"] == ["plain: qsb, split"]
    levels = [level for level, _ in page.headings]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for tag, attributes in page.elements:
        if tag == "svg":
            assert attributes["role"] == "img"
            assert attributes["aria-label"]
        if attributes.get("class") == "scroll":
            assert (attributes["role"], attributes["tabindex"]) == ("region", "0")
            assert attributes["aria-label"]
        if tag == "th":
            assert attributes["scope"] in {"col", "row", "rowgroup"}
        if tag == "section":
            assert attributes["aria-labelledby"] in page.values("id")
    tags = [tag for tag, _ in page.elements]
    assert tags.count("table") == tags.count("caption")
    assert tags.count("figure") == tags.count("figcaption") == tags.count("svg") == 6
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in text


def test_numbers_explanation_and_provenance_are_those_of_the_runs(
    page: Page, text: str, frozen_pair: list[Run]
) -> None:
    """What is said is what summary, explanation and manifest say."""
    for run in frozen_pair:
        assert f"SHA-256 {run.digest}" in text
    explained = "\n".join(page.texts["span"])
    assert "plain, design split: hung" in explained
    assert "What would release it" in explained
    cells = page.texts["td"]
    assert cells.count("committed") == 4
    assert "unfinished" in cells
    for run in frozen_pair:
        assert in_words("pause_ns", run.summary["pause_ns"]["p50"]) in cells
    assert first_note(frozen_pair) in page.texts["p"]


def test_a_real_run_is_reported(tmp_path: Path) -> None:
    """An imported log's run has figures and its logs' names, and is not explained by a model."""
    run = import_run(LAB / "split-fault-kill")
    write_imported(run, tmp_path / "run")
    made = report([read_run(tmp_path / "run")])
    page = Page(made)
    assert "Why it ended so" not in [title for _, title in page.headings]
    assert "imported from" in page.texts["dt"]
    assert "svg" in [tag for tag, _ in page.elements]
    assert str(LAB) not in made


def test_one_side_alone_is_reported_as_far_as_it_goes() -> None:
    """A log without memory has no curves, one without the requests says what is not drawn."""
    titles = [title for _, title in Page(report([import_run(LAB / "qemu72-primary.log")])).headings]
    assert "A checkpoint of each" in titles
    assert "Memory by account" not in titles
    made = report([import_run(LAB / "qemu72-secondary.log")])
    assert "does not show the request of checkpoint" in made


@pytest.fixture(scope="module")
def unstruck() -> str:
    """Return the report of a design that lacks the fault's step, under a description of markup."""
    scenario = loads(
        PLAIN
        + 'description: "<script>alert(1)</script> & <b>"\n'
        + 'faults: [{freeze: secondary, at: {checkpoint: 1, step: "primary: device stream"}}]'
    )
    run = simulate(scenario, "qsb")
    assert run.verdict == "not_applicable"
    return report([run])


def test_a_fault_that_does_not_apply_is_said(unstruck: str) -> None:
    """A design without the step has a verdict and no figures."""
    headings = [title for _, title in Page(unstruck).headings]
    assert "How it ended" in headings
    assert "Figures" not in headings


def test_what_a_scenario_says_is_text(unstruck: str) -> None:
    """Markup in a description stays text."""
    assert "<script" not in unstruck
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &lt;b&gt;" in unstruck


def test_no_run_is_no_report() -> None:
    """A report of nothing is refused."""
    with pytest.raises(ValueError, match="at least one run"):
        report([])


def test_it_fits_a_phone_and_a_desk_in_chromium(text: str, tmp_path: Path) -> None:
    """In headless Chromium nothing makes the page wider than the window, at 390 and 1280 px."""
    found = [path for name in CHROMIUM if (path := shutil.which(name))]
    if not found:
        pytest.skip("no Chromium is installed: the report's layout is not checked in a browser")
    frames = "".join(
        f'<iframe style="width:{width}px;height:900px;border:0" srcdoc="{escape(text)}"></iframe>'
        for width in WIDTHS
    )
    measure = (
        "onload = () => { document.body.textContent = JSON.stringify("
        "[...document.querySelectorAll('iframe')].map(frame => {"
        " const page = frame.contentDocument;"
        " page.querySelectorAll('details').forEach(one => { one.open = true; });"
        " const root = page.documentElement;"
        " const seen = one => { const box = one.getBoundingClientRect();"
        "  return box.width > 0 && box.right > root.clientWidth + 1 && !one.closest('.scroll'); };"
        " return {window: root.clientWidth, page: root.scrollWidth,"
        "  figures: page.querySelectorAll('svg').length,"
        "  outside: [...page.body.querySelectorAll('*')].filter(seen).map(one => one.tagName)};"
        "})) }"
    )
    wrapper = tmp_path / "wrapper.html"
    wrapper.write_text(
        f"<!DOCTYPE html><script>{measure}</script><body>{frames}</body>", encoding="utf-8"
    )
    command = [found[0], "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += ["--disable-background-networking", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run([*command, wrapper.as_uri()], check=True, capture_output=True, text=True)
    body = re.search(r"<body[^>]*>(.*?)</body>", done.stdout, re.DOTALL)
    assert body is not None
    for width, seen in zip(WIDTHS, json.loads(body[1]), strict=True):
        assert seen["figures"] == 6
        assert seen["outside"] == []
        assert seen["page"] <= seen["window"] <= width
