"""States over time -> messages: each incident one, one when it is over, nothing else. Times are made up."""

import json
from dataclasses import replace
from random import Random

import pytest
from layer_states import DOWN, WELL, receiver, state_of

from astrometer.api.outcome import Layer, Outcome
from astrometer.config.notify_settings import Severity
from astrometer.probing.notify.incident import MOST_PER_HOUR, Incidents
from astrometer.probing.notify.incident_words import seen
from astrometer.probing.status.layer_evidence import StateLayer
from astrometer.probing.status.state_by_layer import TargetState
from astrometer.probing.verdict import ProbeReason

MINUTE, HOUR = 60.0, 3600.0
PARTLY = state_of("partly_down", network="failing connect")
MODEL = state_of("model_failing", "model", model="failing llm_error")
SPENT = state_of("unknown", "model", model="unknown budget")
SILENT = state_of("unknown", "model", model="unknown late")
SLOW = state_of("slow", "model", model="failing slow")
CUT = state_of("messenger_failing", "messenger", messenger="failing lost_link")
KEY = state_of("key_rejected", "key", key="failing unauthorized")


ALL = frozenset(StateLayer)
NO_MODEL = state_of("ok", model="unknown not_probed", content="unknown not_probed")


def by_chat(probe: str = "chat") -> TargetState:
    return state_of("model_failing", "model", model=f"failing llm_error {probe}")


class Told:
    def __init__(self, detail: str = "", **more) -> None:
        self.incidents = Incidents(receiver(**more))
        self.detail = detail
        self.now = 0.0
        self.notes = []

    def see(self, state: TargetState, for_s: float, step_s: float = 10.0, target: str = "prod") -> "Told":
        for _ in range(int(for_s / step_s)):
            note = self.incidents.look({target: state}, self.now, lambda *_: self.detail)
            if note is not None:
                self.notes.append((self.now, note))
            self.now += step_s
        return self

    @property
    def titles(self) -> list[str]:
        return [note.title for _, note in self.notes]


@pytest.mark.parametrize(
    ("state", "title", "whose", "cure"),
    [
        (DOWN, "prod DOWN: nothing listens at its address", "AstrBot is stopped", "Start AstrBot"),
        (MODEL, "prod MODEL FAILING: 401 from the provider", "the model, not AstrBot", "valid key"),
        (KEY, "prod KEY REJECTED: the key is refused (401)", "the API key, not AstrBot", "Make a new key"),
        (SLOW, "prod SLOW (model): answers are good, but late", "the model, not AstrBot", "faster model"),
        (CUT, "prod MESSENGER FAILING: no messenger is connected", "messenger's adapter", "NapCat"),
        (SPENT, "prod BUDGET SPENT: the probes' budget", "the watching, not AstrBot", "Raise the budget"),
    ],
)  # fmt: skip
def test_an_incident_is_one_message_and_its_end_is_another(state, title, whose, cure):
    told = Told("Error code: 401 - {'error': 'no'}")
    told.see(WELL, MINUTE).see(state, 10 * MINUTE).see(WELL, 10 * MINUTE)
    (at, begun), (ended_at, ended) = told.notes
    assert begun.title.startswith(title)
    assert whose in begun.text
    assert cure in begun.text
    assert (at, begun.status) == (MINUTE + 30, "problem")  # it holds for half a minute
    assert (ended_at, ended.status) == (11 * MINUTE, "resolved")
    assert "It lasted 11 min, from 1970-01-01 00:00:00 UTC" in ended.text


OURS = {outcome for outcome in Outcome if outcome.layer in (Layer.NONE, Layer.CLIENT)} - {
    Outcome.CLIENT_ERROR
}


@pytest.mark.parametrize("reason", [*sorted(set(Outcome) - OURS), ProbeReason.SLOW, ProbeReason.LEAK])
def test_every_reason_of_a_state_has_words_that_a_phone_can_show(reason):
    assert seen(reason.value) != reason.value.replace("_", " "), "no words in notify/incident_words.py"


def test_an_update_without_a_restart_is_told_after_an_hour():
    told = Told().see(WELL, MINUTE)
    updated = replace(WELL, outdated_since=told.now)
    told.see(updated, HOUR).see(DOWN, 20).see(WELL, MINUTE)
    assert told.titles == []  # restarted within the hour, which took less than half a minute
    told.see(replace(WELL, outdated_since=told.now), 2 * HOUR, step_s=MINUTE).see(WELL, MINUTE)
    (at, begun), (_, ended) = told.notes
    assert begun.title == "prod NOT RESTARTED: it was updated and still runs the old version"
    assert "What to do: Restart AstrBot" in begun.text
    assert (begun.severity, begun.layer) == ("ticket", "astrbot")
    assert at == pytest.approx(2 * HOUR + 200, abs=2 * MINUTE)
    assert ended.title == "prod is well again: it was NOT RESTARTED"


def test_what_follows_from_an_outage_is_not_told():
    told = Told().see(WELL, MINUTE).see(PARTLY, 20).see(DOWN, HOUR).see(PARTLY, 5 * MINUTE)
    forgiven = state_of("unknown", "model", model="unknown too_few_runs", messenger="unknown not_probed")
    told.see(forgiven, HOUR).see(WELL, MINUTE)
    assert [title.split(":")[0] for title in told.titles] == ["prod DOWN", "prod is well again"]
    assert told.notes[1][0] == MINUTE + 20 + HOUR + 5 * MINUTE  # network and AstrBot are well, so it is over


def test_what_is_unknown_may_still_be_broken():
    told = Told().see(MODEL, HOUR).see(SILENT, HOUR)
    assert len(told.notes) == 1
    told.see(WELL, MINUTE)
    assert [note.status for _, note in told.notes] == ["problem", "resolved"]


def test_another_key_is_no_good_key_until_it_was_used():
    told = Told().see(KEY, HOUR)
    told.see(state_of("unknown", key="unknown not_probed", astrbot="unknown no_run"), MINUTE)
    assert len(told.notes) == 1
    assert told.see(WELL, MINUTE).titles[1:] == ["prod is well again: it was KEY REJECTED"]


def test_another_problem_is_told_once_it_holds_and_a_flicker_is_not():
    told = Told().see(MODEL, 10 * MINUTE).see(KEY, 20).see(MODEL, 10 * MINUTE)
    assert len(told.notes) == 1
    told.see(KEY, 10 * MINUTE).see(WELL, MINUTE)
    assert [title.split(":")[0] for title in told.titles] == [
        "prod MODEL FAILING", "prod KEY REJECTED", "prod is well again",
    ]  # fmt: skip


def test_a_problem_that_stays_is_told_again_once_a_day():
    told = Told().see(DOWN, 73 * HOUR, step_s=MINUTE)
    assert [round(at / HOUR) for at, _ in told.notes] == [0, 24, 48, 72]
    assert told.titles[1] == "prod still DOWN: nothing listens at its address"
    assert "Since 1970-01-01 00:00:00 UTC" in told.notes[1][1].text


def test_the_severity_decides_who_is_told():
    pages = Told(min_severity=Severity.PAGE).see(SPENT, HOUR).see(DOWN, HOUR).see(SPENT, HOUR).see(WELL, HOUR)
    assert [note.status for _, note in pages.notes] == ["problem", "resolved"]
    others = Told(targets=("other",)).see(DOWN, HOUR)
    assert others.notes == []


def test_a_storm_of_a_thousand_changes_stays_within_the_limit():
    told, random = Told(after_s=0.0), Random(1)
    for _ in range(1000):
        told.see(random.choice([WELL, DOWN, MODEL, KEY, SLOW]), 10)
    times = [at for at, _ in told.notes]
    assert max(sum(at <= other < at + HOUR for other in times) for at in times) == MOST_PER_HOUR
    assert "No more messages for an hour: 12 an hour is the limit" in told.notes[MOST_PER_HOUR - 1][1].text
    told.see(WELL, 2 * HOUR)
    assert told.notes[-1][1].status == "resolved"  # what holds in the end is told
    assert told.incidents.open == {}


def test_ten_targets_that_go_down_together_are_one_message():
    incidents = Incidents(receiver(after_s=0.0))
    note = incidents.look({f"bot{number}": DOWN for number in range(10)}, 0.0, lambda *_: "")
    assert note.title == "10 targets: bot0 DOWN: nothing listens at its address"
    assert "bot9 DOWN" in note.text
    note = incidents.look(
        {f"bot{number}": WELL if number else DOWN for number in range(10)}, 60.0, lambda *_: ""
    )
    assert (note.status, note.still) == ("resolved", "bot0 DOWN")


def after_a_reload(told: Told, blamers, **states) -> list[str]:
    """What is told within an hour in which the config has these probes."""
    notes = []
    for _ in range(60):
        notes.append(told.incidents.look(states, told.now, lambda *_: "", blamers))
        told.now += MINUTE
    return [note.title for note in notes if note is not None]


@pytest.mark.parametrize(
    ("blamers", "states"),
    [
        ({("main", "chat"): ALL}, {"main": WELL}),  # another name of the target
        ({("prod", "reads"): ALL}, {"prod": WELL}),  # another probe says that AstrBot is well, not this one
        ({("prod", "chat"): ALL - {StateLayer.MODEL}}, {"prod": NO_MODEL}),
    ],
)
def test_what_the_config_probes_no_more_is_closed_with_one_message_that_does_not_call_it_well(
    blamers, states
):
    told = Told().see(by_chat(), HOUR)
    assert after_a_reload(told, blamers, **states) == [
        "prod is no longer probed for this: it was MODEL FAILING"
    ]
    assert told.incidents.open == {}
    again = Told()  # the same, where the exporter was stopped meanwhile
    again.incidents.take_json(json.loads(json.dumps(Told().see(by_chat(), HOUR).incidents.as_json())))
    note = again.incidents.look(states, HOUR, lambda *_: "", blamers)
    assert note.status == "resolved"
    assert "It lasted at least 1 h," in note.text
    assert "no more probe that could tell its end" in note.text


def test_what_another_probe_finds_too_goes_on():
    told = Told().see(state_of("model_failing", "model", model="failing llm_error chat im_chat"), HOUR)
    also = {("prod", "im_chat"): ALL}
    assert after_a_reload(told, also, prod=by_chat("im_chat")) == []
    assert after_a_reload(told, also, prod=WELL) == ["prod is well again: it was MODEL FAILING"]


def test_a_round_that_asks_some_of_the_probes_ends_nothing_that_it_did_not_ask_for():
    told = Told().see(by_chat(), HOUR)
    assert after_a_reload(told, {("prod", "chat"): ALL}, prod=NO_MODEL) == []
    assert after_a_reload(told, None, other=WELL) == []
    assert after_a_reload(told, {("prod", "chat"): ALL}, prod=WELL) == [
        "prod is well again: it was MODEL FAILING"
    ]


def test_a_target_that_the_receiver_is_told_no_more_of_is_open_no_more():
    before = Told().see(DOWN, MINUTE, target="prod").see(DOWN, MINUTE, target="test")
    after = Told(targets=("test",))
    after.incidents.take_json(before.incidents.as_json())
    after.now = before.now
    after.see(WELL, MINUTE, target="prod").see(WELL, MINUTE, target="test")
    assert after.titles == ["test is well again: it was DOWN"]
    assert after.notes[0][1].still == ""


def test_a_restart_tells_nothing_twice_and_still_tells_the_end():
    told = Told().see(DOWN, HOUR)
    again = Told()
    again.now = told.now
    again.incidents.take_json(told.incidents.as_json())
    starting = state_of("unknown", network="unknown no_run", astrbot="unknown no_run")
    again.see(starting, MINUTE).see(replace(DOWN), HOUR)
    assert again.notes == []
    assert again.see(WELL, MINUTE).titles == ["prod is well again: it was DOWN"]


@pytest.mark.parametrize("damaged", [None, [], {"open": {"prod": {"problem": 1}}}, {"open": 3, "sent": [1]}])
def test_a_damaged_state_is_nothing(damaged):
    incidents = Incidents(receiver())
    incidents.take_json(damaged)
    assert incidents.open == {}
