"""Files that commands write."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import colosim
from colosim.cli.main import main
from colosim.errors import WriteError
from colosim.files import NewFolder, write_file


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    """What stood there is gone, and so is what the content went through."""
    path = tmp_path / "a.txt"
    path.write_text("old and longer")
    write_file(path, b"new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_written_through(tmp_path: Path) -> None:
    """The file that a link leads to has the content, and the link is a link."""
    link, target = tmp_path / "link", tmp_path / "target"
    link.symlink_to(target)
    write_file(link, b"new")
    assert (link.is_symlink(), target.read_text()) == (True, "new")


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    """Somebody who reads a pipe gets the content, and the pipe stays one."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=write_file, args=(pipe, b"new"))
    writer.start()
    assert pipe.read_bytes() == b"new"
    writer.join()
    assert pipe.is_fifo()


def test_what_cannot_be_written_is_one_message(tmp_path: Path) -> None:
    """A folder in place of the file, or none around it, is said, and nothing is left."""
    for path in (tmp_path, tmp_path / "none" / "a.txt", tmp_path / ("n" * 300)):
        with pytest.raises(WriteError, match=f"cannot write {path}: "):
            write_file(path, b"new")
    assert list(tmp_path.iterdir()) == []


def test_init_writes_through_a_link_only_when_forced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link is there already; with ``--force`` the scenario stands where it leads."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "web.yaml").symlink_to("other.yaml")
    assert main(["init", "web"]) == 2
    assert not (tmp_path / "other.yaml").exists()
    assert main(["init", "web", "--force"]) == 0
    assert main(["validate", "other.yaml"]) == 0
    assert (tmp_path / "web.yaml").is_symlink()


KILLED = """
import os, pathlib, sys
from colosim.files import NewFolder
with NewFolder(pathlib.Path(sys.argv[1])) as folder:
    (folder.path / "half").touch()
    os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says which kernel it is")
def test_what_a_killed_process_leaves_goes_when_the_next_one_writes(tmp_path: Path) -> None:
    """It is swept away, but not what others are writing, here or with another kernel."""
    killed = [sys.executable, "-c", KILLED, str(tmp_path / "a")]
    assert subprocess.run(killed, check=False).returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    _, kernel, process, rest = left.name.split("-")
    foreign = left.with_name(f".colosim-00000000-{process}-{rest}")
    foreign.mkdir()
    parent = left.with_name(f".colosim-{kernel}-{os.getppid()}-{rest}")
    parent.mkdir()
    with NewFolder(tmp_path / "b") as own:
        write_file(tmp_path / "c", b"new")
        found = sorted(tmp_path.iterdir())
    assert found == sorted([foreign, parent, own.path, tmp_path / "c"])


#: What writes, and the files of the package that may: below a `NewFolder`, or a journal.
WRITES = re.compile(
    r"\.(?:write_text|write_bytes|to_csv\(\w*path|savefig\(\w*path)|open\(.*\"[wax]b?\+?\""
)
WRITERS = {
    "files.py",
    "cli/process.py",  # forgets standard output
    "explore/results.py",  # adds lines to the finished cases
    "runs/directory.py",
    "runs/table_files.py",
}


def test_nothing_else_writes() -> None:
    """There is one way to write a file and one to put a folder in its place."""
    package = Path(colosim.__file__).parent
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if WRITES.search(path.read_text(encoding="utf-8"))
    }
    assert found == WRITERS
