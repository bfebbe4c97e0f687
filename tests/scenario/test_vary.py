"""A loaded scenario with other values is what its file would be with ``--set``."""

from __future__ import annotations

import pickle
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colosim.errors import ScenarioError
from colosim.scenario import (
    FixedDirty,
    Guest,
    MeasuredDirty,
    RateDirty,
    Scenario,
    load,
    loads,
    resolve,
    shipped,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RATE = """\
name: rate
duration: 5 s
guest: {dirty: {rate: 5 pages/s, working_set: 1 MiB}, zero_share: 10%}
hosts: {preset: lab-qemu25, secondary: {costs: {reset: 1 ms}}}
network: {preset: wan-5ms, bandwidth: 1 Gbit/s, framing: 1448/1514, user_timeout: none}
faults: [{freeze: secondary, at: 2 s}, {slow: network, factor: 50%, at: {rate: 2 /h}}]
expect: {split: {verdict: hung, pause_ns.p99: < 100 ms}, "*": {wire_bytes: "> 5"}}
"""
STEPS = """\
name: steps
description: "null"
designs: [qsb, split+yank]
checkpoints: 12
warmup: 2
network: {preset: lab-veth, nagle: false}
faults: [{kill: primary, at: {checkpoint: 3, step: "primary: RAM stream", progress: 40%}}]
liveness: {until: 3 s, within: 10 s}
manager: {timeout: 4 s, secondary: {heartbeat: 2 s}}
measured: {qsb: qemu25/old-ram512-n16384-bw0}
expect: {qsb: {verdict: completed}}
"""
PLAIN = "name: plain"
BASES = {"rate": RATE, "steps": STEPS, "plain": PLAIN}

TEXTS: dict[str, tuple[str, ...]] = {
    "seed": ("7", "-1", "x"),
    "checkpoints": ("3", "50", "0"),
    "duration": ("1 s", "90 s", "1"),
    "warmup": ("0", "4"),
    "checkpoint_delay": ("2 s", "1 parsec"),
    "guest.ram": ("64 MiB", "5000 B", "2 GB"),
    "guest.dirty.pages": ("500", "500 pages", "99999999"),
    "guest.dirty.rate": ("5000 pages/s",),
    "guest.dirty.working_set": ("96 MiB", "96 TiB"),
    "guest.zero_share": ("0.5", "50%", "2"),
    "guest.dirtyy": ("5",),
    "hosts.preset": ("kvm-xeon", "lab-qemu72", "kvm"),
    "hosts.secondary.preset": ("kvm-xeon",),
    "hosts.secondary.costs.reset": ("3 ms", "3"),
    "hosts.primary.costs.message": ("3 us",),
    "network.preset": ("10gbe", "1gbe"),
    "network.bandwidth": ("10 Mbit/s", "unlimited", "0 B/s"),
    "network.latency": ("5 ms",),
    "network.framing": ("1/2", "2/1"),
    "network.send_timeout": ("5 s", "none"),
    "network.mss": ("8 KiB",),
    "network.latencyy": ("5 ms",),
    "manager.heartbeat": ("1 s", "9 s"),
    "manager.policy": ("wait", "weit"),
    "faults.0.at": ("3 s", "7 s"),
    "faults.0.at.progress": ("10%",),
    "faults.1.factor": ("0.1",),
    "faults.9.at": ("3 s",),
    "liveness.within": ("5 s",),
    "expect.split.pause_ns.p99": ("< 5 ms", "< 5 parsec"),
    "nam": ("y",),
}
INTEGERS = {
    "seed": "",
    "checkpoints": "",
    "checkpoint_delay": "ns",
    "guest.ram": "B",
    "guest.vcpus": "",
    "guest.dirty.pages": "pages",
    "guest.dirty.rate": "pages/s",
    "guest.dirty.working_set": "pages",
    "guest.late_writes": "pages/s",
    "hosts.primary.costs.message": "ns",
    "hosts.primary.costs.page_scan": "ps/page",
    "network.bandwidth": "B/s",
    "network.retries2": "",
    "manager.timeout": "ns",
    "faults.0.at": "ns",
    "guest.zero_share": "",
}
TYPED: dict[str, tuple[tuple[object, str], ...]] = {
    "network.nagle": ((True, "true"), (False, "false"), (None, "null")),
    "guest.zero_share": ((0.25, "0.25"), (1.0, "1.0")),
    "faults": (
        ([], "[]"),
        (None, "null"),
        ([{"kill": "secondary", "at": 5}], KILL := "[{kill: secondary, at: 5 ns}]"),
        (({"kill": "secondary", "at": 5},), KILL),
    ),
    "designs": ((["split", "qsb"], "[split, qsb]"), (("flat",), "[flat]")),
    "guest.dirty": (({"pages": 9}, "{pages: 9}"),),
    "guest": ((None, "null"), ({"ram": 1 << 26}, "{ram: 64 MiB}")),
    "expect": (({"split": {"events": 5}}, "{split: {events: 5}}"),),
    "expect.split.events": ((5, "5"),),
    "duration": ((None, "null"),),
    "measured": ((None, "null"),),
}
Setting = tuple[str, object, str]

texts = st.sampled_from([(key, text, text) for key, each in TEXTS.items() for text in each])
typed = st.sampled_from([(key, *pair) for key, each in TYPED.items() for pair in each])
integers = st.tuples(st.sampled_from(sorted(INTEGERS)), st.integers(-5, 10**13)).map(
    lambda drawn: (drawn[0], drawn[1], f"{drawn[1]} {INTEGERS[drawn[0]]}".strip())
)


def of_one_key_each(settings: list[Setting]) -> list[Setting]:
    """Return the settings without those whose key stood before."""
    return list({key: (key, value, text) for key, value, text in settings}.values())


def result(make: Callable[[], Scenario]) -> Scenario | list[str]:
    """Return the scenario, or what is wrong, whatever the place."""
    try:
        return make()
    except ScenarioError as error:
        return sorted(fault.message for fault in error.faults)


def as_in_a_file(base: str, settings: list[Setting]) -> Scenario | list[str]:
    """Return the base with ``--set``, or what is wrong."""
    overrides = [f"{key}={text}" for key, _, text in settings]
    return result(lambda: loads(base, overrides=overrides))


def varied(base: str, settings: list[Setting]) -> Scenario | list[str]:
    """Return the loaded base with the values, or what is wrong."""
    return result(lambda: loads(base).vary({key: value for key, value, _ in settings}))


@given(st.sampled_from(sorted(BASES)), st.lists(texts | typed, max_size=5).map(of_one_key_each))
def test_varying_is_setting_in_the_file(base: str, settings: list[Setting]) -> None:
    """The scenario, or every message, is the one that ``--set`` gives with the file."""
    assert varied(BASES[base], settings) == as_in_a_file(BASES[base], settings)


@given(st.sampled_from(sorted(BASES)), integers)
def test_whole_numbers_are_in_the_base_unit(base: str, setting: Setting) -> None:
    """A number without a unit is bytes, ns, pages...; what a file may not say is refused."""
    there, here = as_in_a_file(BASES[base], [setting]), varied(BASES[base], [setting])
    assert isinstance(here, list) == isinstance(there, list)
    assert here == there or isinstance(here, list)


@given(
    st.sampled_from(sorted(BASES)),
    st.lists(texts | typed, max_size=2).map(of_one_key_each),
    st.lists(texts | typed, max_size=2).map(of_one_key_each),
)
def test_what_was_varied_can_be_varied(
    base: str, first: list[Setting], then: list[Setting]
) -> None:
    """Varying what was loaded with ``--set``, or what was varied, is the same."""
    one, other = as_in_a_file(BASES[base], first), varied(BASES[base], first)
    if isinstance(one, list) or isinstance(other, list):
        return
    values = {key: value for key, value, _ in then}
    assert result(lambda: other.vary(values)) == result(lambda: one.vary(values))


@pytest.mark.parametrize("base", BASES)
def test_nothing_varied_is_the_same(base: str) -> None:
    """No values: an equal scenario, whose sections are the very same."""
    scenario = loads(BASES[base])
    same = scenario.vary({})
    assert same == scenario
    assert same.network is scenario.network or base == "plain"


def test_what_the_shipped_scenarios_state_is_read_again_as_it_stands() -> None:
    """A value in each section opens it; all else of it is as in the file."""
    values = {
        "guest.vcpus": "3",
        "hosts.secondary.costs.vm_stop": "7 us",
        "network.retries2": "9",
        "manager.fence": "true",
        "designs": "[split]",
    }
    overrides = [f"{key}={text}" for key, text in values.items()]
    typed_values: dict[str, object] = {**values, "manager.fence": True, "designs": ["split"]}
    for name in shipped():
        assert load(name).vary(typed_values) == load(name, overrides=overrides), name


def test_the_scenario_itself_stays_as_it_is() -> None:
    """`vary` returns a new scenario; other forms that exclude what is set are gone from it."""
    scenario = loads(RATE)
    before = resolve(scenario)
    busy = scenario.vary({"guest.dirty.pages": 500, "checkpoint_delay": "2 s", "checkpoints": 9})
    assert (busy.guest.dirty, busy.checkpoint_delay_ns) == (FixedDirty(pages=500), 2 * 10**9)
    assert (busy.checkpoints, busy.duration_ns) == (9, None)
    assert resolve(scenario) == before
    assert isinstance(scenario.guest.dirty, RateDirty)


def test_a_preset_fills_in_anew() -> None:
    """Another preset changes every value that the scenario does not state, and no other."""
    scenario = loads(RATE).vary({"network.preset": "25gbe", "hosts.preset": "kvm-xeon"})
    plain = loads("{name: x, network: {preset: 25gbe}}")
    assert scenario.network.send_buffer_bytes == plain.network.send_buffer_bytes
    assert scenario.network.bandwidth_bytes_per_s == 125_000_000
    assert scenario.hosts.primary == plain.hosts.primary
    assert scenario.hosts.secondary.costs.reset_ns == 1_000_000


def test_every_fault_is_told_with_the_number_of_its_value() -> None:
    """Wrong keys, wrong types and what cannot stand together, each with what was expected."""
    with pytest.raises(ScenarioError) as caught:
        loads(STEPS).vary(
            {
                "network.bandwith": 5,
                "guest.ram": Fraction(1, 2),
                "checkpoint_delay": 2.5,
                "guest.dirty.pages": {1, 2},
                "warmup": 20,
            }
        )
    assert str(caught.value) == FAULTS


FAULTS = """\
vary:1:1: the key 'bandwith' is unknown under network; did you mean 'bandwidth'?
vary:2:1: ram: '0.5' has no unit; expected a size in B, KiB, MiB, GiB, TiB or PiB, such as '4 MiB'
vary:3:1: checkpoint_delay: '2.5' has no unit; expected a time in ns, us, ms, s, min or h, such as \
'200 ms'
vary:4:1: pages: a Python set stands here; expected a text, a number, True or False, None, a list \
or a mapping
vary:5:1: warmup 20 leaves none of the 12 checkpoints for the statistics; expected at most 11"""


def test_a_conflict_with_what_the_scenario_states_names_it() -> None:
    """What is set fits, but not beside what stands there: the message names the scenario."""
    with pytest.raises(ScenarioError) as caught:
        loads(RATE).vary({"guest.ram": 4096})
    assert str(caught.value) == (
        "scenario rate:1:1: a working set of 256 pages does not fit into the guest's RAM of "
        "4 KiB (1 pages)"
    )


def test_values_of_other_kinds() -> None:
    """Numbers of numpy, parts of other scenarios and models are taken too."""
    other = loads(STEPS)
    values: dict[str, Any] = {
        "checkpoints": np.int64(50),
        "guest.zero_share": np.float64(0.5),
        "guest.dirty": RateDirty(rate_pages_per_s=7, working_set_pages=3),
        "network": other.network,
        "faults": other.faults,
    }
    scenario = loads(PLAIN).vary(values)
    assert (scenario.checkpoints, scenario.guest.zero_share_ppm) == (50, 500_000)
    assert scenario.guest.dirty == RateDirty(rate_pages_per_s=7, working_set_pages=3)
    assert (scenario.network, scenario.faults) == (other.network, other.faults)


def test_a_truth_value_as_text_is_read_as_in_a_file() -> None:
    """So are the texts of a sweep's axis, all of whose runs failed."""
    plain = loads("name: x")
    for text, value in (("true", True), ("false", False)):
        assert plain.vary({"network.nagle": text}).network.nagle is value
    with pytest.raises(ScenarioError, match="'yes' is not a truth value"):
        plain.vary({"network.nagle": "yes"})


def test_a_scenario_of_python_can_be_varied() -> None:
    """It need not come from a file."""
    scenario = Scenario(name="x", guest=Guest(dirty=FixedDirty(pages=7), vcpus=2))
    assert scenario.vary({"guest.ram": "64 MiB"}) == Scenario(
        name="x", guest=Guest(dirty=FixedDirty(pages=7), vcpus=2, ram_bytes=64 << 20)
    )


def test_measured_pages_stay_until_another_column_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CSV file is not read again; one that is set is looked for from the current folder."""
    (tmp_path / "m.csv").write_text("dirty_pages,other\n1,4\n2,5\n")
    file = tmp_path / "m.yaml"
    file.write_text("name: m\nguest: {dirty: {csv: m.csv}}\n")
    scenario = load(file)
    varied = scenario.vary({"guest.vcpus": 2})
    assert varied == load(file, overrides=["guest.vcpus=2"])
    assert isinstance(varied.guest.dirty, MeasuredDirty)
    monkeypatch.chdir(tmp_path)
    other = varied.vary({"guest.dirty.column": "other"}).guest.dirty
    assert isinstance(other, MeasuredDirty)
    assert (other.column, other.measured_pages) == ("other", (4, 5))
    resolved = loads(resolve(scenario), overrides=["guest.dirty.column=other"], folder=tmp_path)
    assert resolved.guest.dirty == other


@pytest.mark.parametrize("base", BASES)
def test_a_scenario_can_be_pickled(base: str) -> None:
    """A copy in another process is equal, and can be varied as the original."""
    scenario = loads(BASES[base])
    copy = pickle.loads(pickle.dumps(scenario))  # noqa: S301 - made above
    assert copy == scenario
    values = {"network.preset": "10gbe", "hosts.preset": "kvm-xeon"}
    assert copy.vary(values) == scenario.vary(values)
