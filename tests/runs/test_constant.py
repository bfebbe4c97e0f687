"""What is said of a quantity that is the same at every checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

import colosim
from colosim.cli.main import main
from colosim.runs.statistics import Quantiles, is_constant

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

TEXT = """
name: same
designs: [qsb, split]
checkpoints: 4
warmup: 1
hosts: {preset: lab-qemu25}
network: {preset: lab-veth}
expect: {"*": {pause_ns.p50: < 1 s, pause_ns.p99: < 1 s}}
"""


@given(st.lists(st.integers(0, 3).map(lambda units: units * 50), max_size=8))
def test_constant_are_several_equal_values(values: list[int]) -> None:
    """No single value, and none of which one differs, by more than the mean's rounding."""
    quantiles = Quantiles()
    quantiles.add(values)
    assert is_constant(quantiles.summary()) == (len(values) > 1 and len(set(values)) == 1)


def test_tables_say_constant_instead_of_p99(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """run, compare, check and what a notebook shows; with a spread all have the number."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "same.yaml").write_text(TEXT, "utf-8")
    for spread, expected in (("none", [2, 2, 2, 1, 2]), ("measured", [0] * 5)):
        overrides = (f"spread={spread}",)
        shown = []
        for command in ("run", "compare", "check"):
            assert main([command, "same.yaml", "--set", *overrides]) == 0
            shown.append(capsys.readouterr().out)
        shown += (
            colosim.run("same.yaml", "split", overrides=overrides)._repr_html_(),
            colosim.compare("same.yaml", overrides=overrides)._repr_html_(),
        )
        assert [text.count("constant") for text in shown] == expected
