"""`/probe` of what costs tokens: a pair of Prometheus pays once, and is told what is an earlier result."""

import asyncio
from dataclasses import replace
from datetime import datetime

import httpx
import pytest

from astrometer import bundled
from astrometer.config.exporter_settings import ExporterSettings
from astrometer.config.settings import Budget, Config, Target
from astrometer.probing.exporter.exporter_app import Exporter
from astrometer.probing.exporter.on_demand import scrape_limit_s
from astrometer.probing.plan import Plan
from astrometer.probing.probe_files import load_folder
from astrometer.probing.verdict import Verdict

ASKED = "/probe?target=sim&probe=p"


@pytest.fixture
def asked():
    """How often the model was asked by the probe."""
    return []


@pytest.fixture
def exporter(bench, asked):
    async def chat(ctx):
        asked.append(ctx.nonce)
        return Verdict.of(await ctx.chat("hi"))

    def make(target: Target | None = None, *, costs_tokens: bool = True, **settings) -> Exporter:
        target = target or bench.target("all")
        plan = bench.plan(target, chat, costs_tokens=costs_tokens)
        config = Config(source="test", targets={"sim": target}, exporter=ExporterSettings(**settings))
        return Exporter(config, [plan])

    return make


def get(exporter: Exporter, *paths: str, together: bool = False) -> list[httpx.Response]:
    async def go() -> list[httpx.Response]:
        transport = httpx.ASGITransport(exporter.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://e", timeout=30) as client:
            if together:
                answers = await asyncio.gather(*(client.get(path) for path in paths))
            else:
                answers = []
                for path in paths:
                    answers.append(await client.get(path))
                    await asyncio.gather(*exporter.runner.tasks)  # the cleanup, which an answer precedes
            await asyncio.gather(*exporter.runner.tasks)
        return answers

    return asyncio.run(go())


def sample(answer: httpx.Response, name: str) -> float:
    return next(float(line.split()[-1]) for line in answer.text.splitlines() if line.startswith(name))


def test_a_second_scrape_within_the_minimum_interval_reads_the_first_one_s_result(asked, exporter):
    app = exporter()
    first, second = get(app, ASKED, ASKED)
    assert len(asked) == 1
    assert sample(first, "astrbot_probe_result_cached") == 0
    assert "x-astrometer-cached-from" not in first.headers
    assert sample(second, "astrbot_probe_result_cached") == 1
    assert sample(second, "probe_success") == 1
    name = "astrbot_probe_last_run_timestamp_seconds"
    assert sample(second, name) == pytest.approx(sample(first, name))
    started = datetime.fromisoformat(second.headers["x-astrometer-cached-from"]).timestamp()
    assert started + sample(second, "probe_duration_seconds") == pytest.approx(sample(second, name), abs=0.01)


def test_two_scrapes_at_the_same_time_are_one_run(asked, exporter):
    answers = get(exporter(), ASKED, ASKED, ASKED, together=True)
    assert len(asked) == 1
    assert [sample(answer, "probe_success") for answer in answers] == [1, 1, 1]


def test_after_the_minimum_interval_it_is_asked_again(asked, exporter):
    get(exporter(min_interval_s=0.001), ASKED, ASKED)
    assert len(asked) == 2


def test_what_costs_nothing_is_asked_each_time(asked, exporter):
    answers = get(exporter(costs_tokens=False), ASKED, ASKED)
    assert len(asked) == 2
    assert "result_cached" not in answers[1].text


def test_a_scheduled_result_serves_too_and_the_debug_page_says_that_it_is_an_earlier_one(asked, exporter):
    app = exporter()

    async def scheduled() -> None:
        app.finished(await app.runner.run(next(iter(app.plans.values()))))

    asyncio.run(scheduled())
    (answer,) = get(app, f"{ASKED}&debug=true")
    assert len(asked) == 1
    assert answer.text.startswith("This is the result of an earlier run: the probe costs tokens")
    assert "POST /chat as" in answer.text


def test_a_spent_budget_is_neither_success_nor_failure(bench, asked, exporter):
    base = bench.target("all")
    target = Target(name="sim", url=base.url, keys=base.keys, budget=Budget(runs_per_day=0))
    (answer,) = get(exporter(target), ASKED)
    assert answer.status_code == 200
    assert "\nprobe_success " not in answer.text
    assert sample(answer, 'astrbot_probe_skipped_total{cause="budget"') == 1
    assert asked == []


def test_scrapes_take_no_more_places_of_a_target_than_its_config_allows_now(bench):
    running, most = 0, 0

    async def slow(_ctx):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.2)
        running -= 1
        return Verdict.passed()

    target = replace(bench.target("all"), concurrency=2)
    names = [f"p{number}" for number in range(8)]
    paths = [f"/probe?target=sim&probe={name}" for name in names]

    def config(concurrency: int) -> tuple[Config, list]:
        now = replace(target, concurrency=concurrency)
        plans = [bench.plan(now, slow, name=name, costs_tokens=False) for name in names]
        return Config(source="test", targets={"sim": now}), plans

    app = Exporter(*config(2))

    async def go() -> None:
        transport = httpx.ASGITransport(app.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://e", timeout=30) as client:
            await asyncio.gather(*(client.get(path) for path in paths))
            assert most == 2
            app.take(*config(5))
            await asyncio.gather(*(client.get(path) for path in paths))
            assert most == 5

    asyncio.run(go())


def test_a_scrape_that_finds_no_place_in_half_its_time_is_skipped_and_a_scheduled_run_waits_on(bench):
    async def quick(_ctx):
        return Verdict.passed()

    async def slow(_ctx):
        begun.set()
        await over.wait()
        return Verdict.passed()

    begun, over = asyncio.Event(), asyncio.Event()
    target = replace(bench.target("all"), concurrency=1)
    hog, plan = bench.plan(target, slow, name="hog"), bench.plan(target, quick)
    app = Exporter(Config(source="test", targets={"sim": target}), [hog, plan])

    async def go() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://e") as client:
            hogging = asyncio.create_task(app.runner.run(hog))
            await begun.wait()
            header = {"X-Prometheus-Scrape-Timeout-Seconds": "1.1"}
            scrape = asyncio.create_task(client.get(ASKED, headers=header))
            while len(app.runner.tasks) < 2:
                await asyncio.sleep(0)
            scheduled = asyncio.create_task(app.runner.run(plan))  # joins it, and then waits by itself
            await scrape
            joined = await client.get(ASKED, headers={"X-Prometheus-Scrape-Timeout-Seconds": "0.7"})
            over.set()
            assert (await scheduled).ok
            await hogging
            return [await scrape, joined]

    for answer in asyncio.run(go()):
        assert answer.status_code == 200
        assert "\nprobe_success " not in answer.text
        assert sample(answer, 'astrbot_probe_skipped_total{cause="schedule"') == 1


@pytest.mark.parametrize(("umo", "pushes"), [("sim:FriendMessage:me", 1), ("", 3)])
def test_a_real_push_is_made_once_for_all_scrapes_of_an_interval(bench, umo, pushes):
    im = load_folder(bundled.folder("probes")).probes["im"]
    target = bench.target("all")
    plan = Plan(target=target, probe=im, options={**im.options, "umo": umo}, interval_s=300.0)
    app = Exporter(Config(source="test", targets={"sim": target}), [plan])
    path = "/probe?target=sim&probe=im"
    first, second, debug = get(app, path, path, f"{path}&debug=true")
    assert sample(first, "probe_success") == sample(second, "probe_success")
    assert bench.store.counters["requests_im_message"] == pushes
    assert ("astrbot_probe_result_cached 1" in second.text) is bool(umo)
    assert debug.text.startswith("This is the result of an earlier run") is bool(umo)


def test_what_only_scrapes_ask_answers_on_probe_and_has_no_samples_on_metrics(bench):
    async def chat(ctx):
        return Verdict.of(await ctx.chat("hi"))

    target = bench.target("all")
    plan = replace(bench.plan(target, chat), schedule=False)
    app = Exporter(Config(source="test", targets={"sim": target}), [plan])
    answer, metrics, landing, settings = get(app, ASKED, "/metrics", "/", "/config")
    assert sample(answer, "probe_success") == 1
    assert 'astrbot_probe_runs_total{probe="p"' not in metrics.text
    assert 'astrbot_probe_leaked_resources{probe="p",resource="session",target="sim"} 0.0' in metrics.text
    assert "on demand" in landing.text
    assert "schedule = false" in settings.text
    app.take(app.config, [replace(plan, schedule=True)])
    assert 'astrbot_probe_runs_total{probe="p",target="sim"} 0.0' in get(app, "/metrics")[0].text
    app.take(app.config, [plan])
    assert 'astrbot_probe_runs_total{probe="p"' not in get(app, "/metrics")[0].text


@pytest.mark.parametrize(("header", "seconds"), [(None, None), ("10", 9.5), ("0.55", 0.1)])
def test_an_answer_leaves_half_a_second_of_the_scrape(header, seconds):
    assert scrape_limit_s(header) == seconds


@pytest.mark.parametrize("header", ["", "soon", "nan", "inf", "-1", "0"])
def test_a_scrape_timeout_that_is_none_is_refused(header):
    with pytest.raises(ValueError):
        scrape_limit_s(header)


def test_a_run_that_only_waits_for_its_turn_does_not_hold_up_an_earlier_result(bench):
    async def go() -> httpx.Response:
        over = asyncio.Event()

        async def hog(_ctx):
            await over.wait()
            return Verdict.passed()

        async def chat(ctx):
            return Verdict.of(await ctx.chat("hi"))

        target = replace(bench.target("all"), concurrency=1)
        wanted, other = bench.plan(target, chat), bench.plan(target, hog, name="hog", costs_tokens=False)
        app = Exporter(Config(source="test", targets={"sim": target}), [wanted, other])
        app.finished(await app.runner.run(wanted))
        in_flight = [asyncio.create_task(app.runner.run(plan)) for plan in (other, wanted)]
        while not app.runner.is_running(other):
            await asyncio.sleep(0)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app.app), base_url="http://e") as client:
            answer = await asyncio.wait_for(client.get(ASKED), 30)
        over.set()
        await asyncio.gather(*in_flight)
        return answer

    assert sample(asyncio.run(go()), "astrbot_probe_result_cached") == 1
