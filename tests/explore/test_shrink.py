"""The smallest scenario that shows a verdict, and from what value on it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from colosim.designs import load_designs
from colosim.designs.messages import PAGE_WIRE_BYTES
from colosim.explore.cases import case_scenario
from colosim.explore.choices import ChoicesError
from colosim.explore.shrink import (
    check_key,
    name_of,
    shrink,
    threshold,
    verdict_of,
)
from colosim.scenario import FixedDirty, loads
from tests.checkers.wrong_designs import Eager

if TYPE_CHECKING:
    from colosim.scenario import Scenario

FROZEN_FIRST = "step=VMSTATE_SEND, when=before, fault=freeze"


@pytest.fixture
def frozen(conditions: Scenario) -> Scenario:
    """Return the case in which `split`'s secondary reads nothing of the checkpoint's data."""
    return case_scenario(conditions, FROZEN_FIRST, ["split"])


def test_split_hangs_from_the_page_that_the_buffers_do_not_take(frozen: Scenario) -> None:
    """Buffers of 4 MiB and 2 MiB take 47 times 32 pages, not 48 times; what is left has no lock."""
    found = threshold(frozen, "split", "hung", "guest.dirty")
    assert str(found) == ("guest.dirty: hung from 1536 pages on; at 1535 pages it is failed_over")
    assert 47 * 32 * PAGE_WIRE_BYTES < 6 << 20 < 48 * 32 * PAGE_WIRE_BYTES


def test_a_verdict_may_end_where_a_key_grows(frozen: Scenario) -> None:
    """Buffers that take the whole stream do not hang: the bound is above the scenario's value."""
    found = threshold(frozen, "split", "hung", "network.receive_buffer")
    assert not found.rises
    assert found.otherwise == "failed_over"
    stream = 4096 * PAGE_WIRE_BYTES
    assert abs(int(found.shows.removesuffix(" B")) + (4 << 20) - stream) < PAGE_WIRE_BYTES


def test_a_verdict_that_every_value_shows_is_said_so(conditions: Scenario) -> None:
    """`qemu-5.1`'s secondary waits with its lock for a frozen primary however little is dirty."""
    case = case_scenario(conditions, "step=bitmap sync, fault=freeze, victim=primary", ["qemu-5.1"])
    found = threshold(case, "qemu-5.1", "hung", "guest.dirty")
    assert str(found) == "guest.dirty: hung at every value tried, 0 pages to 32768 pages"


@pytest.mark.slow
def test_no_run_is_tried_that_is_too_long(conditions: Scenario) -> None:
    """A verdict that every length shows is looked for up to ten thousand checkpoints."""
    far = conditions.vary({"horizon": "100000 s"})
    case = case_scenario(far, "step=bitmap sync, fault=disconnect", ["qsb"])
    said = threshold(case, "qsb", "completed", "checkpoints")
    assert str(said) == "checkpoints: completed at every value tried, 2 to 10000"


@pytest.mark.parametrize("key", ["guest.dirt", "manager.policy", "network.nagle", "guest"])
def test_what_is_no_quantity_cannot_be_varied(frozen: Scenario, key: str) -> None:
    """A key that is unknown, a word, a truth value or a section is refused."""
    with pytest.raises(ChoicesError, match="is no"):
        threshold(frozen, "split", "hung", key)


def test_a_rate_is_taken_as_a_number_of_pages(conditions: Scenario) -> None:
    """``guest.dirty`` means fixed pages, also where the scenario has a rate."""
    text = "{rate: 20000 pages/s, working_set: 16384 pages}"
    scenario = loads(
        "name: r\nguest: {ram: 128 MiB, dirty: " + text + "}\n"
        "network: {preset: lab-veth, send_buffer: 4 MiB, receive_buffer: 2 MiB}"
    )
    found = threshold(
        case_scenario(scenario, FROZEN_FIRST, ["split"]), "split", "hung", "guest.dirty"
    )
    assert found.shows == "1536 pages"


@pytest.mark.slow
def test_the_smallest_scenario_still_shows_it(frozen: Scenario) -> None:
    """Only what the hang needs is left, in simple values; shrinking that changes nothing."""
    smallest = shrink(frozen, "split", "hung")
    scenario = loads(smallest.text, known_designs=tuple(load_designs()))
    assert verdict_of(scenario, "split") == "hung"
    assert scenario.expect["split"]["verdict"].text == "hung"
    assert len(smallest.text.splitlines()) <= 14
    assert "hosts" not in smallest.text
    assert scenario.faults[0].at_checkpoint == 0
    assert shrink(scenario, "split", "hung").text == smallest.text


@pytest.mark.slow
def test_the_smallest_scenario_of_a_remedied_design_has_a_name(conditions: Scenario) -> None:
    """A name may have no ``+`` and no ``=``; the design keeps its own."""
    design = "split+nodelay+socket-buffers=4MiB"
    case = case_scenario(conditions, FROZEN_FIRST, [design])
    smallest = shrink(case, design, "hung")
    scenario = loads(smallest.text, known_designs=tuple(load_designs()))
    assert scenario.name == smallest.name == f"shortest-hung-{design}".translate({43: "-", 61: "-"})
    assert scenario.designs == (design,)


def test_names_of_many_remedies_stay_apart() -> None:
    """A name that would be too long is cut, and differs where the design does."""
    designs = [f"split+yank+nodelay+ram-outside-lock+send-timeout={n}s" * 3 for n in (1, 2)]
    one, other = (name_of(design, "hung") for design in designs)
    assert one != other
    assert len(one) <= 100


def test_a_verdict_is_judged_as_the_exploration_judges(
    frozen: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What only the safety checkers see is a violation here too, and can be shrunk."""
    monkeypatch.setattr("colosim.runs.simulation.design_of", lambda _name: Eager)
    quiet = frozen.model_copy(update={"faults": ()})
    assert verdict_of(quiet, "split") == "violated"
    assert "verdict: violated" in shrink(quiet, "split", "violated").text


@pytest.mark.parametrize(
    ("key", "bounds"),
    [
        ("manager.timeout", ("1 s", "1000000 s")),
        ("manager.heartbeat", ("1 ns", "3 s")),
        ("warmup", ("0", "3")),
        ("network.ack_tick", ("1 ns", "1 s")),
    ],
)
def test_only_values_that_a_scenario_may_have_are_tried(
    frozen: Scenario, key: str, bounds: tuple[str, str]
) -> None:
    """The search ends where the scenario's own checks would refuse it."""
    found = threshold(frozen, "split", "hung", key)
    assert (found.shows, found.tried) == bounds


def test_ram_is_tried_in_whole_pages(frozen: Scenario) -> None:
    """RAM is at least what is dirty, and has no half pages."""
    dirty = FixedDirty(pages=1600)
    guest = frozen.guest.model_copy(update={"dirty": dirty})
    found = threshold(frozen.model_copy(update={"guest": guest}), "split", "hung", "guest.ram")
    assert found.shows == "6400 KiB"
    text = f"name: r\nguest: {{ram: {found.tried}, dirty: {{pages: 1600}}}}"
    assert loads(text).guest.ram_bytes % 4096 == 0


def test_a_key_is_checked_without_a_run(frozen: Scenario) -> None:
    """A key that cannot be varied is refused before anything is searched."""
    check_key(frozen, "guest.dirty")
    with pytest.raises(ChoicesError, match=r"'guest\.dirt' is no key"):
        check_key(frozen, "guest.dirt")


def test_what_does_not_show_a_verdict_cannot_be_shrunk(frozen: Scenario) -> None:
    """A scenario must show the verdict that its smaller ones shall show."""
    with pytest.raises(ValueError, match="does not end stopped"):
        shrink(frozen, "split", "stopped")
