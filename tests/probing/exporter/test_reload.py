"""A reload takes good settings and leaves bad ones: what changed changes, what did not keeps its counters."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from waiting import async_until

from astrometer.api.server_versions import ServerVersions
from astrometer.cli.parts.probe_sources import Sources
from astrometer.cli.shared.server_options import Server
from astrometer.config.settings import Config, Target
from astrometer.probing.cleanup.identity import server_of
from astrometer.probing.context import Context
from astrometer.probing.exporter.access import WebAccess
from astrometer.probing.exporter.exporter_app import Exporter
from astrometer.probing.exporter.reload import Reloader
from astrometer.probing.plan import Plan
from astrometer.probing.schedule import Schedule
from astrometer.probing.verdict import Verdict

PROBE = """
import asyncio
from astrometer.probing import Verdict
INTERVAL = 3600
async def probe(ctx):
    await asyncio.sleep({seconds})
    return Verdict.passed({said!r})
"""


class Stage:
    """An exporter whose config and probe files the test rewrites. Nothing is asked of any server."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.config = folder / "astrometer.toml"
        self.probes = folder / "probes"
        self.probes.mkdir()
        self.web = folder / "web.yml"
        self.web.write_text("")
        self.said: list[str] = []
        monkeypatch.setenv("KEY", "abk_first")
        self.write("a", "b")
        self.probe("quick")
        self.exporter: Exporter

    def write(self, *targets: str, more: str = "") -> None:
        self.config.write_text(
            "".join(
                f'[targets.{name}]\nurl = "http://127.0.0.1:9"\nkeys.k = {{ env = "KEY" }}\n'
                for name in targets
            )
            + more
        )

    def probe(self, name: str, seconds: float = 0.0, said: str = "") -> None:
        (self.probes / f"{name}.py").write_text(PROBE.format(seconds=seconds, said=said))

    def start(self) -> None:
        sources = Sources(
            server=Server(config_file=self.config),
            names=(),
            folders=(self.probes,),
            web_file=self.web,
            state_dir=None,
        )
        loaded = sources.read()
        self.exporter = Exporter(loaded.config, loaded.plans, guard=WebAccess(loaded.web))
        self.schedule = Schedule(self.exporter.runner, loaded.plans, self.exporter)
        self.exporter.reload = Reloader(self.exporter, self.schedule, sources.read, self.said.append).reload

    async def ask(self, method: str, path: str) -> httpx.Response:
        transport = httpx.ASGITransport(self.exporter.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://e") as client:
            return await client.request(method, path)

    async def run_all(self) -> None:
        """Every plan once, as the schedule would."""
        for plan in self.exporter.plans.values():
            self.exporter.finished(await self.exporter.runner.run(plan))

    def value(self, name: str, **labels: str) -> float | None:
        return self.exporter.registry.get_sample_value(f"astrbot_probe_{name}", labels)


@pytest.fixture
def stage(tmp_path, monkeypatch):
    return Stage(tmp_path, monkeypatch)


def test_a_reload_adds_and_removes_series_and_keeps_the_counters_of_the_others(stage):
    async def go() -> None:
        stage.start()
        await stage.run_all()
        stage.write("b", "c")
        stage.probe("another")
        answer = await stage.ask("POST", "/-/reload")
        assert answer.status_code == 200
        assert answer.text.startswith(
            f"reloaded {stage.config}: 2 targets, 4 probe runs each round, at most "
        )

    asyncio.run(go())
    assert stage.value("runs_total", target="b", probe="quick") == 1
    assert stage.value("success", target="b", probe="quick") == 1
    assert stage.value("runs_total", target="c", probe="quick") == 0
    assert stage.value("runs_total", target="b", probe="another") == 0
    assert stage.value("target_info", target="c", version="unknown") == 1
    text = asyncio.run(stage.ask("GET", "/metrics")).text
    assert 'target="a"' not in text
    assert stage.value("exporter_config_last_reload_successful") == 1


def test_a_bad_config_leaves_the_old_one_in_force_and_says_where_it_is_bad(stage):
    async def go() -> list[httpx.Response]:
        stage.start()
        stage.write("a", more='[probes.quick]\nintervall = "5s"\n')
        refused = await stage.ask("POST", "/-/reload")
        landing = await stage.ask("GET", "/")
        assert stage.value("exporter_config_last_reload_successful") == 0
        stage.write("a")
        assert (await stage.ask("POST", "/-/reload")).status_code == 200
        return [refused, landing]

    refused, landing = asyncio.run(go())
    assert refused.status_code == 500
    message = f'{stage.config}: probes.quick: unknown key "intervall" (did you mean "interval"?)'
    assert refused.text == f"{message}\nnot reloaded: the settings in force stay\n"
    assert stage.said[0] == f"reload failed: {message}"
    assert ">b<br>" in landing.text
    assert stage.value("exporter_config_last_reload_successful") == 1


def test_a_target_with_another_url_has_nothing_of_the_old_server(bench, old_bench):
    async def probe(ctx: Context) -> Verdict:
        return Verdict.of(await ctx.chat("hi"))

    def settings(target: Target) -> tuple[Config, list[Plan]]:
        return Config(source="c", targets={target.name: target}), [bench.plan(target, probe)]

    async def go() -> None:
        exporter = Exporter(*settings(bench.target("all")))

        def value(name: str, **labels: str) -> float | None:
            return exporter.registry.get_sample_value(f"astrbot_probe_{name}", {"target": "sim", **labels})

        async def run_once(certificate: float | None) -> None:
            (plan,) = exporter.plans.values()
            exporter.finished(replace(await exporter.runner.run(plan), cert_expires_at=certificate))

        await run_once(certificate=1e9)
        assert value("target_info", version="4.29.3") == 1
        assert value("cert_expiry_timestamp_seconds") == 1e9
        exporter.take(*settings(old_bench.target("all")))
        assert value("target_info", version="unknown") == 1
        assert value("cert_expiry_timestamp_seconds") is None
        await run_once(certificate=None)
        assert value("target_info", version="4.18.0") == 1

    asyncio.run(go())


@pytest.mark.parametrize("change", ["url", "schedule"])
def test_a_run_in_flight_brings_nothing_back_that_a_reload_took_away(bench, old_bench, change):
    async def go() -> None:
        reached, over = asyncio.Event(), asyncio.Event()

        async def probe(ctx: Context) -> Verdict:
            turn = await ctx.chat("hi")
            reached.set()
            await over.wait()
            return Verdict.of(turn)

        def settings(target: Target, *, schedule: bool) -> tuple[Config, list[Plan]]:
            plan = replace(bench.plan(target, probe), schedule=schedule)
            return Config(source="c", targets={target.name: target}), [plan]

        def series(name: str) -> list[dict[str, str]]:
            families = exporter.registry.collect()
            found = [sample for family in families for sample in family.samples]
            return [sample.labels for sample in found if sample.name == f"astrbot_probe_{name}"]

        before = bench.target("all")
        exporter = Exporter(*settings(before, schedule=True))
        (plan,) = exporter.plans.values()
        run = asyncio.create_task(exporter.runner.run(plan))
        await reached.wait()
        after = old_bench.target("all") if change == "url" else before
        exporter.take(*settings(after, schedule=change == "url"))
        (now,) = exporter.plans.values()
        asked = asyncio.create_task(
            exporter.on_demand.answer(now, 20, exporter.finished_on_demand, whole=True)
        )
        await asyncio.sleep(0)
        over.set()
        finished = replace(await run, cert_expires_at=1e9)
        assert (await asked).run.url == after.url
        exporter.finished(finished)
        exporter.skip(plan, "overlap")
        assert series("success") == series("last_run_timestamp_seconds") == []
        assert series("cert_expiry_timestamp_seconds") == []
        assert len(series("runs_total")) == (1 if now.schedule else 0)
        assert len(series("target_info")) == 1
        assert {kept.run.url for kept in exporter.history.newest_first()} == {after.url}
        again = await exporter.on_demand.answer(now, 20, exporter.finished_on_demand)
        assert (again.cached, again.run.url) == (True, after.url)

    asyncio.run(go())


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_only_a_post_reloads(stage, method):
    stage.start()
    answer = asyncio.run(stage.ask(method, "/-/reload"))
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_a_broken_probe_file_is_named_and_the_others_run_on(stage):
    stage.start()
    (stage.probes / "broken.py").write_text("def probe(:\n")
    answer = asyncio.run(stage.ask("POST", "/-/reload"))
    assert answer.status_code == 200
    assert f"not a probe, left out: {stage.probes}/broken.py:1: invalid syntax" in answer.text
    assert stage.value("runs_total", target="a", probe="quick") == 0


@pytest.mark.parametrize("line", ["1 / 0", "raise SystemExit(1)"])
def test_a_check_of_options_that_breaks_is_a_failed_reload_that_names_its_line(stage, line):
    stage.start()
    file = stage.probes / "quick.py"
    file.write_text(f"def check(options):\n    {line}\n{file.read_text()}")
    answer = asyncio.run(stage.ask("POST", "/-/reload"))
    assert answer.status_code == 500
    assert answer.text.startswith(f"{stage.config}: probes.quick.options: {file}:2: ")
    assert stage.value("exporter_config_last_reload_successful") == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ('[slo]\nobjectives = ["ttft_p95 < 2s"]\n', "a histogram keeps its boundaries; restart"),
        ('state_dir = "elsewhere"\n', "state_dir is another: restart"),
    ],
)
def test_what_cannot_change_while_running_is_refused(stage, more, message):
    stage.start()
    text = stage.config.read_text()
    stage.config.write_text(more + text if more.startswith("state") else text + more)
    answer = asyncio.run(stage.ask("POST", "/-/reload"))
    assert answer.status_code == 500
    assert message in answer.text


def test_a_run_of_a_probe_that_is_removed_meanwhile_finishes_and_leaves_no_series(stage):
    stage.probe("slow", seconds=0.5)
    stage.write("a", "b", more='[probes.slow]\ninterval = "1s"\n')  # or the jitter is a share of an hour

    async def go() -> None:
        stage.start()
        stage.schedule.start()
        while not stage.exporter.runner.in_flight:
            await asyncio.sleep(0.01)
        running = stage.exporter.runner.tasks
        stage.write("a")
        (stage.probes / "quick.py").unlink()
        (stage.probes / "slow.py").rename(stage.probes / "other.py")
        assert (await stage.ask("POST", "/-/reload")).status_code == 200
        runs = await asyncio.gather(*running)
        await stage.schedule.stop(finish_s=10, give_up_s=10)
        assert [run.ok for run in runs] == [True] * len(runs)

    asyncio.run(go())
    text = asyncio.run(stage.ask("GET", "/metrics")).text
    assert 'probe="slow"' not in text
    assert 'probe="quick"' not in text
    assert 'probe="other"' in text


def test_the_schedule_goes_on_with_the_new_code_of_an_unchanged_probe(stage):
    stage.write("a", more='[probes.quick]\ninterval = "100ms"\n')
    stage.probe("quick", said="old")

    def said() -> set[str]:
        return {kept.run.detail for kept in stage.exporter.history.newest_first()}

    async def go() -> None:
        stage.start()
        stage.schedule.start()
        await async_until(lambda: "old" in said())
        stage.probe("quick", said="new words")
        await stage.ask("POST", "/-/reload")
        await async_until(lambda: "new words" in said())
        await stage.schedule.stop(finish_s=10, give_up_s=10)

    asyncio.run(go())


def test_another_key_under_the_same_name_is_learnt_anew(stage, monkeypatch):
    stage.start()
    runner = stage.exporter.runner
    servers = {server_of(plan.target) for plan in stage.exporter.plans.values()}
    runner._memory.versions |= dict.fromkeys(servers, ServerVersions(running="4.29.3"))
    asyncio.run(stage.ask("POST", "/-/reload"))
    assert set(runner._memory.versions) == servers
    monkeypatch.setenv("KEY", "abk_second")
    asyncio.run(stage.ask("POST", "/-/reload"))
    assert set(runner._memory.versions) == set()
    assert os.environ["KEY"] not in asyncio.run(stage.ask("GET", "/config")).text
