"""The lab's run folders, of both kinds, read into a `MeasuredRun`.

Either kind has ``meta.json`` (conditions, fault result) and ``checkpoints.csv`` (one row a
checkpoint, seconds as decimal text).  The QEMU 2.5 and 2.7 runs have columns like ``P_BEGIN``
and times of CLOCK_MONOTONIC, the QEMU 7.2 runs ``p_send_request`` and CLOCK_REALTIME.
Decimal text becomes integer nanoseconds without passing through a float.
"""

from __future__ import annotations

import csv
import json
import re
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colosim.errors import LogError
from colosim.measured.measurement import (
    STAGES,
    Conditions,
    FaultResult,
    MeasuredCheckpoint,
    MeasuredRun,
)
from colosim.trace.steps import POINTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

__all__ = ["is_run_directory", "read"]

_DESIGNS = {"old-qsb": "qsb", "split": "split", "old-qio": "flat"}

_LAB25 = {point.qemu25: point.stage for point in POINTS if point.qemu25}
_LAB25_NUMBERS = {
    "dirty_pages": "dirty_pages",
    "flush_pages": "flush_pages",
    "stream_bytes": "wire_bytes",
    "buffer_bytes": "staging_buffer_content_bytes",
    "p_buffer_capacity": "staging_buffer_capacity_bytes",
}
_LAB72 = {point.qemu72: point.stage for point in POINTS if point.qemu72}
_LAB72_NUMBERS = {
    "p_dirty_pages": "dirty_pages",
    "s_flush_pages": "flush_pages",
    "wire_bytes": "wire_bytes",
}

_TOKEN_BUCKET_BURST = 128 * 1024
_DEFAULT_RETRIES2 = 15
_MIB = 1024**2
_MS = 10**6


def is_run_directory(path: str | PathLike[str]) -> bool:
    """Whether a folder looks like a run of the lab."""
    folder = Path(path)
    return (folder / "meta.json").is_file() and (folder / "checkpoints.csv").is_file()


def read(path: str | PathLike[str]) -> MeasuredRun:
    """Return the run that a folder of the lab holds; its name is ``kind/folder``.

    :raises LogError: if a file is missing or is not what a run of either kind has.
    """
    folder = Path(path)
    for name in ("meta.json", "checkpoints.csv"):
        if not (folder / name).is_file():
            raise LogError(f"{folder}: not a run folder, it has no {name}")
    try:
        meta = json.loads((folder / "meta.json").read_text("utf-8"), parse_float=Decimal)
        with (folder / "checkpoints.csv").open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            header = reader.fieldnames or ()
    except (OSError, ValueError, csv.Error) as error:
        raise LogError(f"{folder}: cannot be read: {error}") from error
    try:
        if "P_BEGIN" in header:
            return _lab25(folder.resolve().name, meta, rows)
        if "p_send_request" in header:
            return _lab72(folder.resolve().name, meta, rows)
    except (KeyError, TypeError, ValueError, InvalidOperation) as error:
        raise LogError(f"{folder}: not as a run of the lab is written: {error!r}") from error
    raise LogError(f"{folder}: checkpoints.csv has neither P_BEGIN nor p_send_request")


def _lab25(name: str, meta: dict[str, Any], rows: list[dict[str, str]]) -> MeasuredRun:
    config = meta["config"]
    design = _DESIGNS[config["design"]]
    return MeasuredRun(
        name=f"qemu25/{name}",
        design=design,
        qemu=_version(meta["qemu"]),
        conditions=Conditions(
            ram_bytes=config["ram"] * _MIB,
            working_set_pages=config["pages"],
            write_rate=config["rate"],
            checkpoint_delay_ns=config["delay"] * _MS,
            bandwidth_bits=config["bw"] * 10**6 or None,
            burst_bytes=_TOKEN_BUCKET_BURST if config["bw"] else 0,
            payload_bytes=1448,
            frame_bytes=1514,
            latency_ns=0,
            congestion_control="bbr",
            delayed_ack=True,
            retries2=_DEFAULT_RETRIES2,
        ),
        checkpoints=_checkpoints(design, rows, _LAB25, _LAB25_NUMBERS),
        fault=_fault25(meta["result"], config) if meta.get("result") else None,
        clock_ns=_nanoseconds(rows[0]["P_BEGIN"]) if rows else 0,
    )


def _lab72(name: str, meta: dict[str, Any], rows: list[dict[str, str]]) -> MeasuredRun:
    config = meta["config"]
    tun = not meta["network"]["mode"].startswith("veth")
    rate = config["bw"]
    return MeasuredRun(
        name=f"qemu72/{name}",
        design="qemu-5.1",
        qemu=_version(meta["qemu"]),
        conditions=Conditions(
            ram_bytes=config["ram"] * _MIB,
            working_set_pages=config["ws_pages"],
            write_rate=config["rate"],
            checkpoint_delay_ns=config["delay"] * _MS,
            bandwidth_bits=rate * 10**6 or None,
            burst_bytes=_TOKEN_BUCKET_BURST if rate else 0,
            payload_bytes=1448,
            frame_bytes=1500 if tun else 1514,
            latency_ns=int(Decimal(config["rtt"]) * _MS / 2),
            congestion_control=config["cc"],
            delayed_ack=not config["quickack"],
            retries2=config.get("tcp_retries2") or _DEFAULT_RETRIES2,
        ),
        checkpoints=_checkpoints("qemu-5.1", rows, _LAB72, _LAB72_NUMBERS),
        fault=_fault72(meta["result"], config["action"]) if config.get("action") else None,
        clock_ns=_nanoseconds(rows[0]["p_send_request"]) if rows else 0,
    )


def _checkpoints(
    design: str,
    rows: list[dict[str, str]],
    stages: Mapping[str, str],
    numbers: Mapping[str, str],
) -> tuple[MeasuredCheckpoint, ...]:
    request = next(column for column, stage in stages.items() if stage == POINTS[0].stage)
    if not rows:
        return ()
    first = _nanoseconds(rows[0][request])
    found = []
    for row in rows:
        begin = _nanoseconds(row[request])
        times = {
            stage: _nanoseconds(row[column]) - begin
            for column, stage in stages.items()
            if row.get(column) and column != request
        }
        values = {
            name: int(Decimal(row[column])) if row.get(column) else None
            for column, name in numbers.items()
        }
        found.append(
            MeasuredCheckpoint(
                design=design,
                request_ns=begin - first,
                dirty_pages=values["dirty_pages"],
                flush_pages=values["flush_pages"],
                wire_bytes=values["wire_bytes"],
                staging_buffer_content_bytes=values.get("staging_buffer_content_bytes"),
                staging_buffer_capacity_bytes=values.get("staging_buffer_capacity_bytes"),
                stages={stage: times[stage] for stage in STAGES if stage in times},
            )
        )
    return tuple(found)


def _fault25(result: dict[str, Any], config: dict[str, Any]) -> FaultResult:
    polls = result.get("poll_hands_off") or []
    answered = [latency for _, latency, _ in polls if latency is not None]
    states = {status for _, _, status in polls if status is not None}
    return FaultResult(
        fault={"stop": "freeze", "blackhole": "vanish"}.get(result["fault"], result["fault"]),
        victim=result["victim"],
        when={"P_BQL_REL": "stream", "P_SYNCED": "stream", "S_BQL_GOT": "load"}.get(
            result["trigger"], config["when"]
        ),
        polls=len(polls),
        polls_answered=len(answered),
        poll_ns_max=max(map(_ns, answered), default=None),
        status=", ".join(sorted(states)) or None,
        command_ns=_optional(result.get("heartbeat_answered_s")),
        running_ns=_optional(result.get("resumed_s_after_heartbeat")),
        yank_running_ns=None,
        thaw_command_ns=_optional(result.get("heartbeat_answered_s_after_cont")),
        thaw_running_ns=_optional(result.get("resumed_s_after_cont")),
        offset_ns=_ns(config.get("offset", 0)),
        hands_off_ns=_ns(config.get("hands_off", 10)),
        patience_ns=_ns(config.get("hb_wait", 10)),
    )


def _fault72(result: dict[str, Any], action: dict[str, Any]) -> FaultResult:
    polls = result["poll_hands_off"]
    answered = [_ns(poll[2]) for poll in polls if poll[1]]
    states = {poll[4] for poll in polls if poll[1]}
    yanked = result["yank_used"]
    return FaultResult(
        fault={"stop": "freeze", "blackhole": "vanish"}.get(action["fault"], action["fault"]),
        victim=action["victim"],
        when=action["when"],
        polls=len(polls),
        polls_answered=len(answered),
        poll_ns_max=max(answered, default=None),
        status=", ".join(sorted(states)) or None,
        command_ns=_ns(result["heartbeat_seconds"]) if result["heartbeat_answered"] else None,
        running_ns=None if yanked else _optional(result.get("heartbeat_to_running_s")),
        yank_running_ns=_optional(result.get("yank_to_running_s")),
        thaw_command_ns=None,
        thaw_running_ns=None,
        offset_ns=_ns(action.get("offset", 0)),
        hands_off_ns=_ns(action.get("hands_off", 10)),
        patience_ns=_ns(action.get("hb_wait", 10)),
    )


def _version(text: str) -> str:
    found = re.search(r"version (\d+(?:\.\d+)+)", text)
    if found is None:
        raise ValueError(f"no QEMU version in {text!r}")
    return found.group(1)


def _nanoseconds(text: str) -> int:
    return _ns(Decimal(text))


def _ns(seconds: Decimal | int) -> int:
    return int(Decimal(seconds).scaleb(9))


def _optional(seconds: Decimal | int | None) -> int | None:
    return None if seconds is None else _ns(seconds)
