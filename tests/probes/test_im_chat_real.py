"""The probe `im_chat` and the link check of `im` against real AstrBots with an adapter of their own."""

import asyncio
import os
import threading
from contextlib import contextmanager

import box_control
import httpx
import pytest
from onebot_client import OneBotTestClient
from waiting import until

from astrometer import bundled
from astrometer.config.secret import Secret
from astrometer.config.settings import Key, Target, TargetMessenger
from astrometer.probing.plan import Plan
from astrometer.probing.probe_files import load_folder
from astrometer.probing.run_record import Limits
from astrometer.probing.runner import Runner
from astrometer.targets.messenger.messenger_profile import MessengerProfile
from astrometer.targets.sandbox.database import opened

OURS = load_folder(bundled.folder("probes")).probes
pytestmark = [pytest.mark.process, pytest.mark.astrbot, pytest.mark.timeout(240)]
KEPT = {
    "conversations": "user_id LIKE 'messenger:%'",
    "preferences": "scope_id LIKE 'messenger:%'",
    "platform_sessions": "platform_id = 'messenger'",
    "platform_message_history": "platform_id = 'messenger'",
}


class RealBench:
    """Runs of the probes against one sandbox and its adapter, in one loop."""

    def __init__(self, box):
        self.box = box
        self.access = box.open_messenger(MessengerProfile())
        self.loop = asyncio.Runner()
        self.runner = Runner()
        self.keys = {"im": Key(name="im", secret=Secret(box.keys["im"]), scopes=frozenset({"im"}))}

    def plan(self, name="im_chat", token=None, total_s=20.0, **options):
        messenger = TargetMessenger(url=self.access.url, token=Secret(token or self.access.token))
        target = Target(name="real", url=self.box.url, keys=self.keys, messenger=messenger)
        return Plan(target=target, probe=OURS[name], limits=Limits(total_s=total_s), options=options)

    def __call__(self, name="im_chat", **more):
        return self.loop.run(self.runner.run(self.plan(name, **more)))

    @contextmanager
    def asking(self, **more):
        """A run in a thread, whose question the model has been asked; the list has it at the end."""
        runs, asked = [], self.received()
        plan = self.plan(reset=False, **more)
        thread = threading.Thread(target=lambda: runs.append(asyncio.run(Runner().run(plan))))
        thread.start()
        try:
            until(lambda: self.received() > asked)
            yield runs
        finally:
            thread.join()

    def received(self):
        return httpx.get(f"{self.box.stub_url}/stub/stats").json()["received"]

    def kept(self):
        """What the database has of the adapter's users, and all statistics."""
        with opened(self.box.data_dir, "ro") as database:

            def count(what):
                return database.execute(f"SELECT count(*) FROM {what}").fetchone()[0]

            found = {table: count(f"{table} WHERE {which}") for table, which in KEPT.items()}
            return found | {"provider_stats": count("provider_stats")}


@contextmanager
def bench(box):
    made = RealBench(box)
    try:
        with made.loop:
            yield made
    finally:
        box_control.close_messenger(box)


@pytest.fixture(scope="module")
def ask(real_astrbot):
    with bench(real_astrbot("4.29.3")) as made:
        yield made


CLEANING = ["4.29.3", *(["4.26.8"] if os.environ.get("ASTROMETER_WHOLE") else [])]


@pytest.fixture(params=CLEANING)
def cleaning(request, real_astrbot):
    with bench(real_astrbot(request.param)) as made:
        yield made


def test_nothing_stays_of_the_probes_users_but_what_no_key_can_delete(cleaning):
    key = cleaning.box.dashboard.create_key("data", ("data",))
    cleaning.keys = {"data": Key(name="data", secret=Secret(key.secret), scopes=frozenset({"data"}))}
    before = cleaning.kept()
    questions = ["{nonce}", "[[fail=401]] {nonce}", "[[ttft=30]] {nonce}", "{nonce}"]
    runs = [
        # One who hangs is held up for a while: others than those of the next tests.
        cleaning(
            question=question,
            quiet_s=0.5,
            total_s=4.0 if "30" in question else 20.0,
            user_ids=[9100000041, 9100000042],
        )
        for question in questions
    ]
    assert [run.reason for run in runs] == ["ok", "llm_error", "silent", "ok"], [run.detail for run in runs]
    assert [(run.cleanup_failures, run.stays) for run in runs] == [((), ())] * 4
    after = cleaning.kept()
    statistics = after.pop("provider_stats") - before.pop("provider_stats")
    assert after == before
    assert 2 <= statistics <= 4


def test_without_such_a_key_the_conversations_stay_and_the_run_says_so(ask):
    before = ask.kept()["conversations"]
    run = ask(quiet_s=0.5, user_ids=[9100000077])
    assert (run.reason, run.stays) == ("ok", ("conversation",))
    assert "no key of target real has the scope data" in run.note
    assert ask.kept()["conversations"] == before + 1


def test_questions_are_answered_run_after_run(ask):
    runs = [ask(quiet_s=1.0) for _ in range(4)]
    assert [run.reason for run in runs] == ["ok"] * 4, [run.detail for run in runs]
    assert all(0.2 < run.im_turns[0].reply_first_s < 5 for run in runs)  # the stub model waits 0.2 s


def test_a_failing_model_and_a_wrong_token_are_told_apart(ask):
    assert ask(question="[[fail=401]] {nonce}", quiet_s=1.0).reason == "llm_error"
    assert ask(token="wrong").reason == "forbidden"


def test_a_model_that_hangs_is_silence_and_the_next_user_is_answered(ask):
    hanging = ask(question="[[ttft=30]] {nonce}", total_s=4.0, reset=False)
    assert (hanging.reason, hanging.duration_s < 6) == ("silent", True)
    assert ask(quiet_s=1.0).reason == "ok"


def test_the_link_check_tells_whether_a_client_is_there(ask):
    assert ask("im", adapters=["messenger"]).reason == "lost_link"

    def nobody_there(_action):
        return {"status": "failed", "retcode": 1404, "data": None, "message": "no such user"}

    with OneBotTestClient(ask.access.url, ask.access.token, answer=nobody_there):
        assert ask("im", adapters=["messenger"]).reason == "ok"


def test_the_link_check_tells_a_zombie_and_a_client_that_hangs(ask):
    with OneBotTestClient(ask.access.url, ask.access.token) as first:
        assert ask("im", adapters=["messenger"]).reason == "ok"
        with OneBotTestClient(ask.access.url, ask.access.token):
            first.socket.close()
            zombie = ask("im", adapters=["messenger"])
    assert (zombie.reason, "connected twice" in zombie.detail) == ("lost_link", True)
    with OneBotTestClient(ask.access.url, ask.access.token, answer=lambda _action: None):
        hangs = ask("im", total_s=3.0, adapters=["messenger"])
    assert (hangs.reason, "does not answer" in hangs.detail) == ("lost_link", True)


def test_an_adapter_that_is_switched_off_is_told_in_the_middle_before_and_by_the_link_check(ask):
    with ask.asking(question="[[ttft=3]] {nonce}") as runs:
        box_control.switch_adapter(ask.box, ask.access, enabled=False)
    assert (runs[0].reason, "Adapter shutdown" in runs[0].detail) == ("lost_link", True)
    until(lambda: not ask.access.is_open)
    assert ask().reason == "connect"
    checked = ask("im", adapters=["messenger"])
    assert (checked.reason, "runs no such adapter" in checked.detail) == ("lost_link", True)
    box_control.switch_adapter(ask.box, ask.access, enabled=True)
    until(lambda: ask.access.is_open)
    assert ask(quiet_s=1.0).reason == "ok"


def test_a_server_that_is_killed_is_lost_then_gone_and_answers_when_it_is_back(ask):
    with ask.asking(question="[[ttft=5]] {nonce}") as runs:
        box_control.kill(ask.box)
    assert runs[0].reason in ("lost_link", "reset"), runs[0].detail
    box_control.wait_dead(ask.box)
    assert ask().reason == "connect"
    box_control.restart(ask.box)
    until(lambda: ask.access.is_open)
    assert ask(quiet_s=1.0).reason == "ok"
