"""Tests must not depend on what differs between machines: clock, load, cores, user, folder, git."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = Path(__file__).parent
TIMED = TESTS / "benchmarks"
"""Benchmarks measure time; no run of the tests collects them unless it is asked to."""

TIME = "how long it takes depends on the machine; benchmarks measure, as ratios in one run"
CORES = "how many cores there are depends on the machine"
USER = "who runs the tests, and where, depends on the machine"
NETWORK = "after the installation there may be no network"
BANNED = {
    "time": TIME,
    "timeit": TIME,
    "resource.getrusage": TIME,
    "datetime.date.today": TIME,
    "datetime.datetime.now": TIME,
    "os.times": TIME,
    "os.cpu_count": CORES,
    "multiprocessing.cpu_count": CORES,
    "os.sched_getaffinity": CORES,
    "getpass": USER,
    "pwd": USER,
    "os.getuid": USER,
    "os.geteuid": USER,
    "os.getcwd": USER,
    "pathlib.Path.cwd": USER,
    "pathlib.Path.home": USER,
    "http": NETWORK,
    "socket": NETWORK,
    "urllib.request": NETWORK,
}
"""Modules and functions, by dotted name, and why a test has no use for them."""

Finding = tuple[int, str]


class Visitor(ast.NodeVisitor):
    """Collects a test file's findings; imports are followed so that a new name hides nothing."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.names: dict[str, str] = {}

    def find(self, line: int, dotted: str) -> None:
        """Note what is banned, or stands in a module that is."""
        reasons = [why for name, why in BANNED.items() if f"{dotted}.".startswith(f"{name}.")]
        self.findings += [(line, why) for why in reasons]

    def visit_Import(self, node: ast.Import) -> None:
        """Learn names."""
        for alias in node.names:
            self.names[alias.asname or alias.name] = alias.name
            self.find(node.lineno, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Learn names."""
        for alias in node.names:
            self.names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
            self.find(node.lineno, f"{node.module}.{alias.name}")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """Look at a dotted name whose head was imported."""
        head, _, rest = ast.unparse(node).partition(".")
        if head in self.names:
            self.find(node.lineno, f"{self.names[head]}.{rest}")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """Look for a limit of time."""
        limits = [word.value for word in node.keywords if word.arg == "timeout"]
        if any(isinstance(limit, ast.Constant) and limit.value is not None for limit in limits):
            self.findings.append((node.lineno, TIME))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        """Look for the word of a command."""
        if node.value == "git":
            self.findings.append((node.lineno, "an installed copy has no repository"))


def findings(source: str) -> list[Finding]:
    """Return line and reason of all that depends on the machine, in line order."""
    visitor = Visitor()
    visitor.visit(ast.parse(source))
    return sorted(set(visitor.findings))


def files_of_tests() -> Iterator[Path]:
    """Yield every file of the tests but this one and the benchmarks."""
    for path in sorted(TESTS.rglob("*.py")):
        if TIMED not in path.parents and path != Path(__file__):
            yield path


def test_no_test_depends_on_the_machine() -> None:
    """No test measures time or asks for cores, user, folder, network or git."""
    found = [
        f"{path.relative_to(TESTS.parent)}:{line}: {reason}"
        for path in files_of_tests()
        for line, reason in findings(path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "import time as clock",
        "from time import perf_counter_ns",
        "import os\ncores = os.cpu_count()",
        "import os as system\nroot = system.geteuid() == 0",
        "from pathlib import Path\nhere = Path.cwd()",
        "import datetime\nnow = datetime.datetime.now()",
        "from datetime import datetime\nnow = datetime.now()",
        "from urllib.request import urlopen",
        "import subprocess\nsubprocess.run(['git', 'status'], check=True)",
        "subprocess.run(command, timeout=120)",
    ],
)
def test_what_depends_on_the_machine_is_found(source: str) -> None:
    """Each planted source is found, in its last line."""
    assert [line for line, _ in findings(source)] == [source.count("\n") + 1]


@pytest.mark.parametrize(
    "source",
    [
        "import os\nfolder = os.environ['HOME']",
        "from urllib.parse import quote",
        "from datetime import timedelta",
        "client = NotebookClient(notebook, timeout=None)",
        "time = run.checkpoints.time_ns",
    ],
)
def test_what_does_not_is_left_alone(source: str) -> None:
    """Neighbours of what is banned are innocent."""
    assert findings(source) == []
