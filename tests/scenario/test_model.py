from __future__ import annotations

import pickle

import pytest
from pydantic import ValidationError

from colosim.scenario import (
    DEFAULT_DESIGNS,
    FixedDirty,
    Framing,
    Guest,
    HotColdDirty,
    RateDirty,
    Scenario,
    StepMoment,
    loads,
)


def test_defaults() -> None:
    """Everything but the name has its default."""
    scenario = loads("name: x")
    assert (
        scenario.designs,
        scenario.seed,
        scenario.checkpoints,
        scenario.duration_ns,
        scenario.horizon_ns,
        scenario.warmup,
        scenario.checkpoint_delay_ns,
        scenario.guest,
        scenario.hosts.preset,
        scenario.network.preset,
        scenario.faults,
        scenario.manager.timeout_ns,
    ) == (
        DEFAULT_DESIGNS,
        1,
        20,
        None,
        10**12,
        0,
        200_000_000,
        Guest(
            ram_bytes=1 << 30,
            vcpus=1,
            device_state_bytes=12_665,
            vmdesc_bytes=106_159,
            zero_share_ppm=0,
            dirty=FixedDirty(pages=2000),
        ),
        "kvm-xeon",
        "10gbe",
        (),
        3_000_000_000,
    )


def test_python_builds_models_in_base_units() -> None:
    """A program gives integers in base units by attribute name; presets fill the rest."""
    scenario = Scenario.model_validate(
        {
            "name": "x",
            "network": {"latency_ns": 7},
            "hosts": {"primary": {"costs": {"reset_ns": 9}}},
        }
    )
    assert (
        scenario.network.latency_ns,
        scenario.network.mss_bytes,
        scenario.hosts.primary.costs.reset_ns,
        scenario.hosts.secondary.costs.reset_ns,
    ) == (7, 1448, 9, 10_800_000)


def test_yaml_knows_no_attribute_names() -> None:
    """The attribute names of a program are no keys of a file."""
    with pytest.raises(Exception, match="the key 'checkpoint_delay_ns' is unknown"):
        loads("name: x\ncheckpoint_delay_ns: 200 ms")


def test_python_gets_impossible_combinations_refused() -> None:
    """A program cannot build a scenario that a file could not state."""
    with pytest.raises(ValidationError, match="warmup 30 leaves none of the 20 checkpoints"):
        Scenario.model_validate({"name": "x", "warmup": 30})


def test_models_do_not_change() -> None:
    """A loaded scenario is frozen."""
    scenario = loads("name: x")
    with pytest.raises(ValidationError, match="frozen"):
        scenario.seed = 3  # type: ignore[misc]


def test_models_travel_between_processes() -> None:
    """A scenario survives pickling, as worker processes need it."""
    scenario = loads("name: x\nexpect: {split: {pause_ns.p99: < 1 s}}\nguest: {dirty: {pages: 5}}")
    assert pickle.loads(pickle.dumps(scenario)) == scenario  # noqa: S301 - our own bytes


def test_dirty_forms() -> None:
    """Each way to state dirty pages gives its own model."""
    load_text = "{rate: 5 pages/s, working_set: 1 MiB}"
    texts = ("{pages: 5}", load_text, f"{{hot: {load_text}, cold: {load_text}}}")
    forms = [type(loads(f"name: x\nguest: {{dirty: {text}}}").guest.dirty) for text in texts]
    assert forms == [FixedDirty, RateDirty, HotColdDirty]


def test_faults() -> None:
    """A fault has its kind, target and moment, whichever key it was written with."""
    text = """\
name: x
faults:
  - {freeze: secondary, at: {checkpoint: 3, step: "primary: RAM stream", progress: 40%}, for: 30 s}
  - {slow: network, at: 2.5 s, factor: 0.5}
  - {fail: primary, at: 3 s, what: device save}
"""
    seen = [
        (
            fault.kind,
            fault.target,
            fault.at_ns,
            fault.at_checkpoint,
            fault.at_step,
            fault.progress_ppm,
            fault.for_ns,
            fault.factor_ppm,
            fault.concerns,
        )
        for fault in loads(text).faults
    ]
    assert seen == [
        ("freeze", "secondary", None, 3, "primary: RAM stream", 400_000, 30 * 10**9, None, None),
        ("slow", "network", 2_500_000_000, None, None, None, None, 500_000, "bandwidth"),
        ("fail", "primary", 3_000_000_000, None, None, None, None, None, "device save"),
    ]


def test_a_step_without_progress_has_none() -> None:
    """That is not 0%: it is the step as it begins, of a message too."""
    assert StepMoment(checkpoint=1, step="primary: x").progress_ppm is None


def test_words_for_none() -> None:
    """'unlimited', 'random' and 'none' stand for None."""
    text = "name: x\nnetwork: {bandwidth: unlimited, ack_tick_phase: random, user_timeout: none}"
    network = loads(text).network
    assert (network.bandwidth_bytes_per_s, network.ack_tick_phase_ns, network.user_timeout_ns) == (
        None,
        None,
        None,
    )


def test_framing() -> None:
    """Framing is the pair of payload and frame."""
    network = loads("name: x\nnetwork: {framing: 1448/1514}").network
    assert (network.framing, network.payload_bytes, network.frame_bytes) == (
        Framing(1448, 1514),
        1448,
        1514,
    )
