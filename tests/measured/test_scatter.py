"""How single checkpoints scatter: what a fit writes of it, and how often real pauses are within."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from colosim.measured.conditions import BUSY, HOST_OF, host_preset, is_fitted
from colosim.measured.measured import measured, names
from colosim.measured.measurement import WARMUP
from colosim.measured.replay import simulate_open_loop
from colosim.scenario import preset
from colosim.scenario.spread import LEVELS_PERCENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from colosim.measured.measurement import MeasuredRun

_DOCS = Path(__file__).parents[2] / "docs" / "validation.md"
_SEEDS = range(1, 10)
"""Nine runs cut what can come into ten equally likely parts, of which the middle eight are 80%."""
_LEAST = 40


def condition_of(run: MeasuredRun) -> str:
    """Return the host, design and network of a run, in the words of the table."""
    own, multifd = run.conditions, "+multifd" * ("multifd" in run.design)
    link = "a limited link" if own.bandwidth_bits else "added latency" if own.latency_ns else "veth"
    quick = "" if own.delayed_ack else ", quick ACKs"
    return f"{host_preset(run)}, {run.design.partition('+')[0]}{multifd}, {link}{quick}"


def by_condition() -> dict[str, list[MeasuredRun]]:
    """Return the fitted runs without a fault, of conditions with 40 checkpoints or more."""
    found: dict[str, list[MeasuredRun]] = {}
    for run in map(measured, names()):
        if run.design.partition("+")[0] in HOST_OF and is_fitted(run) and run.fault is None:
            found.setdefault(condition_of(run), []).append(run)
    return {
        key: runs
        for key, runs in sorted(found.items())
        if sum(len(run.counted()) for run in runs) >= _LEAST
    }


def held(runs: list[MeasuredRun]) -> tuple[int, int, str, str]:
    """Return the checkpoints, the percentage within the 80% band, and p95/p50 measured, simulated.

    Each checkpoint is simulated with its own pages under each seed; pauses are pooled over their
    own simulated median.
    """
    inside: list[bool] = []
    real: list[float] = []
    drawn: list[float] = []
    for run in runs:
        for pause_ns, simulated in _pauses(run):
            inside.append(1 <= sum(one < pause_ns for one in simulated) <= len(_SEEDS) - 1)
            middle = sorted(simulated)[len(simulated) // 2]
            real.append(pause_ns / middle)
            drawn += [one / middle for one in simulated]
    tails = [np.percentile(each, 95) / np.percentile(each, 50) for each in (real, drawn)]
    share = round(100 * sum(inside) / len(inside))
    return len(inside), share, f"{tails[0]:.2f}", f"{tails[1]:.2f}"


def _pauses(run: MeasuredRun) -> Iterator[tuple[int, list[int]]]:
    """Yield the measured pause of each counted checkpoint, and those simulated."""
    varied = [{"spread": "measured", "seed": seed} for seed in _SEEDS]
    runs = [simulate_open_loop(run, vary=each) for each in varied]
    complete = [one for one in run.checkpoints if one.complete]
    for number, one in list(enumerate(complete))[WARMUP:]:
        assert one.pause_ns is not None
        yield one.pause_ns, [simulated[number].pause_ns for simulated in runs]


def table() -> dict[str, tuple[int, int, str, str]]:
    """Return the rows of the table of docs/validation.md."""
    rows = re.findall(
        r"^\| (lab-[^|]+) \| (\d+) \| (\d+)% \| ([\d.]+) \| ([\d.]+) \|$",
        _DOCS.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    return {name: (int(count), int(share), *tails) for name, count, share, *tails in rows}


def test_pauses_of_the_split_design_are_within_the_band() -> None:
    """Of the pauses of split 70 to 90% are in the 80% band, as docs/validation.md has them."""
    name = "lab-qemu25, split, veth"
    found = held(by_condition()[name])
    assert found == table()[name]
    _, share, real, drawn = found
    assert 70 <= share <= 90
    assert float(drawn) == pytest.approx(float(real), rel=0.25)


@pytest.mark.slow
def test_the_table_of_coverage_is_current() -> None:
    """Every condition with 40 checkpoints or more is in docs/validation.md as it comes out."""
    assert {name: held(runs) for name, runs in by_condition().items()} == table()


def test_the_spread_of_a_stage_is_what_the_fit_left() -> None:
    """The reset's quantiles are those of its measured times over the preset's cost."""
    took_ns = [
        took
        for run in map(measured, names())
        if run.lab == "qemu25" and run.fault is None and not run.name.endswith(BUSY)
        for one in run.counted()
        if (took := one.between("s_lock_taken", "s_reset"))
    ]
    spread = preset("hosts", "lab-qemu25").spread["reset"]
    expected = np.percentile(took_ns, LEVELS_PERCENT) / 503_000  # the preset's cost
    assert [ratio / 1_000 for ratio in spread.ratios_mille] == pytest.approx(expected, rel=0.01)
