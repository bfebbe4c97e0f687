"""A whole grid at once: a row a point and design, without a simulation for each.

The corners of the grid and a few points between are simulated too, and compared in every key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from colosim.arrays.evaluation import evaluate
from colosim.arrays.points import columns_of
from colosim.designs.registry import design_of
from colosim.engine.streams import Streams
from colosim.errors import GridError
from colosim.runs.run import as_scenario, simulate
from colosim.trace.fields import value_of

if TYPE_CHECKING:
    import pandas as pd

    from colosim.arrays.evaluation import Answers
    from colosim.arrays.points import Columns
    from colosim.designs.design import Design
    from colosim.scenario.model import Scenario

_CORNERS_MAX = 16
_BETWEEN = 4
"""How many corners are simulated at most, and how many points between, of each design."""
COMPARED_MAX = _CORNERS_MAX + _BETWEEN


def grid(
    scenario: str | PathLike[str] | Scenario,
    axes: Mapping[str, Iterable[object]],
    designs: Iterable[str | type[Design]] | None = None,
) -> pd.DataFrame:
    """Return what the summary says of every combination of values, for every design.

    `axes`: values by key, as `Scenario.vary` takes them.  A row has ``design``, the axes (numbers
    in base units), the keys of a summary that a run without faults has, and ``exact``: True, or the
    reason why the point was refused, which a simulation (`colosim.run`) answers: each costs one.
    ``attrs["refused"]`` counts them by reason.

    :raises ScenarioError: if a value is wrong.
    :raises DesignError: if there is no such design.
    :raises GridError: if a point that is simulated to compare differs; that is a fault of colosim,
        or of a design whose code does another thing with columns than with integers.
    """
    import pandas as pd  # noqa: PLC0415 - slow to import

    loaded = as_scenario(scenario)
    points = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    parts = list(columns_of(loaded, points))
    frames = []
    for design in loaded.designs if designs is None else designs:
        kind = design_of(design)
        rows: dict[str, Any] = {}
        exact: Any = np.array([True] * len(points), object)
        for part in parts:
            answers = evaluate(kind, part)
            compare(kind, loaded, part, answers, points)
            exact[part.index] = [why or True for why in answers.why]
            for key, values in answers.numbers.items():
                known = np.array([not why for why in answers.why]) & (values >= 0)
                rows.setdefault(key, [None] * len(points))
                for place, value in zip(part.index[known], values[known].tolist(), strict=True):
                    rows[key][place] = value
        frames.append(
            pd.DataFrame(
                {
                    "design": kind.name,
                    **_shown(axes, parts, points),
                    **{key: pd.array(values, "Int64") for key, values in rows.items()},
                    "exact": exact,
                }
            )
        )
    frame = pd.concat(frames, ignore_index=True)
    frame.attrs["refused"] = dict(Counter(why for why in frame["exact"] if why is not True))
    return frame


def _shown(
    axes: Mapping[str, Iterable[object]], parts: Sequence[Columns], points: Sequence[dict[str, Any]]
) -> dict[str, list[object]]:
    """Return the values of the axes: of numbers in base units."""
    shown = {key: [point[key] for point in points] for key in axes}
    for part in parts:
        for key, paths in part.keys.items():
            if len(paths) == 1:
                for place, value in zip(part.index, part.numbers[paths[0]].tolist(), strict=True):
                    shown[key][place] = value
    return shown


def compare(
    design: type[Design],
    scenario: Scenario,
    part: Columns,
    answers: Answers,
    points: Sequence[Mapping[str, object]],
) -> None:
    """Simulate the corners and some points between, and compare every key.

    :raises GridError: with the first point and key that differ.
    """
    for place in _sample(part):
        if answers.why[place]:
            continue
        point = points[part.index[place]]
        summary = simulate(scenario.vary(point), design, tables=False).summary
        for key, values in answers.numbers.items():
            expected = value_of(summary, key)
            found = int(values[place]) if values[place] >= 0 else None
            if expected != found:
                where = ", ".join(f"{name}={value}" for name, value in point.items())
                raise GridError(
                    f"{design.name} at {where}: {key} is {found} on arrays and {expected} simulated"
                )


def _sample(part: Columns) -> list[int]:
    """Return the places of the corners, and of a few points drawn between."""
    return list(dict.fromkeys([*_corners(part), *_between(part)]))


def _corners(part: Columns) -> Iterator[int]:
    ranks = [np.unique(values, return_inverse=True)[1] for values in part.numbers.values()]
    signs = list(product((-1, 1), repeat=len(ranks)))
    for some in signs[:: -(-len(signs) // _CORNERS_MAX)]:
        along = [sign * rank for sign, rank in zip(some, ranks, strict=True)]
        yield int(np.argmax(sum(along, np.zeros(len(part)))))


def _between(part: Columns) -> Iterator[int]:
    streams = Streams(part.scenario.seed)
    for number in range(_BETWEEN):
        yield streams.below(f"point to compare {number}", len(part))
