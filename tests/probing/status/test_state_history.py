"""States over time -> spells that survive a restart, in a file that stays small. Times are made up."""

import sqlite3
import time
from contextlib import closing

import pytest
from layer_states import DOWN, WELL, state_of
from waiting import until

from astrometer.api.call_exchange import CallResult
from astrometer.api.outcome import Outcome
from astrometer.config.settings import Target
from astrometer.probing.plan import Plan
from astrometer.probing.probe_files import Probe
from astrometer.probing.run_record import Limits
from astrometer.probing.status import history_file, state_history
from astrometer.probing.status.history_file import FILE, KEPT_S, Reader, read_only
from astrometer.probing.status.layer_evidence import StateLayer
from astrometer.probing.status.spells import DAY_S, HOUR_S, Spell
from astrometer.probing.status.state_history import StateHistory
from astrometer.probing.verdict import ProbeRun, Verdict

BEGAN = 1_790_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = BEGAN

    def __call__(self) -> float:
        return self.now


class Told:
    """A history, and states that last for a time."""

    def __init__(self, folder) -> None:
        self.folder, self.clock, self.said = folder, Clock(), []
        self.history = StateHistory(folder, say=self.said.append, clock=self.clock)

    def see(self, state, for_s: float, step_s: float = 10.0) -> "Told":
        for _ in range(int(for_s / step_s)):
            self.history.note({"prod": state})
            self.clock.now += step_s
        return self

    def found(self, layer: str = "network") -> list[Spell]:
        """What the file knows, in order."""
        assert self.history.flush()
        with closing(read_only(self.folder)) as database:
            spells = Reader(database).spells(0, self.clock.now + 1)
        return [one for one in spells if one.layer is StateLayer(layer)]

    def spells(self, layer: str = "network") -> list[tuple[str, float, float]]:
        return [(one.state.value, one.began - BEGAN, one.ended - BEGAN) for one in self.found(layer)]


@pytest.fixture
def told(tmp_path):
    made = Told(tmp_path)
    yield made
    made.history.close()


def down(since: float):
    return state_of("down", network="failing connect", since=BEGAN + since)


def test_a_failure_began_with_its_first_run_not_when_there_were_enough(told):
    told.see(WELL, 600).see(down(480), 300).see(state_of("ok", since=BEGAN + 840), 60)
    assert told.spells() == [("ok", 0, 480), ("failing", 480, 840), ("ok", 840, 950)]
    assert told.spells("model") == [("ok", 0, 950)]


def test_a_time_without_an_exporter_is_neither_up_nor_down(told):
    told.see(WELL, 600).history.close()
    again = Told(told.folder)
    again.clock.now = BEGAN + 5000
    again.see(WELL, 100)
    assert again.spells() == [("ok", 0, 590), ("ok", 5000, 5090)]
    assert again.said == []
    again.history.close()


def test_what_is_unknown_afterwards_ends_no_failure_at_its_begin(told):
    unknown = state_of("unknown", network="unknown too_few_runs")  # since the exporter's start
    told.see(WELL, 600).see(down(480), 300).see(unknown, 100)
    assert told.spells() == [("ok", 0, 480), ("failing", 480, 900), ("unknown", 900, 990)]


def test_a_failure_that_the_first_runs_after_another_key_show_began_with_the_first_of_them(told):
    unused = state_of("unknown", key="unknown not_probed")
    undecided = state_of("unknown", key="unknown too_few_runs", since=BEGAN)
    told.see(WELL, 600).see(unused, 60).see(undecided, 120)
    told.see(state_of("key_rejected", key="failing unauthorized", since=BEGAN + 658), 60).see(WELL, 10)
    assert told.spells("key") == [
        ("ok", 0, 590),
        ("unknown", 660, 660),
        ("failing", 660, 840),
        ("ok", 840, 840),
    ]


def test_another_reason_is_no_other_spell(told):
    other = state_of("down", network="failing timeout_connect", since=BEGAN)
    told.see(down(0), 300).see(other, 300)
    assert [spell.reason for spell in told.found()] == ["timeout_connect"]


def test_a_page_is_the_same_after_a_restart(told):
    told.see(WELL, 7200).see(down(7000), 3600).see(state_of("ok", since=BEGAN + 10_500), 7200)
    hours = [int(BEGAN // HOUR_S + number) * HOUR_S for number in range(6)]

    def shown(history: StateHistory) -> tuple[object, ...]:
        going = history.going("prod")
        past = history.past("prod")
        return past.parts(HOUR_S, hours, going), past.outages(BEGAN, told.clock.now, going)

    before = shown(told.history)
    assert [part.state for part in before[0]] == ["ok", "ok", "failing", "failing", "ok", "ok"]
    assert [(one.began - BEGAN, one.ended - BEGAN, one.seen_well) for one in before[1]] == [
        (7000, 10_500, True)
    ]
    told.history.close()
    again = StateHistory(told.folder, clock=told.clock)
    assert shown(again) == before
    again.close()


def test_a_damaged_file_is_put_aside(tmp_path):
    (tmp_path / FILE).write_bytes(b"no database" * 1000)
    told = Told(tmp_path).see(WELL, 60)
    assert "is damaged" in told.said[0]
    assert [path.name for path in tmp_path.glob("*.damaged-*")] == [f"history.damaged-{int(BEGAN)}"]
    assert told.spells() == [("ok", 0, 50)]
    told.history.close()


def test_damage_inside_of_a_file_is_found_when_it_is_opened(told):
    for number in range(200):
        told.see(WELL, 20).see(down(number), 20)
    told.history.close()
    path = told.folder / FILE
    data = bytearray(path.read_bytes())
    data[8192 : len(data) - 4096] = bytes(len(data) - 3 * 4096)
    path.write_bytes(data)
    again = StateHistory(told.folder, say=told.said.append, clock=told.clock)
    assert again.problem == ""
    again.close()
    assert "is damaged" in told.said[0]
    assert [*told.folder.glob("*.damaged-*")]


def test_a_file_that_cannot_be_used_now_is_left_as_it_is(told):
    told.see(WELL, 60)
    told.history.close()
    before = (told.folder / FILE).read_bytes()
    in_the_way = told.folder / f"{FILE}-wal"
    in_the_way.mkdir()
    again = StateHistory(told.folder, say=told.said.append, clock=told.clock)
    assert "cannot be used (unable to open database file)" in again.problem
    assert (told.folder / FILE).read_bytes() == before
    in_the_way.rmdir()
    after = StateHistory(told.folder, say=told.said.append, clock=told.clock)  # the lock is free
    assert after.problem == ""
    after.close()


def test_states_and_layers_of_a_newer_version_are_left_out(told):
    told.see(WELL, 60)
    told.history.close()
    with closing(sqlite3.connect(told.folder / FILE)) as database, database:
        database.execute(
            "INSERT INTO spells SELECT 900, target, 'weather', state, '', began, ended FROM spells LIMIT 1"
        )
        database.execute(
            "INSERT INTO spells SELECT 901, target, layer, 'sleepy', '', began, ended FROM spells LIMIT 1"
        )
        database.execute(f"INSERT INTO layer_hours VALUES ('prod', 'weather', {int(BEGAN)}, 1, 0)")
    again = StateHistory(told.folder, say=told.said.append, clock=told.clock)
    assert again.problem == ""
    again.close()
    with closing(read_only(told.folder)) as database:
        assert {one.state.value for one in Reader(database).spells(0, told.clock.now)} == {"ok"}
        assert Reader(database).runs_by_layer(0, told.clock.now) == {}


def test_of_two_exporters_one_writes(told):
    other = Told(told.folder).see(WELL, 60)
    assert "another exporter writes history.sqlite" in other.said[0]
    assert other.history.problem in other.said[0]
    assert {(one.state.value, one.ended - BEGAN) for one in other.history.going("prod")} == {("ok", 50)}
    assert told.spells() == []


def test_a_disk_that_hangs_delays_nobody_is_said_once_and_loses_nothing(told, monkeypatch):
    monkeypatch.setattr(history_file, "LATE_S", 0.0)
    monkeypatch.setattr(history_file, "RETRY_S", 0.01)
    # Whoever writes waits for this one, for 5 s at most: then it has failed.
    blocker = sqlite3.connect(told.folder / FILE, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    began = time.perf_counter()
    told.see(WELL, 600).see(down(600), 600)
    assert time.perf_counter() - began < 2.0
    assert "the disk does not answer; kept in memory until it can" in told.history.problem
    until(lambda: "cannot be written (database is locked)" in told.history.problem)
    assert len(told.said) == 1
    blocker.execute("ROLLBACK")
    blocker.close()
    assert told.spells() == [("ok", 0, 600), ("failing", 600, 1190)]
    assert told.history.problem == ""


def test_what_a_disk_does_not_take_at_the_end_is_said(told, monkeypatch):
    monkeypatch.setattr(state_history, "CLOSE_S", 0.2)
    blocker = sqlite3.connect(told.folder / FILE, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    told.see(WELL, 600).history.close()
    assert told.said == [f"{FILE}: the disk does not answer; the newest changes are lost"]
    blocker.execute("ROLLBACK")
    blocker.close()


def test_a_disk_that_is_behind_for_long_drops_the_oldest_and_says_so(told, monkeypatch):
    monkeypatch.setattr(state_history, "MOST_WAITING", 100)
    blocker = sqlite3.connect(told.folder / FILE, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    for _ in range(100):
        told.see(WELL, 10).see(down(0), 10)
    blocker.execute("ROLLBACK")
    blocker.close()
    assert told.history.flush()
    assert "changes were lost" in told.history.problem


@pytest.mark.parametrize("most", [10**9, 100_000])
def test_the_file_is_bounded_by_time_and_by_size(most, told, monkeypatch):
    monkeypatch.setattr(history_file, "MOST_BYTES", most)
    for day in range(130):
        for minute in range(20):
            told.clock.now = BEGAN + day * DAY_S + minute * 60
            told.history.note({"prod": DOWN if minute % 2 else WELL})
        told.history.flush()
    found = told.found()
    assert found[0].ended >= told.clock.now - KEPT_S - DAY_S
    assert (len(found) > 1500) is (most == 10**9)
    told.history.close()
    assert (told.folder / FILE).stat().st_size < 800_000


def test_starts_of_astrbot_are_kept_and_what_cannot_be_a_start_is_not(tmp_path):
    def see(told: Told, start_time: object) -> None:
        call = CallResult(outcome=Outcome.OK, duration_s=0.01, payload={"start_time": start_time})
        run = ProbeRun(
            target="prod", url="http://x", probe="server", verdict=Verdict.passed(),
            started_at=told.clock.now, duration_s=0.01, calls=(call,),
        )  # fmt: skip
        told.history.add(run, plan)

    plan = Plan(
        target=Target(name="prod", url="http://x"),
        probe=Probe(function=print, name="server", interval_s=60, scopes=(), costs_tokens=False, summary=""),
        limits=Limits(total_s=5),
        interval_s=60,
    )
    told = Told(tmp_path)
    for start in (BEGAN - 60 * DAY_S, BEGAN - 90, BEGAN - 90, BEGAN - 50 * DAY_S, -1, 1e300, "now"):
        see(told, start)
    told.history.close()
    again = Told(tmp_path)
    see(again, BEGAN - 30)
    assert again.history.past("prod").starts(BEGAN - 30 * DAY_S) == (BEGAN - 30, BEGAN - 90)
    assert again.history.past("prod").starts(BEGAN) == (BEGAN - 30,)  # the last one always
    again.history.close()
