"""The sections `service:` and `output:`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from colosim.errors import ScenarioError
from colosim.scenario import load, loads, resolve
from colosim.scenario.service import DifferingResponses, MeasuredTime

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = """\
name: clients
designs: [split]
service:
  protocol: udp
  arrivals: {poisson: 200 /s}
  time: {lognormal: {p50: 1 ms, p99: 5 ms}}
  divergence: {responses: [7, 19]}
  request: 4 KiB
  secondary_lag: {first: {p50: 45 ms, p90: 83 ms}, later: 2 ms}
output: {mode: compared, queue: 32}
"""
LAG_AND_DIRECT = """
service: {arrivals: {poisson: 2 /s}, secondary_lag: {later: 1 ms}}
output: {mode: direct}
"""


def test_reads_back_what_it_writes() -> None:
    """A scenario with clients, written out in full, reads back as the same scenario."""
    scenario = loads(WHOLE)
    assert scenario.service is not None
    assert scenario.service.divergence == DifferingResponses(responses=(7, 19))
    assert scenario.service.secondary_lag.later == 2_000_000
    assert loads(resolve(scenario)) == scenario


def test_a_lag_after_loads_is_read_from_a_column(tmp_path: Path) -> None:
    """Measured first and later replies stand where their quantiles may."""
    (tmp_path / "lags.csv").write_text("first\n45 ms\n60 ms\n", encoding="utf-8")
    file = tmp_path / "one.yaml"
    column = "{csv: lags.csv, column: first}"
    lag = f"{{first: {column}, later: {column}}}"
    text = f"{{name: one, service: {{arrivals: {{poisson: 2 /s}}, secondary_lag: {lag}}}}}\n"
    file.write_text(text, encoding="utf-8")
    service = load(file).service
    assert service is not None
    assert service.secondary_lag.first == MeasuredTime.model_construct(
        csv="lags.csv", column="first", measured_ns=(45_000_000, 60_000_000)
    )
    assert service.secondary_lag.later == service.secondary_lag.first


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("output: {mode: held}", "nobody sees it without a service"),
        (
            "service: {arrivals: {clients: 2}, time: {fixed: 0 ns}, latency: 0 ns}",
            "a closed loop in which nothing takes time never ends",
        ),
        (
            "service: {arrivals: {clients: 2, think: 1 ms}, connections: 2}",
            "leave out connections and outstanding",
        ),
        (
            "service: {arrivals: {poisson: 2 /s}, divergence: 1%}\noutput: {mode: held}",
            "service.divergence is without effect",
        ),
        (
            LAG_AND_DIRECT,
            "service.secondary_lag is without effect",
        ),
        ("service: {arrivals: {poisson: 2 /s, regular: 3 /s}}", "excludes"),
        (
            "service: {arrivals: {poisson: 2 /s}, time: {lognormal: {p50: 1 ms}}}",
            "one of p90 and p99",
        ),
        (
            "designs: [unprotected]\nservice: {arrivals: {poisson: 2 /s}}\noutput: {mode: held}",
            "nothing that output could wait for",
        ),
        (
            "designs: [remus]\nservice: {arrivals: {poisson: 2 /s}}\noutput: {mode: compared}",
            "runs no second guest",
        ),
        ("service: {arrivals: {poisson: 2 ms}}", "is a unit of a time"),
        (
            "service: {arrivals: {poisson: 2 /s}}\noutput: {mode: filter-buffer}",
            "mode filter-buffer has an interval",
        ),
        (
            "service: {arrivals: {poisson: 2 /s}}\noutput: {interval: 1 s}",
            "mode filter-buffer has an interval, and no other has",
        ),
        (
            "designs: [remus]\nservice: {arrivals: {poisson: 2 /s}}\noutput: {nodelay: true}",
            "output.nodelay is without effect",
        ),
        (
            "service: {arrivals: {poisson: 2 /s}, divergence: {rate: 1 /s, responses: [7]}}",
            "excludes",
        ),
        (
            "service: {arrivals: {poisson: 2 /s}, divergence: {responses: []}}",
            "there are no values",
        ),
    ],
)
def test_refuses_what_does_not_go_together(text: str, message: str) -> None:
    """Keys without effect, or against each other, are refused with their place."""
    with pytest.raises(ScenarioError, match=message):
        loads(f"name: refused\n{text}\n")


def test_measured_requests_are_read_from_columns(tmp_path: Path) -> None:
    """Times of a CSV file, each with its unit, stand in what a scenario resolves to."""
    (tmp_path / "r.csv").write_text("t,guest\n10 ms,2 ms\n12.5 ms,500 us\n", encoding="utf-8")
    text = "{csv: r.csv}, time: {csv: r.csv, column: guest}, pace: 1 us"
    file = tmp_path / "s.yaml"
    file.write_text(f"name: s\nservice: {{arrivals: {text}}}\n", encoding="utf-8")
    scenario = load(file)
    assert scenario.service is not None
    assert getattr(scenario.service.arrivals, "sent_ns", None) == (10_000_000, 12_500_000)
    assert getattr(scenario.service.time, "measured_ns", None) == (2_000_000, 500_000)
    assert loads(resolve(scenario)) == scenario


def test_measured_requests_are_in_order() -> None:
    """A request that stands behind a later one is refused."""
    with pytest.raises(ScenarioError, match="10000000 ns stands behind one of 20000000 ns"):
        loads("name: s\nservice: {arrivals: {csv: r.csv, values: 20ms 10ms}}\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("service: {arrivals: {}}", ["{poisson: 200 /s}", "{clients: 8, think: 5 ms}"]),
        (
            "service: {arrivals: {poisson: 2 /s}, time: {}}",
            ["{fixed: 1 ms}", "{exponential: 1 ms}"],
        ),
        ("service: {arrivals: {poisson: 2 /s}, divergence: {}}", ["10%", "{rate: 0.2 /s}"]),
        ("faults: [{freeze: primary, at: {}}]", ["200 ms", "{rate: 2 /day}"]),
    ],
)
def test_empty_braces_are_told_every_form(text: str, expected: list[str]) -> None:
    """Where a value has several forms, nothing between braces is one fault with all of them."""
    with pytest.raises(ScenarioError) as caught:
        loads(f"name: empty\n{text}\n")
    (fault,) = caught.value.faults
    assert "nothing stands in the braces; expected one of" in str(fault)
    assert all(form in str(fault) for form in expected)
