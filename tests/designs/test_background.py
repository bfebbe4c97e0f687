"""Pages sent while the guests run: ``gap-migration`` and ``migrate-first``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import colosim
from colosim.designs import load_design
from colosim.designs.background import PASSES, Ahead
from colosim.engine.streams import Streams
from colosim.errors import DesignError
from colosim.host.guest import dirty_pages
from colosim.runs.run import simulate
from colosim.runs.simulation import Simulation
from colosim.scenario import loads

if TYPE_CHECKING:
    from colosim.runs.run import Run
    from colosim.scenario import Scenario

CONDITIONS = """
name: background
checkpoints: 2
checkpoint_delay: 1500 ms
guest: {ram: 128 MiB, dirty: {rate: 2000 pages/s, working_set: 16 MiB, pattern: uniform}}
hosts: {preset: kvm-xeon, secondary: {accelerator: tcg}}
network: {preset: 10gbe, nagle: false}
"""
FORMS = ("migrate-first", "gap-migration")


def scenario(*overrides: str) -> Scenario:
    """Return a guest that has 2,107 pages dirty after 1.5 s, with keys set."""
    return loads(CONDITIONS, overrides=overrides)


def ran(design: str, *overrides: str) -> Run:
    """Run a design under these conditions."""
    return simulate(scenario(*overrides), design)


def said(run: Run, begin_ns: int, end_ns: int) -> list[str]:
    """Return what happened from one time to another, but for memory and waits."""
    events = run.events
    some = events[(events.time_ns >= begin_ns) & (events.time_ns < end_ns)]
    return [
        f"{(at - begin_ns) / 1000:.0f} {event} {value}"
        for at, event, value in zip(some.time_ns, some.event, some.value, strict=True)
        if "memory" not in event and "waited" not in event and "waits" not in event
    ]


def test_migrate_first_sends_pages_before_the_request() -> None:
    """The whole log from the timer to the stop: synchronise, one pass, look again, request."""
    run = ran("qemu-5.1+migrate-first=4MiB", "checkpoints=1")
    assert said(run, 1_500_000_000, 1_511_880_000) == [
        "0 primary: iothread lock got by checkpoint thread for save 0",
        "47 primary: bitmap sync 47000",
        "47 primary: iothread lock released by checkpoint thread for save 47000",
        "47 primary: sends MIGRATE_RAM_BACKGROUND 4",
        "47 primary: background stream begins 4202496",
        "112 secondary: receives MIGRATE_RAM_BACKGROUND 4",
        "802 primary: background stream ends 4202496",
        "802 primary: background stream begins 4202496",
        "3647 primary: background stream ends 4202496",
        "3647 primary: background stream begins 324235",
        "3923 primary: background stream ends 324235",
        "3923 primary: background pages 2127",
        "3923 primary: iothread lock got by checkpoint thread for save 0",
        "3970 primary: bitmap sync 47000",
        "3970 primary: iothread lock released by checkpoint thread for save 47000",
        "3970 primary: sends CHECKPOINT_REQUEST 4",
        "5264 secondary: background load ends 4202496",
        "10415 secondary: background load ends 4202496",
        "10813 secondary: background load ends 324235",
        "10813 secondary: receives CHECKPOINT_REQUEST 4",
        "10813 secondary: iothread lock got by COLO incoming thread for stop 0",
        "11283 secondary: stop 470000",
        "11283 secondary: guest stopped 1511282702",
        "11283 secondary: iothread lock released by COLO incoming thread for stop 470000",
        "11283 secondary: sends CHECKPOINT_REPLY 4",
        "11348 primary: receives CHECKPOINT_REPLY 4",
        "11348 primary: iothread lock got by checkpoint thread for stop 0",
        "11818 primary: stop 470000",
        "11818 primary: guest stopped 1511817702",
        "11818 primary: iothread lock released by checkpoint thread for stop 470000",
        "11818 primary: iothread lock got by checkpoint thread for save 0",
        "11818 primary: sends VMSTATE_SEND 4",
    ]


def test_gap_migration_sends_pages_each_second() -> None:
    """The whole log of the first look: synchronise, one pass, and on with the wait."""
    run = ran("qemu-5.1+gap-migration=4MiB", "checkpoints=1")
    assert said(run, 1_000_000_000, 1_499_000_000) == [
        "0 primary: iothread lock got by checkpoint thread for save 0",
        "47 primary: bitmap sync 47000",
        "47 primary: iothread lock released by checkpoint thread for save 47000",
        "47 primary: sends MIGRATE_RAM_BACKGROUND 4",
        "47 primary: background stream begins 4202496",
        "112 secondary: receives MIGRATE_RAM_BACKGROUND 4",
        "780 primary: background stream ends 4202496",
        "780 primary: background stream begins 2294155",
        "2003 primary: background stream ends 2294155",
        "2003 primary: background pages 1583",
        "5264 secondary: background load ends 4202496",
        "8076 secondary: background load ends 2294155",
    ]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("design", ["qemu-3.1", "qemu-5.1"])
def test_pages_that_were_sent_are_not_sent_again_but_flushed(design: str, form: str) -> None:
    """A checkpoint sends what was written since, and flushes what was sent before it too."""
    plain, run = ran(design), ran(f"{design}+{form}=1MiB")
    assert (run.checkpoints.dirty_pages < plain.checkpoints.dirty_pages).all()
    assert (run.checkpoints.flush_pages >= plain.checkpoints.flush_pages).all()
    assert (run.checkpoints.pause_ns < plain.checkpoints.pause_ns).all()


@pytest.mark.parametrize("form", FORMS)
def test_a_fixed_number_of_pages_is_dirty_again_at_once(form: str) -> None:
    """A guest that has so many pages dirty however short it ran is spared nothing."""
    fixed = "guest.dirty.pages=3000"
    plain, run = ran("qemu-5.1", fixed), ran(f"qemu-5.1+{form}=1MiB", fixed)
    assert run.checkpoints.dirty_pages.tolist() == plain.checkpoints.dirty_pages.tolist()
    assert run.summary["wire_bytes"] > 2 * plain.summary["wire_bytes"] * 0.9


@pytest.mark.parametrize("form", FORMS)
def test_nothing_is_sent_below_the_threshold(form: str) -> None:
    """With less dirty than the option says, the checkpoints are those of the plain design."""
    plain, run = ran("qemu-5.1"), ran(f"qemu-5.1+{form}=100MiB")
    assert not run.events.event.str.contains("background|MIGRATE").any()
    assert run.summary["wire_bytes"] == plain.summary["wire_bytes"]
    assert run.checkpoints.dirty_pages.tolist() == plain.checkpoints.dirty_pages.tolist()


def test_migrate_first_gives_up_after_ten_passes() -> None:
    """A guest that dirties pages faster than they are sent is stopped after ten passes."""
    fast = ("guest.dirty.rate=400000 pages/s", "guest.dirty.working_set=128 MiB", "checkpoints=1")
    events = ran("qemu-5.1+migrate-first=1MiB", *fast).events
    assert events.event.eq("primary: background pages").sum() == PASSES


def test_a_request_during_a_pass_begins_a_checkpoint_after_it() -> None:
    """What the comparison asks for while pages are sent is not lost."""
    simulation = Simulation(scenario("checkpoints=1"), "qemu-5.1+gap-migration=4MiB")
    primary, asked = simulation.primary, []
    simulation.env.call_at(1_001_000_000, lambda: asked.append(primary.notified()))
    simulation.run()
    assert asked == [True]
    assert primary.sent_at_ns["MIGRATE_RAM_BACKGROUND"] == 1_000_047_000
    assert primary.sent_at_ns["CHECKPOINT_REQUEST"] == 1_002_003_360


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("design", ["qemu-3.1", "qemu-5.1"])
@pytest.mark.parametrize("victim", ["primary", "secondary"])
@pytest.mark.parametrize("step", ["primary: background stream", "secondary: background load"])
def test_a_loss_in_mid_pass_hangs_nobody(design: str, form: str, victim: str, step: str) -> None:
    """Both monitors are free meanwhile, and the secondary's state is that of a checkpoint."""
    at = f"{{checkpoint: 1, step: '{step}', progress: 30%}}"
    for fault in ("freeze", "kill"):
        run = simulate(
            scenario(f"faults=[{{{fault}: {victim}, at: {at}}}]"),
            f"{design}+{form}=1MiB",
            tables=False,
        )
        survivor = "primary" if victim == "secondary" else "secondary"
        assert (run.verdict, run.summary["survivor"]) == ("failed_over", survivor)


def test_only_designs_of_their_time_have_it() -> None:
    """The options were patches of QEMU 5.0 and 5.1."""
    with pytest.raises(DesignError, match=r"qemu-3\.1, qemu-5\.1 can"):
        load_design("qemu-11+gap-migration")


def test_arrays_refuse_it_by_name() -> None:
    """How many parts a pass has is not the same at every point."""
    axes: dict[str, list[object]] = {"checkpoint_delay": ["50 ms"]}
    frame = colosim.grid(scenario(), axes, designs=["qemu-5.1+migrate-first=1MiB"])
    assert frame["exact"].tolist() == ["pages sent between checkpoints"]


LOADS = st.fixed_dictionaries(
    {
        "rate": st.integers(0, 100_000).map("{} pages/s".format),
        "working_set": st.integers(1, 4000).map("{} pages".format),
        "pattern": st.sampled_from(["uniform", "round-robin"]),
    }
)


@given(load=LOADS, looks=st.lists(st.integers(1, 300), max_size=5), sends=st.integers(0, 4000))
@settings(max_examples=40)
def test_what_is_sent_is_clean_until_it_is_written(
    load: dict[str, Any], looks: list[int], sends: int
) -> None:
    """At most what was sent is spared; a look without a pass changes nothing."""
    given_load = scenario().vary({f"guest.dirty.{key}": value for key, value in load.items()})
    dirtied = dirty_pages(given_load.guest, Streams(0))
    ahead, at_ns, sent = Ahead(dirtied), 0, 0
    for look in looks:
        at_ns += look * 10**6
        ahead.look(0, 0, at_ns)
        assert ahead.left == ahead.dirty_after(0, 0, at_ns) >= 0
        part = min(sends, ahead.left)
        ahead.send(part)
        sent += part
    whole = dirtied(0, 0, at_ns + 10**7)
    assert whole - sent <= ahead.dirty_after(0, 0, at_ns + 10**7) <= whole


def test_round_robin_writes_first_what_was_sent_last_of_all() -> None:
    """A writer in turn comes back to a page that was sent when it has been all round."""
    writer = {"rate": "1000 pages/s", "working_set": "1000 pages", "pattern": "round-robin"}
    given_load = scenario().vary({f"guest.dirty.{key}": value for key, value in writer.items()})
    ahead = Ahead(dirty_pages(given_load.guest, Streams(0)))
    ahead.look(0, 0, 500 * 10**6)
    ahead.send(ahead.left)
    assert [ahead.dirty_after(0, 0, ms * 10**6) for ms in (500, 900, 1000, 1250)] == [
        0,
        400,
        500,
        750,
    ]
