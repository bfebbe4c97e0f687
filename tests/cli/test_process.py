"""``colosim`` as a process: interrupts, and a standard output that takes nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

STOPPED = {signal.SIGINT: "colosim: interrupted", signal.SIGTERM: "colosim: terminated"}
COLOSIM = [sys.executable, "-m", "colosim"]

#: Sends itself a signal when a module is imported, and is the command otherwise.
STOPPING = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background has it ignored
number, name, *sys.argv[1:] = sys.argv[1:]
class Finder:
    def find_spec(self, wanted, *_):
        if wanted == name:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), int(number))
sys.meta_path.insert(0, Finder())
from colosim.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("number", "module"),
    [
        (signal.SIGINT, "click"),
        (signal.SIGTERM, "pydantic_core"),
        # It is imported when the folder of the run has been made.
        (signal.SIGINT, "colosim.runs.table_files"),
    ],
)
def test_an_interrupt_is_one_line_and_leaves_nothing(
    number: signal.Signals, module: str, tmp_path: Path
) -> None:
    """Ctrl-C and SIGTERM end in one line, 130 and 143, also while something is imported."""
    run = ["run", "idle", "--design", "split", "--out", "runs"]
    done = subprocess.run(
        [sys.executable, "-c", STOPPING, str(int(number)), module, *run],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 128 + number
    assert done.stderr.split("\n") in ([STOPPED[number], ""], ["", STOPPED[number], ""])
    assert list(tmp_path.iterdir()) == []


def test_nobody_who_reads_standard_output() -> None:
    """A broken pipe is silent, and the exit status is what a shell tells of SIGPIPE."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*COLOSIM, "designs"], check=False, stdout=writing, stderr=subprocess.PIPE
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_standard_output() -> None:
    """What cannot be printed is one message, and bad input."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COLOSIM, "designs"], check=False, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 2
    assert done.stderr == (
        "colosim: cannot write standard output: no space is left; free some, or write elsewhere\n"
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("arguments", [["designs", "--nope"], ["resolve", "nope"]])
def test_a_full_standard_error(arguments: list[str]) -> None:
    """What cannot be told changes no exit status."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*COLOSIM, *arguments], check=False, stderr=full)
    assert done.returncode == 2


def test_a_closed_standard_output() -> None:
    """A command without a standard output does nothing: its words would go nowhere."""
    closing = "import os, sys; os.close(1); os.execv(sys.executable, sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", closing, *COLOSIM, "designs"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "colosim: standard output is closed; redirect it to a file, or to /dev/null\n"
    )


#: Explores, and sends a signal once cases have come back from the processes that run them.
EXPLORING = """
import os, signal, sys
from colosim.cli.progress import Bar
number, to = int(sys.argv.pop(1)), sys.argv.pop(1)
for each in signal.SIGTERM, signal.SIGHUP:
    signal.signal(each, signal.SIG_DFL)  # nohup has them ignored
def show(*_):
    Bar.show = lambda *_: None
    {"process": os.kill, "group": os.killpg}[to](os.getpid(), number)
Bar.show = show
from colosim.__main__ import main
if __name__ == "__main__":
    sys.exit(main())
"""


@pytest.mark.parametrize(
    ("number", "to", "told"),
    [
        (signal.SIGTERM, "process", "colosim: terminated"),
        (signal.SIGKILL, "process", ""),
        pytest.param(signal.SIGTERM, "group", "colosim: terminated", marks=pytest.mark.slow),
        pytest.param(
            signal.SIGHUP, "group", "colosim: its terminal was closed", marks=pytest.mark.slow
        ),
    ],
)
def test_an_exploration_takes_its_processes_with_it(
    number: signal.Signals, to: str, told: str, tmp_path: Path
) -> None:
    """However it is ended, so are they: whoever reads its output sees the end of that."""
    explore = ["explore", "idle", "--design", "split", "--faults", "kill", "--jobs", "2"]
    done = subprocess.run(
        [sys.executable, "-c", EXPLORING, str(int(number)), to, *explore],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        start_new_session=True,
    )
    cases, *lines = done.stderr.splitlines()
    assert cases.endswith(" cases")
    if (
        number == signal.SIGKILL
    ):  # Python's own process that tracks semaphores may say that it frees them
        assert done.returncode == -number
    else:
        assert ([line for line in lines if line], done.returncode) == ([told], 128 + number)
