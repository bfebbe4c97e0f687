"""Combinations of values that cannot be: each check names the keys and says what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from colosim.scenario.model import (
    FixedDirty,
    HotColdDirty,
    MeasuredDirty,
    RandomMoment,
    RateDirty,
    Scenario,
    StepMoment,
    Watch,
    WriteLoad,
)
from colosim.scenario.units import SIZE, TIME, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Conflict", "Path", "conflicts"]

Path: TypeAlias = tuple[str | int, ...]
"""Keys and list positions from the root of a scenario to a value, by their YAML names."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Values that cannot stand together; ``paths`` has the keys, the one to point at first."""

    paths: tuple[Path, ...]
    message: str


def conflicts(scenario: Scenario) -> Iterator[Conflict]:
    """Yield every impossible combination of ``scenario``."""
    yield from _length(scenario)
    yield from _designs(scenario)
    yield from _memory(scenario)
    yield from _network(scenario)
    yield from _manager(scenario)
    yield from _faults(scenario)
    yield from _liveness(scenario)


def _length(scenario: Scenario) -> Iterator[Conflict]:
    checkpoints, duration = scenario.checkpoints, scenario.duration_ns
    if checkpoints is not None and duration is not None:
        yield Conflict(
            (("duration",), ("checkpoints",)),
            "both checkpoints and duration are given; expected one length of the run",
        )
    elif checkpoints is not None and scenario.warmup >= checkpoints:
        yield Conflict(
            (("warmup",), ("checkpoints",)),
            f"warmup {scenario.warmup} leaves none of the {checkpoints} checkpoints for"
            f" the statistics; expected at most {checkpoints - 1}",
        )


def _designs(scenario: Scenario) -> Iterator[Conflict]:
    seen: set[str] = set()
    for index, design in enumerate(scenario.designs):
        if design in seen:
            yield Conflict((("designs", index),), f"the design '{design}' is listed twice")
        seen.add(design)
    for section, stated in (("expect", scenario.expect), ("measured", scenario.measured)):
        for design in stated:
            if design not in scenario.designs and (section, design) != ("expect", "*"):
                listed = ", ".join(scenario.designs)
                yield Conflict(
                    ((section, design), ("designs",)),
                    (
                        f"'{design}' has an entry under {section} but is not among the "
                        f"designs of the scenario: {listed}"
                    ),
                )


def _memory(scenario: Scenario) -> Iterator[Conflict]:
    guest = scenario.guest
    ram, pages = ("guest", "ram"), guest.ram_pages
    shown = f"RAM of {text_of(guest.ram_bytes, SIZE)} ({pages} pages)"
    if guest.ram_bytes % 4096:
        yield Conflict(
            (ram,), f"guest RAM of {guest.ram_bytes} bytes is not a whole number of pages of 4 KiB"
        )
    dirty, path = guest.dirty, ("guest", "dirty")
    if isinstance(dirty, FixedDirty) and dirty.pages > pages:
        yield Conflict(
            ((*path, "pages"), ram),
            f"{dirty.pages} dirty pages do not fit into the guest's {shown}",
        )
    elif isinstance(dirty, RateDirty):
        yield from _fits(dirty, path, pages, shown)
    elif isinstance(dirty, HotColdDirty):
        apart = [
            *_fits(dirty.hot, (*path, "hot"), pages, shown),
            *_fits(dirty.cold, (*path, "cold"), pages, shown),
        ]
        yield from apart
        both = dirty.hot.working_set_pages + dirty.cold.working_set_pages
        if not apart and both > pages:
            yield Conflict(
                ((*path, "cold", "working_set"), (*path, "hot", "working_set"), ram),
                f"hot and cold set together have {both} pages, more than the guest's {shown}",
            )
    elif isinstance(dirty, MeasuredDirty) and max(dirty.measured_pages) > pages:
        yield Conflict(
            ((*path, "csv"), ram),
            (
                f"the measured {max(dirty.measured_pages)} dirty pages do not fit into the "
                f"guest's {shown}"
            ),
        )


def _fits(load: WriteLoad, path: Path, pages: int, shown: str) -> Iterator[Conflict]:
    if load.working_set_pages > pages:
        yield Conflict(
            ((*path, "working_set"), ("guest", "ram")),
            (
                f"a working set of {load.working_set_pages} pages does not fit into the "
                f"guest's {shown}"
            ),
        )


def _network(scenario: Scenario) -> Iterator[Conflict]:
    network = scenario.network
    for key, buffer in (
        ("send_buffer", network.send_buffer_bytes),
        ("receive_buffer", network.receive_buffer_bytes),
    ):
        if buffer < network.mss_bytes:
            yield Conflict(
                (("network", key), ("network", "mss")),
                (
                    f"a {key} of {buffer} bytes does not hold one segment of "
                    f"{network.mss_bytes} bytes (mss)"
                ),
            )
    phase, tick = network.ack_tick_phase_ns, network.ack_tick_ns
    if phase is not None and phase >= tick:
        yield Conflict(
            (("network", "ack_tick_phase"), ("network", "ack_tick")),
            (
                f"an ack_tick_phase of {text_of(phase, TIME)} is not below the ack_tick of "
                f"{text_of(tick, TIME)}"
            ),
        )


def _manager(scenario: Scenario) -> Iterator[Conflict]:
    manager = scenario.manager
    said: list[tuple[int, int]] = []
    for side in ("", "primary", "secondary"):
        own = (getattr(manager, side) or Watch()) if side else manager
        watch = manager.watch(side) if side else (manager.heartbeat_ns, manager.timeout_ns)
        heartbeat_ns, timeout_ns = watch
        if timeout_ns >= heartbeat_ns or watch in said:
            continue
        said.append(watch)
        here, there = ("manager", side) if side else ("manager",), ("manager",)
        yield Conflict(
            (
                (*(there if own.timeout_ns is None else here), "timeout"),
                (*(there if own.heartbeat_ns is None else here), "heartbeat"),
            ),
            f"a timeout of {text_of(timeout_ns, TIME)} is shorter than the"
            " heartbeat period of"
            f" {text_of(heartbeat_ns, TIME)}: every host would be taken for lost",
        )


def _faults(scenario: Scenario) -> Iterator[Conflict]:
    for index, fault in enumerate(scenario.faults):
        where: Path = ("faults", index)
        if fault.kind == "fail" and fault.target == "primary" and fault.concerns == "device load":
            yield Conflict(
                ((*where, "what"),),
                "the device load is the secondary's; expected 'device save' or 'RAM save'",
            )
        elif (
            fault.kind == "fail" and fault.target == "secondary" and fault.concerns != "device load"
        ):
            yield Conflict(
                ((*where, "what"),),
                f"the {fault.concerns} is the primary's; expected 'device load'",
            )
        if isinstance(fault.at, StepMoment):
            length = scenario.checkpoints
            if length is not None and fault.at.checkpoint >= length:
                yield Conflict(
                    ((*where, "at", "checkpoint"), ("checkpoints",)),
                    (
                        f"checkpoint {fault.at.checkpoint} never comes: the run has {length}, "
                        "counted from 0"
                    ),
                )
            continue
        key, end = _end(scenario)
        if fault.at_ns is not None and fault.at_ns > end:
            yield Conflict(
                ((*where, "at"), (key,)),
                (
                    f"the fault at {text_of(fault.at_ns, TIME)} is after the end of the run "
                    f"({key} {text_of(end, TIME)})"
                ),
            )
    yield from _random_streams(scenario)


def _random_streams(scenario: Scenario) -> Iterator[Conflict]:
    """Two faults that are to strike at random apart from each other need streams of their own."""
    unnamed: dict[str, int] = {}
    for index, fault in enumerate(scenario.faults):
        if not isinstance(fault.at, RandomMoment) or fault.at.stream is not None:
            continue
        name = fault.stream
        assert name is not None  # noqa: S101 - it is random
        if name in unnamed:
            yield Conflict(
                (("faults", index, "at"), ("faults", unnamed[name], "at")),
                (
                    f"two faults '{name}' at random moments would strike together; "
                    "expected a stream: of its own for one of them (or the same for both, if "
                    "that is meant)"
                ),
            )
        unnamed.setdefault(name, index)


def _liveness(scenario: Scenario) -> Iterator[Conflict]:
    limits = scenario.liveness
    if limits is None:
        return
    key, end = _end(scenario)
    judged = limits.until_ns + limits.within_ns
    if judged > end:
        yield Conflict(
            (("liveness", "within"), (key,)),
            f"the liveness limit ends at {text_of(judged, TIME)}, after the end of the run "
            f"({key} {text_of(end, TIME)})",
        )
    for index, fault in enumerate(scenario.faults):
        if fault.at_ns is not None and fault.at_ns >= limits.until_ns:
            yield Conflict(
                (("faults", index, "at"), ("liveness", "until")),
                f"the fault at {text_of(fault.at_ns, TIME)} is not before the end of all faults "
                f"(liveness.until {text_of(limits.until_ns, TIME)})",
            )


def _end(scenario: Scenario) -> tuple[str, int]:
    if scenario.duration_ns is not None:
        return "duration", scenario.duration_ns
    return "horizon", scenario.horizon_ns
