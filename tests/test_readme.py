"""Every page keeps its word: the README, CONTRIBUTING.md, and all below ``docs/``.

A ``console`` block holds commands (after ``$ ``) and their whole output, at 80 columns; a command
whose exit status is not 0 says so in a comment (``# exits 3``).  A ``python`` block runs as it
stands; a ``yaml`` block is a valid scenario, unless the page is about other YAML.  Commands in a
sentence have the options that they are given, links lead somewhere, and code that a page names by
its file, as in ``colosim/designs/split.py::Split.save``, is there.

``pytest --update-results tests/test_readme.py`` writes the outputs anew, with ``-m slow`` those of
explorations.
"""

from __future__ import annotations

import ast
import io
import re
import runpy
import shlex
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
import pytest

from colosim.cli.main import colosim, main

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
PAGES = {
    path.relative_to(ROOT).as_posix(): path
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md")))
}
"""Every page by its path in the checkout."""
LONG = {"docs/sweeps.md", "docs/results.md", "docs/model.md"}
"""Their commands take seconds; ``.ci/run`` holds them, too."""
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)]*))?\)")
LINES_MAX = 200
"""The README has less lines."""
OTHER_YAML = {"docs/how-to/preset.md", "docs/sweeps.md"}
"""The pages whose YAML is no scenario."""


class Shown(NamedTuple):
    """A command of a page, the exit status it names and the output it shows."""

    line: str
    command: str
    status: int
    output: str


def text_of(page: str) -> str:
    """Return a page's text."""
    return PAGES[page].read_text(encoding="utf-8")


def prose_of(page: str) -> str:
    """Return a page's text without its fenced blocks, and without line ends in sentences."""
    return " ".join(BLOCK.sub("", text_of(page)).split())


def blocks(page: str, kind: str) -> list[str]:
    """Return a page's fenced blocks of one kind."""
    return [body for found, body in BLOCK.findall(text_of(page)) if found == kind]


def all_blocks(kind: str) -> list[tuple[str, str]]:
    """Return the blocks of one kind of all pages, each with its page."""
    return [(page, block) for page in PAGES for block in blocks(page, kind)]


def shown(block: str) -> list[Shown]:
    """Return the commands of a console block."""
    commands: list[Shown] = []
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        line, _, output = part.partition("\n")
        command, _, comment = line.partition("  # exits ")
        commands.append(Shown(line, command.strip(), int(comment or 0), output))
    return commands


def run(command: str) -> tuple[int, str]:
    """Run a page's command; return its exit status and all that it printed."""
    words = shlex.split(command)
    assert words[0] == "colosim", f"a page shows {command!r}, which is no colosim command"
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        status = main(words[1:])
    return status, printed.getvalue()


_TOOK = re.compile(r"(?<= in )[\d,.]+ s$", re.MULTILINE)
"""What depends on the machine."""


def explores(command: str) -> bool:
    """Tell whether a command is an exploration, of hundreds of cases or more, or has one."""
    return command.startswith(("colosim explore ", "colosim review "))


@pytest.fixture(autouse=True)
def _checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go where a user in the checkout is, into a folder that may be written to."""
    for name in ("scenarios", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "pages.yaml").symlink_to(ROOT / "docs" / "pages.yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")


def hold(page: str, *, explorations: bool, update: bool) -> None:
    """Run a page's explorations, or all its other commands; each prints what the page shows."""
    text = text_of(page)
    wrong: list[str] = []
    for block in blocks(page, "console"):
        renewed = ""
        for line, command, status, output in shown(block):
            found = (status, output)
            if explores(command) is explorations:
                found = run(command)
            if found[0] != status:
                wrong.append(f"$ {command}: exit status {found[0]}, not {status}")
            if _TOOK.sub("", found[1]).rstrip() != _TOOK.sub("", output).rstrip():
                wrong.append(f"$ {command}\nprints:\n{found[1]}")
            renewed += f"$ {line}\n{found[1].rstrip()}".rstrip() + "\n"
        text = text.replace(block, renewed, 1)
    if update:
        PAGES[page].write_text(text, encoding="utf-8", newline="\n")
    else:
        assert not wrong, "\n\n".join(wrong)


def pages_with(*, explorations: bool) -> list[str]:
    """Return the pages that show explorations, or any other command."""
    return [
        page
        for page in PAGES
        if any(
            explores(one.command) is explorations
            for block in blocks(page, "console")
            for one in shown(block)
        )
    ]


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[pytest.mark.slow] * (page in LONG))
        for page in pages_with(explorations=False)
    ],
)
def test_every_command_prints_what_its_page_shows(page: str, pytestconfig: pytest.Config) -> None:
    """Each command's whole output and exit status are those of the page, explorations apart."""
    hold(page, explorations=False, update=pytestconfig.getoption("--update-results"))


def test_the_front_door_is_short() -> None:
    """The README has less than 200 lines; what is longer stands on a page of its own."""
    assert len(text_of("README.md").splitlines()) < LINES_MAX


@pytest.mark.slow
@pytest.mark.parametrize("page", pages_with(explorations=True))
def test_every_exploration_prints_what_its_page_shows(
    page: str, pytestconfig: pytest.Config
) -> None:
    """So are those of the explorations, of every fault at every step."""
    hold(page, explorations=True, update=pytestconfig.getoption("--update-results"))


@pytest.mark.parametrize(("page", "block"), all_blocks("python"))
def test_every_python_example_runs(page: str, block: str, tmp_path: Path) -> None:
    """A page's Python runs in the checkout, and its asserts hold."""
    (tmp_path / "example.py").write_text(block, encoding="utf-8")
    runpy.run_path("example.py", run_name="__main__")


@pytest.mark.parametrize(
    ("page", "block"), [found for found in all_blocks("yaml") if found[0] not in OTHER_YAML]
)
def test_every_yaml_example_is_a_valid_scenario(page: str, block: str) -> None:
    """A page's scenarios load."""
    from colosim.designs import load_designs  # noqa: PLC0415 - only these tests need it
    from colosim.scenario import loads  # noqa: PLC0415

    loads(block, file=page, known_designs=tuple(load_designs()))


# ---- what stands in sentences --------------------------------------------------------------------


def commands_in_sentences(page: str) -> Iterator[list[str]]:
    """Yield the words of each command that stands in a page's sentences."""
    for code in INLINE.findall(prose_of(page)):
        if code.startswith("colosim "):
            yield shlex.split(code)[1:]


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_sentences_have_the_options_that_they_are_given(page: str) -> None:
    """A command in a sentence exists, and so does every option that stands behind it."""
    for words in commands_in_sentences(page):
        command: click.Command = colosim
        context = click.Context(colosim)
        rest = list(words)
        while isinstance(command, click.Group) and rest:
            found = command.get_command(context, rest.pop(0))
            assert found is not None, f"{page}: colosim {' '.join(words)}"
            command = found
        options = {option for one in command.params for option in one.opts} | {"--help"}
        unknown = [word for word in rest if word.startswith("-") and word not in options]
        assert unknown == [], f"{page}: colosim {' '.join(words)}"


def test_what_writes_or_prints_stands_where_it_is_run() -> None:
    """A block that is not run has no colosim command, so no command escapes the tests."""
    escaped = [
        (page, line)
        for page, block in all_blocks("sh")
        for line in block.splitlines()
        if line.startswith("colosim ")
    ]
    assert escaped == []


def anchors_of(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    """A link within the repository names a file that is there, and a heading that it has."""
    for target, anchor in LINK.findall(BLOCK.sub("", text_of(page))):
        if "://" in target:
            continue
        path = PAGES[page].parent / target if target else PAGES[page]
        assert path.exists(), f"{page} links to {target}"
        assert not anchor or anchor in anchors_of(path), f"{page} links to {target}#{anchor}"


NAMED = re.compile(r"((?:colosim|tests|scenarios|docs|notebooks|results)/[\w./-]+)(?:::([\w.]+))?")


def defines(path: Path, name: str) -> bool:
    """Tell whether a Python file defines a name, dotted for what stands in a class."""
    body: list[ast.stmt] = ast.parse(path.read_text(encoding="utf-8")).body
    for part in name.split("."):
        found = [node for node in body if part in _names(node)]
        if not found:
            return False
        body = list(getattr(found[0], "body", []))
    return True


def _names(node: ast.stmt) -> list[str]:
    """Return what a statement defines."""
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
    return []


@pytest.mark.parametrize("page", PAGES)
def test_every_file_and_function_that_a_page_names_is_there(page: str) -> None:
    """Code that a page names by file, and by name behind ``::``, has not moved away."""
    missing: list[str] = []
    for code in INLINE.findall(prose_of(page)):
        named = NAMED.fullmatch(code)
        if named is None:
            continue
        path = ROOT / named[1]
        if not path.exists() or (named[2] and not defines(path, named[2])):
            missing.append(code)
    assert missing == []
