"""Reading a lab folder of a run with clients: ``requests.csv``, ``checkpoints.csv``, ``meta.json``.

A request has met a pause if it was under way at the primary's tap (at the client, where the tap was
not watched) while the primary's guest stood; one that is never answered was under way until the
primary's answer came to the full comparison, which dropped it.  What a request takes the guest is
counted where it came 100 ms or more after a resume and was answered before the next stop.
"""

from __future__ import annotations

import csv
import json
from bisect import bisect_right
from collections.abc import Iterator
from decimal import Decimal
from os import PathLike
from pathlib import Path
from typing import Any, Final

from colosim.errors import LogError
from colosim.files import read_file
from colosim.measured.client_run import LAB, ClientRun
from colosim.measured.lines import opened
from colosim.measured.measurement import Conditions
from colosim.measured.notes import plain_conditions
from colosim.service.workload import LATE_TENTHS

_REQUESTS: Final = "requests.csv.gz"
_US, _MS, _NEVER = 1000, 10**6, 1 << 62
_PAGE_BYTES: Final = 4104
_AWAY_NS: Final = 100 * _MS
_FEW, _FEW_LOADS = 30, 8
_BEFORE_RESUME_NS: Final = 3 * _MS
"""How long before QEMU says that a guest runs a held answer may be out (measured: p90 2.8 ms)."""
Row = dict[str, str]


def is_client_folder(path: str | PathLike[str]) -> bool:
    """Whether a folder looks like a run with clients."""
    return (Path(path) / _REQUESTS).is_file()


def read_client_run(path: str | PathLike[str]) -> ClientRun:
    """Return the run of a lab folder.

    :raises LogError: if a file is missing or is not what such a run has.
    """
    folder = Path(path)
    try:
        meta = json.loads(read_file(folder / "meta.json"), parse_float=Decimal)
        requests = list(_rows(folder / _REQUESTS))
        checkpoints: list[Row] = []
        if (folder / "checkpoints.csv").is_file():
            checkpoints = [row for row in _rows(folder / "checkpoints.csv") if row["p_vm_resumed"]]
        return _Reading(folder.resolve().name, meta, requests, checkpoints).run()
    except (OSError, KeyError, TypeError, ValueError, ArithmeticError, csv.Error) as error:
        raise LogError(f"{folder}: not as a run with clients is written: {error!r}") from error


def _rows(file: Path) -> Iterator[Row]:
    with opened(file) as lines:
        yield from csv.DictReader(lines)


def _ns(seconds: str | None) -> int | None:
    return int(Decimal(seconds).scaleb(9)) if seconds else None


class _Reading:
    def __init__(self, name: str, meta: Any, requests: list[Row], checkpoints: list[Row]) -> None:
        self._name, self._meta, self._config = name, meta, meta["config"]
        self._requests, self._checkpoints = requests, checkpoints
        self._stops = [self._at(row, "p_vm_stopped") for row in checkpoints]
        self._resumes = [self._at(row, "p_vm_resumed") for row in checkpoints]
        self._began = min(self._at(row, "t_planned") for row in requests)
        self._ended = max(_ns(row["t_reply"]) or 0 for row in requests)
        # Where the timer did not begin, the clients came as soon as the pair was one (assumed).
        self._zero = self._began
        if checkpoints and checkpoints[0]["cause"] == "timer":
            first = self._at(checkpoints[0], "p_send_request")
            self._zero = first - self._config["delay"] * _MS

    @staticmethod
    def _at(row: Row, column: str) -> int:
        found = _ns(row[column])
        if found is None:
            raise ValueError(f"no {column}")
        return found

    def run(self) -> ClientRun:
        config = self._config
        kind, *given = config["client"].split()
        words = dict(word.split("=") for word in given)
        answered = [row for row in self._requests if row["t_reply"]]
        closed = words["rate"] == "0"
        sent = sorted(self._at(row, "t_planned") - self._zero for row in self._requests)
        asked = [
            row["cause"] != "timer"
            for row in self._checkpoints
            if self._began <= (_ns(row["t_trigger"]) or self._at(row, "p_send_request"))
            and self._at(row, "p_send_request") <= self._ended
        ]
        return ClientRun(
            name=f"{LAB}/{self._name}",
            qemu=self._meta["qemu"].split()[3],
            conditions=Conditions(**plain_conditions(config, tun=bool(config["rtt"]))),
            clock_ns=self._zero - self._meta["result"]["mono_to_epoch_ns"][0],
            service={
                "protocol": kind,
                "connections": 1 if closed else int(words.get("conns", 1)),
                "outstanding": None if kind != "tcp" and "win" not in words else 1,
                "response_bytes": int(words.get("resp", 64)),
                "divergence": int(Decimal(words.get("div", "0")) * 10**6),
                **({"opens": True} if words.get("newconn") == "1" else {}),
            },
            output={
                "mode": {"plain": "direct", "colo": "compared"}.get(config["mode"], "buffered"),
                "nodelay": bool(config["nodelay"]),
                "queue": config["max_queue_size"] or 1024,
                "buffer_ns": config["buffer_us"] * _US,
            },
            device_state_bytes=self._device_state(),
            guest_ns=self._guest(),
            first_ns=self._first(),
            pages=tuple(int(row["p_dirty_pages"] or 0) for row in self._checkpoints),
            cut_ns=tuple(
                self._began - self._zero + second * 10**9 for second in config.get("mute") or ()
            ),
            end_ns=self._ended - self._zero,
            lost=len(self._requests) - len(answered),
            met_pause=sum(map(self._met, self._requests)),
            forced_checkpoints=sum(asked),
            periodic_checkpoints=len(asked) - sum(asked),
            sent_ns=() if closed else tuple(sent),
            latency_ns=tuple(
                self._at(row, "t_reply") - self._at(row, "t_send") for row in answered
            ),
        )

    def _device_state(self) -> int:
        rest = sorted(
            int(Decimal(row["wire_bytes"])) - _PAGE_BYTES * int(row["p_dirty_pages"])
            for row in self._checkpoints
            if row["wire_bytes"] and row["p_dirty_pages"]
        )
        return max(0, rest[-(-len(rest) * 3 // 4) - 1]) if rest else 0

    def _met(self, row: Row) -> bool:
        begin = _ns(row.get("t_tap_in")) or self._at(row, "t_send")
        ends = map(_ns, (row.get("t_tap_out"), row["t_reply"], row.get("t_pri_out")))
        end = next((at for at in ends if at is not None), _NEVER)
        # The last pause that begins before the request ends is the only one it can have met last.
        last = bisect_right(self._stops, end - 1) - 1
        return last >= 0 and self._resumes[last] > begin

    def _guest(self) -> tuple[int, ...]:
        found = []
        for row in self._requests:
            begin, done = _ns(row.get("t_tap_in")), _ns(row.get("t_pri_out"))
            left = _ns(row["t_reply"])
            if begin is None or done is None or left is None:
                continue
            before = bisect_right(self._resumes, begin) - 1
            after = self._stops[before + 1] if before + 1 < len(self._stops) else _NEVER
            if left < after and (before < 0 or begin - self._resumes[before] >= _AWAY_NS):
                found.append(done - begin)
        return tuple(sorted(found)) if len(found) >= _FEW else ()

    def _first(self) -> tuple[int, ...]:
        """Return what the secondary's first request after each load took it.

        Of one that came as the primary ran again what it would have taken before.
        """
        answers = sorted(
            (answered, copied)
            for row in self._requests
            if (answered := _ns(row.get("t_sec_out"))) and (copied := _ns(row.get("t_mirror")))
        )
        stops = [_ns(row.get("s_vm_stopped")) or _NEVER for row in self._checkpoints[1:]]
        found = []
        for row, resumed, stop in zip(
            self._checkpoints, self._resumes, [*stops, _NEVER], strict=False
        ):
            loaded = _ns(row.get("s_vm_resumed")) or _NEVER
            index = bisect_right(answers, (loaded, _NEVER))
            if index < len(answers) and answers[index][0] < stop:
                answered, copied = answers[index]
                late = copied > resumed - _BEFORE_RESUME_NS
                tenths = LATE_TENTHS if late else 10
                found.append((answered - max(loaded, copied)) * 10 // tenths)
        return tuple(sorted(found)) if len(found) >= _FEW_LOADS else ()
