"""A real run as a `Run`: the same tables, summary and directory that a simulated one has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from colosim.designs.registry import load_design
from colosim.errors import DesignError, LogError
from colosim.measured import conditions
from colosim.measured.conformance import Deviation, Identification, identify, parts_from
from colosim.measured.events import MONITOR, OF_MONITOR, REQUEST, STAGES
from colosim.measured.log import KNOWN_LIMIT
from colosim.measured.measurement import WARMUP
from colosim.measured.merge import (
    UNKNOWN,
    Entry,
    clock_offset_ns,
    entered,
    entries,
    interleave,
    leader_of,
    with_waits,
)
from colosim.measured.notes import is_run_folder, read_notes
from colosim.measured.protocol import protocol_of
from colosim.measured.real_summary import digest_of, summary_of
from colosim.measured.real_tables import BesideLog, tables_of
from colosim.measured.recording import lacking
from colosim.measured.samples import read_samples
from colosim.measured.sessions import log_files, sessions
from colosim.runs.columns import COLUMNS
from colosim.runs.directory import RunDirectory
from colosim.runs.run import Run
from colosim.runs.stored import MANIFEST
from colosim.runs.tables import rows_of
from colosim.scenario import loads
from colosim.scenario.canonical import as_yaml, plain_keys
from colosim.scenario.presets import OwnPreset
from colosim.scenario.units import PAGE_BYTES
from colosim.trace.events import PRIMARY, SECONDARY, Event, GuestStopped, OnSide, Received, Sent

if TYPE_CHECKING:
    from colosim.measured.events import History
    from colosim.measured.measurement import MeasuredRun
    from colosim.measured.notes import Notes
    from colosim.scenario import Scenario
    from colosim.trace.columns import Table


_KINDS: Final = {
    frozenset({STAGES}): "lab stage lines",
    frozenset({MONITOR}): OF_MONITOR,
}
"""What the logs of a run are by their kinds; of others, traces."""


class ImportedRun(Run):
    """A real run, read from its logs.

    `scenario` has its conditions as far as they are known; `seed` is 0.  `identification` says
    which designs the logs can come from, `deviation` where they part from the design that they are
    taken to be of (None: nowhere), `source` what its manifest says of where it comes from.
    `measured` is a run of the lab under its conditions, None of other logs.  `lacking` says, in
    lines, what its logs do not show and which options of QEMU's command line would add it.
    """

    def __init__(
        self,
        scenario: Scenario,
        summary: dict[str, Any],
        *,
        record: Sequence[Entry],
        tables: dict[str, Table],
        identification: Identification,
        deviation: Deviation | None,
        source: dict[str, Any],
        measured: MeasuredRun | None,
    ) -> None:
        super().__init__(scenario, summary)
        self.lacking: tuple[str, ...] = ()
        self._record = record
        self._made = tables
        self.identification = identification
        self.deviation = deviation
        self.source: dict[str, Any] = source
        self.measured = measured

    def iter_events(self) -> Iterator[tuple[int, Event, int]]:
        """Return (time_ns, event, value) of every event; time 0 where the logs have no times."""
        return iter(self._record)

    @cached_property
    def tables(self) -> dict[str, Table]:
        """Every table as columns."""
        return self._made


def import_run(
    *paths: str | PathLike[str], design: str | None = None, stated: Sequence[str] = ()
) -> ImportedRun:
    """Read a real run: a run folder of the lab, or one or two logs (one a side).

    :param design: the design that the logs are of; None takes one that they can come from.
    :param stated: conditions that no log tells, as ``key=value`` of a scenario.
    :raises LogError: if they cannot be read, show nothing of COLO, or are of several sessions.
    :raises DesignError: if there is no such design.
    :raises ScenarioError: if what is stated is wrong.
    """
    runs = import_runs(*paths, design=design, stated=stated)
    if len(runs) > 1:
        raise LogError(
            f"{paths[0]}: COLO was entered {len(runs)} times, each is a run: see import_runs"
        )
    return runs[0]


def import_runs(
    *paths: str | PathLike[str], design: str | None = None, stated: Sequence[str] = ()
) -> list[ImportedRun]:
    """Read the real runs of a run folder of the lab, or of one or two logs: one a COLO session.

    Parameters and errors are those of `import_run`.
    """
    if not paths:
        raise LogError("no log is given")
    if design is not None:
        load_design(design)
    folder = Path(paths[0])
    notes = None
    samples: list[Entry] = []
    if folder.is_dir():
        if len(paths) > 1:
            raise LogError(f"{folder} is a run folder: it is a run of its own")
        if is_run_folder(folder):
            if stated:
                raise LogError(f"{folder} has notes that state its conditions; --set is for logs")
            notes = read_notes(folder)
            _check_design(folder, notes)
        found = sessions(log_files(folder))
        samples = read_samples(folder)
    else:
        found = sessions(paths)
    if notes is not None and len(found) > 1:
        raise LogError(f"{folder}: COLO was entered {len(found)} times, and its notes are of one")
    numbers = [""] if len(found) == 1 else [f"-{number}" for number in range(1, len(found) + 1)]
    return [
        _Import(told, notes, samples, design, number, stated).run()
        for number, told in zip(numbers, found, strict=True)
    ]


def read_measured(folder: str | PathLike[str]) -> MeasuredRun:
    """Return the run of a run folder of the lab, under its conditions.

    :raises LogError: if it is no such folder, its logs or notes cannot be read, or its design is
        none of colosim's.
    """
    if not is_run_folder(folder):
        read_notes(folder)  # which says what is missing
    measured = import_run(folder).measured
    assert measured is not None  # noqa: S101 - it has notes
    return measured


def write_imported(run: ImportedRun, target: Path) -> str:
    """Write the directory of a run that was imported, with its source in the manifest.

    :raises RunDirectoryError: as `RunDirectory.commit`.
    :raises WriteError: likewise.
    """
    with _SourcedDirectory(target, run) as directory:
        directory.open_tables()
        directory.write(run.tables)
        return directory.commit(run)


def _check_design(folder: Path, notes: Notes) -> None:
    """Refuse a run of a design that colosim does not have: it is never taken for another.

    :raises LogError: with the design that the notes mean.
    """
    try:
        load_design(notes.design)
    except DesignError as error:
        raise LogError(f"{folder}: a run of QEMU {notes.qemu}, {notes.design}: {error}") from error


class _SourcedDirectory(RunDirectory):
    """A run directory whose manifest says where the run comes from, and only its own conditions."""

    def __init__(self, target: Path, run: ImportedRun) -> None:
        super().__init__(target)
        self._more: dict[str, Any] = {"source": run.source}
        if run.measured is None:
            self._more["scenario"] = _stated(run.scenario)

    def _write_json(self, name: str, content: dict[str, Any]) -> None:
        super()._write_json(name, content | self._more if name == MANIFEST else content)


def _stated(scenario: Scenario) -> str:
    """Return what is known of a run's conditions; a preset of one's own with every value."""
    plain = plain_keys(scenario, stated=True)
    if isinstance(scenario.network.preset, OwnPreset):
        plain["network"] = plain_keys(scenario.network)
    if isinstance(scenario.hosts.preset, OwnPreset):
        plain["hosts"] = plain_keys(scenario.hosts)
    return as_yaml(plain)


class _Import:
    """One import, step by step.  `number` tells the sessions of one log apart."""

    def __init__(
        self,
        told: Sequence[History],
        notes: Notes | None,
        samples: list[Entry],
        design: str | None,
        number: str,
        stated: Sequence[str],
    ) -> None:
        self._stated = stated
        self._told = told
        self._notes = notes
        self._samples = samples
        self._number = number
        self._identification = identification = identify(told)
        # What the notes say of locks and channels is in no trace.
        noted = None if notes is None else notes.design
        self._design = design or noted or identification.nearest()
        if any(history.log.multifd for history in told) and "+multifd" not in self._design:
            raise LogError(
                f"{told[0].log.source}: RAM was sent through multifd channels, of which "
                f"{self._design!r} has none; say how many with --design, as in qemu-11+multifd=4"
            )
        self._timed = all(history.timed for history in told)
        self._sides = {history.side: history for history in told}
        self._leading = leader_of(told)

    def run(self) -> ImportedRun:
        """Put the run together."""
        offset_ns = 0
        if self._timed and len(self._told) > 1:
            offset_ns = clock_offset_ns(self._sides[PRIMARY], self._sides[SECONDARY])
        events, zero = self._from_request(offset_ns)
        shown = with_waits(entries(self._placed(events, zero), self._told))
        every = entered(_with_samples(shown, self._sampled(zero)))
        record = entered(
            entry if entry.value != UNKNOWN else entry._replace(value=0)
            for entry in every
            if entry.time_ns != UNKNOWN
        )
        tables = tables_of(every, self._beside_log(), timed=self._timed)
        measured = None
        if self._notes is not None:
            rows = (
                dict(zip(COLUMNS["checkpoints"], row, strict=True))
                for row in rows_of(tables["checkpoints"])
            )
            measured = self._notes.run(rows, zero)
        scenario = self._scenario(measured)
        summary = summary_of(
            scenario,
            self._design,
            tables,
            every,
            digest=digest_of(record),
            timed=self._timed,
            shows_locks=any(history.kind == STAGES for history in self._told),
        )
        excluded = self._identification.excluded
        deviation = excluded.get(self._design) or parts_from(self._design, self._told)
        run = ImportedRun(
            scenario,
            summary,
            record=record,
            tables=tables,
            identification=self._identification,
            deviation=deviation,
            source=self._provenance(offset_ns, deviation),
            measured=measured,
        )
        run.lacking = tuple(lacking(self._told))
        return run

    # ---- events --------------------------------------------------------------------------------

    def _from_request(self, offset_ns: int) -> tuple[Sequence[Entry], int]:
        """Return the events from where the first checkpoint begins, and the time of that."""
        events = interleave(self._told, timed=self._timed, offset_ns=offset_ns)
        side = self._leading.side
        begins: OnSide = GuestStopped(side)
        if self._leading.kind != MONITOR:
            begins = (Sent if side == PRIMARY else Received)(side, REQUEST)
        first = next((index for index, one in enumerate(events) if one.event == begins), 0)
        events = events[first:]
        known = (one.time_ns for one in events if one.time_ns != UNKNOWN)
        zero = next(known, 0) if self._timed else 0
        return events, zero

    def _placed(self, events: Iterable[Entry], zero: int) -> Iterator[Entry]:
        return (
            one if one.time_ns == UNKNOWN else one._replace(time_ns=self._since(zero, one.time_ns))
            for one in events
        )

    def _since(self, zero: int, time_ns: int) -> int:
        if abs(time_ns - zero) >= KNOWN_LIMIT:
            source = self._told[0].log.source
            raise LogError(f"{source}: two of its times are more than 9 years apart")
        return time_ns - zero

    def _sampled(self, zero: int) -> list[Entry]:
        """Return the samples' entries; of what was before the first request the last level."""
        if not self._timed:
            return []
        before: dict[Event, Entry] = {}
        later = []
        for time_ns, event, value in self._samples:
            entry = Entry(time_ns - zero, event, value)
            if entry.time_ns <= 0:
                before[event] = entry._replace(time_ns=0)
            elif entry.time_ns < KNOWN_LIMIT:
                later.append(entry)
        return [*before.values(), *later]

    def _beside_log(self) -> BesideLog:
        """Return what is known of the checkpoints that the events do not say."""
        wire_bytes = {} if self._notes is None else dict(self._notes.wire_bytes)
        for history in self._told:
            wire_bytes |= history.wire_bytes
        return BesideLog(
            streams_ram=protocol_of(self._design).streams_ram(),
            dirty_pages={} if self._notes is None else self._notes.dirty_pages,
            wire_bytes=wire_bytes,
            unsure=frozenset(history.side for history in self._told if not history.steady),
            spoken=self._leading.kind != MONITOR,
            ram_pages=self._ram_pages(),
        )

    def _ram_pages(self) -> int | None:
        """Return the pages of the guest's RAM, if they were noted or stated."""
        if self._notes is not None:
            return self._notes.conditions.ram_bytes // PAGE_BYTES
        guest = self._scenario(None).guest
        return guest.ram_bytes // PAGE_BYTES if "ram_bytes" in guest.model_fields_set else None

    # ---- what is said of it --------------------------------------------------------------------

    def _scenario(self, measured: MeasuredRun | None) -> Scenario:
        """Return the conditions as far as they are known: of a plain log, what was stated."""
        if measured is None:
            source = self._told[0].log.source
            name = f"{_name_of(Path(source))}{self._number}"
            said = "; what is here was stated" if self._stated else "; its conditions are not known"
            text = f"name: {name}\ndesigns: ['{self._design}']\n"
            text += f"description: imported from QEMU's log{said}\n"
            return loads(text, file=source, overrides=self._stated)
        count = max(1, len(measured.checkpoints))
        scenario = conditions.scenario(measured, conditions.dirty_model(measured), count)
        return scenario.model_copy(
            update={"designs": (self._design,), "warmup": WARMUP if count > WARMUP else 0}
        )

    def _provenance(self, offset_ns: int, deviation: Deviation | None) -> dict[str, Any]:
        notes = self._notes
        kinds = {history.kind for history in self._told}
        if deviation is not None:
            deviation = replace(deviation, source=Path(deviation.source).name)
        return {
            "kind": _KINDS.get(frozenset(kinds), "QEMU trace log"),
            "run": None if notes is None else notes.name,
            "qemu": None if notes is None else notes.qemu,
            "conditions": None if notes is None else asdict(notes.conditions),
            "fault": None if notes is None or notes.fault is None else asdict(notes.fault),
            "logs": [history.provenance() for history in self._told],
            "clock_offset_ns": offset_ns if self._timed and len(self._told) > 1 else None,
            "designs_possible": list(self._identification.designs),
            "deviation": None if deviation is None else deviation.as_json(),
        }


def _name_of(log: Path) -> str:
    """Return a name for the run of a plain log: the file's, or its folder's if it names a side."""
    stem = log.name
    for ending in (".gz", ".log", ".txt", ".qmp", ".json", ".jsonl"):
        stem = stem.removesuffix(ending)
    if stem in {PRIMARY, SECONDARY}:
        stem = log.resolve().parent.name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:60] or "log"


def _with_samples(entered: Iterator[Entry], samples: list[Entry]) -> Iterator[Entry]:
    """Yield both in the order of time, each in its own order."""
    index = 0
    for entry in entered:
        while (
            entry.time_ns != UNKNOWN
            and index < len(samples)
            and samples[index].time_ns <= entry.time_ns
        ):
            yield samples[index]
            index += 1
        yield entry
    yield from samples[index:]
