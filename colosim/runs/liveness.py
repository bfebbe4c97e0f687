"""The liveness phase: once faults have ended, the pair must commit or a survivor serve in time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from colosim.trace.events import LivenessMissed

if TYPE_CHECKING:
    from colosim.engine.environment import Environment
    from colosim.scenario.liveness import Liveness as Limits
    from colosim.trace.record import Record

LATE = "late"
"""Why a run ended that did not get live again in time."""


class Liveness:
    """Ends every fault at the scenario's ``until``, and ends the run if it is not live again.

    Live is who, within the limit, has committed a checkpoint since, or serves alone.
    """

    def __init__(
        self,
        env: Environment,
        record: Record,
        limits: Limits,
        end_faults: Callable[[], None],
        committed: Callable[[], int],
        serves_alone: Callable[[], bool],
    ) -> None:
        self._env = env
        self._record = record
        self._end_faults = end_faults
        self._committed = committed
        self._serves_alone = serves_alone
        self._committed_before = 0
        self.missed = False
        env.call_at(limits.until_ns, self._begin, onlooker=True)
        env.call_at(limits.until_ns + limits.within_ns, self._look, onlooker=True)

    def _begin(self) -> None:
        self._end_faults()
        self._committed_before = self._committed()

    def _look(self) -> None:
        if self._serves_alone() or self._committed() > self._committed_before:
            return
        self.missed = True
        self._record.note(LivenessMissed())
        self._env.finish()
