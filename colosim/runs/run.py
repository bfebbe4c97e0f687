"""A run: one design under one scenario, its summary, its verdict, and its tables when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any, Protocol

from colosim.designs.registry import DesignNames
from colosim.errors import ColosimError, DesignError
from colosim.runs.columns import COLUMNS, REQUEST_COLUMNS, REQUESTS, checkpoint_columns
from colosim.runs.html import table
from colosim.runs.lock_choice import judge_both_ways
from colosim.runs.simulation import Simulation
from colosim.runs.summary import summarise
from colosim.runs.verdict import without_steps
from colosim.runs.wording import value_in_words
from colosim.scenario import Scenario, load
from colosim.scenario.hosts import assumed_in_words
from colosim.trace.record import DIGEST_FORMAT
from colosim.trace.sentences import parse

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from colosim.designs.design import Design
    from colosim.runs.taps import Tap
    from colosim.trace.columns import Table
    from colosim.trace.events import Event


_HEADLINES = {
    "checkpoints.completed": "checkpoints completed",
    "pause_ns.p50": "pause, median",
    "pause_ns.p99": "pause, 99%",
    "lock_hold_ns.primary.p50": "lock hold, primary, median",
    "memory_peak_bytes.primary.extra_total": "extra memory, primary",
    "memory_peak_bytes.secondary.extra_total": "extra memory, secondary",
    "time_to_guest_ns": "guest back after",
}
"""What a notebook shows of a run."""


class NoTablesError(ColosimError):
    """A run's tables were asked for that were not kept (``tables=False``, ``--tables none``)."""


class Stored(Protocol):
    """The tables of a run that was read back."""

    path: Path
    digest_format: int
    source: dict[str, Any] | None

    def has(self, table: str) -> bool:
        """Tell whether it was written."""
        ...

    def frame(self, table: str) -> pd.DataFrame:
        """Return a table."""
        ...

    def events(self) -> Iterator[tuple[int, Event, int]]:
        """Yield (time_ns, event, value) of every event."""
        ...


class Run:
    """What one run leaves: scenario, design, seed, summary, and tables as DataFrames.

    The tables are made when they are first asked for; `colosim.runs.columns` says what stands in
    them.  `simulation` is the simulation itself, None for a run that was read from its directory;
    `path` is that directory.

    A run can be pickled, and so comes back from another process.  The copy has the tables, if they
    were kept, and no `simulation`: the generators of its processes live in their own process only.
    """

    def __init__(
        self,
        scenario: Scenario,
        summary: dict[str, Any],
        *,
        simulation: Simulation | None = None,
        listening: Sequence[Tap] = (),
        requests: Sequence[Table] | None = None,
        stored: Stored | None = None,
    ) -> None:
        self.scenario = scenario
        self.summary = summary
        self.simulation = simulation
        self.path: Path | None = None if stored is None else stored.path
        self.digest_format = DIGEST_FORMAT if stored is None else stored.digest_format
        """Which events the digest is over: see `colosim.trace.record.DIGEST_FORMAT`."""
        self.source: dict[str, Any] | None = None if stored is None else stored.source
        """Where a real run comes from, as its manifest says; None of a simulated one."""
        self._taps = listening
        self._requests = requests
        self._stored = stored

    @property
    def design(self) -> str:
        """The design's name."""
        return str(self.summary["design"])

    @property
    def seed(self) -> int:
        """The seed of every random stream."""
        return int(self.summary["seed"])

    @property
    def verdict(self) -> str:
        """How it ended; `colosim.runs.verdict` lists the words."""
        return str(self.summary["verdict"])

    @property
    def survivor(self) -> str | None:
        """The side that the verdict speaks of, if one."""
        side = self.summary["survivor"]
        return None if side is None else str(side)

    @property
    def reason(self) -> str:
        """The verdict's reason in one sentence."""
        return str(self.summary["reason"])

    @property
    def digest(self) -> str:
        """SHA-256 over the event record, in hex."""
        return str(self.summary["digest"])

    def __repr__(self) -> str:
        """Return scenario, design, seed and verdict."""
        return f"<Run {self.scenario.name}/{self.design} seed {self.seed}: {self.verdict}>"

    def _repr_html_(self) -> str:
        """Return its headlines as a table, for notebooks."""
        rows = [("", self.design)]
        rows += [(what, value_in_words(self.summary, key)) for key, what in _HEADLINES.items()]
        title = f"{self.scenario.name}, seed {self.seed}: {self.verdict}"
        assumed = "" if self.source else assumed_in_words(self.scenario.hosts)
        return table(title, rows, (self.reason, *([f"{assumed}."] if assumed else [])))

    # ---- tables --------------------------------------------------------------------------------

    @property
    def checkpoints(self) -> pd.DataFrame:
        """One row a transaction: outcome, pages, stage durations, points in time, bytes."""
        return self._frame("checkpoints")

    @property
    def memory(self) -> pd.DataFrame:
        """Every breakpoint of every account of either side."""
        return self._frame("memory")

    @property
    def locks(self) -> pd.DataFrame:
        """Every hold of an iothread lock, and every wait that never ended."""
        return self._frame("locks")

    @property
    def messages(self) -> pd.DataFrame:
        """Every protocol message and bulk stream."""
        return self._frame("messages")

    @property
    def requests(self) -> pd.DataFrame:
        """One row a request of a client, where they were asked for (``requests=True``).

        :raises NoTablesError: if they were not.
        """
        return self._frame(REQUESTS)

    @property
    def events(self) -> pd.DataFrame:
        """The event record: time, name, value."""
        return self._frame("events")

    def columns(self, table: str) -> tuple[str, ...]:
        """Return the columns of a table of this run."""
        if table == REQUESTS:
            return REQUEST_COLUMNS
        if table != "checkpoints":
            return COLUMNS[table]
        if self.simulation is None:
            return tuple(self._frame(table).columns)
        return checkpoint_columns(self.simulation.record.own.steps)

    def iter_events(self) -> Iterator[tuple[int, Event, int]]:
        """Yield (time_ns, event, value) of every event; `colosim.trace.events` has their types.

        :raises NoTablesError: if the record was not kept.
        """
        if self._stored is not None:
            yield from self._stored.events()
        elif self.simulation is None:
            from colosim.runs.tables import rows_of  # noqa: PLC0415 - as in `tables`

            for at_ns, name, value in rows_of(self.tables["events"]):
                yield at_ns, parse(name), value
        else:
            yield from self._kept().record

    def _kept(self) -> Simulation:
        simulation = self.simulation
        if simulation is None or not simulation.record.keep:
            raise NoTablesError(f"the tables of {self!r} were not kept")
        return simulation

    def _frame(self, table: str) -> pd.DataFrame:
        if self._stored is not None and (table != REQUESTS or self._stored.has(table)):
            return self._stored.frame(table)
        if table == REQUESTS and table not in self.tables:
            raise NoTablesError(f"the requests of {self!r} were not asked for (requests=True)")
        return self._frames[table]

    @cached_property
    def _frames(self) -> dict[str, pd.DataFrame]:
        from colosim.runs.frames import frame  # noqa: PLC0415 - pandas is slow to import

        return {name: frame(name, table) for name, table in self.tables.items()}

    @cached_property
    def tables(self) -> dict[str, Table]:
        """Every table as columns.

        :raises NoTablesError: if the record was not kept.
        """
        from colosim.runs.tables import Tables  # noqa: PLC0415 - numpy is slow to import
        from colosim.trace.columns import joined  # noqa: PLC0415

        simulation = self._kept()
        made = Tables(
            taps=self._taps,
            own_steps=simulation.record.own.steps,
            starts_apart=simulation.starts_apart,
        )
        found = made.feed(simulation.record.chunks)
        left = made.finish(simulation.end_ns)
        asked = {} if self._requests is None else {REQUESTS: joined(self._requests)}
        return asked | {
            name: joined([table, left[name]]) if name in left else table
            for name, table in found.items()
        }

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy is made of: the tables in place of the simulation."""
        state = self.__dict__ | {"simulation": None, "_taps": ()}
        state.pop("_frames", None)
        if self._taps:
            state["tables"] = self.tables
        return state


def simulate(
    scenario: Scenario,
    design: str | type[Design],
    *,
    seed: int | None = None,
    tables: bool = True,
    requests: bool = False,
    prepare: Callable[[Simulation], None] | None = None,
    checks: bool = True,
    replay: str | None = None,
) -> Run:
    """Run one design and return the run.

    `tables`: whether the event record stays in memory, for the tables; `requests`: whether there is
    one of clients' requests, which grows with them.  `prepare` is called with
    the simulation before it runs.  `checks`: whether the safety checkers watch the record;
    `replay` is the command that their violation tells.
    """
    listening: Sequence[Tap] = ()
    rows: list[Table] | None = None

    def set_up(simulation: Simulation) -> None:
        nonlocal listening, rows
        if tables:
            listening = simulation.taps()
        if tables and requests and simulation.clients is not None:
            rows = []
            simulation.clients.log(rows.append)
        if prepare is not None:
            prepare(simulation)

    simulation = Simulation(scenario, design, seed=seed, keep=tables, prepare=set_up)
    if checks:
        simulation.check(replay)
    judgement = without_steps(simulation)
    if judgement is None:
        simulation.run()
        judgement = judge_both_ways(simulation)
    if seed is not None:
        scenario = scenario.model_copy(update={"seed": seed})
    summary = summarise(simulation, judgement)
    return Run(scenario, summary, simulation=simulation, listening=listening, requests=rows)


def as_scenario(
    scenario: str | PathLike[str] | Scenario, overrides: Sequence[str] = ()
) -> Scenario:
    """Return a scenario from a file, the name of a shipped one, or itself.

    :raises ScenarioError: if it is wrong.
    :raises ValueError: if overrides are given for a `Scenario`, which is final.
    """
    if isinstance(scenario, Scenario):
        if overrides:
            raise ValueError("overrides are for a file or a name; a Scenario is final")
        return scenario
    from pathlib import Path  # noqa: PLC0415 - names of shipped scenarios are no paths

    where = scenario if isinstance(scenario, str) else Path(scenario)
    return load(where, overrides=overrides, known_designs=DesignNames())


def run(
    scenario: str | PathLike[str] | Scenario,
    design: str | type[Design] | None = None,
    *,
    seed: int | None = None,
    overrides: Sequence[str] = (),
    tables: bool = True,
    requests: bool = False,
) -> Run:
    """Run one design under a scenario.

    :param scenario: a file, the name of a shipped scenario, or a `Scenario`.
    :param design: a name or a `Design` class; None takes the scenario's design if it names one.
    :param seed: instead of the scenario's.
    :param overrides: texts ``key=value``, as behind ``--set``.
    :param tables: whether tables can be asked for; without, memory stays flat in long runs.
    :param requests: whether they have one of the requests of clients, a row each.
    :raises ScenarioError: if the scenario is wrong.
    :raises DesignError: if there is no such design, or the scenario has several.
    """
    loaded = as_scenario(scenario, overrides)
    if design is None:
        if len(loaded.designs) > 1:
            names = ", ".join(loaded.designs)
            raise DesignError(f"{loaded.name} has several designs ({names}); name one, or compare")
        (design,) = loaded.designs
    return simulate(loaded, design, seed=seed, tables=tables, requests=requests)
