from __future__ import annotations

import pytest

from colosim.errors import ScenarioError
from colosim.scenario import Scenario, load, loads

BASE = """\
name: base
duration: 5 s
guest: {dirty: {rate: 5 pages/s, working_set: 1 MiB}}
faults: [{freeze: secondary, at: 2 s}]
expect: {split: {verdict: hung}}
"""


def overridden(*settings: str) -> Scenario:
    """Load the base scenario with overrides."""
    return loads(BASE, file="base.yaml", overrides=settings)


def test_sets_values() -> None:
    """Dotted keys reach mappings, lists, and the dotted keys of expect; the last setting wins."""
    scenario = overridden(
        "seed=3",
        "network.latency=5 ms",
        "network.latency=6 ms",
        "hosts.secondary.costs.reset=1 ms",
        "faults.0.at=3 s",
        "expect.split.pause_ns.p99=< 100 ms",
        "designs=[split]",
    )
    assert (
        scenario.seed,
        scenario.network.latency_ns,
        scenario.hosts.secondary.costs.reset_ns,
        scenario.hosts.primary.costs.reset_ns,
        scenario.faults[0].at_ns,
        scenario.expect["split"]["pause_ns.p99"].tests,
        scenario.designs,
    ) == (3, 6_000_000, 1_000_000, 10_800_000, 3_000_000_000, (("<", 100_000_000),), ("split",))


def test_replaces_what_excludes_it() -> None:
    """Setting one of several forms takes out the form that the file gives."""
    scenario = overridden("checkpoints=7", "guest.dirty.pages=9")
    assert (scenario.checkpoints, scenario.duration_ns) == (7, None)
    assert scenario.guest.dirty.model_dump() == {"pages": 9}


def test_null_takes_a_key_out() -> None:
    """A key set to null is back at its default."""
    assert overridden("duration=null", "faults=null").checkpoints == 20


@pytest.mark.parametrize(
    ("setting", "fault"),
    [
        ("seed", "--set:1:1: 'seed' is not of the form key=value, such as network.latency=5 ms"),
        ("seed=", "--set:1:6: 'seed' is given no value; 'null' takes a key out"),
        (
            "network.latency=5",
            (
                "--set:1:17: latency: '5' has no unit;"
                " expected a time in ns, us, ms, s, min or h, such as '200 ms'"
            ),
        ),
        ("netwrk.latency=5 ms", "--set:1:1: the key 'netwrk' is unknown; did you mean 'network'?"),
        ("seed.x.y=5", "--set:1:1: seed: a mapping stands here; expected a whole number"),
        ("name.x=5", "--set:1:1: 'name.x': 'name' is a single value and has no keys"),
        ("name.x.y=5", "--set:1:1: 'x' leads into 'base', a single value without keys"),
        ("faults.3.at=5 s", "--set:1:1: '3' is no position in a list of 1, counted from 0"),
        ("a..b=5", "--set:1:1: 'a..b' is not a dotted key, such as network.latency"),
        (
            "guest={a: 1, a: 2}",
            "--set:1:14: the key 'a' is given twice; it stands already at line 1",
        ),
        ("guest=[", "--set:1:8: not YAML:"),
        ("guest=&a x", "--set:1:7: the anchor '&a' is used; write the value out each time"),
    ],
)
def test_faults(setting: str, fault: str) -> None:
    """A fault of an override is told with the number of the override and the column in it."""
    with pytest.raises(ScenarioError) as caught:
        overridden(setting)
    assert str(caught.value).startswith(fault)


def test_faults_of_file_and_overrides_together() -> None:
    """Faults of the file and of every override are told at once."""
    with pytest.raises(ScenarioError) as caught:
        loads("sed: 1\nname: x", file="f.yaml", overrides=["seed=-1", "warmup=x"])
    assert [fault.file for fault in caught.value.faults] == ["--set", "--set", "f.yaml"]


def test_setting_designs_forgets_what_the_file_says_of_others() -> None:
    """Bounds and measured runs of designs that are no longer run go with them; others stay."""
    scenario = load("hang", overrides=["designs=[split]"])
    assert (list(scenario.expect), list(scenario.measured)) == (["*", "split"], ["split"])
