"""Run directories: whole or not at all, the same bytes, read back."""

from __future__ import annotations

import errno
import json
from typing import TYPE_CHECKING

import pytest

from colosim.designs import load_designs
from colosim.errors import RunDirectoryError
from colosim.runs import directory
from colosim.runs.columns import COLUMNS
from colosim.runs.directory import UNCHANGED, RunDirectory, run_into, write_run
from colosim.runs.run import NoTablesError, simulate
from colosim.runs.stored import intact, read_run

if TYPE_CHECKING:
    from pathlib import Path

    from colosim.scenario import Scenario

FILES = {
    "summary.json", "manifest.json", "checkpoints.csv", "memory.csv", "locks.csv", "messages.csv",
    "events.csv",
}  # fmt: skip


def content(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("design", load_designs())
def test_streamed_and_kept_tables_are_the_same(
    frozen: Scenario, design: str, tmp_path: Path
) -> None:
    """Tables that are written while the run goes on are those that are made from memory."""
    run_into(tmp_path / "streamed", frozen, design)
    write_run(simulate(frozen, design), tmp_path / "kept")
    streamed = content(tmp_path / "streamed")
    assert set(streamed) == FILES
    assert streamed == content(tmp_path / "kept")


@pytest.mark.parametrize("design", load_designs())
def test_rows_do_not_depend_on_the_batches_in_which_they_are_made(
    frozen: Scenario, design: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Holds, messages and levels go on from one part of the record to the next."""
    run_into(tmp_path / "at once", frozen, design)
    monkeypatch.setattr(directory, "BATCH", 1)
    run_into(tmp_path / "by checkpoint", frozen, design)
    assert content(tmp_path / "at once") == content(tmp_path / "by checkpoint")


def test_a_directory_is_the_same_wherever_it_is_written(plain: Scenario, tmp_path: Path) -> None:
    """No path and no time of day is in a run directory."""
    run_into(tmp_path / "a", plain, "split")
    run_into(tmp_path / "deep" / "er" / "b", plain, "split")
    first = content(tmp_path / "a")
    assert first == content(tmp_path / "deep" / "er" / "b")
    assert not any(str(tmp_path).encode() in data for data in first.values())


def test_the_manifest_says_what_ran(plain: Scenario, tmp_path: Path) -> None:
    """The manifest has versions, seed, digest, the resolved scenario and each file's SHA-256."""
    run, _ = run_into(tmp_path / "a", plain, "split", seed=7)
    manifest = json.loads((tmp_path / "a" / "manifest.json").read_text())
    assert set(manifest["versions"]) == {"colosim", "python", "simpy", "numpy"}
    assert (manifest["seed"], manifest["design"]) == (7, "split")
    assert manifest["digest"] == run.digest
    assert set(manifest["files"]) == FILES - {"manifest.json"}
    assert read_run(tmp_path / "a").scenario == plain.vary({"seed": 7})


def test_a_run_is_read_back(frozen: Scenario, tmp_path: Path) -> None:
    """What is read from a directory has the summary and the tables of what was written."""
    kept = simulate(frozen, "split")
    run_into(tmp_path / "a", frozen, "split")
    stored = read_run(tmp_path / "a")
    assert stored.summary == kept.summary
    assert list(stored.iter_events()) == list(kept.iter_events())
    for name in COLUMNS:
        table, again = getattr(kept, name), getattr(stored, name)
        assert table.dtypes.to_dict() == again.dtypes.to_dict()
        assert table.equals(again), name


@pytest.mark.parametrize("design", ["split", "qemu-5.1"])
def test_parquet_has_what_csv_has(frozen: Scenario, design: str, tmp_path: Path) -> None:
    """Streamed or from memory, a Parquet file a table gives the same frames and events."""
    run_into(tmp_path / "csv", frozen, design)
    run_into(tmp_path / "streamed", frozen, design, tables="parquet")
    write_run(simulate(frozen, design), tmp_path / "kept", tables="parquet")
    names = {name.replace(".csv", ".parquet") for name in FILES}
    assert {path.name for path in (tmp_path / "streamed").iterdir()} == names
    plain, *others = (read_run(tmp_path / name) for name in ("csv", "streamed", "kept"))
    for other in others:
        assert list(other.iter_events()) == list(plain.iter_events())
        for name in COLUMNS:
            table, again = getattr(plain, name), getattr(other, name)
            assert table.dtypes.to_dict() == again.dtypes.to_dict()
            assert table.equals(again), name


def test_the_events_names_are_coded_by_a_dictionary(frozen: Scenario, tmp_path: Path) -> None:
    """A Parquet file has each name once, and a number for it at each event."""
    import pyarrow.parquet as pq  # noqa: PLC0415 - only this test needs it

    run_into(tmp_path / "a", frozen, "split", tables="parquet")
    schema = pq.read_schema(tmp_path / "a" / "events.parquet")
    assert [str(field.type) for field in schema] == [
        "int64",
        "dictionary<values=string, indices=int32, ordered=0>",
        "int64",
    ]


def test_another_choice_of_tables_replaces_the_directory(plain: Scenario, tmp_path: Path) -> None:
    """The same run with tables of the other kind takes the place of the whole."""
    target = tmp_path / "a"
    for form, ending in (("csv", ".csv"), ("parquet", ".parquet"), ("csv", ".csv")):
        assert run_into(target, plain, "split", tables=form)[1] == "written"
        tables = {path.suffix for path in target.iterdir()} - {".json"}
        assert tables == {ending}


def test_the_same_run_is_left_alone(plain: Scenario, tmp_path: Path) -> None:
    """A run that stands there already is not written again; one with fewer files is."""
    target = tmp_path / "a"
    assert run_into(target, plain, "split", tables="none")[1] == "written"
    assert run_into(target, plain, "split")[1] == "written"
    before = {path.name: path.stat().st_mtime_ns for path in target.iterdir()}
    assert run_into(target, plain, "split")[1] == UNCHANGED
    assert run_into(target, plain, "split", tables="none")[1] == UNCHANGED
    assert before == {path.name: path.stat().st_mtime_ns for path in target.iterdir()}


def test_a_damaged_directory_is_written_again(plain: Scenario, tmp_path: Path) -> None:
    """A directory whose file is not what was written is not taken for the same run."""
    target = tmp_path / "a"
    run_into(target, plain, "split")
    (target / "locks.csv").write_text("side\n")
    with pytest.raises(RunDirectoryError, match="not what was written"):
        _ = read_run(target).locks
    assert run_into(target, plain, "split")[1] == "written"
    assert intact(target)


@pytest.mark.parametrize("at_once", [True, False])
def test_another_run_is_replaced_and_its_digest_told(
    plain: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, at_once: bool
) -> None:
    """A different run in the target makes way, also where two folders cannot exchange names."""
    target = tmp_path / "a"
    old, _ = run_into(target, plain, "split")
    if not at_once:

        def cannot(*_: Path) -> None:
            raise OSError(errno.EINVAL, "")

        monkeypatch.setattr("colosim.files._exchange_at_once", cannot)
    became = run_into(target, plain, "qsb")[1]
    assert became == f"written, in place of a run with the digest {old.digest}"
    assert read_run(target).design == "qsb"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("beside_a_run", [True, False])
def test_what_no_run_directory_has_is_never_removed(
    plain: Scenario, tmp_path: Path, *, beside_a_run: bool
) -> None:
    """A folder with files of somebody's is left alone, whether a run is in it or not."""
    target = tmp_path / "a"
    if beside_a_run:
        run_into(target, plain, "qsb")
    target.mkdir(exist_ok=True)
    (target / "thesis.tex").write_text("years of work")
    before = content(target)
    with pytest.raises(RunDirectoryError, match=r"thesis\.tex in it"):
        run_into(target, plain, "split")
    assert content(target) == before
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("stands_there", [True, False])
def test_a_link_to_a_directory_is_written_through(
    plain: Scenario, tmp_path: Path, *, stands_there: bool
) -> None:
    """The run stands where the link leads, and the link is a link."""
    link, target = tmp_path / "link", tmp_path / "elsewhere" / "a"
    target.parent.mkdir()
    if stands_there:
        run_into(target, plain, "qsb")
    link.symlink_to(target)
    run_into(link, plain, "split")
    assert link.is_symlink()
    assert read_run(target).design == "split"
    assert [path.name for path in target.parent.iterdir()] == ["a"]


def test_an_interrupted_run_leaves_nothing(plain: Scenario, tmp_path: Path) -> None:
    """A run that is interrupted leaves no directory, no part of one, and no empty folder."""

    def interrupt(_chunk: list[int]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_into(
            tmp_path / "runs" / "x" / "a",
            plain,
            "split",
            prepare=lambda simulation: simulation.record.sinks.append(interrupt),
        )
    assert list(tmp_path.iterdir()) == []


def test_a_run_under_way_is_in_nobodys_way(plain: Scenario, tmp_path: Path) -> None:
    """Another run of the same target is written meanwhile."""
    with RunDirectory(tmp_path / "a") as under_way:
        under_way.open_tables(())
        run_into(tmp_path / "a", plain, "split")
    assert intact(tmp_path / "a")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (None, "no manifest.json"),
        ("{", "is no manifest"),
        ('{"schema": 99}', "layout 99"),
        ("[" * 100_000, "is no manifest"),
        ("[]", "is no object"),
        ('{"schema": 1, "files": {}}', "'design' is missing or damaged"),
    ],
)
def test_what_is_no_run_directory_is_refused(
    damage: str | None, words: str, tmp_path: Path
) -> None:
    """A folder without a manifest, or with a wrong one, is refused with the reason."""
    if damage is not None:
        (tmp_path / "manifest.json").write_text(damage)
    with pytest.raises(RunDirectoryError, match=words):
        read_run(tmp_path)


def test_tables_that_were_not_kept(plain: Scenario, tmp_path: Path) -> None:
    """Asking for tables that were not kept is a clear error, in memory and on disk."""
    with pytest.raises(NoTablesError):
        _ = simulate(plain, "split", tables=False).checkpoints
    run_into(tmp_path / "a", plain, "split", tables="none")
    with pytest.raises(NoTablesError, match="without tables"):
        _ = read_run(tmp_path / "a").checkpoints
