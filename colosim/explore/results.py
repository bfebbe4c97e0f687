"""Finished cases on disk: a file of JSON lines, named after what its results depend on.

The name has a digest over the scenario and over the source of colosim and of the designs, so a
rerun finds exactly the results that are still true.  Lines are only ever added, so several
processes may do so at once; one that is no outcome, as a full disk or an interrupt leaves it, is
passed over.
"""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from colosim.explore.cases import base_of
from colosim.explore.outcome import Outcome
from colosim.files import writing
from colosim.runs.source import source_digest
from colosim.scenario import canonical_json

if TYPE_CHECKING:
    from io import RawIOBase
    from pathlib import Path

    from colosim.scenario.model import Scenario

_DIGITS = 16


def digest_of(scenario: Scenario, designs: Sequence[str]) -> str:
    """Return a digest of everything that the cases of a scenario depend on but their choices."""
    base = base_of(scenario).model_copy(update={"designs": ("any",), "name": "any"})
    text = f"{canonical_json(base)}{source_digest(tuple(sorted(set(designs))))}"
    return hashlib.sha256(text.encode()).hexdigest()


class Results:
    """The finished cases of one exploration, by their choices; without a folder only in memory."""

    def __init__(self, folder: Path | None, digest: str) -> None:
        self.path = None if folder is None else folder / f"cases-{digest[:_DIGITS]}.jsonl"
        self._found: dict[str, Outcome] = {}
        self._stream: RawIOBase | None = None

    def __enter__(self) -> Self:
        """Read what is there already.

        :raises WriteError: if nothing can be kept there.
        """
        if self.path is None:
            return self
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.exists() and not self.path.is_file():
                raise FileExistsError(errno.EEXIST, "")
            self._stream = self.path.open("ab+", buffering=0)
            self._stream.seek(0)
            *lines, torn = self._stream.read().split(b"\n")
            for outcome in map(_outcome, lines):
                if outcome is not None:
                    self._found[outcome.choices] = outcome
            if torn:
                self._stream.write(b"\n")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        if self._stream is not None:
            self._stream.close()

    def get(self, choices: str) -> Outcome | None:
        """Return the outcome of a finished case, or None."""
        return self._found.get(choices)

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Keep finished cases.

        :raises WriteError: if they cannot be written.
        """
        self._found.update((outcome.choices, outcome) for outcome in outcomes)
        if self._stream is None or not outcomes:
            return
        lines = "".join(f"{json.dumps(one.to_dict())}\n" for one in outcomes)
        left = memoryview(lines.encode())
        with writing(str(self.path)):
            while left:
                left = left[self._stream.write(left) or 0 :]


def _outcome(line: bytes) -> Outcome | None:
    """Return the outcome that a line holds, None if it holds none."""
    try:
        return Outcome(**json.loads(line))
    except (TypeError, ValueError, RecursionError):
        return None
