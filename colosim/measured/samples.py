"""The lab's samples of both processes, as events of memory accounts.

``process_resident`` (VmRSS), ``process_resident_anonymous`` (RssAnon), ``socket_send_queue`` and
``socket_receive_queue`` (what the migration socket's queues hold).  A sample makes an event only
where the account has changed.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from colosim.errors import LogError
from colosim.measured.lines import opened
from colosim.measured.merge import Entry
from colosim.trace.events import MemoryLevel

if TYPE_CHECKING:
    from pathlib import Path

_KIB = 1024
ACCOUNTS = {
    "rss_kib": ("process_resident", _KIB),
    "anon_kib": ("process_resident_anonymous", _KIB),
    "wqueue": ("socket_send_queue", 1),
    "rqueue": ("socket_receive_queue", 1),
}
"""The account that a column feeds, and its unit in bytes."""


def read_samples(folder: Path) -> list[Entry]:
    """Return the changes of the accounts in ``samples.csv.gz``, none if there is no such file.

    :raises LogError: if it cannot be read.
    """
    path = folder / "samples.csv.gz"
    if not path.is_file():
        return []
    try:
        with opened(path) as lines:
            return list(_changes(csv.DictReader(lines)))
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise LogError(f"{path}: cannot be read: {error!r}") from error
    except InvalidOperation as error:
        raise LogError(f"{path}: a number is none: {error!r}") from error


def _changes(rows: Iterable[dict[str, str]]) -> list[Entry]:
    last: dict[MemoryLevel, int] = {}
    found = []
    for row in rows:
        time_ns = int(Decimal(row["t"]).scaleb(9))
        for side in ("primary", "secondary"):
            for column, (account, unit) in ACCOUNTS.items():
                cell = row.get(f"{side[0]}_{column}")
                if not cell:
                    continue
                level = int(cell) * unit
                event = MemoryLevel(side, account)
                if last.get(event) != level:
                    last[event] = level
                    found.append(Entry(time_ns, event, level))
    return found
