"""``colosim init``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from colosim.cli.main import main
from colosim.scenario import loads, resolve, template


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(folder: Path) -> list[str]:
    """Return the names of everything in a folder, hidden or not."""
    return sorted(path.name for path in folder.iterdir())


def test_init_writes_a_scenario_that_validates(folder: Path) -> None:
    """The file that ``init`` writes is a valid scenario of that name."""
    assert main(["init", "web"]) == 0
    assert names(folder) == ["web.yaml"]
    assert main(["validate", "web.yaml"]) == 0
    assert YAML(typ="safe").load(folder / "web.yaml")["name"] == "web"


def test_init_takes_a_file_name_in_a_folder(folder: Path) -> None:
    """A name with folder and suffix is the file to write."""
    (folder / "mine").mkdir()
    assert main(["init", "mine/web.yaml"]) == 0
    assert names(folder / "mine") == ["web.yaml"]


@pytest.mark.parametrize(
    ("given", "file"), [("web.yml", "web.yml"), ("web.YAML", "web.YAML"), ("v1.2", "v1.2.yaml")]
)
def test_init_writes_the_path_that_it_is_given(folder: Path, given: str, file: str) -> None:
    """A name with an ending of YAML is the file, and no other is written."""
    assert main(["init", given]) == 0
    assert names(folder) == [file]
    assert main(["validate", file]) == 0


def test_init_leaves_a_file_that_is_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without ``--force`` a file that is there stays as it is, and the status is 2."""
    (folder / "web.yaml").write_text("mine", encoding="utf-8")
    assert main(["init", "web"]) == 2
    assert "--force" in capsys.readouterr().err
    assert names(folder) == ["web.yaml"]
    assert (folder / "web.yaml").read_text(encoding="utf-8") == "mine"


def test_init_replaces_when_forced(folder: Path) -> None:
    """With ``--force`` the file is replaced."""
    (folder / "web.yaml").write_text("mine", encoding="utf-8")
    assert main(["init", "web", "--force"]) == 0
    assert names(folder) == ["web.yaml"]
    assert main(["validate", "web.yaml"]) == 0


@pytest.mark.parametrize(
    "name", ["-web", "a b", "web:1", 'we"b', "we\nb", "ü", "", "CON", "nul.1", "web."]
)
def test_init_refuses_a_name_that_no_scenario_has(name: str, folder: Path) -> None:
    """A name that scenarios may not have is bad input, and nothing is written."""
    assert main(["init", "--", name]) == 2
    assert names(folder) == []


def test_init_says_that_the_folder_is_missing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that is not there is bad input with a message, not a traceback."""
    assert main(["init", "none/web"]) == 2
    assert "none/web.yaml" in capsys.readouterr().err
    assert names(folder) == []


def test_an_interrupted_init_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the middle ends with 130, with the file whole or not there."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "hardlink_to", interrupt)
    assert main(["init", "web"]) == 130
    assert names(folder) == []


def resolved(text: str) -> dict[str, Any]:
    """Return the resolved scenario as a plain tree."""
    tree: dict[str, Any] = YAML(typ="safe").load(resolve(loads(text, file="web.yaml")))
    return tree


def test_the_template_states_the_defaults() -> None:
    """What ``init`` writes is what a name alone means, but for its spread."""
    assert resolved(template("web")) == resolved("name: web\nspread: measured\n")


def commented_keys() -> dict[str, str]:
    """Return the template once for each key in its comments, with that key taken out of them.

    What stands deeper below a commented key goes with it; the same key elsewhere in its section,
    of which there may be one only, is left out.
    """
    lines = template("web").splitlines()
    start = lines.index("name: web")
    variants = {}
    for number, line in enumerate(lines[start:], start):
        commented = re.fullmatch(r"( *)# ([a-z_]+):.*", line)
        if commented is None:
            continue
        indent, key = commented.groups()
        end = number + 1
        while end < len(lines) and re.match(rf"{indent}#   \S|{indent}#     +\S", lines[end]):
            end += 1
        block = [re.sub(r"^( *)# ", r"\1", part) for part in lines[number:end]]
        twin = re.compile(rf"{indent}{key}:")
        before, after = (
            [other for other in part if not twin.match(other)]
            for part in (lines[:number], lines[end:])
        )
        variants[f"{number + 1} {key}"] = "\n".join([*before, *block, *after])
    return variants


def test_the_template_has_keys_in_its_comments() -> None:
    """The next test has something to look at, among it faults and bounds."""
    assert {name.split()[1] for name in commented_keys()} >= {"faults", "expect", "warmup"}


@pytest.mark.parametrize("variant", commented_keys())
def test_each_key_in_the_templates_comments_is_right(variant: str, tmp_path: Path) -> None:
    """A key that the template shows in a comment is valid when the comment sign goes."""
    (tmp_path / "measured.csv").write_text("dirty_pages\n100\n", encoding="utf-8")
    loads(commented_keys()[variant], folder=tmp_path)


_EXAMPLES = {"dirty", "faults", "expect"}
"""Keys whose comments show what else there is, not what holds without them."""


@pytest.mark.parametrize(
    "variant", [one for one in commented_keys() if one.split()[1] not in _EXAMPLES]
)
def test_each_value_in_the_templates_comments_is_the_default(variant: str) -> None:
    """Taking the comment sign away changes nothing."""
    assert resolved(commented_keys()[variant]) == resolved(template("web"))
