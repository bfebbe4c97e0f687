"""A real run as a `Run`: the same tables, summary and directory that a simulated one has."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colosim.designs.registry import load_design
from colosim.engine.environment import Environment
from colosim.errors import LogError
from colosim.measured import conditions, rundir
from colosim.measured.books import SEEN_LIMIT_NS, UNSEEN_NS, Entry, entries
from colosim.measured.conformance import Deviation, Identification, identify
from colosim.measured.history import STAGES
from colosim.measured.interleave import SidedEvent, clock_offset_ns, interleave
from colosim.measured.measurement import WARMUP
from colosim.measured.outcome import summary_of
from colosim.measured.protocol import REQUEST, protocol_of
from colosim.measured.rows import Rows
from colosim.measured.samples import read_samples
from colosim.measured.sources import histories, log_files
from colosim.runs.columns import COLUMNS, TABLES
from colosim.runs.directory import RunDirectory
from colosim.runs.run import Run
from colosim.runs.stored import MANIFEST
from colosim.runs.tables import Tables, rows_of, table_of
from colosim.scenario import loads
from colosim.trace.events import PRIMARY, CheckpointEnded, Received, Sent, StreamEnded
from colosim.trace.record import Record, code_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from os import PathLike

    from colosim.measured.history import History
    from colosim.measured.measurement import MeasuredRun
    from colosim.runs.tables import Table
    from colosim.scenario import Scenario
    from colosim.trace.events import Event

    Timed = tuple[int, Event, int]

__all__ = ["ImportedRun", "import_run", "write_imported"]

_VALUE_MAX = (1 << 62) - 1


class ImportedRun(Run):
    """A real run, read from its logs.

    `scenario` has its conditions as far as they are known; `seed` is 0.  `identification` says
    which designs the logs can come from, `deviation` where they part from the design that they are
    taken to be of (None: nowhere), `source` what its manifest says of where it comes from.
    """

    def __init__(
        self,
        scenario: Scenario,
        summary: dict[str, Any],
        *,
        events: Sequence[Timed],
        rows: dict[str, list[Sequence[Any]]],
        identification: Identification,
        deviation: Deviation | None,
        source: dict[str, Any],
    ) -> None:
        super().__init__(scenario, summary)
        self._events = events
        self._rows = rows
        self.identification = identification
        self.deviation = deviation
        self.source = source

    def iter_events(self) -> Iterator[tuple[int, Event, int]]:
        """Return (time_ns, event, value) of every event; time 0 where the logs have no times."""
        return iter(self._events)

    @cached_property
    def tables(self) -> dict[str, Table]:
        """Every table as columns."""
        return {table: table_of(COLUMNS[table], self._rows[table]) for table in TABLES}


def import_run(*paths: str | PathLike[str], design: str | None = None) -> ImportedRun:
    """Read a real run: a run folder of the lab, or one or two logs (one a side).

    :param design: the design that the logs are of; None takes one that they can come from.
    :raises LogError: if they cannot be read, or show nothing of COLO.
    :raises DesignError: if there is no such design.
    """
    if not paths:
        raise LogError("no log is given")
    if design is not None:
        load_design(design)
    folder = Path(paths[0])
    measured = None
    if folder.is_dir():
        if len(paths) > 1:
            raise LogError(f"{folder} is a run folder: it is a run of its own")
        if rundir.is_run_directory(folder):
            measured = rundir.read(folder)
        told = histories(log_files(folder))
        samples = read_samples(folder)
    else:
        told, samples = histories(paths), []
    return _Import(told, measured, samples, design).run()


def write_imported(run: ImportedRun, target: Path, *, force: bool = False) -> str:
    """Write the directory of a run that was imported, with its source in the manifest.

    :raises RunDirectoryError: as `RunDirectory.commit`.
    """
    with _SourcedDirectory(target, run.source) as directory:
        directory.open_tables()
        directory.write(run.tables)
        return directory.commit(run, force=force)


class _SourcedDirectory(RunDirectory):
    """A run directory whose manifest says where the run comes from."""

    def __init__(self, target: Path, source: dict[str, Any]) -> None:
        super().__init__(target)
        self._source = source

    def _write_json(self, name: str, content: dict[str, Any]) -> None:
        if name == MANIFEST:
            content = {**content, "source": self._source}
        super()._write_json(name, content)


class _Import:
    """One import, step by step."""

    def __init__(
        self,
        told: list[History],
        measured: MeasuredRun | None,
        samples: list[SidedEvent],
        design: str | None,
    ) -> None:
        self._told = told
        self._measured = measured
        self._samples = samples
        self._identification = identification = identify(told)
        possible = identification.designs
        if design is None and measured is not None and measured.design in possible:
            design = measured.design
        self._design = design or identification.nearest()
        self._timed = all(history.has_times for history in told)
        self._sides = {history.side: history for history in told}
        self._leading = "primary" if "primary" in self._sides else "secondary"

    def run(self) -> ImportedRun:
        """Put the run together."""
        offset_ns = 0
        if self._timed and len(self._told) > 1:
            offset_ns = clock_offset_ns(self._sides["primary"], self._sides["secondary"])
        entered = list(self._entries(offset_ns))
        rows = self._rows(entered)
        seen = [(at, event, value) for at, event, value in entered if at != UNSEEN_NS]
        scenario = self._scenario()
        summary = summary_of(
            scenario,
            self._design,
            rows.rows,
            seen,
            digest=_digest(seen),
            timed=self._timed,
            shows_locks=any(history.kind == STAGES for history in self._told),
        )
        deviation = self._identification.excluded.get(self._design)
        return ImportedRun(
            scenario,
            summary,
            events=seen,
            rows=rows.rows,
            identification=self._identification,
            deviation=deviation,
            source=self._provenance(offset_ns, deviation),
        )

    # ---- events --------------------------------------------------------------------------------

    def _entries(self, offset_ns: int) -> Iterator[Entry]:
        """Yield the record, from the first request on, in time since that."""
        events = interleave(self._told, timed=self._timed, offset_ns=offset_ns)
        request = (Sent if self._leading == PRIMARY else Received)(self._leading, REQUEST)
        first = next((index for index, one in enumerate(events) if one.event == request), 0)
        events = events[first:]
        zero = events[0].time_ns if events and self._timed else 0
        leader = self._sides[self._leading]
        entered = entries(
            [self._placed(one, zero) for one in events],
            sides=self._sides,
            shows_guest=leader.kind == STAGES or "guest" in leader.shows,
        )
        yield from _with_samples(entered, self._sampled(zero))

    def _placed(self, event: SidedEvent, zero: int) -> SidedEvent:
        time_ns = event.time_ns - zero
        if abs(time_ns) >= SEEN_LIMIT_NS:
            source = self._sides[event.event.side].source
            raise LogError(f"{source}: two of its times are more than 36 years apart")
        return event._replace(time_ns=time_ns, value=min(event.value, _VALUE_MAX))

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
            elif entry.time_ns < SEEN_LIMIT_NS:
                later.append(entry)
        return [*before.values(), *later]

    # ---- tables --------------------------------------------------------------------------------

    def _rows(self, entered: list[Entry]) -> Rows:
        protocol = protocol_of(self._design)
        rows = Rows(
            timed=self._timed,
            sides=self._sides,
            streams_ram=protocol.streams_ram(),
            ram_loaded_ns=_ram_loaded(entered),
            wire_bytes=self._wire_bytes(),
            dirty_pages=self._dirty_pages(),
        )
        tables = Tables()
        flat: list[int] = []
        for time_ns, event, value in entered:
            flat += (time_ns, code_of(event), value)
        for found in (tables.feed(flat), tables.finish(0)):
            for name, table in found.items():
                for row in rows_of(table):
                    rows.write(name, row)
        return rows

    def _wire_bytes(self) -> dict[int, int]:
        found: dict[int, int] = {}
        if self._measured is not None:
            found = {
                number: one.wire_bytes
                for number, one in enumerate(self._measured.checkpoints)
                if one.wire_bytes is not None
            }
        for history in self._told:
            found |= history.wire_bytes
        return found

    def _dirty_pages(self) -> dict[int, int]:
        if self._measured is None:
            return {}
        return {
            number: one.dirty_pages
            for number, one in enumerate(self._measured.checkpoints)
            if one.dirty_pages is not None
        }

    # ---- what is said of it --------------------------------------------------------------------

    def _scenario(self) -> Scenario:
        """Return the conditions as far as they are known: of a plain log, a name alone."""
        measured = self._measured
        if measured is None:
            return loads(
                f'name: "{_name_of(Path(self._told[0].source))}"\n'
                f"designs: [{self._design}]\n"
                "description: imported from QEMU's log; its conditions are not known\n",
                file=self._told[0].source,
            )
        count = max(1, len(measured.checkpoints))
        scenario = conditions.scenario(measured, conditions.dirty_model(measured), count)
        return scenario.model_copy(
            update={"designs": (self._design,), "warmup": WARMUP if count > WARMUP else 0}
        )

    def _provenance(self, offset_ns: int, deviation: Deviation | None) -> dict[str, Any]:
        measured = self._measured
        kinds = {history.kind for history in self._told}
        logs = []
        for history in self._told:
            shown = Path(history.source).name  # no path of this machine is written
            logs.append(replace(history, source=shown).provenance())
        if deviation is not None:
            deviation = replace(deviation, source=Path(deviation.source).name)
        return {
            "kind": "lab stage lines" if kinds == {STAGES} else "QEMU trace log",
            "run": None if measured is None else measured.name,
            "qemu": None if measured is None else measured.qemu,
            "conditions": None if measured is None else asdict(measured.conditions),
            "fault": None if measured is None or measured.fault is None else asdict(measured.fault),
            "logs": logs,
            "clock_offset_ns": offset_ns,
            "designs_possible": list(self._identification.designs),
            "deviation": None if deviation is None else deviation.as_json(),
        }


def _name_of(log: Path) -> str:
    """Return a name for the run of a plain log: the file's, or its folder's if it names a side."""
    stem = log.name
    for ending in (".gz", ".log", ".txt"):
        stem = stem.removesuffix(ending)
    if stem in {"primary", "secondary"}:
        stem = log.resolve().parent.name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:64] or "log"


def _with_samples(entered: Iterator[Entry], samples: list[Entry]) -> Iterator[Entry]:
    """Yield both in the order of time, each in its own order."""
    index = 0
    for entry in entered:
        while (
            entry.time_ns != UNSEEN_NS
            and index < len(samples)
            and samples[index].time_ns <= entry.time_ns
        ):
            yield samples[index]
            index += 1
        yield entry
    yield from samples[index:]


def _ram_loaded(entered: list[Entry]) -> dict[int, int]:
    """Return by checkpoint when the secondary's RAM stream was loaded, where a log says so."""
    found: dict[int, int] = {}
    number = 0
    for time_ns, event, value in entered:
        match event:
            case StreamEnded("secondary", "RAM load"):
                found.setdefault(number, time_ns)
            case CheckpointEnded():
                number = value + 1
    return found


def _digest(seen: list[Timed]) -> str:
    """Return the SHA-256 over the record, as a simulated run's."""
    record = Record(Environment(), keep=False)
    for time_ns, event, value in seen:
        record.pending += (time_ns, code_of(event), value)
    record.close()
    return record.digest
