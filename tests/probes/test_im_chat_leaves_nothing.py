"""The conversations that AstrBot keeps of the probe's users are deleted, or it is told that they stay."""

import asyncio
from dataclasses import replace

import httpx
import pytest
from leak_journals import die
from messenger_bench import DATA, IM, OURS, messenger_bench
from prometheus_client import CollectorRegistry

from astrometer.probing.exporter.metrics import ProbeMetrics
from astrometer.probing.exporter.series import Series
from astrometer.probing.plan import Plan
from astrometer.probing.runner import Runner

KEYS = {"data": DATA}
USERS = OURS["im_chat"].options["user_ids"]


def kept(messenger):
    return sorted(row.umo for row in messenger.store.conversations.rows)


def test_nothing_is_left_of_good_questions_and_of_failed_ones_and_nothing_of_others_goes(messenger):
    foreign = [
        f"qq:FriendMessage:{USERS[0]}",
        "messenger:FriendMessage:5001",
        f"messenger:GroupMessage:{USERS[0]}",
    ]
    for umo in foreign:
        messenger.store.conversations.current(umo)
        messenger.store.conversations.said(umo, f"do you know {USERS[0]}?", "no", 5)
    runner, target = Runner(), messenger.target(keys=KEYS)

    def run(**options):
        return messenger.run_probe(
            "im_chat", target, runner=runner, **{"quiet_s": 0.3, "user_ids": USERS[:1], **options}
        )

    assert (run().reason, kept(messenger)) == ("ok", sorted(foreign))
    for fault, reason in (("agent_error", "agent_error"), ("silence", "silent"), ("duplicate", "duplicated")):
        messenger.break_(fault)
        failed = run(total_s=2.0, reset=False)
        assert (failed.reason, failed.cleanup_failures, failed.stays) == (reason, (), ())
        assert kept(messenger) == sorted(foreign), reason
    assert run(question="[[fail=401]] {nonce}").reason == "llm_error"
    assert (kept(messenger), len(runner.orphans)) == (sorted(foreign), 0)


def test_a_conversation_that_nobody_can_be_sure_of_is_removed_with_the_next_answer(messenger):
    runner, target = Runner(), messenger.target(keys=KEYS)
    first = {"quiet_s": 0.3, "user_ids": USERS[:1]}
    failed = messenger.run_probe("im_chat", target, runner=runner, question="[[fail=401]] {nonce}", **first)
    assert (failed.reason, failed.cleanup_failures) == ("llm_error", ("conversation",))
    good = messenger.run_probe("im_chat", target, runner=runner, quiet_s=0.3, user_ids=USERS[1:2])
    assert (good.reason, good.swept) == ("ok", (("im_chat", "conversation"),))
    assert (kept(messenger), len(runner.orphans)) == ([], 0)


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"im": IM}, "conversation stays: no key of target sim has the scope data"),
        ({"im": None}, "conversation stays: key im has not the scope data"),
    ],
)
def test_without_a_key_what_stays_is_said_and_counted_once_a_user_and_is_no_failure(messenger, keys, why):
    runner, target, registry = Runner(), messenger.target(keys=keys), CollectorRegistry()
    metrics = ProbeMetrics(registry)
    Series(metrics).declare([Plan(target=target, probe=OURS["im_chat"])])
    place = {"target": "sim", "probe": "im_chat", "resource": "conversation"}
    assert registry.get_sample_value("astrbot_probe_leaked_resources", place) == 0
    for _ in range(4):  # three users, in turn
        run = messenger.run_probe("im_chat", target, runner=runner, quiet_s=0.3)
        assert (run.reason, why in run.note) == ("ok", True), run.note
        metrics.observe(run)
    assert registry.get_sample_value("astrbot_probe_leaked_resources", place) == 3
    assert registry.get_sample_value("astrbot_probe_cleanup_failures_total", place) == 0
    assert len(kept(messenger)) == 3


def test_an_older_server_deletes_none_and_is_not_blamed():
    with messenger_bench("4.23.6") as old:
        run = old.run(old.target(keys={"all": None}))
        assert (run.reason, run.stays) == ("ok", ("conversation",))
        assert "AstrBot before 4.26 deletes no conversation" in run.note
        assert len(kept(old)) == 1


def test_a_key_that_may_not_what_is_stated_and_a_deletion_that_fails_are_failures(messenger):
    refused = messenger.run(messenger.target(keys={"im": DATA}))
    assert (refused.reason, refused.cleanup_failures) == ("cleanup", ("conversation",))
    runner, target = Runner(), messenger.target(keys=KEYS)
    messenger.break_("http_500", endpoint="conversations_delete", count=2)
    failed = messenger.run_probe("im_chat", target, runner=runner, quiet_s=0.3)
    assert (failed.reason, len(runner.orphans)) == ("cleanup", 1)
    after = messenger.run_probe("im_chat", target, runner=runner, quiet_s=0.3)
    assert (after.reason, after.swept, len(runner.orphans)) == ("ok", (("im_chat", "conversation"),), 0)


def test_a_deletion_is_believed_only_when_the_conversation_is_seen_to_be_gone(messenger):
    class Liar(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("batch-delete"):
                said = b'{"status": "ok", "message": null, "data": {"deleted_count": 1}}'
                headers = {"Content-Type": "application/json"}
                return httpx.Response(200, headers=headers, stream=httpx.ByteStream(said))
            return await super().handle_async_request(request)

    run = messenger.run_probe("im_chat", messenger.target(keys=KEYS), runner=Runner(http=Liar), quiet_s=0.3)
    assert (run.reason, run.cleanup_failures) == ("cleanup", ("conversation",))


def test_what_a_killed_exporter_left_is_swept_at_the_next_start(messenger, journal):
    target, first, im_chat = messenger.target(keys=KEYS), journal(), OURS["im_chat"]

    async def dying(ctx):
        verdict = await im_chat.function(ctx)
        ctx.made.items.clear()  # as if the process had died here
        return verdict

    plan = Plan(target=target, probe=replace(im_chat, function=dying), options={"quiet_s": 0.3})
    assert asyncio.run(Runner(journal=first).run(plan)).reason == "ok"
    assert len(kept(messenger)) == 1
    die(first)
    runner = Runner(journal=journal())
    (swept,) = asyncio.run(runner.orphans.sweep([target]))
    assert (swept.probe, swept.cleanup_failures, len(runner.orphans), kept(messenger)) == (
        "im_chat",
        (),
        0,
        [],
    )
