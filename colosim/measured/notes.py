"""What the lab noted beside a run's logs: its conditions, its fault, and what no log shows.

A run folder has ``meta.json`` (conditions, fault and what came of it) and ``checkpoints.csv`` (one
row a checkpoint).  The times in it were read from the logs, so only the pages and bytes that no log
shows are taken from there.  The notes of the QEMU 2.5 and 2.7 runs are of one form, those of the
QEMU 7.2, 10 and 11 runs of another.  Decimal text becomes integer nanoseconds without passing
through a float.  A name that is not known is an error: it is never taken for another.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from os import PathLike
from pathlib import Path
from typing import Any, Final

from colosim.errors import LogError
from colosim.files import read_file
from colosim.measured.lines import opened
from colosim.measured.measurement import (
    MOMENTS,
    Conditions,
    FaultResult,
    MeasuredRun,
    checkpoints_of,
)

_META, _CHECKPOINTS = "meta.json", "checkpoints.csv"
_DESIGNS: Final = {"old-qsb": "qsb", "split": "split", "old-qio": "flat"}
_RELEASES: Final = (
    ((11, 0), "qemu-11"),
    ((5, 1), "qemu-5.1"),
    ((3, 1), "qemu-3.1"),
    ((2, 8), "flat"),
)
"""The first release of QEMU of each design, latest first."""
_FAULTS: Final = {
    "stop": "freeze",
    "kill": "kill",
    "blackhole": "vanish",
    "channel": "channel",
    "none": "none",
}
_TRIGGERS: Final = {"P_BQL_REL": "stream", "P_SYNCED": "stream", "S_BQL_GOT": "load"}
_NUMBERS: Final = {"p_dirty_pages": "dirty_pages", "wire_bytes": "wire_bytes"}
"""Columns of what no trace shows."""

_TOKEN_BUCKET_BURST = 128 * 1024
_DEFAULT_RETRIES2 = 15
_MIB = 1024**2
_MS = 10**6


@dataclass(frozen=True, slots=True)
class Notes:
    """The notes on a run, called ``kind/folder``.

    ``dirty_pages`` and ``wire_bytes``: by number of the checkpoint, where they were measured.
    """

    name: str
    design: str
    qemu: str
    conditions: Conditions
    fault: FaultResult | None
    dirty_pages: Mapping[int, int] = field(default_factory=dict)
    wire_bytes: Mapping[int, int] = field(default_factory=dict)

    def run(self, checkpoints: Iterable[Mapping[str, Any]], began_ns: int) -> MeasuredRun:
        """Return the run of these notes: `checkpoints` are the rows of its table of that name.

        `began_ns`: what its clock showed at the first request.
        """
        found = checkpoints_of(checkpoints)
        return MeasuredRun(
            name=self.name,
            design=self.design,
            qemu=self.qemu,
            conditions=self.conditions,
            checkpoints=found,
            fault=self.fault,
            clock_ns=began_ns if found else 0,
        )


def is_run_folder(path: str | PathLike[str]) -> bool:
    """Whether a folder looks like a run of the lab."""
    folder = Path(path)
    return (folder / _META).is_file() and (folder / _CHECKPOINTS).is_file()


def read_notes(path: str | PathLike[str]) -> Notes:
    """Return the notes of a run folder of the lab.

    :raises LogError: if a file is missing, is not what a run of either kind has, or names a
        design, a QEMU or a fault that is not known.
    """
    folder = Path(path)
    for name in (_META, _CHECKPOINTS):
        if not (folder / name).is_file():
            raise LogError(f"{folder}: not a run folder, it has no {name}")
    try:
        meta = json.loads(read_file(folder / _META), parse_float=Decimal)
        with opened(folder / _CHECKPOINTS) as lines:
            reader = csv.DictReader(lines)
            rows = list(reader)
            header = reader.fieldnames or ()
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise LogError(f"{folder}: cannot be read: {error}") from error
    try:
        if "P_BEGIN" in header:
            return _lab25(folder.resolve().name, meta)
        if "p_send_request" in header:
            return _lab72(folder.resolve().name, meta, rows)
    except _UnknownNameError as error:
        raise LogError(f"{folder / _META}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise LogError(f"{folder}: not as a run of the lab is written: {error!r}") from error
    raise LogError(f"{folder}: {_CHECKPOINTS} has neither P_BEGIN nor p_send_request")


class _UnknownNameError(Exception):
    """A name in the notes that is not known."""


def _known(what: str, name: object, names: Mapping[str, str]) -> str:
    if not isinstance(name, str) or name not in names:
        raise _UnknownNameError(f"no {what} is called {name!r}; there are {', '.join(names)}")
    return names[name]


def _victim(name: object) -> str:
    return _known("side", name, {side: side for side in ("primary", "secondary")})


def _accelerator(name: object) -> str:
    return _known("accelerator", name, {one: one for one in ("tcg", "kvm")})


def _moment(name: object) -> str:
    return _known("moment", name, {moment: moment for moment in MOMENTS})


# ---- QEMU 2.5 and 2.7 ----------------------------------------------------------------------------


def _lab25(name: str, meta: dict[str, Any]) -> Notes:
    config = meta["config"]
    return Notes(
        name=f"qemu25/{name}",
        design=_known("design", config["design"], _DESIGNS),
        qemu=_version(meta["qemu"]),
        conditions=Conditions(
            ram_bytes=config["ram"] * _MIB,
            working_set_pages=config["pages"],
            write_rate=config["rate"],
            checkpoint_delay_ns=config["delay"] * _MS,
            **_link(config["bw"]),
            frame_bytes=1514,
            latency_ns=0,
            congestion_control="bbr",
            delayed_ack=True,
            retries2=_DEFAULT_RETRIES2,
        ),
        fault=_fault25(meta["result"], config) if meta.get("result") else None,
    )


def _fault25(result: dict[str, Any], config: dict[str, Any]) -> FaultResult:
    polls = result.get("poll_hands_off") or []
    answered = [latency for _, latency, _ in polls if latency is not None]
    states = {status for _, _, status in polls if status is not None}
    return FaultResult(
        fault=_known("fault", result["fault"], _FAULTS),
        victim=_victim(result["victim"]),
        when=_TRIGGERS.get(result["trigger"]) or _moment(config["when"]),
        polls=len(polls),
        polls_answered=len(answered),
        poll_ns_max=max(map(_ns, answered), default=None),
        status=", ".join(sorted(states)) or None,
        command_ns=_optional(result.get("heartbeat_answered_s")),
        running_ns=_optional(result.get("resumed_s_after_heartbeat")),
        yank_running_ns=None,
        thaw_command_ns=_optional(result.get("heartbeat_answered_s_after_cont")),
        thaw_running_ns=_optional(result.get("resumed_s_after_cont")),
        **_waits(config),
    )


# ---- QEMU 7.2, 10 and 11 -------------------------------------------------------------------------


def _lab72(name: str, meta: dict[str, Any], rows: list[dict[str, str]]) -> Notes:
    config = meta["config"]
    qemu = _version(meta["qemu"])
    tun = not meta["network"]["mode"].startswith("veth")
    numbers: dict[str, dict[int, int]] = {
        kind: {
            number: int(Decimal(row[column])) for number, row in enumerate(rows) if row.get(column)
        }
        for column, kind in _NUMBERS.items()
    }
    return Notes(
        name=f"qemu{''.join(qemu.split('.')[:2])}/{name}",
        design=_released(qemu, config.get("channels") or 0),
        qemu=qemu,
        conditions=Conditions(**plain_conditions(config, tun=tun)),
        fault=_fault72(meta["result"], config["action"]) if config.get("action") else None,
        **numbers,
    )


def plain_conditions(config: Mapping[str, Any], *, tun: bool) -> dict[str, Any]:
    """Return the conditions of a run since 7.2; `tun`: its link was two TUN devices."""
    return {
        "ram_bytes": config["ram"] * _MIB,
        "working_set_pages": config["ws_pages"],
        "write_rate": config["rate"],
        "checkpoint_delay_ns": config["delay"] * _MS,
        **_link(config["bw"]),
        "frame_bytes": 1500 if tun else 1514,
        "latency_ns": int(Decimal(config["rtt"]) * _MS / 2),
        "congestion_control": config["cc"],
        "delayed_ack": not config["quickack"],
        "retries2": config.get("tcp_retries2") or _DEFAULT_RETRIES2,
        "accelerator": _accelerator(config.get("accel") or "tcg"),
    }


def _released(qemu: str, channels: int) -> str:
    """Return the design of a release of QEMU, with its multifd channels if it has any."""
    version = tuple(map(int, qemu.split(".")))[:2]
    for first, design in _RELEASES:
        if version >= first:
            return f"{design}+multifd={channels}" if channels else design
    raise _UnknownNameError(f"no design is known for QEMU {qemu}")


def _fault72(result: dict[str, Any], action: dict[str, Any]) -> FaultResult:
    kind, victim = _known("fault", action["fault"], _FAULTS), _victim(action["victim"])
    polls = result["poll_hands_off"]
    answered = [_ns(poll[2]) for poll in polls if poll[1]]
    states = {poll[4] for poll in polls if poll[1]}
    yanked = result["yank_used"]
    return FaultResult(
        fault=kind,
        victim=victim,
        when=_moment(action["when"]),
        polls=len(polls),
        polls_answered=len(answered),
        poll_ns_max=max(answered, default=None),
        status=", ".join(sorted(states)) or None,
        command_ns=_ns(result["heartbeat_seconds"]) if result["heartbeat_answered"] else None,
        running_ns=None if yanked else _optional(result.get("heartbeat_to_running_s")),
        yank_running_ns=_optional(result.get("yank_to_running_s")),
        thaw_command_ns=None,
        thaw_running_ns=None,
        **_waits(action),
    )


def _link(mbit_per_s: int) -> dict[str, Any]:
    """Return the token bucket of a run, 0 for none; a frame carries 1448 bytes of payload."""
    return {
        "bandwidth_bits": mbit_per_s * 10**6 or None,
        "burst_bytes": _TOKEN_BUCKET_BURST if mbit_per_s else 0,
        "payload_bytes": 1448,
    }


def _waits(given: Mapping[str, Any]) -> dict[str, int]:
    """Return when the harness acted, in seconds or by its own defaults."""
    return {
        "offset_ns": _ns(given.get("offset", 0)),
        "hands_off_ns": _ns(given.get("hands_off", 10)),
        "patience_ns": _ns(given.get("hb_wait", 10)),
    }


def _version(text: str) -> str:
    found = re.search(r"version (\d+(?:\.\d+)+)", text)
    if found is None:
        raise ValueError(f"no QEMU version in {text!r}")
    return found.group(1)


def _ns(seconds: Decimal | int) -> int:
    return int(Decimal(seconds).scaleb(9))


def _optional(seconds: Decimal | int | None) -> int | None:
    return None if seconds is None else _ns(seconds)
