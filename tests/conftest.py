"""Settings that all tests share."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parent.parent

# The same examples on every machine; a failure in CI is a failure at home.
settings.register_profile("default", derandomize=True, deadline=None, max_examples=34)
settings.register_profile("ci", settings.get_profile("default"), print_blob=True)
# New examples each time, many of them: pytest --hypothesis-profile long
settings.register_profile("long", derandomize=False, deadline=None, max_examples=2000)

settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "default")
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer ``--update-results``."""
    parser.addoption(
        "--update-results",
        action="store_true",
        help="write the reference results in results/ anew instead of holding the code to them",
    )


def pytest_collection_finish() -> None:
    """Let the garbage collector run less often: what was collected stays to the end.

    It walked through that again and again, for a tenth of the time of the tests.
    """
    gc.set_threshold(20_000, 20, 10)


@pytest.fixture(scope="session", autouse=True)
def _elsewhere(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Run the tests in an empty folder: none may count on being started in the checkout."""
    os.chdir(tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which the wheel is unpacked, as pip installs it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory"]
    subprocess.run([*build, folder], cwd=ROOT, check=True, capture_output=True)
    (archive,) = folder.glob("*.whl")
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder / "unpacked")
    return folder / "unpacked"
