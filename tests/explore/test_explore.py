"""Exploring: the same whatever the number of processes, interrupted or not, replayed or not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from colosim.executors import batches
from colosim.explore import explore as module
from colosim.explore.cases import Space, case_scenario
from colosim.explore.choices import ChoicesError
from colosim.explore.explore import Exploration, explore
from colosim.explore.outcome import Outcome, run_case
from colosim.explore.report import as_csv, as_json, count_rows, write_tables
from colosim.explore.results import Results
from colosim.runs.run import simulate

if TYPE_CHECKING:
    from pathlib import Path

    from colosim.explore.cases import Case
    from colosim.scenario import Scenario


FAULTS = ["freeze", "fail"]


@pytest.fixture(scope="module")
def explored(conditions: Scenario) -> Exploration:
    """Explore freezes of `split`, in this process."""
    return explore(conditions, ["split"], FAULTS)


def test_the_map_of_split_is_the_known_one(explored: Exploration) -> None:
    """`split` hangs only where its secondary never reads a stream that does not fit.

    Its secondary is frozen for ever, or has left COLO as `loadvm_state_begin` failed.
    """
    hung = [one for one in explored.outcomes if one.verdict == "hung"]
    assert {(one.fault, one.victim, one.survivor) for one in hung} == {
        ("freeze", "secondary", "primary"),
        ("fail loadvm_state_begin", "secondary", "primary"),
    }
    assert {one.step for one in hung if one.side == "primary"} == {
        "CHECKPOINT_REPLY",
        "stop",
        "VMSTATE_SEND",
        "savevm_state_begin",
        "bitmap sync",
        "RAM stream",
    }
    assert "violated" not in {one.verdict for one in explored.outcomes}
    assert sum(explored.counts()["split"].values()) == explored.space.count()


def test_nobody_is_told_of_an_error_return(explored: Exploration) -> None:
    """A failing save or load ends COLO with the guest stopped, and the heartbeats go on.

    One that fails before RAM is read leaves the primary in its stream, with the lock.
    """
    fails = [one for one in explored.outcomes if one.fault.startswith("fail")]
    stopped = ["savevm_state_begin", "RAM save", "device save", "device load"]
    assert {one.fault: one.verdict for one in fails} == {
        **{f"fail {what}": "stopped" for what in stopped},
        "fail loadvm_state_begin": "hung",
    }


def test_what_freed_it_is_said(explored: Exploration) -> None:
    """What ended the wait for the peer, then the command, in their order; or nothing."""
    text = "step=RAM stream, when=first byte, fault={}, victim={}"
    strikes = [
        ("freeze", "secondary"),
        ("freeze 1 s", "secondary"),
        ("freeze 30 s", "secondary"),
        ("freeze", "primary"),
        ("vanish", "secondary"),
        ("kill", "secondary"),
        ("vanish 30 s", "secondary"),
        ("slow latency 100 30 s", "network"),
    ]
    space = Space(explored.scenario, ["split"])
    ends = [run_case(space.base, space.replay(text.format(*one))) for one in strikes]
    assert [(one.verdict, one.freed_by) for one in ends] == [
        ("hung", None),
        ("completed", "thaw"),
        ("failed_over", "thaw, x-colo-lost-heartbeat"),
        ("failed_over", "x-colo-lost-heartbeat"),
        ("failed_over", "TCP gives up, x-colo-lost-heartbeat"),
        ("failed_over", "reset, x-colo-lost-heartbeat"),
        ("failed_over", "heal, x-colo-lost-heartbeat"),
        ("completed", None),
    ]


@pytest.mark.parametrize(
    ("design", "text", "freed_by"),
    [
        ("split+send-timeout=1s", "step=RAM stream, when=first byte", "send timeout, {}"),
        ("split+send-timeout=1s", "step=start, when=after", "{}"),
        ("split+yank", "step=RAM stream, when=first byte", "yank, {}"),
        ("split", "step=start, when=after, fault=kill", "{}"),
        ("split", "step=RAM stream, when=before, fault=vanish 30 s, victim=network",
         "heal, reset, {}"),
        ("qsb", ("step=RAM stream, when=before, fault=busy 5 s, victim=primary, "
         "step 2=RAM stream, when 2=before, fault 2=freeze"), "end of the hold, {}"),
    ],
)  # fmt: skip
def test_only_what_ended_a_wait_freed_it(
    explored: Exploration, design: str, text: str, freed_by: str
) -> None:
    """A remedy that came before the command is named, one that nobody waited for is not."""
    space = Space(explored.scenario, [design])
    fault = "" if "fault" in text else ", fault=freeze"
    outcome = run_case(space.base, space.replay(text + fault))
    assert outcome.freed_by == freed_by.format("x-colo-lost-heartbeat")


@pytest.mark.parametrize(
    ("text", "freed_by"),
    [
        ("side=primary, step=VMSTATE_LOADED, when=after, fault=freeze 50 ms", None),
        ("side=primary, step=start, when=after, fault=freeze 1 s, victim=primary", "thaw"),
        ("side=secondary, step=cache flush, when=before, fault=freeze 1 ms, victim=primary", None),
        ("side=secondary, step=cache flush, when=before, fault=freeze 1 ms", "thaw"),
    ],
)
def test_who_works_is_freed_by_nothing(
    explored: Exploration, text: str, freed_by: str | None
) -> None:
    """A thaw that comes while the other side works has freed nobody."""
    space = Space(explored.scenario, ["split"])
    victim = "" if "victim" in text else ", victim=secondary"
    outcome = run_case(space.base, space.replay(text + victim))
    assert (outcome.verdict, outcome.freed_by) == ("completed", freed_by)


def test_a_printed_choice_replays_to_the_same_digest(
    conditions: Scenario, explored: Exploration
) -> None:
    """``run --choices`` is the case of the exploration, event for event."""
    for outcome in explored.outcomes[:: len(explored.outcomes) // 12]:
        scenario = case_scenario(conditions, outcome.choices)
        again = simulate(scenario, outcome.design, tables=False)
        assert (again.digest, again.verdict) == (outcome.digest, outcome.verdict)


def test_processes_do_not_change_the_result(conditions: Scenario) -> None:
    """Two worker processes give the same outcomes in the same order as one."""
    alone, shared = (explore(conditions, ["qsb"], ["kill"], jobs=jobs) for jobs in (1, 2))
    assert len(shared.outcomes) > batches._FIRST  # else there is work for one of them only
    assert shared.outcomes == alone.outcomes


class Interrupt:
    """Runs cases until some are done, then is interrupted."""

    def __init__(self, after: int) -> None:
        self.left = after
        self.run = 0

    def __call__(self, base: Scenario, case: Case, _replay: str) -> Outcome:
        """Run a case, or be interrupted."""
        if self.run == self.left:
            raise KeyboardInterrupt
        self.run += 1
        return run_case(base, case)


def test_an_interrupted_exploration_goes_on_where_it_was(
    conditions: Scenario,
    explored: Exploration,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was finished stays, a torn last line is no matter, and the rest makes the same whole."""
    monkeypatch.setattr(module, "run_case", Interrupt(40))
    with pytest.raises(KeyboardInterrupt):
        explore(conditions, ["split"], FAULTS, folder=tmp_path)
    (stored,) = tmp_path.iterdir()
    kept = len(stored.read_text().splitlines())
    assert batches._FIRST <= kept <= 40
    with stored.open("a") as stream:
        stream.write('{"design": "spl')
    rest = Interrupt(-1)
    monkeypatch.setattr(module, "run_case", rest)
    resumed = explore(conditions, ["split"], FAULTS, folder=tmp_path)
    assert resumed.outcomes == explored.outcomes
    assert rest.run == len(explored.outcomes) - kept
    lines = stored.read_text().splitlines()
    lines.remove('{"design": "spl')
    assert [json.loads(line) for line in lines] == [one.to_dict() for one in explored.outcomes]


def test_explorations_may_share_a_folder(explored: Exploration, tmp_path: Path) -> None:
    """What each of two that go on at once has finished is found by the next."""
    first, second = explored.outcomes[:2]
    with Results(tmp_path, "d") as one, Results(tmp_path, "d") as other:
        one.add([first])
        other.add([second])
    with Results(tmp_path, "d") as both:
        assert [both.get(outcome.choices) for outcome in (first, second)] == [first, second]


def test_results_of_other_conditions_are_not_taken(
    conditions: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file of results is named after the scenario: another one has another file."""
    guest = conditions.guest.model_copy(update={"vcpus": 2})
    other = conditions.model_copy(update={"guest": guest})
    for scenario in (conditions, other, conditions):
        explore(scenario, ["qsb"], ["fail"], folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_finding_stops_at_the_first(conditions: Scenario, explored: Exploration) -> None:
    """A search ends with the first case of the verdict, in order."""
    found = explore(conditions, ["split"], FAULTS, find="hung")
    assert found.found == found.outcomes[-1]
    assert [one.verdict for one in found.outcomes].count("hung") == 1
    assert found.outcomes == explored.outcomes[: len(found.outcomes)]


def test_progress_is_told_to_the_end(conditions: Scenario) -> None:
    """Progress counts up to the number of cases that was told first."""
    told: list[tuple[int, int]] = []
    explore(conditions, ["flat"], ["fail"], progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (3, 3)


def test_a_second_fault_that_never_strikes_is_said_so(conditions: Scenario) -> None:
    """After a kill the pair never comes to a later step: the case is not applicable."""
    space = Space(conditions, ["split"])
    case = space.replay(
        "side=primary, step=stop, when=before, fault=kill, victim=primary, "
        "side 2=primary, step 2=RAM stream, when 2=before, fault 2=freeze, victim 2=secondary"
    )
    outcome = run_case(space.base, case)
    assert outcome.verdict == "not_applicable"
    assert "primary: before RAM stream" in outcome.reason


def test_an_exploration_without_cases_is_refused(conditions: Scenario) -> None:
    """Faults that can strike nowhere are told, and no folder is made."""
    with pytest.raises(ChoicesError, match=r"nothing of leak RAM save can strike in qemu-5\.1"):
        explore(conditions, ["qemu-5.1"], ["leak RAM save"])


def test_a_violation_tells_the_scenario_as_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each case is told the file and the overrides that it was run with."""
    told: list[str | None] = []

    def listen(base: Scenario, case: Case, replay: str | None = None) -> Outcome:
        told.append(replay)
        return run_case(base, case, replay)

    monkeypatch.setattr(module, "run_case", listen)
    path = tmp_path / "hang"
    path.write_text("name: other\nguest: {ram: 64 MiB, dirty: {pages: 9}}\n")
    explore(path, ["qsb"], ["fail RAM save"], overrides=["guest.vcpus=2"])
    (command,) = told
    assert command is not None
    assert command.startswith(f"colosim run {path} --set guest.vcpus=2 --choices 'design=qsb, ")


def test_tables_have_every_case(explored: Exploration, tmp_path: Path) -> None:
    """The counts add up, and CSV and JSON have a line and an element for each case."""
    columns, rows = count_rows(explored)
    assert columns[0] == "design"
    assert columns[-1] == "cases"
    assert rows == [["split", *rows[0][1:-1], str(len(explored.outcomes))]]
    assert len(as_csv(explored.outcomes).splitlines()) == len(explored.outcomes) + 1
    (first, *_) = json.loads(as_json(explored.outcomes))
    assert {"design", "side", "step", "fault", "choices", "verdict"} < first.keys()
    assert {"service_lost_ns", "monitor_deaf_ns", "freed_by"} < first.keys()
    assert [path.name for path in write_tables(explored, tmp_path)] == ["cases.csv", "cases.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cases.csv", "cases.json"]
