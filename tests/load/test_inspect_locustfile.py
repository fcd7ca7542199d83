"""What is known of a run before it starts: its scenarios, who asks the model, and which parts get no user."""

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from astrometer import bundled
from astrometer.config.target_access import target_from_options
from astrometer.load.inspect_locustfile import inspect
from astrometer.load.launch import LoadPlan
from astrometer.user_error import UserError

pytestmark = pytest.mark.process


def plan(scenario="mixed", *, users=20, extra=(), **given):
    return LoadPlan(
        locustfile=bundled.find("locustfiles", scenario),
        target=target_from_options("http://127.0.0.1:9", {"ASTRBOT_API_KEY": "abk_x"}),
        users=users, spawn_rate=users, duration_s=10, stop_timeout_s=5, out=Path("out"),
        given=given, extra=extra,
    )  # fmt: skip


def test_a_mix_is_known_by_its_scenarios_objectives_and_price():
    found = inspect(plan(slo=["chat: errors < 1%", "errors < 5%"]), os.environ)
    assert found.scenarios == {"chat", "im_bursts", "reads", "uploads"}
    assert found.objectives == {"chat: errors < 1%": "chat", "errors < 5%": None}
    assert found.asks_model == 0.7  # chat 6 and uploads 1 of 10
    assert found.notes == ()


def test_who_leaves_what_is_known():
    chats = inspect(plan(), os.environ)
    assert (chats.leaves_sessions, chats.leaves_conversations) == (True, False)
    people = inspect(plan("im_chat", messenger="ws://127.0.0.1:9/ws"), os.environ)
    assert (people.leaves_sessions, people.leaves_conversations) == (False, True)


@pytest.mark.parametrize(
    ("scenario", "given", "needed"),
    [
        ("im_chat", {}, False),
        ("chat", {"transport": "messenger"}, False),
        ("chat", {}, True),
        ("mixed", {}, True),
    ],
)
def test_a_key_is_needed_where_somebody_uses_the_api(scenario, given, needed):
    assert inspect(plan(scenario, messenger="ws://127.0.0.1:9/ws", **given), os.environ).needs_key is needed


def test_weights_count_as_the_locustfile_sets_them():
    without = ["--chat-weight", "0", "--upload-weight", "0"]
    found = inspect(plan(extra=without), os.environ)
    assert (found.scenarios, found.asks_model) == ({"im_bursts", "reads"}, 0.0)
    with pytest.raises(UserError, match=r"no scenario 'chat' \(there are: im_bursts, reads\)"):
        inspect(
            plan(extra=["--chat-weight", "0", "--upload-weight", "0"], slo=["chat: errors < 1%"]), os.environ
        )


def test_an_objective_on_a_scenario_that_will_not_run_is_refused_with_what_was_meant():
    with pytest.raises(UserError) as refused:
        inspect(plan("chat", slo=["chatt: errors < 1%"]), os.environ)
    assert str(refused.value) == "--slo 'chatt: errors < 1%': no scenario 'chatt' (did you mean \"chat\"?)"


def test_a_mix_with_too_few_users_names_the_parts_that_nobody_runs():
    (note,) = inspect(plan(users=5), os.environ).notes
    assert re.fullmatch(r"with 5 users nobody runs [a-z_, ]+; --users \d+ runs every part of the mix", note)
    enough = int(note.split("--users ")[1].split()[0])
    assert inspect(plan(users=enough), os.environ).notes == ()
    assert len(inspect(plan(users=enough - 1), os.environ).notes) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("from locust import\n", r"line 1\n.*SyntaxError: invalid syntax$"),
        ("import nothere\n", r"line 1, in <module>\n.*ModuleNotFoundError: No module named 'nothere'$"),
    ],
)
def test_a_locustfile_that_cannot_be_imported_is_named_without_the_frames_of_locust(
    tmp_path, monkeypatch, text, says
):
    monkeypatch.chdir(tmp_path)
    file = Path("mine.py")
    file.write_text(text)
    with pytest.raises(UserError) as refused:
        inspect(replace(plan(), locustfile=file), os.environ)
    told = str(refused.value)
    assert told.startswith(f'mine.py: cannot be imported\n  File "{file.absolute()}", ')
    assert re.search(says, told, re.DOTALL)
    assert told.count("File ") == 1
