"""The exporter's pages, and the whole program under SIGTERM."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from html.parser import HTMLParser

import httpx
import pytest
from waiting import until

from astrometer import bundled
from astrometer.config.settings import Config
from astrometer.probing.context import Context
from astrometer.probing.exporter.exporter_app import Exporter
from astrometer.probing.plan import make_plans
from astrometer.probing.probe_files import load_folder
from astrometer.probing.verdict import ProbeRun, Verdict

OURS = load_folder(bundled.folder("probes")).probes


@pytest.fixture
def exporter(bench):
    config = Config(source="test", targets={"sim": bench.target("all")})
    return Exporter(config, make_plans(config, OURS))


def get(exporter: Exporter, *paths: str, **headers: str) -> list[httpx.Response]:
    async def go() -> list[httpx.Response]:
        transport = httpx.ASGITransport(exporter.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://e", timeout=30) as client:
            answers = [await client.get(path, headers=headers) for path in paths]
        await asyncio.gather(*exporter.runner.tasks)  # the cleanup, which an answer precedes
        return answers

    return asyncio.run(go())


def test_probe_runs_once_into_a_registry_of_its_own(exporter):
    first, metrics = get(exporter, "/probe?target=sim&probe=chat", "/metrics")
    assert first.status_code == 200
    assert "probe_success 1.0" in first.text
    assert re.search(r"^probe_duration_seconds 0\.\d+$", first.text, re.MULTILINE)
    assert 'astrbot_probe_time_to_first_token_seconds_count{probe="chat",target="sim"} 1.0' in first.text
    assert 'astrbot_probe_runs_total{probe="chat",target="sim"} 0.0' in metrics.text


def test_a_failed_probe_answers_200_and_no_success(bench, exporter):
    httpx.post(f"{bench.url}/sim/faults", json={"kind": "http_500", "count": 50})
    (answer,) = get(exporter, "/probe?target=sim&probe=chat")
    assert answer.status_code == 200
    assert "probe_success 0.0" in answer.text
    failed = 'astrbot_probe_failures_total{probe="chat",reason="server_error",target="sim"} 1.0'
    assert failed in answer.text


def test_the_scrape_timeout_lowers_the_deadline(bench, exporter):
    headers = {"X-Prometheus-Scrape-Timeout-Seconds": "1.0"}
    (answer,) = get(exporter, "/probe?target=sim&probe=chat", **headers)
    assert "probe_timeout_seconds 0.5" in answer.text


def test_a_server_that_hangs_is_a_failed_sample_within_the_scrape_timeout(bench):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connects, and never answers anything
        target = bench.target("all", url=f"http://127.0.0.1:{silent.getsockname()[1]}")
        config = Config(source="test", targets={"sim": target})
        exporter = Exporter(config, make_plans(config, OURS))
        began = time.monotonic()
        headers = {"X-Prometheus-Scrape-Timeout-Seconds": "1.5"}
        (answer,) = get(exporter, "/probe?target=sim&probe=chat", **headers)
        assert time.monotonic() - began < 5  # the probe's own timeout is 60 s
    assert answer.status_code == 200
    assert "probe_success 0.0" in answer.text


def test_a_probe_that_joins_a_scheduled_run_answers_within_the_scrape_timeout(bench):
    async def probe(ctx: Context) -> Verdict:
        return Verdict.of(await ctx.chat("[[stall=1]]"))

    plan = bench.plan(bench.target("all"), probe)
    exporter = Exporter(Config(source="test", targets={"sim": plan.target}), [plan])

    async def go() -> tuple[httpx.Response, float]:
        scheduled = asyncio.create_task(exporter.runner.run(plan))
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(exporter.app), base_url="http://e"
        ) as client:
            await asyncio.sleep(0.2)
            began = time.monotonic()
            headers = {"X-Prometheus-Scrape-Timeout-Seconds": "1.0"}
            answer = await client.get("/probe?target=sim&probe=p", headers=headers)
            took_s = time.monotonic() - began
        exporter.runner.cut()
        assert (await scheduled).reason == "client_cancel"
        return answer, took_s

    answer, took_s = asyncio.run(go())
    assert took_s < 1.0
    assert "probe_success 0.0" in answer.text
    assert 'astrbot_probe_failures_total{probe="p",reason="timeout_total",target="sim"} 1.0' in answer.text


def test_a_cleanup_that_fails_after_the_answer_is_counted_by_the_exporter(bench):
    async def probe(ctx: Context) -> Verdict:
        ctx.cleanup("session", lambda: asyncio.sleep(0.3, result=False))
        return Verdict.passed()

    plan = bench.plan(bench.target("all"), probe)
    exporter = Exporter(Config(source="test", targets={"sim": plan.target}), [plan])

    async def go() -> list[str]:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(exporter.app), base_url="http://e"
        ) as client:
            answer = await client.get("/probe?target=sim&probe=p")
            await asyncio.gather(*exporter.runner.tasks)
            return [answer.text, (await client.get("/metrics")).text]

    answer, metrics = asyncio.run(go())
    assert "probe_success 1.0" in answer
    where = '{probe="p",resource="session",target="sim"}'
    assert f"astrbot_probe_cleanup_failures_total{where} 1.0" in metrics
    assert f"astrbot_probe_leaked_resources{where} 1.0" in metrics
    assert 'astrbot_probe_runs_total{probe="p",target="sim"} 0.0' in metrics
    assert [kept.run.reason for kept in exporter.history.newest_first()] == ["cleanup"]


def test_an_exporter_that_stops_starts_no_probe(bench, exporter):
    exporter.stopping = True
    assert get(exporter, "/probe?target=sim&probe=chat")[0].status_code == 503
    assert not bench.store.counters["requests_chat"]


@pytest.mark.parametrize(
    "query", ["", "?target=sim", "?target=http://evil.example&probe=chat", "?target=sim&probe=<script>"]
)
def test_only_configured_names_are_probed(bench, exporter, query):
    (answer,) = get(exporter, f"/probe{query}")
    assert answer.status_code == 400
    assert "script" not in answer.text
    assert "evil" not in answer.text
    assert not bench.store.counters["requests_chat"]


def test_a_bad_scrape_timeout_is_refused(exporter):
    (answer,) = get(exporter, "/probe?target=sim&probe=im", **{"X-Prometheus-Scrape-Timeout-Seconds": "soon"})
    assert answer.status_code == 400


def test_debug_shows_the_events_with_their_times_and_no_key(bench, exporter):
    (answer,) = get(exporter, "/probe?target=sim&probe=chat&debug=true")
    assert re.search(r"\d\.\d{4} s    event plain 'w1 '", answer.text)
    assert "probe_success 1.0" in answer.text
    assert "DELETE /api/v1/chat/sessions/{session_id} with key all: 200 ok" in answer.text
    assert '[targets.sim.keys.all]\nsecret = "***"' in answer.text
    assert bench.store.keys["all"].secret not in answer.text


def test_pages_for_people_escape_what_comes_from_outside(bench, exporter):
    hostile = "<img src=x onerror=alert(1)>"
    run = replace(bench.ask("[[say=%3Cimg+src=x+onerror=alert(1)%3E]]"), probe="chat")
    assert hostile in run.detail
    exporter.finished(run)
    landing, history = get(exporter, "/", "/history")
    for page in (landing, history):
        assert page.status_code == 200
        assert "<img" not in page.text
        HTMLParser().feed(page.text)
    assert "&lt;img" in history.text
    assert "canary_mismatch" in history.text


def test_no_page_holds_a_key(bench, exporter):
    httpx.post(f"{bench.url}/sim/faults", json={"kind": "http_500", "count": 3, "endpoint": "im_bots"})
    secret = bench.store.keys["all"].secret
    exporter.finished(replace(bench.ask(f"[[say={secret}]]"), probe="chat"))
    probes = [f"/probe?target=sim&probe={name}&debug=true" for name in OURS if name != "im_chat"]
    pages = get(exporter, *probes, "/", "/metrics", "/history", "/-/healthy")
    assert [page.status_code for page in pages] == [200] * len(pages)
    assert all(secret not in page.text for page in pages)
    assert "***" in pages[-2].text  # the answer that was the key, masked


def test_the_history_keeps_times_and_forgets_answers(bench, exporter):
    run = replace(bench.ask("hi"), probe="chat")
    exporter.finished(run)
    kept = exporter.history.newest_first()[0].run
    assert kept.ttft_s == run.ttft_s
    assert kept.turns[0].text == ""
    assert (kept.log, kept.calls) == ((), ())


def test_the_newest_of_the_history_is_the_last_that_ended_also_when_the_clock_was_set_back(bench, exporter):
    for detail, started_at in (("first", 2e9), ("second", 1e9)):
        run = ProbeRun(
            target="sim",
            url=bench.url,
            probe="chat",
            verdict=Verdict.passed(detail),
            started_at=started_at,
            duration_s=1,
        )
        exporter.finished(run)
    assert [kept.run.detail for kept in exporter.history.newest_first()] == ["second", "first"]


def test_ready_only_while_it_schedules(exporter):
    assert get(exporter, "/-/ready")[0].status_code == 503
    exporter.ready = True
    assert get(exporter, "/-/ready", "/-/healthy")[0].status_code == 200


def test_a_scraper_that_wants_openmetrics_gets_it(exporter):
    (answer,) = get(exporter, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def start(bench, *options: str) -> tuple[subprocess.Popen[str], str]:
    environment = {
        **os.environ,
        "ASTRBOT_URL": bench.url,
        "ASTRBOT_API_KEY": bench.store.keys["all"].secret,
    }
    command = [sys.executable, "-m", "astrometer", "probe", "--listen", "127.0.0.1:0", *options]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    said = []
    for line in process.stderr:
        said.append(line)
        if found := re.search(r"astrometer probes on (http://[\d.:]+)", line):
            return process, found[1]
    raise AssertionError("".join(said))


@pytest.mark.process
def test_sigterm_in_the_middle_of_a_run_cleans_up_and_exits_0(bench, tmp_path):
    (tmp_path / "slow.py").write_text(
        "from astrometer.probing import Verdict\n"
        "async def probe(ctx):\n"
        "    return Verdict.of(await ctx.chat('[[stall=1]]'))\n"
        "INTERVAL = 1\n"
    )
    process, _ = start(bench, "--probes", str(tmp_path))
    with process:
        until(lambda: bench.store.counters["requests_chat"])
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        rest = process.stderr.read()
    assert "Traceback" not in rest
    assert bench.sessions() == []
    assert bench.store.counters["requests_session_stop"] == 1


@pytest.mark.process
def test_sigterm_during_a_probe_on_demand_cleans_up_and_exits_0(bench, tmp_path):
    (tmp_path / "slow.py").write_text(
        "from astrometer.probing import Verdict\n"
        "async def probe(ctx):\n"
        "    return Verdict.of(await ctx.chat('[[stall=1]]'))\n"
        "INTERVAL = 86400\n"  # the jitter is a share of it: the schedule's own run comes too late to matter
    )
    process, url = start(bench, "--probes", str(tmp_path))
    with process, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(httpx.get, f"{url}/probe?target=default&probe=slow", timeout=30)
        until(lambda: bench.store.counters["requests_chat"])
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert "probe_success 0.0" in asked.result(5).text
        rest = process.stderr.read()
    assert "Traceback" not in rest
    assert bench.sessions() == []
    assert bench.store.counters["requests_session_stop"] == 1


@pytest.mark.process
def test_a_taken_port_is_a_usage_error(bench):
    process, url = start(bench)
    with process:
        environment = {**os.environ, "ASTRBOT_URL": bench.url, "ASTRBOT_API_KEY": "x"}
        address = url.removeprefix("http://")
        second = subprocess.run(
            [sys.executable, "-m", "astrometer", "probe", "--listen", address],
            check=False,
            env=environment,
            capture_output=True,
            text=True,
            timeout=30,
        )
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    assert second.returncode == 2
    assert second.stderr.splitlines()[-1] == (
        f"Error: cannot listen on {address}: address already in use; another exporter? "
        "--listen 127.0.0.1:0 takes a free port"
    )
    assert "Usage" not in second.stderr
