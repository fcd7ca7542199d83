"""People of a messenger under Locust, and a real AstrBot whose link suffers: all is told, nothing hangs.

4.29.3 and 4.26.8, unless ASTROMETER_IM_VERSIONS names others.
"""

import os
import time

import box_control
import httpx
import pytest
from late_acks import late_acks
from onebot_client import OneBotTestClient
from waiting import until

from astrometer.api.endpoints import parse_version
from astrometer.report.summary import render_summary
from astrometer.targets.sandbox.provision import ProvisionSettings

pytestmark = [pytest.mark.process, pytest.mark.astrbot, pytest.mark.timeout(240)]
VERSIONS = os.environ.get("ASTROMETER_IM_VERSIONS", "").split() or ("4.29.3", "4.26.8")
WITHOUT_BUG = (4, 27, 3)
WRITERS = """
from pathlib import Path
from locust import constant, task
from astrometer.load import MessengerUser

class Writer(MessengerUser):
    scenario = "writers"
    wait_time = constant(0.2)

    @task
    def ask(self):
        self.write(self.prompt())
        self_id = self.run_info.messenger.client.session.address.self_id
        Path(__file__).with_name("self_id").write_text(str(self_id))
"""
ONCE = """
from locust import constant, task
from astrometer.load import MessengerUser

class Writer(MessengerUser):
    scenario = "once"
    wait_time = constant(1000)

    @task
    def ask(self):
        self.write(self.prompt())
"""


@pytest.fixture
def patient_with_its_model(server):
    box_control.configure(server.box, ProvisionSettings(model_timeout_s=120))
    yield
    box_control.configure(server.box, ProvisionSettings())


@pytest.fixture
def writers(tmp_path):
    file = tmp_path / "writers.py"
    file.write_text(WRITERS)
    return str(file)


real = pytest.mark.parametrize("server", VERSIONS, indirect=True, ids=lambda version: f"real-{version}")


def bug_of(server):
    """What AstrBot's two-event-loop bug may do to a few questions."""
    return set() if parse_version(server.box.version) >= WITHOUT_BUG else {"agent_error"}


def accounted(results):
    turns = results["turns"]
    assert turns["started"] == sum(turns["outcomes"].values())
    return turns["outcomes"]


@real
def test_who_becomes_a_zombie_is_left_without_replies_while_its_link_stays(server, writers, tmp_path):
    """A second client with its id takes its answers, and takes its place away when it leaves."""
    with server.people_beside(writers, "--first-token-timeout", "3s", out=tmp_path, users=2) as results:
        until(lambda: server.asked() >= 6)
        self_id = int((tmp_path / "self_id").read_text())
        with OneBotTestClient(
            server.box.messenger.url, server.box.messenger.token, self_id=self_id
        ) as second:
            taken = len(second.wait())
        asked = server.asked()
        until(lambda: server.asked() >= asked + 6)  # the model is paid
        taken = len(second.replies)
    outcomes = accounted(results)
    assert set(outcomes) <= {"ok", "silent", "cutoff"} | bug_of(server)
    assert outcomes["ok"] >= 4
    assert outcomes["silent"] >= taken + 4
    assert results["messenger"]["link"] == {}  # no message for nobody, and the link was never lost
    assert results["messenger"]["replies"] == outcomes["ok"] + outcomes.get("agent_error", 0)


@real
def test_a_late_acknowledgement_holds_up_the_next_question_of_its_chat_alone(server, writers, tmp_path):
    held_s = 4.0
    with (
        late_acks(server.box.messenger.url, delay_s=held_s) as url,
        server.people_beside(writers, "--messenger", url, out=tmp_path, users=2) as results,
    ):
        until(lambda: server.asked() >= 20)
        time.sleep(held_s)  # the one that was held up is answered, too
    outcomes = accounted(results)
    assert set(outcomes) <= {"ok", "cutoff"} | bug_of(server)
    times = results["metrics"]["reply_first"]
    assert held_s - 1.5 < times["max"] < held_s + 10
    assert times["p50"] < held_s / 2
    assert results["messenger"]["link"] == {}


@real
def test_a_server_that_is_killed_and_comes_back_costs_what_was_open_and_is_written_to_again(
    server, writers, tmp_path
):
    with server.people_beside(writers, out=tmp_path, users=2) as results:
        until(lambda: server.asked() >= 6)
        box_control.kill(server.box)
        box_control.wait_dead(server.box)
        asked = server.asked()
        box_control.restart(server.box)
        until(lambda: server.asked() >= asked + 6)
        asked = server.asked()
    outcomes = accounted(results)
    assert set(outcomes) <= {"ok", "lost_link", "cutoff"} | bug_of(server)
    assert outcomes["ok"] >= 8
    assert results["messenger"]["link"] == {"links_lost": 1}
    # Nothing is asked twice: what was asked while the link was down never left.
    assert outcomes["ok"] <= asked + 2 <= outcomes["ok"] + 2 + 2 * 2
    assert "the link to AstrBot was lost 1 time" in render_summary(results)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("server", ["4.29.3"], indirect=True, ids=["real-4.29.3"])
@pytest.mark.usefixtures("patient_with_its_model")
def test_more_people_at_once_than_astrbot_has_requests_are_told_so(server, tmp_path):
    file = tmp_path / "once.py"
    file.write_text(ONCE)
    stats = f"{server.box.stub_url}/stub/stats"
    options = (
        "--prompt-suffix",
        "[[ttft=40 gap=0 tokens=5]]",
        "--first-token-timeout",
        "150s",
        "--model-status",
        stats,
    )
    with server.people_beside(str(file), *options, out=tmp_path, users=130, limit_s=240) as results:
        until(lambda: server.asked() == 130, limit_s=180)
        until(lambda: httpx.get(stats).json()["in_flight"] == 0)
    assert accounted(results) == {"ok": 130}
    limit = results["provider_limit"]
    assert (limit["model_most"], limit["reached"]) == (100, "model")
    assert limit["turns_most"] > 120
    times = results["metrics"]["reply_first"]
    assert times["max"] > 79 > times["p50"]  # thirty waited until others had their answers
    said = render_summary(results)
    assert "the model had 100 requests at once" in said
    assert "AstrBot never has more than 100 requests open to one provider" in said
