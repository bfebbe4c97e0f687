"""How the work of checkpoints scatters: draws by stage and checkpoint, alike in every design."""

from __future__ import annotations

from math import exp, log, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colosim import run
from colosim.engine.streams import Streams
from colosim.host.guest import drawn_occupied, occupied
from colosim.host.spread import Spread, ratio_mille
from colosim.runs.run import simulate
from colosim.scenario import loads, preset
from colosim.scenario.spread import (
    CHANNELS_HELD,
    LEVELS_PERCENT,
    STAGES,
    STREAM_HELD,
    StageSpread,
    parse_stage,
    stage_text,
)
from colosim.trace.events import PRIMARY

if TYPE_CHECKING:
    from colosim.runs.simulation import Simulation

SCENARIO = """
name: scattered
designs: [qsb, split]
checkpoints: 12
spread: measured
hosts: {preset: lab-qemu25}
network: {preset: lab-veth}
"""
_RANKS = st.integers(0, (1 << 64) - 1)
_RATIOS = st.lists(st.integers(0, 20_000), min_size=21, max_size=21).map(sorted)


@given(_RATIOS, _RANKS, _RANKS)
def test_a_higher_rank_has_no_smaller_ratio(ratios: list[int], one: int, other: int) -> None:
    """Ratios rise with the rank, between the outermost quantiles and through each of them."""
    stage = StageSpread(tuple(ratios), 0, "")
    low, high = sorted((one, other))
    assert ratios[0] <= ratio_mille(stage, low) <= ratio_mille(stage, high) <= ratios[-1]
    quantiles = [ratio_mille(stage, -(-k * (1 << 64) // 20)) for k in range(20)]
    assert quantiles == ratios[:20]


@given(_RATIOS, st.integers(0, 99))
def test_a_stage_is_read_as_it_was_written(ratios: list[int], again: int) -> None:
    """The line of a preset holds all of a stage's spread."""
    stage = StageSpread(tuple(ratios), again, "measured")
    line = stage_text("stop", stage)
    _, shown, _, share, *_ = line.split('"')
    assert parse_stage("stop", shown, share, "measured") == stage


@pytest.mark.parametrize(
    ("name", "ratios", "again", "part"),
    [
        ("stops", "1 " * 21, "0%", "no stage is called 'stops'"),
        ("stop", "1 " * 20, "0%", "expected 21 rising ratios"),
        ("stop", "2 " + "1 " * 20, "0%", "expected 21 rising ratios"),
        ("stop", "x " * 21, "0%", "are no numbers"),
        ("stop", "1 " * 21, "100%", "no share below 100%"),
    ],
)
def test_what_is_no_spread_is_refused(name: str, ratios: str, again: str, part: str) -> None:
    """An unknown stage, too few or falling ratios, and a share of 100% say what was expected."""
    with pytest.raises(ValueError, match=part):
        parse_stage(name, ratios, again, "")


def test_neighbours_share_a_ratio_as_often_as_stated() -> None:
    """Of 4,000 checkpoints a stated share has the last one's ratio; all follow the quantiles."""
    quantiles = tuple(range(500, 2_600, 100))
    spread = Spread("primary", 7, {"stop": StageSpread(quantiles, 30, "")})
    drawn = np.array([spread.of("stop", number, 10**6) for number in range(4_000)])
    assert np.mean(drawn[1:] == drawn[:-1]) == pytest.approx(0.3, abs=0.03)
    assert np.corrcoef(drawn[1:], drawn[:-1])[0, 1] == pytest.approx(0.3, abs=0.05)
    assert np.percentile(drawn, [10, 50, 90]) == pytest.approx([0.7e6, 1.5e6, 2.3e6], rel=0.05)


def test_a_stage_more_moves_no_draw_of_another() -> None:
    """Each stage has a stream of its own; a checkpoint asked for twice has one ratio."""
    stage = StageSpread(tuple(range(500, 2_600, 100)), 30, "")
    alone = Spread("primary", 1, {"stop": stage})
    both = Spread("primary", 1, {"reset": stage, "stop": stage})
    for number in range(0, 40, 3):
        both.of("reset", number, 1_000)
        assert alone.of("stop", number, 10**6) == both.of("stop", number, 10**6)
        assert alone.of("stop", number, 2_000) == both.of("stop", number, 2_000)
    assert alone.of("reset", 5, 1_000) == 1_000


def test_moving_ram_has_one_draw_however_it_moves() -> None:
    """What reads a staged vmstate, a stream or channels shares ranks; so does what writes it."""
    stage = StageSpread(tuple(range(500, 2_600, 100)), 20, "")
    spread = Spread("secondary", 1, dict.fromkeys(STAGES, stage))
    drawn = {name: [spread.of(name, number, 1_000) for number in range(9)] for name in STAGES}
    assert drawn["vmstate fill"] == drawn["channel read"] == drawn["stream read"]
    assert drawn["vmstate send"] == drawn["channel write"] == drawn["stream write"]
    assert len({*map(tuple, drawn.values())}) == len(STAGES) - 5


def test_designs_have_the_same_draws() -> None:
    """The steps that two designs have in common take as long in both, checkpoint by checkpoint."""
    scenario = loads(SCENARIO)
    frames = [run(scenario, design).checkpoints for design in ("qsb", "split")]
    for column in ("primary_stop_ns", "secondary_cache_flush_ns", "secondary_reset_ns"):
        one, other = (frame[column].tolist() for frame in frames)
        assert one == other
        assert len(set(one)) > 4
    assert run(scenario, "qsb").digest == run(scenario, "qsb").digest
    assert run(scenario, "qsb").digest != run(scenario, "qsb", seed=2).digest


@pytest.mark.parametrize(
    ("stage", "mean", "p99"), [("stream read", 4.50, 10.33), ("channel read", 6.48, 10.41)]
)
def test_the_server_scatters_by_published_percentiles(stage: str, mean: float, p99: float) -> None:
    """Lognormal about its mean, with the p99 that Straub printed of an idle guest, in ms."""
    spread = preset("hosts", "kvm-xeon").spread[stage]
    upper = NormalDist().inv_cdf(0.99)
    deviation = upper - sqrt(upper**2 - 2 * log(p99 / mean))
    expected = [
        1_000 * exp(deviation * NormalDist().inv_cdf(level / 100) - deviation**2 / 2)
        for level in LEVELS_PERCENT
    ]
    assert spread.ratios_mille == pytest.approx(expected, abs=1)
    assert all(f"{number:.2f}" in spread.origin for number in (mean, p99))


@pytest.mark.parametrize("name", ["lab-qemu25", "lab-qemu72", "lab-qemu111", "lab-qemu111-kvm"])
def test_fitted_presets_have_a_spread(name: str) -> None:
    """Every preset that was fitted to runs says how each of its stages scattered."""
    spread = preset("hosts", name).spread
    assert {"stop", "start", "bitmap sync", "cache flush"} <= spread.keys() <= set(STAGES)
    assert all(len(stage.ratios_mille) == len(LEVELS_PERCENT) for stage in spread.values())
    assert all("checkpoints" in stage.origin for stage in spread.values())


@pytest.mark.parametrize(("pages", "writes"), [(40, 30), (200, 300), (1_000, 5_000)])
def test_distinct_pages_have_the_distribution_of_random_writes(pages: int, writes: int) -> None:
    """Mean and standard deviation are those of so many writes to random pages."""
    raw = Streams(3).endless("pages")
    drawn = [drawn_occupied(pages, writes, raw) for _ in range(2_000)]
    generator = np.random.default_rng(5)
    seen = [len(np.unique(generator.integers(0, pages, writes))) for _ in range(2_000)]
    assert np.mean(drawn) == pytest.approx(np.mean(seen), rel=0.01)
    assert np.std(drawn) == pytest.approx(np.std(seen), rel=0.08)


@given(st.integers(0, 1 << 40), st.integers(0, 1 << 50), st.integers(0, 100))
def test_drawn_pages_stay_inside(pages: int, writes: int, seed: int) -> None:
    """A draw is no more than there are, nor than were written, and near the expectation."""
    drawn = drawn_occupied(pages, writes, Streams(seed).endless("pages"))
    assert min(1, pages, writes) <= drawn <= min(pages, writes)
    # The deviation is never more than half of the square root of the pages.
    assert (drawn - occupied(pages, writes)) ** 2 <= 9 * (pages + 4)


def test_a_uniform_guest_scatters_with_its_seed_alone() -> None:
    """Under a spread each checkpoint of a uniform writer has a number of its own; without, one."""
    text = SCENARIO + "guest: {dirty: {rate: 5000 pages/s, working_set: 8 MiB, pattern: uniform}}\n"
    scattered = run(loads(text), "split").checkpoints["dirty_pages"]
    alike = run(loads(text.replace("measured", "none")), "split").checkpoints["dirty_pages"]
    assert scattered[2:].nunique() > 4
    assert alike[2:].max() - alike[2:].min() <= 1


@pytest.mark.parametrize("design", ["split", "qemu-11", "qemu-11+multifd=4"])
@pytest.mark.parametrize(("bandwidth", "held"), [("100 Mbit/s", True), ("unlimited", False)])
def test_a_stream_is_held_up_behind_a_link_alone(
    design: str, bandwidth: str, *, held: bool
) -> None:
    """By its ratio of what writing its pages takes, before it begins; an empty one never."""
    scenario = loads(
        "name: s\ncheckpoints: 2\nguest: {dirty: {csv: c, values: [0 pages, 500 pages]}}\n"
        f"network: {{bandwidth: {bandwidth}, nagle: false}}\n"
    )
    stage = StageSpread((2_000,) * len(LEVELS_PERCENT), 0, "")

    def scatter(simulation: Simulation) -> None:
        simulation.hosts[PRIMARY].spread = Spread(
            PRIMARY, 1, {STREAM_HELD: stage, CHANNELS_HELD: stage}
        )

    plain = run(scenario, design)
    held_up = simulate(scenario, design, prepare=scatter)
    costs = scenario.hosts.primary.costs
    amount = 500 * 4_104
    write_ns = (
        500 * costs.page_scan_ps_per_page // 1_000
        + amount * costs.socket_write_fs_per_byte // 10**6
    )
    column = "primary_bitmap_sync_ns"
    longer = (held_up.checkpoints[column] - plain.checkpoints[column]).tolist()
    assert longer[0] == 0
    assert longer[1] == pytest.approx(2 * write_ns * held, rel=0.01)
