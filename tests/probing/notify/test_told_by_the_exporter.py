"""Runs of an exporter -> a message, and how it went on its page and in its metrics. No URL is on any page."""

import asyncio
import time
from itertools import pairwise

import httpx
import pytest
from receivers import TOKEN, receivers

from astrometer.api.outcome import Outcome
from astrometer.config.notify_settings import Receiver, ReceiverKind
from astrometer.config.secret import Secret
from astrometer.config.settings import Config
from astrometer.probing import check_credentials
from astrometer.probing.exporter.exporter_app import Exporter
from astrometer.probing.notify import channels
from astrometer.probing.notify.notifier import Notifier
from astrometer.probing.schedule import Schedule
from astrometer.probing.verdict import ProbeRun, Verdict


def failed_run(target, probe: str = "reads") -> ProbeRun:
    verdict = Verdict.failed(Outcome.CONNECT, "refused")
    return ProbeRun(
        target=target.name,
        url=target.url,
        probe=probe,
        verdict=verdict,
        started_at=time.time(),
        duration_s=0.0,
    )


@pytest.mark.parametrize("how", ["reload", "restart"])
@pytest.mark.parametrize("then", ["another name", "another probe"])
def test_a_problem_that_the_config_probes_no_more_is_closed_with_one_message(how, then, bench, tmp_path):
    prod = bench.target("all", name="prod")
    after = bench.target("all", name="main") if then == "another name" else prod
    to = Receiver(name="phone", kind=ReceiverKind.WEBHOOK, url=Secret("http://127.0.0.1:9"), after_s=0.0)
    reads, left = bench.plan(prod, None, name="reads"), bench.plan(after, None, name="auth")
    now = Config(source="test", targets={after.name: after}, notify=(to,))

    exporter = Exporter(
        Config(source="test", targets={"prod": prod}, notify=(to,)),
        [reads, *([left] if after is prod else [])],
        notifier=Notifier([to], tmp_path),
    )
    for _ in range(3):
        exporter.finished(failed_run(prod))
    if how == "reload":
        exporter.take(now, [left])
    else:
        exporter = Exporter(now, [left], notifier=Notifier([to], tmp_path))
    exporter._refresh()
    told = [note.title for note in exporter.notifier.posts["phone"].waiting]
    assert told == [
        "prod DOWN: nothing listens at its address",
        "prod is no longer probed for this: it was DOWN",
    ]


@pytest.mark.parametrize("ails", [500, None])
def test_three_failures_are_told_and_a_failure_to_tell_is_shown(bench, ails):
    target = bench.target("all", name="prod")
    plan = bench.plan(target, None, name="reads", costs_tokens=False)

    async def go(hook: str) -> dict[str, str]:
        to = Receiver(name="phone", kind=ReceiverKind.WEBHOOK, url=Secret(hook), after_s=0.0)
        config = Config(source="test", targets={"prod": target}, notify=(to,))
        exporter = Exporter(config, [plan], notifier=Notifier([to], retry_s=60.0))
        exporter.notifier.start()
        for _ in range(3):
            exporter.finished(failed_run(target))
        post = exporter.notifier.posts["phone"]
        async with asyncio.timeout(5):
            while not (post.delivery.sent or post.delivery.failed):
                await asyncio.sleep(0.01)
        exporter._refresh()
        transport = httpx.ASGITransport(exporter.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://exporter") as client:
            pages = {path: (await client.get(path)).text for path in ("/", "/config", "/metrics")}
        await exporter.notifier.stop()
        return pages

    with receivers() as told:
        told.ails = ails
        pages = asyncio.run(go(told.hook))
    assert TOKEN not in "".join(pages.values())
    assert '[[notify]]\nname = "phone"' in pages["/config"]
    counted = {"sent": int(ails is None), "failed": int(ails is not None), "dropped": 0}
    for result, count in counted.items():
        labels = f'{{receiver="phone",result="{result}"}}'
        assert f"astrbot_probe_exporter_notifications_total{labels} {count}.0" in pages["/metrics"]
    waiting = 'astrbot_probe_exporter_notifications_waiting{receiver="phone"} '
    assert f"{waiting}{0 if ails is None else 1}.0" in pages["/metrics"]
    assert ("last attempt failed: HTTP 500</span>, 1 waiting" in pages["/"]) is (ails is not None)
    assert told.titles == ([] if ails else ["prod DOWN: nothing listens at its address"])


@pytest.mark.parametrize(
    ("ails", "why"), [(500, "HTTP 500"), ("hang", "no answer"), ("gone", "no connection (ConnectError)")]
)
def test_no_probe_and_no_scrape_waits_for_a_receiver_and_the_page_says_what_it_does(
    ails, why, bench, monkeypatch
):
    monkeypatch.setattr(channels, "SEND_S", 1.0)
    gone = bench.target("all", name="prod", url="http://127.0.0.1:9")
    plan = bench.plan(gone, check_credentials, name="auth", interval_s=0.05, costs_tokens=False)

    async def go(hook: str) -> tuple[list[float], list[float], str]:
        to = Receiver(name="phone", kind=ReceiverKind.WEBHOOK, url=Secret(hook), after_s=0.0)
        config = Config(source="test", targets={"prod": gone}, notify=(to,))
        exporter = Exporter(config, [plan], notifier=Notifier([to], retry_s=0.05))
        schedule = Schedule(exporter.runner, [plan], exporter)
        exporter.notifier.start()
        schedule.start()
        post = exporter.notifier.posts["phone"]
        transport = httpx.ASGITransport(exporter.app)
        runs, scrapes, page = [], [], ""
        async with httpx.AsyncClient(transport=transport, base_url="http://exporter") as client:
            async with asyncio.timeout(20):
                while why not in page:
                    began = time.perf_counter()
                    await client.get("/metrics")
                    scrapes.append(time.perf_counter() - began)
                    page = (await client.get("/")).text
                    await asyncio.sleep(0.02)
            runs = [kept.run.started_at for kept in exporter.history.newest_first()]
        assert len(post.waiting) == 1
        await schedule.stop(finish_s=5, give_up_s=5)
        await exporter.notifier.stop()
        return runs, scrapes, page

    with receivers() as told:
        told.ails = None if ails == "gone" else ails
        runs, scrapes, page = asyncio.run(go("http://127.0.0.1:9" if ails == "gone" else told.hook))
    assert "1 waiting" in page
    assert len(runs) >= 3
    assert max(before - after for before, after in pairwise(runs)) < 0.8  # newest first
    assert max(scrapes) < 0.8
