"""``colosim`` as a process: what ends it, a standard output that takes nothing, and its end.

Nothing that takes time is imported here: an interrupt of the imports of a command is one line too.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

STATUS_BAD_INPUT = 2
STATUS_BROKEN_PIPE = 141
"""What a shell tells of a program that SIGPIPE ended."""
_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
if hasattr(signal, "SIGHUP"):  # Windows has none
    _WORDS[signal.SIGHUP] = "its terminal was closed"
_OF_WRITING = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""Errors of writing that name no file: every command names the files that it writes."""
_came: list[int] = []
"""The signals that came to end this process."""


def was_stopped() -> bool:
    """Whether a signal came to end this process.

    What it interrupted may have failed in some way of its own, as imports of C code do.
    """
    return bool(_came)


def stopped() -> int:
    """Say that the command was stopped, and return its exit status: 130, 143 or 129."""
    number = signal.Signals(_came[0]) if _came else signal.SIGINT
    _say(_WORDS[number])
    return 128 + number


def refused(error: OSError) -> int:
    """Say what the system refused that no command has told of, and return the exit status."""
    from colosim.files import reason

    if error.filename is None and error.errno in _OF_WRITING:
        _say(f"cannot write standard output: {reason(error)}")
        _write_no_more()
    else:
        where = "" if error.filename is None else f"{error.filename}: "
        _say(f"{where}{error.strerror or error}")
    return STATUS_BAD_INPUT


def _say(words: str) -> None:
    with suppress(OSError):
        print(f"colosim: {words}", file=sys.stderr)  # noqa: T201 - click is not imported yet


def _stop(number: int, _frame: FrameType | None) -> None:
    _came.append(number)
    raise KeyboardInterrupt


def as_process(command: Callable[[], int]) -> int:
    """Run the command that this process is for, and return its exit status."""
    try:
        for number in _WORDS:
            if signal.getsignal(number) != signal.SIG_IGN:  # as nohup and & leave it
                signal.signal(number, _stop)
        if sys.stdout is None:
            _say("standard output is closed; redirect it to a file, or to /dev/null")
            return STATUS_BAD_INPUT
        status = command()
    except BaseException:
        if not _came:
            raise
        status = stopped()
    for number in _WORDS:
        signal.signal(number, signal.SIG_IGN)
    from colosim.files import remove_partials

    remove_partials()
    return _flushed(status)


def _flushed(status: int) -> int:
    """Return the exit status, once all that was printed has been written."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _write_no_more()
        return STATUS_BROKEN_PIPE
    except OSError as error:
        return refused(error)
    return status


def _write_no_more() -> None:
    """Forget what was printed; it would be tried again when the interpreter ends."""
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - as long as the process
