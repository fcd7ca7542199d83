"""People of a messenger under Locust and real AstrBots: what was started, has ended, and reached the model.

4.29.3 and 4.23.6 with its bug, unless ASTROMETER_IM_VERSIONS names others: "4.18.0 4.23.6 4.26.8 4.29.3".
"""

import os

import pytest

from astrometer.api.endpoints import parse_version
from astrometer.report.summary import render_summary

pytestmark = [pytest.mark.process, pytest.mark.astrbot]
NAMED = os.environ.get("ASTROMETER_IM_VERSIONS", "").split()
WITHOUT_BUG = (4, 27, 3)
CROWD = """
from locust import constant, task
from astrometer.load import MessengerUser

class Writer(MessengerUser):
    scenario = "crowd"
    wait_time = constant(0)

    @task
    def ask(self):
        self.write(self.prompt())
"""


def versions(*usual):
    return pytest.mark.parametrize("server", NAMED or usual, indirect=True)


def kept_from_model(results):
    """Questions that got the sentence of AstrBot's bug. Those that it left silent did reach the model."""
    return results["astrbot_bugs"].get("two_event_loops", {}).get("turns", 0)


@versions("4.29.3", "4.23.6")
def test_all_that_was_started_has_ended_and_the_model_saw_as_many(server, tmp_path):
    results = server.people("im_chat", "--first-token-timeout", "20s", out=tmp_path, users=8)
    turns, seen = results["turns"], results["messenger"]
    assert turns["started"] == sum(turns["outcomes"].values()) > 10
    assert server.asked() == turns["started"] - kept_from_model(results)
    if parse_version(server.box.version) >= WITHOUT_BUG:
        assert turns["outcomes"] == {"ok": turns["started"]}
    assert set(turns["outcomes"]) <= {"ok", "agent_error", "silent"}
    assert set(seen["matched_by"]) == {"quote"}
    assert seen["link"] == {}
    queue = seen["queue"]
    assert sum(queue.values()) == seen["replies"]
    assert results["metrics"].get("queue_wait", {"n": 0})["n"] <= queue["waited"]


@versions("4.23.6")
@pytest.mark.parametrize("users", [20, 40])
def test_astrbots_bug_of_two_event_loops_is_named_with_its_share(server, tmp_path, users):
    file = tmp_path / "crowd.py"
    file.write_text(CROWD)
    results = server.people(str(file), "--first-token-timeout", "10s", out=tmp_path, users=users)
    turns, bugs = results["turns"], results["astrbot_bugs"]
    assert turns["started"] == sum(turns["outcomes"].values()) > users
    assert server.asked() == turns["started"] - kept_from_model(results)
    if parse_version(server.box.version) >= WITHOUT_BUG:
        assert bugs == {}
        return
    found = bugs["two_event_loops"]
    assert found["turns"] == turns["outcomes"]["agent_error"]
    assert set(turns["outcomes"]) <= {"ok", "agent_error", "silent"}
    assert found["share"] > 0.02
    said = render_summary(results)
    assert "two-event-loop bug" in said
    assert "ended with 4.27.3" in said
