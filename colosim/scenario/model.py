"""The scenario as the simulator sees it: immutable, complete, integers in base units.

Every attribute that is a quantity carries its unit in its name; the YAML key is the plain name
(``checkpoint_delay`` is `Scenario.checkpoint_delay_ns`). Defaults are those of QEMU and Linux where
they have one.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as MappingOf
from pathlib import Path as FilePath
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, Field, model_validator

from colosim.scenario import units
from colosim.scenario.bounds import Bound, Expectations
from colosim.scenario.canonical import plain_keys
from colosim.scenario.checks import Conflict, Path, check, conflicts, entries
from colosim.scenario.commands import Command
from colosim.scenario.disk import COMMANDS as DISK_COMMANDS
from colosim.scenario.disk import DISK, Disk, DiskOrNone
from colosim.scenario.document import Mapping, marked
from colosim.scenario.faults import (
    AnyFault,
    Planned,
    RandomMoment,
)
from colosim.scenario.fields import (
    NAME_PATTERN,
    Choice,
    Measure,
    Name,
    Text,
    Time,
    TimeAbove0,
    TimeOrNone,
    reject,
)
from colosim.scenario.guest import (
    Guest,
)
from colosim.scenario.hosts import Hosts
from colosim.scenario.liveness import Liveness
from colosim.scenario.manager import Manager
from colosim.scenario.memory import Memory
from colosim.scenario.network import Network
from colosim.scenario.overrides import override
from colosim.scenario.presets import DEFAULT_HOST, DEFAULT_NETWORK
from colosim.scenario.reading import Reading
from colosim.scenario.section import Example, Section
from colosim.scenario.service import COMPARED, DIRECT, HELD, SOCKETS, Output, Service
from colosim.scenario.spread import KINDS, NONE
from colosim.scenario.units import text_of
from colosim.trace.fields import SEED_MAX

DEFAULT_DESIGNS: Final = ("qsb", "split", "device-first", "flat", "qemu-5.1")
"""The designs that ship, in the order of tables."""
_OPTIONS_PATTERN: Final = r"(?:\+[a-z][a-z0-9-]*(?:=[A-Za-z0-9.]+)?)*"
"""What may follow a design's name: remedies, which the designs know."""
_Design = Annotated[
    str, Text("the name of a design, or one with remedies", NAME_PATTERN + _OPTIONS_PATTERN, 300)
]
_OF_COMPARISON: Final = {
    "service": ("divergence", "secondary_lag", "own_times", "request_bytes"),
    "output": ("timeout_ns", "scan_ns", "queue", "nodelay", "loopback_ns", "copy_ns"),
}
_TABLE: Final = "qemu25/old-ram512-n16384-bw0"
_Table = Annotated[
    str, Text(f"a measured table such as '{_TABLE}'", r"[A-Za-z0-9./][A-Za-z0-9._/-]*", 200)
]


class Scenario(Section):
    """One scenario: everything that a run depends on besides the design."""

    exclusive = (("checkpoints",), ("duration",))

    name: Name
    """Name of the scenario; run directories are called after it."""
    description: Annotated[str, Text("a text")] = ""
    """What the scenario shows."""
    designs: Annotated[tuple[_Design, ...], Example("[qsb, split]")] = Field(
        default=DEFAULT_DESIGNS, min_length=1
    )
    """Designs to run, in the order of tables."""
    seed: Annotated[int, Measure(units.COUNT, 0, SEED_MAX)] = 1
    """Seed of every random stream."""
    model: Annotated[str, Choice(("fast", "reference"), "a model of lock and network")] = "fast"
    """How lock and network are computed: in closed form, or ('reference') step by step by stock
    SimPy processes, slowly, to compare with.
    """
    lock: Annotated[str, Choice(("fifo", "barging"), "who gets the iothread lock next")] = "fifo"
    """Who gets an iothread lock that others wait for: the first who waits, or ('barging', as a
    pthread mutex) whoever asks within 20 us of the release, before the first who waits has woken
    up. Where a verdict hangs on it, the output says so.
    """
    spread: Annotated[str, Choice(KINDS, "how much the work of checkpoints scatters")] = NONE
    """Whether the work of a checkpoint takes what the hosts' costs say ('none'), or scatters as on
    the hosts that their presets were measured on ('measured'); drawn from the seed, as are the
    distinct pages of a 'uniform' guest. What a preset has no spread of takes what its costs say.
    """
    duration_ns: TimeOrNone = None
    """Length of the run in simulated time, instead of checkpoints."""
    checkpoints: Annotated[int | None, Measure(units.COUNT, 1, 10**9)] = Field(
        default_factory=lambda given: 20 if given.get("duration_ns") is None else None
    )
    """Length of the run in checkpoints (20 if no length is given)."""
    horizon_ns: TimeAbove0 = 1000 * 10**9
    """How long a run of so many checkpoints may take before it is judged."""
    patience_ns: TimeAbove0 = 10 * 10**9
    """How long no guest may run, or a thread of the pair wait, until that is taken for ever when
    the run is judged at its end."""
    warmup: Annotated[int, Measure(units.COUNT, 0, 10**9)] = 0
    """First checkpoints that are left out of the statistics."""
    checkpoint_delay_ns: Time = 200 * 10**6
    """From the end of a transaction to the start of the next (x-checkpoint-delay)."""
    guest: Guest = Guest.model_construct()
    """The virtual machine."""
    memory: Memory = Memory.model_construct()
    """How the memory of the two processes is mapped."""
    hosts: Hosts = Field(default_factory=lambda: Hosts.of(DEFAULT_HOST))
    """Costs of the two hosts."""
    network: Network = Field(default_factory=lambda: Network.of(DEFAULT_NETWORK))
    """Link and TCP."""
    disk: DiskOrNone = None
    """The replicated disk, which every stop of the guest flushes; none unless given."""
    faults: Annotated[tuple[AnyFault, ...], Example("[{freeze: secondary, at: 2 s}]")] = Field(
        default=(), max_length=100
    )
    """What goes wrong, and when."""
    commands: Annotated[
        tuple[Command, ...], Example("[{at: 5 s, to: primary, command: query-status}]")
    ] = Field(default=(), max_length=100)
    """What an operator sends to the monitors, and when."""
    liveness: Liveness | None = None
    """When faults end, and how soon the pair or a survivor goes on."""
    manager: Manager = Manager.model_construct()
    """The cluster manager."""
    service: Service | None = None
    """The clients of the guest; none unless given."""
    output: Output | None = None
    """What the guest's output waits for."""
    measured: Annotated[dict[str, _Table], Example(f"{{qsb: {_TABLE}}}")] = Field(
        default_factory=dict
    )
    """Measured tables to show beside the simulated, by design; or run directories of imported
    logs, from the scenario file or the current folder."""
    expect: Annotated[dict[str, dict[str, Bound]], Expectations()] = Field(default_factory=dict)
    """Bounds on the summary by design ('*': every design), such as
    {split: {pause_ns.p99: < 100 ms}}.
    """

    def vary(self, values: MappingOf[str, object]) -> Scenario:
        r"""Return a scenario in which other values stand, held to all that a file is held to.

        Keys are those of a file, with dots, and set what ``--set`` sets: keys that exclude the one
        set are taken out, ``None`` takes the key out itself, so that its default holds.  A text is
        read as in a file (``"2 s"``); a whole number needs no unit and is in the base unit (bytes,
        ns, pages; shares and factors are as a file has them).  What is not set stays as it is; the
        file is not read again.  A CSV file that is set is looked for from the current folder.

        >>> from colosim.scenario import loads
        >>> idle = loads("name: idle\nguest: {dirty: {rate: 5 pages/s, working_set: 1 MiB}}")
        >>> busy = idle.vary({"guest.dirty.pages": 500, "checkpoint_delay": "2 s"})
        >>> busy.guest.dirty, busy.checkpoint_delay_ns
        (FixedDirty(pages=500), 2000000000)

        :raises ScenarioError: with every fault, as for a file; the line is the value's number.
        """
        opened = {key.partition(".")[0] for key in values}
        if "designs" in opened:
            opened |= {"expect", "measured"}
        kept: dict[str, Any] = {
            name: value
            for key, name in self.keys().items()
            if name in self.model_fields_set and key not in opened
            if isinstance(value := getattr(self, name), (BaseModel, dict, tuple))
        }
        root = marked(plain_keys(self, stated=True, but=kept), f"scenario {self.name}")
        assert isinstance(root, Mapping)  # noqa: S101 - keys make a mapping
        faults = override(Scenario, root, values.items(), "vary")
        made: Scenario = Reading(root, faults, FilePath(), Scenario).whole(kept)
        return made

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        """Refuse impossible combinations to whoever builds a scenario in Python."""
        if found := [conflict.message for conflict in conflicts(self)]:
            raise reject("; ".join(found))
        return self

    @check("duration", "checkpoints")
    def _has_one_length(self) -> Iterator[str]:
        if self.checkpoints is not None and self.duration_ns is not None:
            yield "both checkpoints and duration are given; expected one length of the run"

    @check("warmup", "checkpoints")
    def _warmup_leaves_some(self) -> Iterator[str]:
        if self.checkpoints is not None and self.warmup >= self.checkpoints:
            none = f"warmup {self.warmup} leaves none of the {self.checkpoints} checkpoints"
            yield f"{none} for the statistics; expected at most {self.checkpoints - 1}"

    @check()
    def _lists_each_design_once(self) -> Iterator[Conflict]:
        for index, design in entries(self.designs):
            if design in self.designs[:index]:
                yield Conflict(f"the design '{design}' is listed twice", (("designs", index),))

    @check("designs")
    def _speaks_of_its_designs(self) -> Iterator[Conflict]:
        for section, stated in (("expect", self.expect), ("measured", self.measured)):
            for design in stated:
                if design not in self.designs and (section, design) != ("expect", "*"):
                    has = f"'{design}' has an entry under {section} but is not among the designs"
                    message = f"{has} of the scenario: {', '.join(self.designs)}"
                    yield Conflict(message, ((section, design), ("designs",)))

    @check("checkpoints")
    def _reaches_the_checkpoints_of_faults(self) -> Iterator[Conflict]:
        for path, planned in self._planned:
            at, length = planned.at_checkpoint, self.checkpoints
            if at is not None and length is not None and at >= length:
                message = f"checkpoint {at} never comes: the run has {length}, counted from 0"
                yield Conflict(message, ((*path, "checkpoint"), ("checkpoints",)))

    @check()
    def _ends_what_has_begun(self) -> Iterator[Conflict]:
        faults = dict(entries(self.faults))
        for index, fault in faults.items():
            begun = len(faults) < len(self.faults) or any(map(fault.may_end, faults.values()))
            if fault.ends and not begun:
                kinds = " or ".join(f"{{{kind}: {fault.target}}}" for kind in fault.ends)
                message = (
                    f"there is nothing to {fault.kind}; expected {kinds} that is in effect then"
                )
                yield Conflict(message, (("faults", index, fault.kind),))

    @check("duration", "horizon")
    def _reaches_the_times_of_faults(self) -> Iterator[Conflict]:
        key, end_ns = self._end
        for path, planned in self._planned:
            if planned.at_ns is not None and planned.at_ns > end_ns:
                what = "command" if isinstance(planned, Command) else "fault"
                after = f"the {what} at {_time(planned.at_ns)} is after the end of the run"
                yield Conflict(f"{after} ({key} {_time(end_ns)})", (path, (key,)))

    @check("disk")
    def _has_the_disk_that_is_meant(self) -> Iterator[Conflict]:
        if self.disk is not None:
            return
        for path, planned in self._planned:
            if planned.target == DISK or planned.concerns in DISK_COMMANDS:
                what = f"{planned.kind} {planned.target} ({planned.concerns})"
                if planned.target == DISK:
                    what = f"{planned.kind} {DISK}"
                message = f"{what} needs a disk; expected disk: {Disk.example}"
                yield Conflict(message, (path, ("disk",)))
        if self.manager.failover == "documented":
            message = f"a documented failover needs a disk; expected disk: {Disk.example}"
            yield Conflict(message, (("manager", "failover"), ("disk",)))

    @check("service", "output", "designs")
    def _has_the_sockets_that_are_meant(self) -> Iterator[Conflict]:
        modes = {self.mode_of(design) for _, design in entries(self.designs)}
        if self.service is not None and COMPARED in modes:
            return
        for path, planned in self._planned:
            named = planned.concerns
            if planned.target in SOCKETS:
                named = f"{planned.kind} {planned.target}"
            if planned.target in SOCKETS or named == "yank chardev":
                message = f"{named} needs a service whose output is compared"
                yield Conflict(message, (path, ("service",)))

    @check()
    def _random_faults_strike_apart(self) -> Iterator[Conflict]:
        unnamed: dict[str | None, int] = {}
        for index, fault in entries(self.faults):
            if not isinstance(fault.at, RandomMoment) or fault.at.stream is not None:
                continue
            first = unnamed.setdefault(fault.stream, index)
            if first != index:
                message = (
                    f"two faults '{fault.stream}' at random moments would strike together; "
                    "expected a stream: of its own for one of them (or the same for both, if "
                    "that is meant)"
                )
                yield Conflict(message, (("faults", index, "at"), ("faults", first, "at")))

    @check("output", "service", "designs")
    def _has_output_that_clients_see(self) -> Iterator[Conflict]:
        service, output = self.service, self.output
        if service is None:
            if output is not None:
                yield Conflict("output: nobody sees it without a service", (("output",),))
            return
        modes = {design: self.mode_of(design) for _, design in entries(self.designs)}
        for design, mode in modes.items():
            if mode in {COMPARED, HELD} and design == "unprotected":
                yield Conflict(
                    f"the design '{design}' has nothing that output could wait for "
                    f"({mode}); expected output.mode direct or filter-buffer",
                    (("output", "mode"),),
                )
            if mode == COMPARED and design == "remus":
                yield Conflict(
                    "the design 'remus' runs no second guest to compare with; expected "
                    "output.mode held, direct or filter-buffer",
                    (("output", "mode"),),
                )
        if COMPARED not in modes.values():
            for section, of in (("service", service), ("output", output or Output())):
                for name in _OF_COMPARISON[section]:
                    field = type(of).model_fields[name]
                    if getattr(of, name) != field.default:
                        yield Conflict(
                            f"{section}.{field.alias} is without effect: no design's output is "
                            "compared",
                            ((section, str(field.alias)),),
                        )

    def mode_of(self, design: str) -> str:
        """Return what the output of `design` waits for."""
        if self.output is not None and self.output.mode is not None:
            return self.output.mode
        return {"unprotected": DIRECT, "remus": HELD}.get(design, COMPARED)

    @check("liveness", "duration", "horizon")
    def _reaches_the_liveness_limit(self) -> Iterator[Conflict]:
        if self.liveness is None:
            return
        judged_ns, (key, end_ns) = self.liveness.until_ns + self.liveness.within_ns, self._end
        if judged_ns > end_ns:
            ends = f"the liveness limit ends at {_time(judged_ns)}, after the end of"
            message = f"{ends} the run ({key} {_time(end_ns)})"
            yield Conflict(message, (("liveness", "within"), (key,)))

    @check("liveness.until")
    def _faults_end_before_the_liveness_phase(self) -> Iterator[Conflict]:
        until_ns = None if self.liveness is None else self.liveness.until_ns
        for index, fault in entries(self.faults):
            if until_ns is not None and fault.at_ns is not None and fault.at_ns >= until_ns:
                before = f"the fault at {_time(fault.at_ns)} is not before the end of all faults"
                message = f"{before} (liveness.until {_time(until_ns)})"
                yield Conflict(message, (("faults", index, "at"), ("liveness", "until")))

    @property
    def _planned(self) -> Iterator[tuple[Path, Planned]]:
        """Every fault and command, with the path of its moment."""
        for index, fault in entries(self.faults):
            yield ("faults", index, "at"), fault
        for index, command in entries(self.commands):
            yield ("commands", index, "at"), command

    @property
    def _end(self) -> tuple[str, int]:
        """The key that ends the run at the latest, and when."""
        if self.duration_ns is not None:
            return "duration", self.duration_ns
        return "horizon", self.horizon_ns

    @property
    def end_ns(self) -> int:
        """When the run ends at the latest."""
        return self._end[1]


def _time(ns: int) -> str:
    return text_of(ns, units.TIME)
