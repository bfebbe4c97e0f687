"""The message sequence of a checkpoint."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from colosim.measured.imported import import_run
from colosim.plots import sequence
from colosim.plots.look import FigureError
from colosim.plots.style import save
from colosim.plots.units import int_or_none, rows_of
from colosim.runs.run import simulate
from colosim.scenario import loads
from tests.designs.own import CHECKPOINTING
from tests.runs.conftest import PLAIN

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    from colosim.runs.run import Run

LAB = Path(__file__).parents[1] / "measured" / "data"


def texts_of(figure: Figure) -> list[Text]:
    """Return the texts of a figure that are neither its title nor its legend."""
    return [text for text in figure.axes[0].texts if text.get_text()]


@pytest.mark.parametrize("design", CHECKPOINTING)
def test_every_message_and_lock_hold_is_there(design: str) -> None:
    """A checkpoint's rows have each message of the table, sent and read, and each lock hold."""
    run = simulate(loads(PLAIN), design)
    steps = sequence.data(run, 2)
    begin = int_or_none(run.checkpoints["primary_request_at_ns"].iloc[2])
    assert begin is not None
    messages = run.messages[run.messages["checkpoint"] == 2]
    for number, row in enumerate(rows_of(messages)):
        own = steps[steps["message"] == number]
        assert own["time_ns"].iloc[0] == row.sent_ns - begin
        assert own["time_ns"].iloc[-1] == row.received_ns - begin
        assert len(own) == (2 if row.name.isupper() else 3)
    end = int(steps["time_ns"].max())
    held = run.locks[run.locks["got_ns"].between(begin, begin + end)]
    for side in ("primary", "secondary"):
        own = steps[steps["side"] == side]
        rows = held[held["side"] == side].sort_values("got_ns")
        assert own.loc[own["kind"] == "takes", "time_ns"].tolist() == (
            (rows["got_ns"] - begin).tolist()
        )
        assert own.loc[own["kind"] == "releases", "time_ns"].tolist() == (
            (rows["released_ns"] - begin).tolist()
        )


@pytest.mark.parametrize("design", CHECKPOINTING)
def test_no_text_of_the_figure_covers_another(design: str) -> None:
    """At the size at which it is saved, no two texts overlap."""
    run = simulate(loads(PLAIN), design)
    assert_clear(sequence.figure(run, 2))


def test_no_text_covers_another_around_a_fault(frozen_pair: list[Run]) -> None:
    """Nor where a fault, the cluster manager and the monitor have their say."""
    for run in (*frozen_pair, import_run(LAB / "split-fault-kill")):
        assert_clear(sequence.figure(run, 2))


def assert_clear(figure: Figure) -> None:
    """Hold every two texts to be apart, and all of them to be inside the figure."""
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts_of(figure)]
    for index, (name, box) in enumerate(boxes):
        assert box.x0 >= 0, name
        assert box.x1 <= figure.bbox.x1, name
        for other, second in boxes[index + 1 :]:
            assert not box.overlaps(second), (name, other)


def test_a_stream_that_was_never_read_ends_in_a_cross(frozen_pair: list[Run]) -> None:
    """In the hang the RAM stream is not read, and the lock stays held to the bottom."""
    text = sequence.mermaid(frozen_pair[1], 2)
    assert re.search(r"P-xS: RAM stream, 11\.6 MiB \([\d.]+, never read\)", text)
    assert "Note over P,S" in text
    assert "fault: freeze secondary" in text
    assert text.count("activate P") - text.count("deactivate P") == text.count("deactivate P") + 1
    crosses = [line for line in sequence.draw(frozen_pair[1], 2).lines if line.get_marker() == "x"]
    assert len(crosses) == 1


def test_the_text_is_a_diagram_for_mermaid(pair: list[Run]) -> None:
    """Every line is an arrow, a note or an activation; each activation of a whole one ends."""
    text = sequence.mermaid(pair[1], 2)
    lines = [line.strip() for line in text.splitlines()]
    assert lines[0] == "sequenceDiagram"
    arrow = re.compile(r"[PS](->>|-\))[PS]: [\w ,.]+ \([\d.]+, read [\d.]+\)")
    note = re.compile(r"Note over (P|S|P,S): [\d.]+ [^;#]+")
    active = re.compile(r"(de)?activate [PS]")
    for line in lines[4:]:
        assert any(form.fullmatch(line) for form in (arrow, note, active)), line
    for side in "PS":
        assert lines.count(f"activate {side}") == lines.count(f"deactivate {side}")
    arrows = [line for line in lines if arrow.fullmatch(line)]
    assert len(arrows) == len(pair[1].messages[pair[1].messages["checkpoint"] == 2])


def test_the_figure_is_the_same_bytes(pair: list[Run], tmp_path: Path) -> None:
    """A figure depends on its run alone."""
    for name in ("a.svg", "b.svg"):
        save(sequence.figure(pair[0], 1), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_a_checkpoint_that_is_not_there(pair: list[Run]) -> None:
    """A wrong number is said to be wrong, and so is one whose request the log does not show."""
    with pytest.raises(FigureError, match="no checkpoint 99"):
        sequence.mermaid(pair[0], 99)
    with pytest.raises(FigureError, match="does not show the request of checkpoint 1"):
        sequence.figure(import_run(LAB / "qemu72-secondary.log"), 1)
