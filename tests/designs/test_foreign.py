"""Whatever is wrong with somebody's design is one `DesignError` with its file and line."""

from __future__ import annotations

import threading
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

import colosim
from colosim.designs import foreign, registry
from colosim.designs.split import Split
from colosim.scenario import loads
from colosim.trace.events import StepDone
from tests.designs.own import Compressing

if TYPE_CHECKING:
    from collections.abc import Generator

    from colosim.designs.design import Design
    from colosim.designs.primary import Primary
    from colosim.designs.secondary import Secondary

    Steps = Generator[Any, Any, None]

SCENARIO = loads("name: foreign\ncheckpoints: 3\nguest: {ram: 64 MiB, dirty: {pages: 10}}\n")


class Raising(Split):
    """Its code has a mistake."""

    name = "raising"

    def save(self, p: Primary) -> Steps:
        """Divide by nothing."""
        yield from super().save(p)
        _ = 1 // (p.checkpoint - 1)  # here


class Yielding(Split):
    """It yields what is no event."""

    name = "yielding"

    def wait_for_checkpoint(self, p: Primary) -> Steps:  # noqa: ARG002
        """Yield a number of milliseconds."""
        yield 100  # here


class Misspelt(Split):
    """It takes the lock for nothing known."""

    name = "misspelt"

    def checkpoint(self, p: Primary) -> Steps:
        """Save, as it calls it."""
        yield from p.lock("saving")  # here


class MisspeltStep(Split):
    """It does a step that nobody calls so."""

    name = "misspelt-step"

    def checkpoint(self, p: Primary) -> Steps:
        """Synchronise the bitmap, as it calls it."""
        yield from p.work("Bitmap snyc", 5)  # here


class MisspeltAccount(Split):
    """It holds memory on an account that nobody calls so."""

    name = "misspelt-account"

    def checkpoint(self, p: Primary) -> Steps:
        """Hold memory."""
        p.host.ledger.hold("staging_bufer", 4096)  # here
        yield from super().checkpoint(p)


class UndeclaredStep(Split):
    """It does a step of its own, and does not say so."""

    name = "undeclared-step"

    def save(self, p: Primary) -> Steps:
        """Compress."""
        p.note(StepDone("primary", "compress pages"), 5)  # here
        yield from super().save(p)


class UndeclaredAccount(Split):
    """It holds memory on an account of its own, and does not say so."""

    name = "undeclared-account"

    def checkpoint(self, p: Primary) -> Steps:
        """Hold memory."""
        p.host.ledger.hold("zstd", 4096)  # here
        yield from super().checkpoint(p)


class NothingToSend(Split):
    """It sends what it has never staged."""

    name = "nothing-to-send"

    def save(self, p: Primary) -> Steps:
        """Forget about the devices."""
        yield from p.stream_ram()


class NoGenerator(Split):
    """Its checkpoint is a plain function."""

    name = "no-generator"

    checkpoint = None  # type: ignore[assignment]


class EmptyCheckpoint(Split):
    """Its checkpoint does nothing, again and again."""

    name = "empty-checkpoint"

    def checkpoint(self, p: Primary) -> Steps:  # noqa: ARG002
        """Do nothing."""
        yield from ()


class EmptyLoad(Split):
    """Its load does nothing, for ever in one instant."""

    name = "empty-load"

    def load(self, s: Secondary) -> Steps:  # noqa: ARG002
        """Do nothing."""
        yield from ()


def line_of(design: type[Design], mark: str = "  # here") -> str:
    """Return ``file:line`` of the marked line of a class of this file."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    head = f"class {design.__name__}("
    begun = next(at for at, line in enumerate(lines, 1) if line.startswith(head))
    if mark:
        begun = next(at for at in range(begun, len(lines) + 1) if lines[at - 1].endswith(mark))
    return f"{__file__}:{begun}"


@pytest.mark.parametrize(
    ("design", "problem"),
    [
        (Raising, "ZeroDivisionError: integer division or modulo by zero"),
        (Yielding, "yields 100, which is no event of SimPy"),
        (
            Misspelt,
            "'saving' is no purpose of the iothread lock: did you mean 'save'?",
        ),
        (MisspeltStep, "'Bitmap snyc' is no step of the primary; did you mean 'bitmap sync'?"),
        (
            MisspeltAccount,
            "'staging_bufer' is no account of memory; did you mean 'staging_buffer'?",
        ),
        (
            UndeclaredStep,
            (
                "'compress pages' is no step of the primary (nearest: 'vmstate save'); "
                "a design that adds it has new_steps = ('primary: compress pages',)"
            ),
        ),
        (
            UndeclaredAccount,
            (
                "'zstd' is no account of memory (nearest: 'socket_send_buffer'); "
                "a design that adds it has new_accounts = ('zstd',)"
            ),
        ),
    ],
)
def test_a_mistake_is_told_with_its_line(design: type[Design], problem: str) -> None:
    """The message has file, line, design and what happened."""
    with pytest.raises(colosim.DesignError) as caught:
        colosim.run(SCENARIO, design)
    assert str(caught.value) == f"{line_of(design)}: design {design.name!r}: {problem}"


@pytest.mark.parametrize(
    ("design", "problem"),
    [
        (NothingToSend, "sends the staging buffer, but has saved nothing into it"),
        (NoGenerator, "TypeError: 'NoneType' object is not callable"),
        (EmptyCheckpoint, "its checkpoint ends without having waited for anything"),
        (EmptyLoad, "its load ends without having waited for anything"),
    ],
)
def test_what_has_no_line_is_told_with_its_class(design: type[Design], problem: str) -> None:
    """Nothing of the design's own was running: the message has where its class begins."""
    with pytest.raises(colosim.DesignError) as caught:
        colosim.run(SCENARIO, design)
    assert str(caught.value) == f"{line_of(design, '')}: design {design.name!r}: {problem}"


class Declaring(Compressing):
    """It declares a step and an account of memory, and has its base's step."""

    name = "declaring"
    new_steps = ("secondary: inflate pages",)
    new_accounts = ("zstd",)

    def load(self, s: Secondary) -> Steps:
        """Inflate after the load."""
        s.host.ledger.hold("zstd", 4096)
        yield from super().load(s)
        yield from s.work("inflate pages", 700)


def test_what_a_design_declares_is_in_tables_and_summary() -> None:
    """Its own step and its base's are columns, in this order, and its account has a peak."""
    run = colosim.run(SCENARIO, Declaring)
    assert tuple(run.checkpoints.columns)[-2:] == (
        "primary_compress_pages_ns",
        "secondary_inflate_pages_ns",
    )
    assert set(run.checkpoints.secondary_inflate_pages_ns) == {700}
    assert run.summary["memory_peak_bytes"]["secondary"]["zstd"] == 4096


class WithoutSide(Split):
    """It declares a step of nobody's."""

    name = "without-side"
    new_steps = ("compress pages",)


class NoAccount(Split):
    """It declares an account that no key of a summary can name."""

    name = "no-account"
    new_accounts = ("Zstd buffer",)


@pytest.mark.parametrize(
    ("design", "problem"),
    [
        (WithoutSide, "has 'compress pages' among its new_steps; expected a side and a name"),
        (NoAccount, "has 'Zstd buffer' among its new_accounts; expected lower-case letters"),
    ],
)
def test_a_declaration_has_a_form(design: type[Design], problem: str) -> None:
    """A step has a side, an account is a word that a key can have."""
    with pytest.raises(colosim.DesignError) as caught:
        colosim.run(SCENARIO, design)
    assert f"{line_of(design, '')}: design {design.name!r} {problem}" in str(caught.value)


class Nameless(Split):
    """It is reported under somebody else's name."""


class Taken(Split):
    """It calls itself as a shipped one."""

    name = "qsb"


class WithPlus(Split):
    """Its name looks like one with a remedy."""

    name = "a+b"


@pytest.mark.parametrize(
    ("design", "problem"),
    [
        (Nameless, "Nameless inherits the name 'split' of Split; give it its own"),
        (
            Taken,
            "the name 'qsb' of Taken is taken by a design of colosim; give it its own",
        ),
        (WithPlus, "WithPlus has the name 'a+b'; expected a text without '+'"),
    ],
)
def test_a_design_has_a_name_of_its_own(design: type[Design], problem: str) -> None:
    """An inherited or a taken name would report one design as another."""
    with pytest.raises(colosim.DesignError) as caught:
        colosim.run(SCENARIO, design)
    assert str(caught.value) == f"{line_of(design, '')}: {problem}"


class Plugins:
    """Modules that other packages register designs from."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._entries: list[EntryPoint] = []
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.setattr(registry, "_registered", lambda: {e.name: e for e in self._entries})
        registry._loaded.cache_clear()

    def add(self, name: str, text: str) -> Path:
        """Register the class `Own` of a module with this text."""
        path = self._folder / f"plug_in_{name}.py"
        path.write_text(text, encoding="utf-8")
        self._entries.append(EntryPoint(name, f"{path.stem}:Own", registry.GROUP))
        return path


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plugins:
    """Return a registry without any plug-in yet."""
    return Plugins(tmp_path, monkeypatch)


GOOD = "from colosim.designs.split import Split\n\nclass Own(Split):\n    name = 'good'\n"
BAD: dict[str, tuple[str, str]] = {
    "exits": ("import sys\nsys.exit(3)\n", "cannot be loaded: SystemExit: 3 ({path}:2)"),
    "raises": ("\n1 / 0\n", "cannot be loaded: ZeroDivisionError: division by zero ({path}:2)"),
    "no_design": ("Own = 3\n", "is not a subclass of colosim.designs.Design"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_broken_plug_in_stops_only_who_asks_for_it(plugins: Plugins, name: str) -> None:
    """Its own name is one error; another plug-in and the shipped designs run."""
    text, problem = BAD[name]
    path = plugins.add(name, text)
    plugins.add("good", GOOD)
    with pytest.raises(colosim.DesignError) as caught:
        registry.load_design.__wrapped__(name)
    called = f"design {name!r} ({path.stem}:Own)"
    assert str(caught.value) == f"{called} {problem.format(path=path)}"
    assert registry.load_design.__wrapped__("good").name == "good"
    assert colosim.run(SCENARIO, "split").verdict == "completed"


class Never:
    """What a module waits for that never ends its import."""

    event: ClassVar[threading.Event] = threading.Event()


def test_an_endless_import_is_told_with_the_line_where_it_stands(
    plugins: Plugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the limit, here none, the message says where the import stands."""
    monkeypatch.setattr(foreign, "IMPORT_S", 0.5)
    monkeypatch.setattr(threading, "never", Never.event, raising=False)
    path = plugins.add("endless", "import threading\n\nthreading.never.wait()\n")
    with pytest.raises(colosim.DesignError, match=r"has not been imported after 0\.5 s"):
        registry.load_design.__wrapped__("endless")
    Never.event.set()
    assert path.exists()
