from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from colosim.scenario import Scenario, canonical_json, loads, resolve

TIMES = st.integers(1, 10**15)
SIZES = st.integers(4096, 1 << 40)
LOADS = st.fixed_dictionaries(
    {
        "rate_pages_per_s": st.integers(0, 10**12),
        "working_set_pages": st.integers(1, 100),
        "pattern": st.sampled_from(["round-robin", "uniform"]),
    }
)
PHASED = st.fixed_dictionaries(
    {
        "phases": st.lists(
            st.fixed_dictionaries({"for": TIMES, "rate": st.integers(0, 10**12)}),
            min_size=1,
            max_size=3,
        ),
        "working_set_pages": st.integers(1, 100),
    },
    optional={
        "bursts": st.fixed_dictionaries(
            {"every": st.integers(10**6, 10**15), "for": TIMES, "factor": st.integers(0, 10**9)}
        )
    },
)
DIRTY = st.one_of(
    st.fixed_dictionaries({"pages": st.integers(0, 256)}),
    LOADS,
    PHASED,
    st.fixed_dictionaries({"hot": LOADS, "cold": LOADS}),
    st.fixed_dictionaries(
        {
            "csv": st.text("ab/.: '\"#é", min_size=1, max_size=9),
            "measured_pages": st.lists(st.integers(0, 256), min_size=1, max_size=50),
        }
    ),
)
MOMENTS = st.one_of(
    st.integers(0, 10**9),
    st.fixed_dictionaries(
        {
            "checkpoint": st.integers(0, 19),
            "step": st.sampled_from(["primary: RAM stream", "secondary: reset"]),
            "progress_ppm": st.integers(0, 10**6),
        }
    ),
)
FAULTS = st.one_of(
    st.fixed_dictionaries({"freeze": st.just("secondary"), "at": MOMENTS, "lasting_ns": TIMES}),
    st.fixed_dictionaries(
        {"slow": st.just("network"), "at": MOMENTS, "factor": st.integers(1, 10**12)}
    ),
    st.fixed_dictionaries({"fail": st.just("primary"), "at": MOMENTS, "what": st.just("RAM save")}),
)
SCENARIOS = st.fixed_dictionaries(
    {
        "name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True).filter(
            lambda name: not name.endswith(".")
        ),
        "description": st.text(st.characters(codec="utf-8"), max_size=40),
        "seed": st.integers(0, 2**64 - 1),
        "checkpoint_delay_ns": TIMES,
        "horizon_ns": st.integers(10**9, 10**15),
        "guest": st.fixed_dictionaries(
            {
                "ram_bytes": st.integers(1, 1 << 37).map(lambda pages: 4096 * pages + (1 << 20)),
                "zero_share_ppm": st.integers(0, 10**6),
                "dirty": DIRTY,
            }
        ),
        "network": st.fixed_dictionaries(
            {
                "bandwidth_bytes_per_s": st.one_of(st.none(), st.integers(1, 10**15)),
                "latency_ns": TIMES,
                "send_buffer_bytes": SIZES,
                "nagle": st.booleans(),
            }
        ),
        "hosts": st.fixed_dictionaries(
            {
                "preset": st.sampled_from(["lab-qemu25", "kvm-xeon"]),
                "primary": st.fixed_dictionaries(
                    {
                        "costs": st.fixed_dictionaries(
                            {
                                "qsb_growth_fs_per_byte": st.integers(0, 10**15),
                                "qsb_walk_ps_per_chunk": st.integers(0, 10**15),
                                "page_scan_ps_per_page": st.integers(0, 10**15),
                                "bitmap_sync_ram_ns_per_gib": st.integers(0, 10**15),
                            }
                        )
                    }
                ),
            }
        ),
        "faults": st.lists(FAULTS, max_size=3),
        "expect": st.just({"*": {"verdict": "hung", "pause_ns.p99": "> 1 ms"}}),
    }
)


@given(SCENARIOS)
def test_resolve_round_trip(data: dict[str, Any]) -> None:
    """Any scenario, resolved and loaded, is equal, and resolves to the same text."""
    scenario = Scenario.model_validate(data)
    text = resolve(scenario)
    again = loads(text)
    assert again == scenario
    assert resolve(again) == text
    assert canonical_json(again) == canonical_json(scenario)


def test_canonical_json_is_sorted_ascii_without_spaces() -> None:
    """The JSON for digests has one form."""
    text = canonical_json(loads("name: x\ndescription: größer"))
    parsed = json.loads(text)
    assert text == json.dumps(parsed, sort_keys=True, separators=(",", ":"))
    assert (parsed["description"], parsed["guest"]["ram_bytes"]) == ("größer", 1 << 30)
    assert text.isascii()


def test_canonical_json_does_not_tell_how_it_was_written() -> None:
    """Two ways to write the same scenario have one JSON."""
    written = "name: x\ncheckpoint_delay: 0.2 s\nnetwork: {bandwidth: 10000 Mbit/s}"
    assert canonical_json(loads(written)) == canonical_json(loads("name: x"))
