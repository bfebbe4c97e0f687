"""What a log would show had its QEMU been started with more trace events, and how to add them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from colosim.measured.events import MONITOR, TRACE
from colosim.trace.events import PRIMARY, SECONDARY
from colosim.trace.steps import BITMAP_SYNC, CACHE_FLUSH, RAM_LOAD

if TYPE_CHECKING:
    from colosim.measured.events import History

_TIMES: Final = "-msg timestamp=on"
_GUEST: Final = ("guest", "when its guest stops and runs", "-trace runstate_set")
_WANTED: Final = {
    PRIMARY: (
        _GUEST,
        (BITMAP_SYNC, "dirty pages and the bitmap sync", "-trace 'migration_bitmap_sync*'"),
    ),
    SECONDARY: (
        _GUEST,
        (RAM_LOAD, "the end of each RAM stream", "-trace ram_load_complete"),
        (CACHE_FLUSH, "the flush of the RAM cache", "-trace 'colo_flush_ram_cache_*'"),
    ),
}
"""By side: the kind of step as `History.shows` has it, what it tells, and the option for it."""
_MESSAGES: Final = "the stages of a checkpoint"


def options_for(side: str) -> str:
    """Return the options of QEMU's command line with which a side's log shows all that it can."""
    traces = "-trace 'colo_*' -trace migrate_set_state"
    return " ".join(
        [f"{_TIMES} -D {side}.log {traces}", *(option for _, _, option in _WANTED[side])]
    )


def lacking(histories: Sequence[History]) -> list[str]:
    """Return a line a log that lacks something: what, and what to add to QEMU's command line."""
    return [line for history in histories for line in _lacking(history)]


def _lacking(history: History) -> Iterator[str]:
    name = Path(history.log.source).name
    if history.kind == MONITOR:
        wanted = [one for one in _WANTED[history.side] if one is not _GUEST]
        told, options = [_MESSAGES, *(what for _, what, _ in wanted)], [options_for(history.side)]
        if "migration" not in history.shows:
            yield f"{name} does not show the migration's status, so its first pause may be that of"
            yield "  the migration itself; for that enable its capability 'events' on both sides"
    elif history.kind == TRACE:
        missing = [one for one in _WANTED[history.side] if one[0] not in history.shows]
        told, options = [what for _, what, _ in missing], [option for _, _, option in missing]
        if not history.timed and not history.backwards:
            told.append("times")
            options.append(_TIMES)
    else:
        return
    if told:
        yield f"{name} does not show {', '.join(told)}; for that start QEMU with"
        yield f"  {' '.join(options)}"
