"""Published measurements, a row each, and the shipped scenario that each is held to.

``scenarios/published/rows.csv``: what is measured, under which scenario, design and settings, the
key of the summary that is to be compared, the published value, whether that value is `GIVEN` to the
scenario, `FITTED` by a cost of its hosts, or `PREDICTED`, and within which factor of it a run must
come out.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast

from colosim.engine.clock import PPM
from colosim.runs.run import as_scenario
from colosim.runs.wording import in_words
from colosim.scenario.bounds import Bound, parse_bound
from colosim.scenario.shipped_scenarios import shipped_folder
from colosim.scenario.units import FACTOR, parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from colosim.scenario import Scenario

FOLDER: Final = "published"
GIVEN, FITTED, PREDICTED = "given", "fitted", "predicted"


@dataclass(frozen=True, slots=True)
class Row:
    """One published number: `row` says of what; `within_ppm` is the factor, in millionths."""

    row: str
    scenario: str
    design: str
    overrides: tuple[str, ...]
    key: str
    text: str
    kind: Literal["given", "fitted", "predicted"]
    within: str

    @property
    def value(self) -> int:
        """The published value, in the base unit of its key."""
        ((_, value),) = parse_bound(self.key, self.text).tests
        return int(cast("int", value))

    @property
    def bound(self) -> Bound:
        """What a run's value must keep to."""
        factor_ppm, value = parse(self.within, FACTOR), self.value
        words = {GIVEN: "given", FITTED: "fitted", PREDICTED: "a prediction"}[self.kind]
        return Bound(
            f"{in_words(self.key, value)} as published within a factor of {self.within} ({words})",
            ((">=", value * PPM // factor_ppm), ("<=", value * factor_ppm // PPM)),
            self.key,
        )

    def held(self, more: Sequence[str] = ()) -> Scenario:
        """Return the scenario of the row, which expects its published value; `more` is set last."""
        base = as_scenario(f"{FOLDER}/{self.scenario}", (*self.overrides, *more))
        return base.model_copy(
            update={
                "name": self.row,
                "designs": (self.design,),
                "expect": {"*": {self.key: self.bound}},
            }
        )


def rows() -> list[Row]:
    """Return every row, in the order of the page."""
    folder = shipped_folder()
    if folder is None:
        return []
    with (folder / FOLDER / "rows.csv").open(encoding="utf-8", newline="") as file:
        return [
            Row(
                one["row"],
                one["scenario"],
                one["design"],
                tuple(part.strip() for part in one["set"].split(";") if part.strip()),
                one["key"],
                one["published"],
                cast("Literal['given', 'fitted', 'predicted']", one["kind"]),
                one["within"],
            )
            for one in csv.DictReader(file)
        ]
