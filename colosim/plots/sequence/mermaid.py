"""A checkpoint's message sequence as text that Mermaid draws (in Markdown, in mails)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from colosim.plots.lanes import named
from colosim.plots.sequence.lifelines import PAIR, sequence_of
from colosim.plots.units import short_size

if TYPE_CHECKING:
    from colosim.plots.sequence.lifelines import Message, Sequence, Step
    from colosim.runs.run import Run

_NAMES = {"primary": "P", "secondary": "S"}


def mermaid(run: Run, checkpoint: int) -> str:
    """Return the message sequence of a checkpoint as a Mermaid sequence diagram.

    Times are ms since the request: of a message when it was sent and read.  A lock hold is an
    activation of its host; a message that was never read ends in a cross.

    :raises FigureError: if the run has no such checkpoint.
    """
    sequence = sequence_of(run, checkpoint)
    lines = [
        "sequenceDiagram",
        f"    title {run.scenario.name}, {run.design}: {named(run, checkpoint)} (ms)",
        "    participant P as primary<br/>checkpoint thread",
        "    participant S as secondary<br/>COLO incoming thread",
    ]
    lines += [f"    {line}" for line in _lines(sequence)]
    return "\n".join(lines) + "\n"


def _lines(sequence: Sequence) -> Iterator[str]:
    """Yield a line or more for each step."""
    holds: list[str] = []
    for step in sequence.steps:
        if step.kind in {"sends", "begins to send"} and step.message is not None:
            yield _arrow(step, sequence.messages[step.message])
            continue
        if step.kind in {"receives", "has read"} and step.message is not None:
            continue
        yield _note(step)
        if step.kind == "takes":
            holds.append(step.side)
            yield f"activate {_NAMES[step.side]}"
        elif step.kind == "releases" and step.side in holds:
            holds.remove(step.side)
            yield f"deactivate {_NAMES[step.side]}"


def _ms(time_ns: int) -> str:
    return f"{time_ns / 1e6:.3f}"


def _arrow(step: Step, message: Message) -> str:
    arrow = "-)" if message.is_stream else "->>"
    read = "never read"
    if message.received_ns is None:
        arrow = "-x"
    else:
        read = f"read {_ms(message.received_ns)}"
    what = f"{message.name}, {short_size(message.size_bytes)}" if message.is_stream else step.what
    ends = f"{_NAMES[message.sender]}{arrow}{_NAMES[message.receiver]}"
    return f"{ends}: {what} ({_ms(step.time_ns)}, {read})"


def _note(step: Step) -> str:
    where = "over P,S" if step.side == PAIR else f"over {_NAMES[step.side]}"
    return f"Note {where}: {_ms(step.time_ns)} {step.text}"
