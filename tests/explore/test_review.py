"""``colosim review``: a design held against its parent."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from colosim.cli.main import main
from colosim.explore.review import Review, review
from colosim.explore.review_text import summary_of, text_of
from colosim.runs.run import as_scenario

if TYPE_CHECKING:
    from pathlib import Path

HEADS = [
    "Worse",
    "Better",
    "Equal, to 1%",
    "Faults at every step",
    "What the model leaves out here",
]


@pytest.fixture(scope="module")
def split() -> Review:
    """Return the review of the split patch, every frozen host, under two scenarios."""
    scenarios = [as_scenario("compare"), as_scenario("hang")]
    return review("split", "qsb", scenarios, faults=["freeze"])


def section(text: str, head: str) -> str:
    """Return what stands under a head."""
    return text.split(f"\n{head}\n", 1)[1].split("\n\n" + HEADS[HEADS.index(head) + 1], 1)[0]


def test_split_reads_as_its_review_should_have(split: Review) -> None:
    """Less memory, a shorter pause, a longer lock hold; it can hang: where, when, what frees."""
    text = text_of(split)
    worse, better = section(text, "Worse"), section(text, "Better")
    assert text.startswith("split against qsb: a verdict got worse\n")
    brief = " ".join(text.split("\n\n")[2].split())
    assert "Worse: hung under hang, not failed_over; 40 faults end hung, not failed_over" in brief
    assert "primary's lock held x 2.5. Better: pause x 0.69;" in brief
    assert "primary's memory x 0.07" in brief
    assert [head for head in text.splitlines() if head in HEADS] == HEADS
    assert max(map(len, text.splitlines())) < 80
    rows = {" ".join(line.split()[:-1]) for line in worse.splitlines()}
    assert "verdict hang failed_over" in rows
    assert "primary's lock held compare 17.49 ms 44.25 ms x" in rows
    for told in (
        "Where: The primary's iothread lock is held by its checkpoint thread",
        "When: 2.276775 s, freeze secondary at checkpoint 3, primary: RAM stream,",
        "yank on the primary (out of band, QEMU 6.0 on)",
        "40 faults end hung, not failed_over (20 under compare, 20 under hang)",
    ):
        assert told in worse
    assert {line.split()[0] for line in better.splitlines() if "MiB" in line} == {
        "primary's",
        "secondary's",
    }
    assert "pause p50" in better
    assert "disk: a flush" in text


def test_the_parent_held_against_the_design_is_its_mirror(split: Review) -> None:
    """What got worse got better, the other way round, and no verdict got worse."""
    back = replace(
        split,
        design="qsb",
        parent="split",
        findings=tuple(one._replace(change=-one.change) for one in split.findings),
    )
    assert not back.got_worse
    assert split.got_worse
    assert {(one.before, one.after, len(one.cases)) for one in back.turned} == {
        (one.after, one.before, len(one.cases)) for one in split.turned
    }
    told = " ".join(summary_of(back).split())
    assert "; 40 faults end failed_over, not hung (20 under compare, 20 under hang);" in told


def test_the_command_writes_a_file_and_prints_a_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Markdown has its tables in blocks; the status is 0 where no verdict got worse."""
    monkeypatch.chdir(tmp_path)
    words = ["--under", "compare", "--faults", "fail device save", "--jobs", "1"]
    assert main(["review", "qsb", "--against", "split", *words, "-o", "review.md"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("qsb against split: no verdict got worse\nWorse: ")
    assert out.endswith("review.md: written\n")
    text = (tmp_path / "review.md").read_text()
    assert text.startswith("# qsb against split: no verdict got worse\n")
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == HEADS


def test_a_design_against_itself_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """An alias is what it means."""
    assert main(["review", "qemu-11"]) == 2
    assert "qemu-11 is qemu-11; hold it against another" in capsys.readouterr().err
