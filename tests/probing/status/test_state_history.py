"""States over time -> spells that survive a restart, in a file that stays small. Times are made up."""

import sqlite3

import pytest
from layer_states import DOWN, WELL, state_of

from astrometer.probing.layer_evidence import StateLayer
from astrometer.probing.status import state_history
from astrometer.probing.status.state_history import FILE, KEPT_S, StateHistory

DAY_S = 86400.0
BEGAN = 1_790_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = BEGAN

    def __call__(self) -> float:
        return self.now


class Told:
    """A history, and states that last for a time."""

    def __init__(self, folder=None) -> None:
        self.clock, self.said = Clock(), []
        self.history = StateHistory(folder, say=self.said.append, clock=self.clock)

    def see(self, state, for_s: float, step_s: float = 10.0) -> "Told":
        for _ in range(int(for_s / step_s)):
            self.history.note({"prod": state})
            self.clock.now += step_s
        return self

    def spells(self, layer: str = "network") -> list[tuple[str, float, float]]:
        found = self.history.reader().spells(BEGAN - 1, BEGAN + KEPT_S)
        return [
            (one.state.value, one.began - BEGAN, one.ended - BEGAN)
            for one in found
            if one.layer is StateLayer(layer)
        ]


def down(since: float):
    return state_of("down", network="failing connect", since=BEGAN + since)


def test_a_failure_began_with_its_first_run_not_when_there_were_enough(tmp_path):
    told = Told(tmp_path).see(WELL, 600).see(down(480), 300).see(state_of("ok", since=BEGAN + 840), 60)
    assert told.spells() == [("ok", 0, 480), ("failing", 480, 840), ("ok", 840, 950)]
    assert told.spells("model") == [("ok", 0, 950)]


def test_a_time_without_an_exporter_is_neither_up_nor_down(tmp_path):
    told = Told(tmp_path).see(WELL, 600)
    told.history.close()
    again = Told(tmp_path)
    again.clock.now = BEGAN + 5000
    again.see(WELL, 100)
    assert again.spells() == [("ok", 0, 590), ("ok", 5000, 5090)]
    assert again.said == []


def test_what_is_unknown_afterwards_ends_no_failure_at_its_begin():
    unknown = state_of("unknown", network="unknown too_few_runs")  # since the exporter's start
    told = Told().see(WELL, 600).see(down(480), 300).see(unknown, 100)
    assert told.spells() == [("ok", 0, 480), ("failing", 480, 900), ("unknown", 900, 990)]


def test_another_reason_is_no_other_spell():
    other = state_of("down", network="failing timeout_connect", since=BEGAN)
    told = Told().see(down(0), 300).see(other, 300)
    (spell,) = [one for one in told.history.reader().spells(0, BEGAN * 2) if one.layer is StateLayer.NETWORK]
    assert spell.reason == "timeout_connect"


def test_a_damaged_file_is_put_aside(tmp_path):
    (tmp_path / FILE).write_bytes(b"no database" * 1000)
    told = Told(tmp_path).see(WELL, 60)
    assert "is damaged" in told.said[0]
    assert [path.name for path in tmp_path.glob("*.damaged-*")] == [f"history.damaged-{int(BEGAN)}"]
    assert told.spells() == [("ok", 0, 50)]


def test_of_two_exporters_one_writes(tmp_path):
    one, other = Told(tmp_path), Told(tmp_path)
    assert "another exporter writes the history" in other.said[0]
    assert other.see(WELL, 60).spells() == [("ok", 0, 50)]
    assert one.spells() == []


def test_a_disk_that_cannot_be_written_is_said_once_and_loses_nothing(tmp_path):
    told = Told(tmp_path)
    blocker = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    told.history._database.execute("PRAGMA busy_timeout = 0")
    blocker.execute("BEGIN IMMEDIATE")
    told.see(WELL, 60).see(down(60), 60)
    assert len(told.said) == 1
    assert "cannot be written" in told.said[0]
    blocker.execute("ROLLBACK")
    assert told.spells() == [("ok", 0, 60), ("failing", 60, 110)]


@pytest.mark.parametrize("most", [10**9, 100_000])
def test_the_file_is_bounded_by_time_and_by_size(most, tmp_path, monkeypatch):
    monkeypatch.setattr(state_history, "MOST_BYTES", most)
    told = Told(tmp_path)
    for day in range(130):
        for minute in range(20):
            told.clock.now = BEGAN + day * DAY_S + minute * 60
            told.history.note({"prod": DOWN if minute % 2 else WELL})
    told.history.flush()
    found = told.history.reader().spells(0, BEGAN * 2)
    assert found[0].ended >= told.clock.now - KEPT_S - DAY_S
    assert (len(found) > 1500) is (most == 10**9)
    told.history.close()
    assert (tmp_path / FILE).stat().st_size < 800_000
