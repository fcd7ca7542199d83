"""Runs in, the exporter's series and landing page out: what each target is called, and what goes with it."""

import asyncio
from dataclasses import replace

from astrometer import bundled
from astrometer.config.settings import Config
from astrometer.probing.exporter.exporter_app import Exporter
from astrometer.probing.plan import Plan, make_plans
from astrometer.probing.probe_files import load_folder

PROBES = {name: load_folder(bundled.folder("probes")).probes[name] for name in ("chat", "reads", "server")}


def exporter_of(*targets) -> tuple[Exporter, list[Plan]]:
    config = Config(source="test", targets={target.name: target for target in targets})
    plans = make_plans(config, PROBES)
    return Exporter(config, plans), plans


def run(exporter: Exporter, plans: list[Plan], times: int = 1) -> None:
    async def go() -> None:
        for _ in range(times):
            for plan in plans:
                exporter.finished(await exporter.runner.run(plan))

    asyncio.run(go())


def state_of(exporter: Exporter, target: str) -> list[str]:
    samples = exporter.metrics.target_state.collect()[0].samples
    return [one.labels["state"] for one in samples if one.labels["target"] == target and one.value == 1]


def test_states_stand_in_the_metrics_and_on_the_landing_page(bench):
    good, revoked = bench.target("all", name="good"), bench.target("revoked", name="revoked")
    exporter, plans = exporter_of(good, revoked)
    assert (state_of(exporter, "good"), state_of(exporter, "revoked")) == (["unknown"], ["unknown"])
    run(exporter, plans, times=3)
    assert (state_of(exporter, "good"), state_of(exporter, "revoked")) == (["ok"], ["key_rejected"])
    why = {"target": "revoked", "layer": "key", "reason": "unauthorized"}
    assert why in [one.labels for one in exporter.metrics.state_since.collect()[0].samples]
    page = asyncio.run(exporter._landing(None)).body.decode()
    assert ">KEY REJECTED</a>" in page
    assert ">OK</a>" in page


def test_a_target_that_is_no_more_takes_its_states_along(bench):
    exporter, plans = exporter_of(bench.target("all", name="a"), bench.target("all", name="b"))
    run(exporter, plans)
    config = replace(exporter.config, targets={"a": exporter.config.targets["a"]})
    exporter.take(config, make_plans(config, PROBES))
    gauges = exporter.metrics
    for gauge in (gauges.state, gauges.state_since, gauges.target_state, gauges.target_state_since):
        assert {one.labels["target"] for one in gauge.collect()[0].samples} == {"a"}
    assert state_of(exporter, "a") == ["ok"]


def test_an_update_without_a_restart_is_told(bench):
    exporter, plans = exporter_of(bench.target("all"))
    chat = [plan for plan in plans if plan.probe.name == "chat"]
    assert exporter.metrics.outdated.collect()[0].samples == []
    bench.simulator.config = replace(bench.simulator.config, code_version="4.30.0")
    run(exporter, chat)
    assert [one.value for one in exporter.metrics.outdated.collect()[0].samples] == [1.0]


def test_a_probe_without_a_key_tells_the_versions_and_a_restart_asks_again_at_once(bench):
    """What the probe `server` sees of an update on disk, and of the restart that ends it."""
    bench.simulator.config = replace(bench.simulator.config, code_version="4.30.0")
    exporter, plans = exporter_of(bench.target("all"))
    (server,) = [plan for plan in plans if plan.probe.name == "server"]
    started = bench.store.started_at

    async def ask() -> str:
        exporter.finished(await exporter.runner.run(server))
        return (await exporter._landing(None)).body.decode()

    async def go() -> None:
        page = await ask()
        assert outdated(exporter) == [1.0]
        assert "AstrBot 4.29.3, runs since" in page
        assert "4.30.0 is on disk: restart AstrBot" in page
        assert "on disk" not in (await exporter._status(None)).body.decode()
        assert state_of(exporter, "sim") == ["unknown"]  # one run says nothing: and never that it is well

        bench.simulator.config = replace(bench.simulator.config, code_version=None)
        await ask()
        assert outdated(exporter) == [1.0]  # nobody asks again within five minutes
        bench.store.started_at = started + 60
        page = await ask()
        assert outdated(exporter) == [0.0]
        assert "AstrBot 4.29.3, runs since" in page
        assert "on disk" not in page
        assert "Started 2 times in 30 days" in page
        assert exporter.metrics.started.collect()[0].samples[0].value == started + 60

    asyncio.run(go())


def outdated(exporter: Exporter) -> list[float]:
    return [one.value for one in exporter.metrics.outdated.collect()[0].samples]
