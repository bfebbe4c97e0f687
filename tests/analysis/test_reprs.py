"""What a prompt and a notebook show of a run, a comparison and an explanation."""

from __future__ import annotations

from html.parser import HTMLParser

import colosim
from colosim.scenario import loads

SMALL = loads("name: small\ncheckpoints: 2\nguest: {ram: 64 MiB, dirty: {pages: 400}}\n")


class Tables(HTMLParser):
    """Gathers rows and sentences of HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.feed(text)

    def handle_data(self, data: str) -> None:
        """Keep a text."""
        if data.strip():
            self.texts.append(data)


def test_each_is_one_line_at_a_prompt() -> None:
    """Scenario, design and verdict, and nothing of what is inside."""
    assert repr(colosim.run(SMALL, "split")) == "<Run small/split seed 1: completed>"
    compared = colosim.compare(SMALL, ["qsb", "split"])
    assert repr(compared) == "<Comparison small: qsb completed, split completed>"
    seeded = colosim.over_seeds(SMALL, [1, 2], ["qsb", "split"])
    assert repr(seeded) == "<OverSeeds small: qsb, split, 2 seeds>"
    told = colosim.explain(SMALL, "split")
    assert repr(told) == "<Explanation small/split seed 1: completed>"


def test_a_notebook_shows_tables() -> None:
    """A run its headlines, a comparison a column a design, an explanation its text."""
    run = Tables(colosim.run(SMALL, "split")._repr_html_()).texts
    assert run[:4] == ["small, seed 1: completed", "split", "checkpoints completed", "2"]
    compared = Tables(colosim.compare(SMALL, ["qsb", "split"])._repr_html_()).texts
    assert compared[:6] == ["small", "qsb", "split", "verdict", "completed", "completed"]
    told = colosim.explain(SMALL, "split")
    assert "".join(Tables(told._repr_html_()).texts) == str(told)
