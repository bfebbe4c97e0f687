"""Model code must not use what makes two runs of one scenario differ; files are small."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import colosim

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PACKAGE = Path(colosim.__file__).parent
MODEL = (
    "trace",
    "engine",
    "host",
    "network",
    "designs",
    "failover",
    "faults",
    "service",
    "checkers",
    "runs",
)

#: Builtins whose value depends on the process.
BANNED_BUILTINS = {
    "hash": "hash() of a string depends on PYTHONHASHSEED",
    "id": "id() is an address",
}
#: Modules that have no place in model code, and why.
BANNED_MODULES = {
    "random": "global random state; draw from a named stream",
    "secrets": "draws from the system",
    "threading": "the order of threads is not reproducible",
    "time": "wall-clock time",
    "uuid": "differs from run to run",
}
#: Functions of other modules, by dotted name; a trailing dot bans all below it.
BANNED_NAMES = {
    "concurrent.futures.as_completed": "the order of completion is not reproducible",
    "datetime.date.today": "wall-clock time",
    "datetime.datetime.now": "wall-clock time",
    "datetime.datetime.today": "wall-clock time",
    "datetime.datetime.utcnow": "wall-clock time",
    "os.environ": "the environment is no part of the scenario",
    "os.getenv": "the environment is no part of the scenario",
    "os.listdir": "the order is the file system's; sort it",
    "os.scandir": "the order is the file system's; sort it",
    "os.urandom": "draws from the system",
}
#: What numpy.random may give to model code: seeds and explicit bit generators.
NUMPY_RANDOM_ALLOWED = {"SeedSequence", "Generator", "BitGenerator", "PCG64", "PCG64DXSM", "Philox"}
#: Of these, what must be given a seed.
NUMPY_RANDOM_SEEDED = {"SeedSequence", "PCG64", "PCG64DXSM", "Philox"}
#: Methods of a path whose order is the file system's.
UNSORTED_METHODS = {"iterdir", "glob", "rglob"}
#: Calls whose result does not depend on the order of what they are given.
ORDER_FREE = {"all", "any", "frozenset", "len", "max", "min", "set", "sorted", "sum"}
#: Calls that make an order of what they are given.
ORDER_MADE = {"dict", "enumerate", "iter", "join", "list", "map", "next", "tuple", "zip"}
#: Calls that add to the clock.
CLOCK_CALLS = {"timeout", "Timeout"}

Finding = tuple[int, str]


class Tidy(ast.NodeVisitor):
    """Collects a file's findings; imports are followed so that a new name hides nothing.

    A name that holds a set anywhere in the file holds one everywhere: better one rename too many.
    """

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.names: dict[str, str] = {}
        self.sets: set[str] = set()

    def find(self, node: ast.expr | ast.stmt, reason: str) -> None:
        """Note a finding."""
        self.findings.append((node.lineno, reason))

    def dotted(self, node: ast.expr) -> str | None:
        """Spell ``a.b.c`` with the imported name behind ``a``; None if it is no such thing."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            head = self.dotted(node.value)
            return None if head is None else f"{head}.{node.attr}"
        return None

    def visit_Import(self, node: ast.Import) -> None:
        """Learn names, and refuse banned modules."""
        for alias in node.names:
            root = alias.name.split(".")[0]
            self.names[alias.asname or root] = alias.name if alias.asname else root
            self.refuse_module(node, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Learn names, and refuse banned modules and functions."""
        module = node.module or ""
        if not node.level:
            self.refuse_module(node, module)
        for alias in node.names:
            full = f"{module}.{alias.name}"
            self.names[alias.asname or alias.name] = full
            self.refuse_name(node, full)

    def refuse_module(self, node: ast.stmt, module: str) -> None:
        """Find a banned module."""
        root = module.split(".", maxsplit=1)[0]
        if root in BANNED_MODULES:
            self.find(node, BANNED_MODULES[root])

    def refuse_name(self, node: ast.expr | ast.stmt, full: str) -> None:
        """Find a banned function."""
        if full in BANNED_NAMES:
            self.find(node, BANNED_NAMES[full])
        if full.startswith("numpy.random."):
            part = full.split(".")[2]
            if part not in NUMPY_RANDOM_ALLOWED:
                self.find(node, "numpy's own seeding; build a Generator on a SeedSequence")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """Find banned functions by their dotted names."""
        full = self.dotted(node)
        if full is not None:
            self.refuse_name(node, full)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """Find what a call does wrong, and look below it."""
        full = self.dotted(node.func) or ""
        self.refuse_builtin_or_unseeded(node, full)
        if isinstance(node.func, ast.Attribute):
            self.refuse_method(node, node.func)
        last = node.func.attr if isinstance(node.func, ast.Attribute) else full.rpartition(".")[2]
        if last in CLOCK_CALLS and any(map(is_float, clock_arguments(node))):
            self.find(node, "a float is added to the clock")
        if last in ORDER_MADE:
            for argument in node.args:
                self.refuse_set(argument)
        if full == "sorted" and node.args and is_listing(node.args[0]):
            # sorted(path.iterdir()): the listing's order is gone; look below it only.
            self.visit_all([*ast.iter_child_nodes(node.args[0]), *node.args[1:], *node.keywords])
        elif full in ORDER_FREE and node.args and isinstance(node.args[0], ast.GeneratorExp):
            # The order of a generator over a set cannot be seen through these.
            self.visit_unordered(node.args[0])
            self.visit_all([*node.args[1:], *node.keywords])
        else:
            self.generic_visit(node)

    def refuse_builtin_or_unseeded(self, node: ast.Call, full: str) -> None:
        """Find banned builtins, and generators of numpy without a seed."""
        if full in BANNED_BUILTINS:
            self.find(node, BANNED_BUILTINS[full])
        seeded = full.removeprefix("numpy.random.") in NUMPY_RANDOM_SEEDED
        if seeded and not (node.args or node.keywords):
            self.find(node, "no seed is given")

    def refuse_method(self, node: ast.Call, method: ast.Attribute) -> None:
        """Find methods whose result depends on an order that nobody gave."""
        if method.attr in UNSORTED_METHODS:
            self.find(node, "the order is the file system's; sort it")
        if method.attr == "pop" and self.is_set(method.value):
            self.find(node, "which element of a set is popped is not reproducible")

    def visit_all(self, nodes: Sequence[ast.AST]) -> None:
        """Look at each node and below it."""
        for node in nodes:
            self.visit(node)

    def visit_unordered(self, node: ast.GeneratorExp | ast.SetComp) -> None:
        """Look below a comprehension whose order cannot be seen."""
        for generator in node.generators:
            self.visit_all([generator.iter, *generator.ifs])
        self.visit(node.elt)

    def visit_Assign(self, node: ast.Assign) -> None:
        """Learn which names and attributes hold sets."""
        if self.is_set(node.value):
            self.sets.update(filter(None, map(self.dotted, node.targets)))
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """Learn which names and attributes are declared sets."""
        self.learn_annotation(node.target, node.annotation)
        self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> None:
        """Learn which parameters are declared sets."""
        if node.annotation is not None:
            self.learn_annotation(ast.Name(node.arg), node.annotation)
        self.generic_visit(node)

    def learn_annotation(self, target: ast.expr, annotation: ast.expr) -> None:
        """Note a target that is declared a set."""
        base = annotation.value if isinstance(annotation, ast.Subscript) else annotation
        name = self.dotted(target)
        if name and (self.dotted(base) or "").rpartition(".")[2] in {
            "set", "frozenset", "Set", "AbstractSet", "MutableSet", "FrozenSet",
        }:  # fmt: skip
            self.sets.add(name)

    def visit_For(self, node: ast.For) -> None:
        """Find iteration over a set."""
        self.refuse_set(node.iter)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        """Find iteration over a set."""
        self.refuse_set(node.iter)
        self.generic_visit(node)

    def visit_SetComp(self, node: ast.SetComp) -> None:
        """Let a set be made from a set: the order cannot be seen."""
        self.visit_unordered(node)

    def visit_Starred(self, node: ast.Starred) -> None:
        """Find a set unpacked into a sequence."""
        self.refuse_set(node.value)
        self.generic_visit(node)

    def visit_YieldFrom(self, node: ast.YieldFrom) -> None:
        """Find a set yielded element by element."""
        self.refuse_set(node.value)
        self.generic_visit(node)

    def refuse_set(self, node: ast.expr) -> None:
        """Find a set where an order is made of it."""
        if self.is_set(node):
            self.find(node, "iterates over a set; sort it or use a dict")

    def is_set(self, node: ast.expr) -> bool:
        """Tell whether an expression is seen to be a set."""
        match node:
            case ast.Set() | ast.SetComp():
                return True
            case ast.BinOp(left, ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor(), right):
                return self.is_set(left) or self.is_set(right)
            case ast.Call(ast.Name("set" | "frozenset")):
                return True
            case ast.Call(ast.Attribute(value, "union" | "intersection" | "difference" | "copy")):
                return self.is_set(value)
            case ast.Name() | ast.Attribute():
                return self.dotted(node) in self.sets
        return False


def is_float(node: ast.expr) -> bool:
    """Tell whether an expression is seen to be a float."""
    match node:
        case ast.Constant(float()) | ast.BinOp(_, ast.Div(), _) | ast.Call(ast.Name("float")):
            return True
        case ast.BinOp(left, _, right) | ast.IfExp(_, left, right):
            return is_float(left) or is_float(right)
        case ast.UnaryOp(_, operand):
            return is_float(operand)
    return False


def clock_arguments(node: ast.Call) -> list[ast.expr]:
    """Return what a call adds to the clock: its first two arguments, or ``delay``."""
    named = [keyword.value for keyword in node.keywords if keyword.arg in {"delay", "delay_ns"}]
    return [*node.args[:2], *named]


def is_listing(node: ast.expr) -> bool:
    """Tell whether an expression lists a folder."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {*UNSORTED_METHODS, "listdir", "scandir"}
    )


def findings(source: str) -> list[Finding]:
    """Return the line and reason of everything banned in a source text, in line order."""
    tidy = Tidy()
    tidy.visit(ast.parse(source))
    return sorted(set(tidy.findings))


#: They import plug-ins, before a run and never in one: a thread is the only way out of one that
#: waits, and the environment what worker processes inherit.
BESIDE_THE_MODEL = {PACKAGE / "designs" / name for name in ("foreign.py", "from_file.py")}


def model_files() -> Iterator[Path]:
    """Yield every file of model code."""
    for package in MODEL:
        files = sorted((PACKAGE / package).rglob("*.py"))
        yield from (path for path in files if path not in BESIDE_THE_MODEL)


def test_model_code_has_no_source_of_nondeterminism() -> None:
    """No file of the model uses anything that differs between two runs of one scenario."""
    found = [
        f"{path.relative_to(PACKAGE.parent)}:{line}: {reason}"
        for path in model_files()
        for line, reason in findings(path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)


def test_the_model_is_looked_at() -> None:
    """The walk finds the packages that every model stands on."""
    assert {path.relative_to(PACKAGE).parts[0] for path in model_files()} >= {"engine", "designs"}


#: The most lines of a file: longer ones have more than one subject.
LINES_MAX = 460


def test_no_file_of_the_package_is_long() -> None:
    """Every file of the package has at most 460 lines."""
    lines = {path: path.read_bytes().count(b"\n") for path in sorted(PACKAGE.rglob("*.py"))}
    assert {path.name: count for path, count in lines.items() if count > LINES_MAX} == {}


#: Ends each guilty line of a planted source.
MARK = "# here"

PLANTED = {
    "hash": "order = hash('primary')  # here",
    "id": "name = f'{id(event)}'  # here",
    "set display": "for side in {'primary', 'secondary'}:  # here\n    pass",
    "set call": "for side in set(sides):  # here\n    pass",
    "set by name": "waiting = set()\nfor thread in waiting:  # here\n    pass",
    "set by attribute": "self.waiting = {1}\nfor thread in self.waiting:  # here\n    pass",
    "set by annotation": "waiting: set[str] = make()\nnames = [name for name in waiting]  # here",
    "set by parameter": "def wake(waiting: frozenset[str]):\n    yield from waiting  # here",
    "set union": "for side in known | {'primary'}:  # here\n    pass",
    "set listed": "order = list({1, 2})  # here",
    "set joined": "text = ', '.join({'a', 'b'})  # here",
    "set unpacked": "order = [*{1, 2}]  # here",
    "set popped": "waiting = {1, 2}\nfirst = waiting.pop()  # here",
    "set comprehension": "for side in {s.name for s in sides}:  # here\n    pass",
    "dict from a set": "table = {side: 0 for side in set(sides)}  # here",
    "environment": "import os\nflag = os.environ['X']  # here",
    "environment by name": "from os import environ  # here",
    "getenv": "import os as system\nflag = system.getenv('X')  # here",
    "folder order": "for path in folder.iterdir():  # here\n    pass",
    "listdir": "import os\nnames = os.listdir('.')  # here",
    "time": "import time  # here\nstart = time.perf_counter()",
    "time by name": "from time import monotonic_ns as clock  # here",
    "datetime": "import datetime\nnow = datetime.datetime.now()  # here",
    "datetime by name": "from datetime import datetime\nnow = datetime.now()  # here",
    "today": "from datetime import date\nday = date.today()  # here",
    "random": "import random  # here\nrandom.random()",
    "random by name": "from random import Random  # here",
    "default_rng": "import numpy as np\nrng = np.random.default_rng()  # here",
    "default_rng with a number": "import numpy as np\nrng = np.random.default_rng(1)  # here",
    "legacy numpy": "import numpy as np\nnp.random.seed(1)  # here",
    "legacy numpy by name": "from numpy.random import randint  # here",
    "legacy numpy by module": "from numpy import random\nrandom.normal()  # here",
    "unseeded sequence": "from numpy.random import SeedSequence\nSeedSequence()  # here",
    "unseeded generator": "import numpy as np\nnp.random.PCG64()  # here",
    "uuid": "from uuid import uuid4  # here",
    "threads": "import threading  # here",
    "completion order": "from concurrent.futures import as_completed  # here",
    "float on the clock": "yield env.timeout(0.5)  # here",
    "float sum on the clock": "yield env.timeout(delay_ns + 1e9)  # here",
    "quotient on the clock": "yield env.timeout(size / rate)  # here",
    "float by keyword": "yield env.timeout(delay=1.5)  # here",
    "float in a Timeout": "yield Timeout(env, 0.5)  # here",
    "float() on the clock": "yield env.timeout(float(delay_ns))  # here",
}

INNOCENT = {
    "integer delay": "yield env.timeout(delay_ns + 5)",
    "integer quotient": "yield env.timeout(-(-size * 10**9 // rate))",
    "sorted set": "for side in sorted({'b', 'a'}):\n    pass",
    "membership": "known = {'a', 'b'}\nif side in known:\n    pass",
    "count over a set": "total = sum(x for x in {1, 2})",
    "set from a set": "names = {s.name for s in set(sides)}",
    "dict": "for side in {'a': 1}:\n    pass",
    "sorted folder": "for path in sorted(folder.iterdir()):\n    pass",
    "seeded": "from numpy.random import SeedSequence\nSeedSequence([1, 2])",
    "generator": "import numpy as np\nnp.random.Generator(np.random.PCG64(seed))",
    "a field named id": "x = thread.id\ny = event.hash",
    "a method named time": "x = event.time\ny = clock.now()",
    "float elsewhere": "share = hits / total",
}


@pytest.mark.parametrize("name", PLANTED)
def test_each_planted_violation_is_caught(name: str) -> None:
    """The walk can fail: each banned thing is found on the line where it stands."""
    source = PLANTED[name]
    guilty = [number for number, line in enumerate(source.splitlines(), 1) if MARK in line]
    assert [line for line, _ in findings(source)] == guilty


@pytest.mark.parametrize("name", INNOCENT)
def test_innocent_code_is_left_alone(name: str) -> None:
    """What does not differ between runs is no finding."""
    assert findings(INNOCENT[name]) == []
