"""What is said before a server is loaded that is not this machine."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from astrometer.config.settings import Target
from astrometer.load import run_journal
from astrometer.load.estimate import forecast, is_loopback, left_behind, sentences
from astrometer.load.launch import LoadPlan
from astrometer.load.schedule.profile import Profile
from astrometer.measure.results import document

PLAN = LoadPlan(
    locustfile=Path("chat.py"), target=Target(name="default", url="https://bot.example"), users=10,
    spawn_rate=10, duration_s=60, stop_timeout_s=30, processes=None, slos=[], out=Path("out"), web_port=None,
)  # fmt: skip


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


def test_of_an_open_model_the_number_of_turns_is_known(tmp_path):
    assert forecast(replace(PLAN, rate_unit=0.5), tmp_path).turns == 300
    assert forecast(replace(PLAN, shape=Profile.parse("2/s:10s,4/s:10s")), tmp_path).turns == 60


def test_of_a_closed_model_nothing_is_known_without_an_earlier_run(tmp_path):
    ahead = forecast(PLAN, tmp_path)
    assert (ahead.turns, ahead.tokens, ahead.source) == (None, None, None)
    text = "\n".join(sentences(PLAN, ahead, None))
    assert "turns: an unknown number of" in text
    assert "tokens: unknown (--budget-tokens sets a limit)" in text


def test_an_earlier_run_of_the_same_scenario_tells_turns_and_tokens(tmp_path):
    known = {
        "schema_version": document.SCHEMA_VERSION, "scenario": "chat", "users": 5,
        "window": {"duration_s": 30},
        "turns": {"started": 190, "excluded": 40},  # the warm-up is in neither users nor tokens
        "tokens": {"input_tokens": 14_000, "output_tokens": 1_000},
    }  # fmt: skip
    document.write(tmp_path / "chat-1", known)
    ahead = forecast(PLAN, tmp_path)
    assert (ahead.turns, ahead.tokens, ahead.source) == (600, 60_000, tmp_path / "chat-1")
    assert "about 60,000; the run ends at 500" in "\n".join(
        sentences(replace(PLAN, budget_tokens=500), ahead, "4.29.3")
    )


@pytest.mark.parametrize(
    ("folder", "other"),
    [
        ("chat-2", {"arrivals": {"rate_per_s": 0.5}}),  # `users` are what tokens of a rate stand for
        ("chat-2", {"profile": "5:1m,50:1m"}),  # the peak
        ("chat-2", {"capacity": {"end": "converged"}}),  # the most that was tried
        ("chat-capacity-2", {"capacity": {"end": "converged"}}),
    ],
)
def test_what_users_did_is_told_by_a_run_of_steady_users_only(tmp_path, folder, other):
    known = {
        "schema_version": document.SCHEMA_VERSION, "scenario": "chat", "users": 5,
        "window": {"duration_s": 30},
        "turns": {"started": 150}, "tokens": {"input_tokens": 15_000},
    }  # fmt: skip
    for number in range(7):
        document.write(tmp_path / f"{folder}{number}", {**known, **other, "users": 500})
    assert forecast(PLAN, tmp_path).turns is None
    os.utime(document.write(tmp_path / "chat-1", known), (1, 1))  # older than all of them
    assert forecast(PLAN, tmp_path).turns == 600


def test_tokens_of_an_open_model_are_told_by_any_run_but_a_search(tmp_path):
    known = {
        "schema_version": document.SCHEMA_VERSION, "scenario": "chat", "users": 5,
        "window": {"duration_s": 30}, "arrivals": {"rate_per_s": 5},
        "turns": {"started": 150}, "tokens": {"input_tokens": 15_000},
    }  # fmt: skip
    document.write(tmp_path / "chat-1", known)
    document.write(
        tmp_path / "chat-2", {**known, "capacity": {"end": "maximum"}, "tokens": {"input_tokens": 1}}
    )
    assert forecast(replace(PLAN, rate_unit=0.5), tmp_path).tokens == 30_000


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
    assert words in left_behind(version, deletable=deletable)


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
