"""What the model leaves out is said where it could change a verdict."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import pytest

from colosim.analysis.explain import explain
from colosim.analysis.left_out import LEFT_OUT
from tests.analysis.cases import STREAM, scenario

PAGE = Path(__file__).parents[2] / "docs" / "model.md"
MECHANISMS = ["lock", "TCP", "buffers", "memory", "failover", "clients", "disk", "versions"]
BEFORE_STOP = "at: {checkpoint: 3, step: 'primary: before stop'}"


def ids(design: str, *faults: str, overrides: tuple[str, ...] = ()) -> list[str]:
    """Return what is left out in the explanation of the shared scenario with these faults."""
    one = explain(scenario(*faults, overrides=overrides), design)
    assert [entry["id"] for entry in one.to_dict()["left_out"]] == [it.id for it in one.left_out]
    assert all(f"  - {it.id}: " in str(one) for it in one.left_out)
    return [it.id for it in one.left_out]


def table_in(heading: str) -> list[list[str]]:
    """Return the rows of the table below a heading of docs/model.md, its head left out."""
    section = PAGE.read_text("utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:2] == "| "]
    return rows[2:]


def test_the_page_has_the_same_table() -> None:
    """docs/model.md lists every left-out mechanism, word for word."""
    assert table_in("What is left out") == [[f"`{one.id}`", *astuple(one)[1:]] for one in LEFT_OUT]


def test_every_left_out_thing_belongs_to_a_mechanism() -> None:
    """Each id of the page is unique and stands once among what is left out of a mechanism."""
    mechanisms = table_in("Mechanism by mechanism")
    assert [row[0] for row in mechanisms] == MECHANISMS
    listed = [one for *_, left_out in mechanisms for one in left_out.split(", ")]
    ids = [row[0] for table in ("What is left out", "What is simpler") for row in table_in(table)]
    assert len(set(ids)) == len(ids)
    assert sorted(listed) == sorted(ids)


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        ((), []),
        ((f"freeze: secondary, {STREAM}",), ["disk"]),
        (("freeze: secondary, at: 1.2 s",), ["disk", "clients"]),
        ((f"kill: secondary, {STREAM}",), ["clients", "resident"]),
        (("vanish: network, at: 2.3 s",), ["disk", "clients", "packet-loss"]),
        ((f"freeze: secondary, {STREAM}, for: 30 s",), ["disk", "clients", "congestion-control"]),
        (("busy: primary, at: 1 s, for: 100 ms",), ["vcpu", "clients"]),
        (
            (f"busy: primary, {BEFORE_STOP}, for: 8 s", f"freeze: secondary, {BEFORE_STOP}"),
            ["disk", "lock-handover", "vcpu"],
        ),
    ],
)
def test_what_applies_is_told(faults: tuple[str, ...], expected: list[str]) -> None:
    """Each mechanism is named where it could change the verdict, and nowhere else."""
    overrides = ("manager.policy=wait", "horizon=40 s") if expected[-1:] == ["packet-loss"] else ()
    assert ids("split", *faults, overrides=overrides) == expected


def test_buffers_matter_where_their_size_could_decide() -> None:
    """A frozen peer's stream of 16 MB might fit into buffers as measured, one of 64 MiB not."""
    fault = f"freeze: secondary, {STREAM}"
    assert "socket-buffers" in ids("split", fault, overrides=("guest.dirty.pages=4000",))
    assert "socket-buffers" not in ids("split", fault)


def test_a_case_that_does_not_apply_leaves_nothing_out() -> None:
    """Where nothing was simulated nothing is said of the model."""
    assert not ids("qsb", "freeze: primary, at: {checkpoint: 3, step: 'primary: device save'}")


def test_a_scenario_with_clients_does_not_leave_them_out() -> None:
    """What clients see is simulated where a scenario has a service, and then not left out."""
    killed = scenario(f"kill: secondary, {STREAM}")
    served = killed.vary({"service": {"arrivals": {"poisson": "100 /s"}}})
    left = [[one.id for one in explain(given, "split").left_out] for given in (killed, served)]
    assert left == [["clients", "resident"], ["resident"]]


def test_sockets_of_the_proxy_are_left_out_where_answers_are_compared() -> None:
    """What waited in the mirror is executed late by a secondary that goes on: no run shows it."""
    clients = ("service.arrivals.regular=20 /s",)
    lasting = f"freeze: secondary, {BEFORE_STOP}"
    fault = f"{lasting}, for: 1 s"
    assert "proxy-sockets" in ids("split", fault, overrides=clients)
    assert "proxy-sockets" in ids("split", "freeze: mirror, at: 1 s, for: 1 s", overrides=clients)
    assert "proxy-sockets" not in ids("split", lasting, overrides=clients)
    assert "proxy-sockets" not in ids("split", fault)
    assert "proxy-sockets" not in ids("remus", "freeze: secondary, at: 1 s", overrides=clients)
