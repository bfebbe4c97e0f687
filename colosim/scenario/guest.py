"""The guest of a scenario: its memory, and how it dirties it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

from pydantic import Field

from colosim.scenario import units
from colosim.scenario.checks import Conflict, Path, check, entries
from colosim.scenario.fields import (
    PAGES_MAX,
    SIZE_BYTES_MAX,
    TIME_NS_MAX,
    Choice,
    Measure,
    Share,
    TimeAbove0,
    TimeOrNone,
)
from colosim.scenario.measured_values import COLUMN_NAME, FromColumn, Values
from colosim.scenario.section import Example, Forms, Section
from colosim.scenario.units import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_Need: TypeAlias = tuple[Path, int, str]
"""Key, pages of RAM that it needs, and how the message begins if there are not so many of them."""
BURSTS_APART_NS_MIN = 10**6
"""Each burst is drawn: closer ones would take as long to simulate as they are many."""
_PageRate = Annotated[int, Measure(units.DIRTY_RATE, 0, 10**12)]


class Phase(Section):
    """A time with a rate of its own."""

    example = "{for: 10 s, rate: 50000 pages/s}"

    for_ns: TimeOrNone = None
    """How long it lasts; only the last may leave it out, which then never ends."""
    rate_pages_per_s: _PageRate
    """Page writes a second while the guest runs."""


class Bursts(Section):
    """Times with more writes than the rate says, at random."""

    example = "{every: 20 s, for: 2 s, factor: 4}"

    every_ns: Annotated[int, Measure(units.TIME, BURSTS_APART_NS_MIN, TIME_NS_MAX)]
    """From the end of one to the next, in the mean: exponentially distributed, from the seed."""
    for_ns: TimeAbove0
    """How long each lasts."""
    factor_ppm: Annotated[int, Measure(units.FACTOR, 0, 10**9)]
    """What the rate is multiplied by meanwhile."""


class WriteLoad(Section):
    """Writes at a rate over a working set.

    Phases and bursts are in the guest's own time, which stands while it is stopped: QEMU's vm_stop
    disables its clock (cpu_disable_ticks).
    """

    example = "{rate: 50000 pages/s, working_set: 96 MiB}"

    rate_pages_per_s: Annotated[int | None, Measure(units.DIRTY_RATE, 0, 10**12)] = None
    """Page writes a second while the guest runs; or phases, each with its own."""
    phases: Annotated[
        tuple[Phase, ...],
        Field(max_length=1000),
        Example("[{for: 10 s, rate: 500 pages/s}, ...]"),
    ] = ()
    """Rates one after the other, from the start again after the last, unless that has no end."""
    bursts: Bursts | None = None
    """Times at random in which it writes more."""
    working_set_pages: Annotated[int, Measure(units.WORKING_SET, 1, PAGES_MAX)]
    """Pages that the writes fall on."""
    pattern: Annotated[str, Choice(("round-robin", "uniform"), "a write pattern")] = "round-robin"
    """round-robin: each page in turn; uniform: each write to a random page of the working set."""

    def needs(self) -> Iterator[_Need]:
        """Yield what has to fit into RAM."""
        yield (
            ("working_set",),
            self.working_set_pages,
            "a working set of {} pages does not fit into",
        )

    @check("rate", "phases")
    def _has_rate_or_phases(self) -> Iterator[str]:
        if (self.rate_pages_per_s is None) != bool(self.phases):
            given = "both rate and phases are" if self.phases else "neither rate nor phases is"
            yield f"{given} given; expected one of them"

    @check("phases")
    def _ends_every_phase_but_the_last(self) -> Iterator[Conflict]:
        for index, phase in entries(self.phases[:-1]):
            if phase.for_ns is None:
                message = "a phase without an end ('for') can only be the last"
                yield Conflict(message, (("phases", index),))

    @property
    def varies(self) -> bool:
        """Whether the rate is another at another time."""
        return bool(self.phases or self.bursts)


class FixedDirty(Section):
    """The same number of dirty pages at every checkpoint."""

    example = "{pages: 2000}"

    pages: Annotated[int, Measure(units.PAGES, 0, PAGES_MAX)] = 2000
    """Dirty pages a checkpoint."""

    def needs(self) -> Iterator[_Need]:
        """Yield what has to fit into RAM."""
        yield ("pages",), self.pages, "{} dirty pages do not fit into"


class RateDirty(WriteLoad):
    """Dirty pages from one write load."""

    @property
    def loads(self) -> tuple[WriteLoad, ...]:
        """The write loads of the guest."""
        return (self,)


class HotColdDirty(Section):
    """Dirty pages from two write loads on separate parts of RAM."""

    hot: WriteLoad
    """The small set that is written often."""
    cold: WriteLoad
    """The large set that is written seldom."""

    @property
    def loads(self) -> tuple[WriteLoad, ...]:
        """The write loads of the guest."""
        return self.hot, self.cold

    def needs(self) -> Iterator[_Need]:
        """Yield what has to fit into RAM: each set, then both."""
        for key, load in (("hot", self.hot), ("cold", self.cold)):
            for path, pages, words in load.needs():
                yield (key, *path), pages, words
        both = self.hot.working_set_pages + self.cold.working_set_pages
        yield ("cold", "working_set"), both, "hot and cold set together have {} pages, more than"


class MeasuredDirty(FromColumn):
    """Dirty pages as measured, one a checkpoint, from the start again when they are used up."""

    values_name = "measured_pages"
    one = Measure(units.PAGES, 0, PAGES_MAX)

    column: Annotated[str, COLUMN_NAME] = "dirty_pages"
    """Column that has the dirty pages of each checkpoint."""
    measured_pages: Annotated[tuple[int, ...], Values(one)] = Field(alias="values")
    """The measured values; read from the file unless they stand here already."""

    def needs(self) -> Iterator[_Need]:
        """Yield what has to fit into RAM."""
        yield ("csv",), max(self.measured_pages), "the measured {} dirty pages do not fit into"


def _form(value: object) -> type[Section]:
    """Return the form that the keys of plain data are of."""
    keys = value.keys() if isinstance(value, dict) else ()
    if {"hot", "cold"} & set(keys):
        return HotColdDirty
    if {"csv", "column", "values", "measured_pages"} & set(keys):
        return MeasuredDirty
    rate = {"rate", "working_set", "pattern", "rate_pages_per_s", "working_set_pages"}
    rate |= {"phases", "bursts"}
    return RateDirty if rate & set(keys) else FixedDirty


class Guest(Section):
    """The virtual machine that the pair protects."""

    example = "{ram: 4 GiB}"

    ram_bytes: Annotated[int, Measure(units.SIZE, units.PAGE_BYTES, SIZE_BYTES_MAX)] = 1 << 30
    """Guest RAM; whole pages of 4 KiB."""
    vcpus: Annotated[int, Measure(units.COUNT, 1, 4096)] = 1
    """Virtual CPUs. No cost depends on them: see device_state and vm_stop."""
    device_state_bytes: Annotated[int, Measure(units.SIZE, 1, 1 << 40)] = 12_665
    """Device state a checkpoint. Default: measured, minimal PC machine with one vCPU."""
    vmdesc_bytes: Annotated[int, Measure(units.SIZE, 0, 1 << 40)] = 106_159
    """JSON description and stream header that qsb and flat send each time. Default: measured."""
    zero_share_ppm: Share = 0
    """Share of the dirty pages that are zero (9 bytes on the wire)."""
    dirty: Annotated[
        FixedDirty | RateDirty | HotColdDirty | MeasuredDirty,
        Forms(_form, FixedDirty, RateDirty, HotColdDirty, MeasuredDirty),
    ] = FixedDirty.model_construct()
    """Pages dirtied between two checkpoints: pages; rate or phases, working_set, pattern, bursts;
    hot, cold; or csv.
    """
    late_writes_pages_per_s: _PageRate = 0
    """Pages a second that QEMU's main loop writes into the stopped primary guest whenever the
    iothread lock is free. Assumed 0: stopping the guest drains its devices.
    """

    @classmethod
    def advice(cls, key: str) -> str:
        """Say what is meant by a size of memory here."""
        return "is unknown under guest; did you mean 'ram'?" if key == "memory" else ""

    @property
    def ram_pages(self) -> int:
        """Guest RAM in pages of 4 KiB."""
        return self.ram_bytes // units.PAGE_BYTES

    @property
    def _shown_ram(self) -> str:
        return f"the guest's RAM of {text_of(self.ram_bytes, units.SIZE)} ({self.ram_pages} pages)"

    @check("ram")
    def _is_whole_pages(self) -> Iterator[str]:
        if self.ram_bytes % units.PAGE_BYTES:
            ram = self.ram_bytes
            yield f"guest RAM of {ram} bytes is not a whole number of pages of 4 KiB"

    @check("ram", "dirty")
    def _holds_what_is_dirtied(self) -> Iterator[Conflict]:
        found = [
            Conflict(f"{words.format(pages)} {self._shown_ram}", (("dirty", *path), ("ram",)))
            for path, pages, words in self.dirty.needs()
            if pages > self.ram_pages
        ]
        # The sum of all comes last, and says nothing new where a part of it does not fit.
        yield from found[:-1] or found


def has_bursts(guest: Guest) -> bool:
    """Tell whether the guest writes in bursts."""
    dirty = guest.dirty
    return isinstance(dirty, (RateDirty, HotColdDirty)) and any(one.bursts for one in dirty.loads)
