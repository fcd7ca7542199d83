"""The probe `im_chat` and the link check of `im` against a real AstrBot with an adapter of their own."""

import asyncio

import pytest
from onebot_client import OneBotTestClient

from astrometer import bundled
from astrometer.config.settings import Key, Secret, Target, TargetMessenger
from astrometer.probing.plan import Plan
from astrometer.probing.probe_files import load_folder
from astrometer.probing.run_record import Limits
from astrometer.probing.runner import Runner

OURS = load_folder(bundled.folder("probes")).probes
pytestmark = [pytest.mark.process, pytest.mark.astrbot, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def ask(real_astrbot):
    box = real_astrbot("4.29.3")
    access = box.open_messenger()
    key = Key(name="im", secret=Secret(box.keys["im"]))

    def run(name="im_chat", token=access.token, total_s=20.0, **options):
        messenger = TargetMessenger(url=access.url, token=Secret(token))
        target = Target(name="real", url=box.url, keys={"im": key}, messenger=messenger)
        plan = Plan(target=target, probe=OURS[name], limits=Limits(total_s=total_s), options=options)
        return asyncio.run(Runner().run(plan))

    run.access = access
    yield run
    box.close_messenger()


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
