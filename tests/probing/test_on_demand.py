"""`/probe` of what costs tokens: a pair of Prometheus pays once, and is told what is an earlier result."""

import asyncio
from datetime import datetime

import httpx
import pytest

from astrometer.config import Budget, Config, Target
from astrometer.exporter_settings import ExporterSettings
from astrometer.probing.exporter import Exporter
from astrometer.probing.on_demand import scrape_limit_s
from astrometer.probing.probe import Verdict

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
        app.record(await app.runner.run(next(iter(app.plans.values()))))

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


@pytest.mark.parametrize(("header", "seconds"), [(None, None), ("10", 9.5), ("0.55", 0.1)])
def test_an_answer_leaves_half_a_second_of_the_scrape(header, seconds):
    assert scrape_limit_s(header) == seconds


@pytest.mark.parametrize("header", ["", "soon", "nan", "inf", "-1", "0"])
def test_a_scrape_timeout_that_is_none_is_refused(header):
    with pytest.raises(ValueError):
        scrape_limit_s(header)
