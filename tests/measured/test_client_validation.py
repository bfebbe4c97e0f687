"""Runs with clients: their tables, and the simulator held against them."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pytest

from colosim.cli.main import main
from colosim.errors import LogError
from colosim.measured.client_notes import read_client_run
from colosim.measured.client_record import record_of
from colosim.measured.client_run import client_run, dump, names, parse
from colosim.measured.client_validation import STAGES, validate
from colosim.measured.selection import select_clients

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "results/validation/clients.csv"
META = {
    "config": {
        "accel": "tcg",
        "buffer_us": 0,
        "bw": 0,
        "cc": "cubic",
        "delay": 1000,
        "mode": "colo",
        "max_queue_size": 0,
        "mute": [1],
        "nodelay": 1,
        "quickack": 0,
        "ram": 128,
        "rate": 0,
        "rtt": 4.0,
        "tcp_retries2": 0,
        "ws_pages": 0,
        "client": "udp win=1 rate=20 div=0.1",
    },
    "qemu": "QEMU emulator version 7.2.22 (Debian)",
    "result": {"mono_to_epoch_ns": [500_000_000, 500_000_000]},
}
REQUESTS = """\
id,t_planned,t_send,t_reply,t_tap_in,t_pri_out,t_tap_out
0,101.100000,101.100000,101.105000,101.100100,101.102100,101.104900
1,101.990000,101.990000,102.060000,101.990100,101.992100,102.059900
2,102.001000,102.061000,,102.061100,102.063100,
"""
CHECKPOINTS = """\
k,p_send_request,p_vm_stopped,p_vm_resumed,p_dirty_pages,wire_bytes,cause,t_trigger
0,101.000000,101.001000,101.050000,2,9208,timer,
1,102.000000,102.001000,102.059000,3,13312,mismatch,102.000000
2,103.000000,103.001000,103.050000,2,9208,timer,
"""


def folder_of_a_run(folder: Path) -> Path:
    """Write the folder of a short run with clients."""
    (folder / "meta.json").write_text(json.dumps(META), encoding="utf-8")
    (folder / "checkpoints.csv").write_text(CHECKPOINTS, encoding="utf-8")
    with gzip.open(folder / "requests.csv.gz", "wt") as file:
        file.write(REQUESTS)
    return folder


def test_every_table_reads_back_to_itself() -> None:
    """A shipped table is exactly what its run is written as."""
    for name in names():
        run = client_run(name)
        assert run.name == name
        assert parse(dump(run)) == run


def test_a_folder_is_read_request_by_request(tmp_path: Path) -> None:
    """Times count from one delay before the first request; one request met a pause, one is lost.

    That one was dropped before the next pause.
    """
    run = read_client_run(folder_of_a_run(tmp_path))
    assert run.sent_ns == (1_100_000_000, 1_990_000_000, 2_001_000_000)
    assert run.latency_ns == (5_000_000, 70_000_000)
    assert (run.clock_ns, run.end_ns, run.lost) == (99_500_000_000, 2_060_000_000, 1)
    assert (run.met_pause, run.forced_checkpoints, run.periodic_checkpoints) == (1, 1, 0)
    assert (run.pages, run.device_state_bytes, run.cut_ns) == ((2, 3, 2), 1000, (2_100_000_000,))
    assert run.conditions.latency_ns == 2_000_000
    assert run.service["outstanding"] == 1
    assert run.service["divergence"] == 100_000
    (tmp_path / "meta.json").write_text("{}", encoding="utf-8")
    with pytest.raises(LogError, match="not as a run with clients is written"):
        read_client_run(tmp_path)


def test_the_first_answers_after_loads_are_read_where_a_run_shows_enough(tmp_path: Path) -> None:
    """Each from the load, or the copy that comes later; as the primary runs it is 0.7 of it."""
    requests = ["id,t_planned,t_send,t_reply,t_tap_in,t_mirror,t_pri_out,t_sec_out,t_tap_out"]
    checkpoints = ["k,p_send_request,p_vm_stopped,p_vm_resumed,p_dirty_pages,wire_bytes,cause"]
    checkpoints[0] += ",t_trigger,s_vm_stopped,s_vm_resumed"
    for k in range(8):
        at, late = 101 + k, k == 7
        checkpoints.append(
            f"{k},{at}.0,{at}.001,{at}.050,2,9208,timer,,{at}.001,{at}.010"  # loaded at 10 ms
        )
        copied, answered = ("060", "095") if late else ("005", "060")
        requests.append(
            f"{k},{at}.004,{at}.004,{at}.2,{at}.004,{at}.{copied},{at}.1,{at}.{answered},{at}.2"
        )
    folder_of_a_run(tmp_path)
    (tmp_path / "checkpoints.csv").write_text("\n".join(checkpoints), encoding="utf-8")
    for loads, found in ((8, (50_000_000,) * 8), (7, ())):
        with gzip.open(tmp_path / "requests.csv.gz", "wt") as file:
            file.write("\n".join(requests[: loads + 1]))
        assert read_client_run(tmp_path).first_ns == found


def test_sources_are_told_apart(tmp_path: Path) -> None:
    """Folders, names and patterns of runs with clients are taken out of the others."""
    folder = str(folder_of_a_run(tmp_path))
    runs, others = select_clients([folder, "proxy72/colo_udp20_*", "qemu72/*"])
    assert [run.name for run in runs][1:] == [n for n in names() if "/colo_udp20_" in n]
    assert others == ["qemu72/*"]
    assert [run.name for run in select_clients([])[0]] == list(names())
    with pytest.raises(LogError, match="no measured run with clients"):
        select_clients(["proxy72/none"])


def test_the_command_prints_every_stage_with_its_error(capsys: pytest.CaptureFixture[str]) -> None:
    """``--format json`` has the stages of a run with clients, and whether a storm is right."""
    assert main(["qemu", "validate", "proxy72/colo_udpw1_d2000", "--format", "json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert list(found["stages"]) == list(STAGES)
    assert all("error" in stage for stage in found["stages"].values())
    assert found["storm"] == {"measured": False, "simulated": 0, "of": 5, "right": True}
    assert main(["qemu", "validate", "proxy72/colo_udpw1_d2000"]) == 0
    assert "no, 0 of 5" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name", ["colo_udpw1_d2000", "colo_udp20_d500_r2", "colo_tcp128_20_d1000", "buffer100_udp20"]
)
def test_the_record_is_current(name: str) -> None:
    """The recorded rows of a run are what its simulations give."""
    rows = record_of(validate([client_run(f"proxy72/{name}")])).splitlines()[1:]
    recorded = RECORD.read_text(encoding="utf-8").splitlines()
    without_repeats = [",".join(row.split(",")[:8]) for row in recorded]
    assert [row for row in rows if ",".join(row.split(",")[:8]) not in without_repeats] == []


def test_the_page_has_the_record() -> None:
    """docs/validation.md has every idle run of the record, stage by stage."""
    page = (ROOT / "docs/validation.md").read_text(encoding="utf-8")
    missing = [row for row in (*page_rows(), page_summary()) if row not in page]
    assert missing == []


def page_rows() -> list[str]:
    """Return the rows of the page's table."""
    with RECORD.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    runs: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        runs.setdefault(row["id"].partition("/")[2], []).append(row)
    found = []
    for name, stages in runs.items():
        if name.endswith("__busy"):
            continue
        cells = [_cell(stage) for stage in stages]
        first = stages[0]
        storm = f"{first['storm_measured']}, {first['storms_simulated']} of 5"
        found.append(f"| `{name}` | {first['unseen']} | {' | '.join(cells)} | {storm} |")
    return found


def page_summary() -> str:
    """Return the page's sentence on the runs from which nothing was taken."""
    with RECORD.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["unseen"] == "yes"]
    idle = [row for row in rows if not row["id"].endswith("__busy")]
    said = []
    for stage in STAGES:
        own = [row for row in idle if row["stage"] == stage]
        errors = sorted(abs(float(row["error"])) for row in own)
        reached = sum(row["reached"] == "yes" for row in own)
        said.append(f"{stage} {reached} ({errors[(len(errors) - 1) // 2]:.0%})")
    count = len(idle) // len(STAGES)
    told = ", ".join(said)
    return f"Of {count} idle runs that are not seen reach their goal (median error): {told}."


def _cell(stage: dict[str, str]) -> str:
    values = (stage["measured"], stage["simulated"])
    if "latency" in stage["stage"]:
        values = (f"{int(values[0]) / 1e6:.1f}", f"{int(values[1]) / 1e6:.1f}")
    error = f"{float(stage['error']):+.0%}"
    return f"{values[0]}, {values[1]} ({error if stage['reached'] == 'yes' else f'**{error}**'})"
