"""Progress on a terminal."""

from __future__ import annotations

import io
import sys

import pytest

from colosim.cli.progress import Bar


class Screen(io.StringIO):
    """What stands for standard error, a terminal or not."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        """Say which."""
        return self.terminal


@pytest.mark.parametrize(("terminal", "shown"), [(True, [" 25%", " 50%", " 10%"]), (False, [])])
def test_a_bar_is_shown_on_a_terminal_and_goes_away(
    monkeypatch: pytest.MonkeyPatch, *, terminal: bool, shown: list[str]
) -> None:
    """It says how much of each thing is done, and clears its line; elsewhere nothing is written."""
    screen = Screen(terminal=terminal)
    monkeypatch.setattr(sys, "stderr", screen)
    with Bar(1000) as bar:
        bar.show(250, "first")
        bar.show(500, "first")
        bar.show(100, "second")
    written = screen.getvalue()
    assert [part[-4:] for part in written.split("\r") if part.endswith("%")] == shown
    assert written.endswith("\r\033[K\033[?25h" if terminal else "")


def test_a_bar_of_what_is_soon_done_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar that comes after an hour has not come yet."""
    screen = Screen(terminal=True)
    monkeypatch.setattr(sys, "stderr", screen)
    with Bar(10, after_s=3600.0) as bar:
        bar.show(5, "all")
    assert screen.getvalue() == ""
