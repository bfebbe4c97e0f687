"""Run directories of imported logs as measured runs: what a fit of costs learns from.

A log tells times and pages.  What it does not tell (guest RAM, accelerator, link) is what was said
at the import; else it is assumed, and named.  The rate of a link that was not named is estimated
from the RAM streams, if these are slower than the hosts could be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from colosim.engine.clock import NS_PER_S
from colosim.errors import LogError
from colosim.measured.events import OF_MONITOR
from colosim.measured.measurement import LATENCY_NS, Conditions, MeasuredRun, checkpoints_of
from colosim.measured.recording import options_for
from colosim.measured.stage_formulas import PAGE_STREAM_BYTES
from colosim.runs.stored import read_manifest, read_run
from colosim.scenario.presets import KVM
from colosim.scenario.units import BANDWIDTH, text_of
from colosim.trace.events import PRIMARY

if TYPE_CHECKING:
    from colosim.runs.run import Run
    from colosim.scenario import Scenario

PAYLOAD_BYTES, FRAME_BYTES = 1448, 1538
"""Of a frame on Ethernet, of a link that is estimated."""
SLOWER: Final = 2.0
"""The link is taken for slower than the hosts if a page takes so many times what these need."""
_APART: Final = 2.0
"""How far apart in pages two checkpoints are, as a ratio, between which a rate is measured."""
_ONE_LINK: Final = 1.25
"""Estimates of one link's rate from different runs are not further apart, as a ratio."""
_MOST: Final = 1_000


@dataclass(frozen=True, slots=True)
class OwnRun:
    """An imported run, and what its log did not tell and nobody stated."""

    run: MeasuredRun
    network_known: bool
    ram_known: bool
    accelerator: str | None


@dataclass(frozen=True, slots=True)
class Link:
    """What is assumed of a link that was not named: `bits_per_s`, None if the hosts are slower.

    `shown`: some log shows RAM streams.  `exact`: the rate was measured between checkpoints of
    different sizes.
    """

    bits_per_s: int | None
    exact: bool
    shown: bool

    def __str__(self) -> str:
        """Return what is said of it."""
        if not self.shown:
            return "not stated, and these logs do not show it: the primary's does"
        if self.bits_per_s is None:
            what = "not stated, and RAM moved as fast as hosts do: taken for unlimited"
            return f"{what} (state it at the import: --network PRESET)"
        rate = text_of(self.bits_per_s // 8, BANDWIDTH)
        how = "" if self.exact else " or a little more, since all checkpoints are of about one size"
        scenario = f"network: {{preset: 10gbe, bandwidth: {rate}}}"
        wrong = "if it was faster, the hosts are slow: state it (--network PRESET)"
        return f"not stated, estimated as {rate}{how}; in a scenario: {scenario}; {wrong}"


def read_own(path: str | PathLike[str]) -> OwnRun:
    """Return the run in the directory of an imported log.

    :raises LogError: if it is the directory of a simulated run, or shows pauses alone.
    :raises RunDirectoryError: if it is damaged.
    """
    source = read_manifest(Path(path)).get("source")
    if source is None:
        raise LogError(f"{path} is a simulated run: costs are fitted to real ones")
    if source["kind"] == OF_MONITOR:
        options = options_for(PRIMARY)
        raise LogError(
            f"{path}: a monitor's events show pauses alone; costs are fitted to traces, of a QEMU "
            f"started with {options}"
        )
    run = read_run(path)
    rows = _rows(run)
    for row in rows:
        if row["dirty_pages"] is None:  # of a secondary alone; what it flushes tells the size
            row["dirty_pages"] = row["flush_pages"]
    conditions = source.get("conditions")
    stated = run.scenario.model_fields_set
    made = MeasuredRun(
        name=run.scenario.name,
        design=run.design,
        qemu=source.get("qemu") or "",
        conditions=Conditions(**conditions) if conditions else conditions_of(run.scenario),
        checkpoints=checkpoints_of(rows),
        fault=None,
    )
    if conditions:
        return OwnRun(
            made,
            network_known=True,
            ram_known=True,
            accelerator=made.conditions.accelerator,
        )
    network = run.scenario.network
    return OwnRun(
        replace(made, way_ns=network.latency_ns if "network" in stated else LATENCY_NS),
        network_known="network" in stated,
        ram_known="ram_bytes" in run.scenario.guest.model_fields_set,
        accelerator=_accelerator(run.scenario),
    )


def _rows(run: Run) -> list[dict[str, Any]]:
    """Return the rows of its checkpoints, None where a cell is empty."""
    table = run.checkpoints
    columns = {
        str(name): list(cells)
        for name, cells in table.astype(object).where(table.notna(), None).items()
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _accelerator(scenario: Scenario) -> str | None:
    """Return what runs the guest on the hosts, if it was stated, itself or by a preset."""
    host = scenario.hosts.primary
    stated = "hosts" in scenario.model_fields_set
    return host.accelerator if stated else None


def conditions_of(scenario: Scenario) -> Conditions:
    """Return the conditions that were stated; what no fit asks for is left empty."""
    network = scenario.network
    stated = "network" in scenario.model_fields_set
    rate = network.bandwidth_bytes_per_s if stated else None
    framing = (network.payload_bytes, network.frame_bytes)
    payload, frame = framing if stated else (PAYLOAD_BYTES, FRAME_BYTES)
    return Conditions(
        ram_bytes=scenario.guest.ram_bytes,
        working_set_pages=0,
        write_rate=0,
        checkpoint_delay_ns=scenario.checkpoint_delay_ns,
        bandwidth_bits=None if rate is None else 8 * rate,
        burst_bytes=-(-network.burst_bytes * frame // payload) if stated else 0,
        payload_bytes=payload,
        frame_bytes=frame,
        latency_ns=0,
        congestion_control="",
        delayed_ack=network.delayed_ack,
        retries2=network.retries2,
        accelerator=_accelerator(scenario) or KVM,
    )


def links_of(runs: Sequence[MeasuredRun], costs: Mapping[str, float]) -> dict[str, Link]:
    """Return the link of each run, by its name; runs whose rates agree have one link.

    Parameters are those of `link_of`.
    """
    found = {run.name: link_of([run], costs) for run in runs}
    rates = sorted((rate, name) for name, link in found.items() if (rate := link.bits_per_s))
    while rates:
        least, _ = rates[0]
        names = [name for rate, name in rates if rate <= _ONE_LINK * least]
        common = link_of([run for run in runs if run.name in names], costs)
        found |= dict.fromkeys(names, common)
        rates = rates[len(names) :]
    return found


def link_of(runs: Sequence[MeasuredRun], costs: Mapping[str, float]) -> Link:
    """Return the link that the RAM streams of runs show; ``costs`` in ns are those of the hosts.

    A page takes what the median of the slopes between any two checkpoints is whose sizes differ
    (Theil and Sen's estimate), which no fixed time changes.
    """
    pages, times = [], []
    for run in runs:
        for one in run.counted():
            took = one.between("p_synced", "p_received")
            if took and one.dirty_pages:
                pages.append(one.dirty_pages)
                times.append(took)
    if not pages:
        return Link(None, exact=False, shown=False)
    step = -(-len(pages) // _MOST)
    many, took_ns = np.array(pages[::step], float), np.array(times[::step], float)
    apart = many[:, None] >= _APART * many[None, :]
    exact = bool(apart.any())
    if exact:
        later, earlier = np.nonzero(apart)
        slopes = (took_ns[later] - took_ns[earlier]) / (many[later] - many[earlier])
    else:
        slopes = took_ns / many
    page_ns = float(np.median(slopes))
    hosts_ns = max(
        costs["page_scan"] + PAGE_STREAM_BYTES * costs["socket_write"],
        costs["cache_load"] + PAGE_STREAM_BYTES * costs["socket_read"],
    )
    if page_ns <= SLOWER * hosts_ns:
        return Link(None, exact=exact, shown=True)
    wire = PAGE_STREAM_BYTES * FRAME_BYTES / PAYLOAD_BYTES
    megabits = 8 * wire * NS_PER_S / page_ns / 10**6
    digits = 10 ** max(0, len(str(int(megabits))) - 3)
    return Link(round(megabits / digits) * digits * 10**6, exact=exact, shown=True)


def completed(own: OwnRun, link: Link | None, accelerator: str) -> MeasuredRun:
    """Return the run with what nobody stated: this link, and what runs the guest."""
    conditions = own.run.conditions
    if own.accelerator is None:
        conditions = replace(conditions, accelerator=accelerator)
    if link is not None and not own.network_known:
        conditions = replace(conditions, bandwidth_bits=link.bits_per_s)
    return replace(own.run, conditions=conditions)
