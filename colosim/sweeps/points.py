"""Runs of a grid, simulated: what one task does, in whatever process.

What comes to it is the grid, plain data, and numbers; what goes back is a row for each: the keys of
the summary, dotted, or why there is none.  Whatever else can give the same rows (closed forms on
arrays, say) may stand in for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from colosim.errors import ColosimError, ScenarioError
from colosim.executors.batches import run_all
from colosim.runs.run import simulate

if TYPE_CHECKING:
    from colosim.executors.engines import Engine
    from colosim.scenario.model import Scenario
    from colosim.sweeps.axes import Value
    from colosim.sweeps.grid import Grid

Row: TypeAlias = "dict[str, Value]"
NO_RESULTS = {"scenario", "design", "seed"}
"""Keys of a summary that are axes, or the same everywhere."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A run that has no result, and why."""

    message: str


KILLED = Failed("the process that ran it was killed each time, perhaps for want of memory")


def simulate_points(grid: Grid, source: str, numbers: Sequence[int]) -> list[Row | Failed]:
    """Return the row of each run.

    :param source: the digest of the code that the sweep is of.
    :raises ColosimError: if this process has other code.
    """
    if grid.source_digest != source:
        raise ColosimError("a worker has another version of colosim, or of a design, than this one")
    found: list[Row | Failed] = []
    varied: tuple[object, Scenario | None] = None, None
    for number in numbers:
        point = grid.point(number)
        what = point.design, point.settings
        try:
            if varied[0] != what:  # the seeds of a point stand together
                # What one of the designs has no use for stands for the others, as in `run`.
                settings: dict[str, object] = {"designs": grid.designs, **dict(point.settings)}
                varied = what, grid.scenario.vary(settings)
            scenario = varied[1]
            assert scenario is not None  # noqa: S101 - varied above
            summary = simulate(
                scenario, point.design, seed=point.seed, tables=False, replay=grid.command(point)
            ).summary
        except ScenarioError as error:  # values that cannot stand together
            found.append(Failed("; ".join(fault.message for fault in error.faults)))
        except ColosimError as error:
            found.append(Failed(str(error)))
        except Exception as error:  # noqa: BLE001 - a design of one's own fails in its own way
            found.append(Failed(f"{type(error).__name__}: {error}"))
        else:
            found.append({key: value for key, value in _flat(summary) if key not in NO_RESULTS})
    return found


def simulate_all(
    grid: Grid,
    engine: Engine,
    numbers: Iterable[int],
    finished: Callable[[Sequence[int], Sequence[Row | Failed]], bool],
) -> None:
    """Simulate runs in batches; `finished` is given each, and says whether to go on."""
    work = partial(simulate_points, grid, grid.source_digest)
    run_all(engine, work, numbers, finished=finished, to_blame=lambda _: KILLED)


def _flat(summary: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Value]]:
    for key, value in summary.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value
