"""What is said before a server is loaded that is not this machine."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from workloads import a_workload

from astrometer.config.settings import Target
from astrometer.load.estimate import forecast, is_loopback, left_behind, sentences
from astrometer.load.inspect_locustfile import Inspection
from astrometer.load.launch import LoadPlan
from astrometer.load.run import run_journal
from astrometer.load.workload.workload_file import write
from astrometer.measure.results import document

PLAN = LoadPlan(
    locustfile=Path("chat.py"), target=Target(name="default", url="https://bot.example"), users=10,
    spawn_rate=10, duration_s=60, stop_timeout_s=30, out=Path("out"),
)  # fmt: skip
CHATS = Inspection(scenarios=frozenset({"chat"}), objectives={})


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:6185", True),
        ("http://127.8.8.8", True),
        ("http://localhost:6185", True),
        ("http://bot.localhost", True),
        ("http://[::1]:6185", True),
        ("http://192.168.1.4", False),
        ("http://127.0.0.1.example.com", False),
        ("https://bot.example", False),
    ],
)
def test_only_an_address_that_says_so_is_this_machine(url, here):
    assert is_loopback(url) is here


def known(**changes):
    """Results of an earlier run: 5 users, 150 turns within 30 s, 100 tokens each."""
    return {
        "schema_version": document.SCHEMA_VERSION, "scenario": "chat", "users": 5,
        "window": {"duration_s": 30}, "target": {"url": "https://bot.example"},
        "turns": {"started": 190, "excluded": 40},  # the warm-up is in neither users nor tokens
        "tokens": {"input_tokens": 14_000, "output_tokens": 1_000}, "scenarios": {},
        "capacity": None, "arrivals": None, "profile": None,
        **changes,
    }  # fmt: skip


def test_of_an_open_model_the_number_of_turns_is_known(tmp_path):
    assert forecast(PLAN.with_given(rate_unit="0.5"), tmp_path).turns == 300
    assert forecast(PLAN.with_given(shape="2/s:10s,4/s:10s"), tmp_path).turns == 60


def test_a_workload_tells_the_turns_of_an_arrival_and_what_they_cost(tmp_path):
    file = tmp_path / "w.toml"
    file.write_text(write(a_workload(input_tokens=(900.0,), output_tokens=(100.0,))))
    ahead = forecast(PLAN.with_given(rate_unit="0.5", workload_file=str(file)), tmp_path)
    assert (ahead.turns, ahead.tokens) == (600, 600_000)  # two turns each
    closed = forecast(PLAN.with_given(workload_file=str(file)), tmp_path)
    assert closed.turns == 10 * 60 / 25  # 20 s of pause and 5 s for an answer
    said = sentences(PLAN.with_given(workload_file=str(file)), closed, CHATS, None)
    assert "assuming 1,000 a turn" in "\n".join(said)


def test_without_an_earlier_run_turns_and_tokens_are_assumed_and_said_to_be(tmp_path):
    ahead = forecast(PLAN, tmp_path)
    assert (ahead.turns, ahead.tokens) == (120, 120 * 1750)
    text = "\n".join(sentences(PLAN, ahead, CHATS, None))
    assert "turns: about 120 (assuming one per user every 5 s)" in text
    assert "tokens: about 210,000 (assuming 1,750 a turn); --budget-tokens sets a limit" in text


def test_an_earlier_run_of_the_same_scenario_tells_turns_and_tokens(tmp_path):
    document.write(tmp_path / "chat-1", known())
    ahead = forecast(PLAN, tmp_path)
    assert (ahead.turns, ahead.tokens) == (600, 60_000)
    assert (ahead.turns_from, ahead.tokens_from) == (tmp_path / "chat-1", tmp_path / "chat-1")
    text = "\n".join(sentences(PLAN.with_given(budget_tokens="500"), ahead, CHATS, "4.29.3"))
    assert f"about 60,000 (after {tmp_path / 'chat-1'}); the run ends at 500" in text


def test_what_a_turn_costs_is_told_by_the_same_target_only(tmp_path):
    document.write(tmp_path / "chat-1", known(target={"url": "https://other.example"}))
    assert forecast(PLAN, tmp_path).tokens == 600 * 1750
    chats = {"turns": {"started": 100, "excluded": 0}, "tokens": {"input_tokens": 20_000}}
    document.write(tmp_path / "mixed-1", known(scenario="mixed", scenarios={"chat": chats}))
    assert forecast(PLAN, tmp_path).tokens == 600 * 200


@pytest.mark.parametrize(
    "other",
    [
        {"arrivals": {"rate_per_s": 0.5}},  # `users` are what tokens of a rate stand for
        {"profile": "5:1m,50:1m"},  # the peak
        {"capacity": {"end": "converged"}},  # the most that was tried
        {"scenario": "mixed"},
    ],
)
def test_what_users_did_is_told_by_a_run_of_steady_users_only(tmp_path, other):
    for number in range(7):
        document.write(tmp_path / f"chat-2{number}", known(**other, users=500))
    assert forecast(PLAN, tmp_path).turns_from is None
    os.utime(document.write(tmp_path / "chat-1", known()), (1, 1))  # older than all of them
    assert forecast(PLAN, tmp_path).turns == 600


def test_tokens_of_an_open_model_are_told_by_any_run_but_a_search(tmp_path):
    document.write(tmp_path / "chat-1", known(arrivals={"rate_per_s": 5}))
    document.write(tmp_path / "chat-2", known(capacity={"end": "maximum"}, tokens={"input_tokens": 1}))
    assert forecast(PLAN.with_given(rate_unit="0.5"), tmp_path).tokens == 30_000


def test_only_the_part_of_a_mix_that_asks_the_model_costs(tmp_path):
    assert forecast(PLAN, tmp_path, asks_model=0.5).tokens == 60 * 1750
    nothing = forecast(PLAN, tmp_path, asks_model=0.0)
    assert nothing.tokens == 0
    text = "\n".join(sentences(PLAN, nothing, CHATS, "4.29.3"))
    assert "tokens: none: this scenario does not ask the model" in text
    assert "left behind" not in text


def test_a_run_without_end_has_a_price_per_turn(tmp_path):
    endless = replace(PLAN, duration_s=None)
    text = "\n".join(sentences(endless, forecast(endless, tmp_path), CHATS, "4.29.3"))
    assert "tokens: 1,750 a turn, without end; --budget-tokens sets a limit" in text


def test_of_a_search_the_most_that_it_may_take_is_told(tmp_path):
    plan = PLAN.with_given(searches=True, slo=["errors < 1%"], maximum="8/s", step_s="10s", settle_s="0s")
    ahead = forecast(plan, tmp_path)
    # 1, 2, 4 and 8 a second for 10 s each, then 11 windows at the boundary
    assert ahead.turns == 10 * (1 + 2 + 4 + 8 + 11 * 8)
    text = "\n".join(sentences(plan, ahead, CHATS, "4.29.3"))
    assert f"tokens: up to {ahead.turns * 1750:,}" in text
    assert "load: a search from 1/s to 8/s, 10.00 s or longer at each load" in text
    users = PLAN.with_given(searches=True, slo=["errors < 1%"])
    assert "a search from 1 to 1000 users, 30.00 s or longer" in "\n".join(
        sentences(users, ahead, CHATS, None)
    )


def test_a_stub_model_costs_nothing(tmp_path):
    text = "\n".join(sentences(PLAN, forecast(PLAN, tmp_path), CHATS, "4.29.3", is_free=True))
    assert "tokens: none: a stub model answers" in text
    assert "left behind" not in text


@pytest.mark.parametrize(
    ("version", "deletable", "words"),
    [
        ("4.25.6", False, "4.25.6 deletes nothing"),
        ("4.29.3", False, "With --deletable"),
        ("4.29.3", True, "`astrometer clean` can remove"),
        (None, False, "unknown"),
    ],
)
def test_what_stays_depends_on_the_version(version, deletable, words):
    assert words in left_behind(CHATS, version, deletable=deletable)


@pytest.mark.parametrize(
    ("version", "deletable", "sessions", "words"),
    [
        ("4.25.6", False, 1449, "1,449 sessions, for ever"),
        ("4.29.3", False, 1, "1 session, for ever"),
        ("4.29.3", True, 12, "12 sessions that `astrometer clean` can remove"),
        (None, False, 2, "2 sessions; whether they can be removed is unknown"),
        ("4.29.3", False, 0, "no session"),
    ],
)
def test_afterwards_it_is_said_how_many_stayed(version, deletable, sessions, words):
    assert left_behind(CHATS, version, deletable=deletable, sessions=sessions).startswith(words)


@pytest.mark.parametrize("sessions", [None, 0])
@pytest.mark.parametrize("deletable", [False, True])
def test_people_in_a_messenger_leave_conversations_and_no_sessions(deletable, sessions):
    alone = replace(CHATS, leaves_sessions=False, leaves_conversations=True)
    text = left_behind(alone, "4.29.3", deletable=deletable, sessions=sessions)
    assert text.startswith("a conversation for each user and group of the messenger, which grows")
    assert "session" not in text
    assert "--deletable" not in text
    beside_chats = replace(alone, leaves_sessions=True)
    both = left_behind(beside_chats, "4.29.3", deletable=deletable, sessions=3)
    assert both.startswith("3 sessions")
    assert both.endswith(text)


def test_the_journal_keeps_the_last_word_on_each_run(tmp_path):
    file = tmp_path / "state" / "runs.jsonl"
    entry = run_journal.Entry(url="http://bot", run_id="aa", prefix="astrometer", username=None, started=2.0)
    assert run_journal.read(file) == []
    run_journal.append(file, entry)
    run_journal.append(file, replace(entry, run_id="bb", started=1.0))
    run_journal.append(file, replace(entry, users=[[4, 0]]))
    with file.open("a") as lines:
        lines.write("half a li\n")
    assert [(item.run_id, item.users) for item in run_journal.read(file)] == [("bb", []), ("aa", [[4, 0]])]


@pytest.mark.parametrize(
    "foreign",
    [
        {"schema_version": 2},
        {"schema_version": 2, "scenario": "chat", "turns": 3},
        {**known(), "users": "many"},
        {**known(), "target": None},
        {**known(), "tokens": {"input_tokens": None}},
    ],
)
def test_a_file_beside_that_is_no_result_of_ours_tells_nothing_and_hurts_nothing(tmp_path, foreign):
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / document.FILE_NAME).write_text(json.dumps(foreign))
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone" / document.FILE_NAME).symlink_to(tmp_path / "nowhere")
    assert forecast(PLAN, tmp_path) == forecast(PLAN, tmp_path / "empty")
