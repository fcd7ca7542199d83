"""How many series there are: counted beforehand, limited, and with the buckets of the config."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry, ProcessCollector

from astrometer import bundled
from astrometer.config.exporter_settings import Buckets, ExporterSettings
from astrometer.config.loader import load
from astrometer.config.settings import Config, ConfigError
from astrometer.probing.exporter.exporter_app import Exporter
from astrometer.probing.exporter.metrics import ProbeMetrics
from astrometer.probing.exporter.series import PROCESS_SERIES, check_limit, count
from astrometer.probing.plan import make_plans
from astrometer.probing.probe_files import load_folder
from astrometer.probing.verdict import Verdict

OURS = load_folder(bundled.folder("probes")).probes
SCOPES = {"all": "chat config file im", "chat": "chat"}


def process_samples() -> list[object]:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return [sample for family in registry.collect() for sample in family.samples]


def config_of(targets, **settings) -> Config:
    by_name = {target.name: target for target in targets}
    return Config(source="astrometer.toml", targets=by_name, exporter=ExporterSettings(**settings))


def test_no_run_makes_more_series_than_were_counted(bench):
    config = config_of([bench.target(**SCOPES)])
    plans = make_plans(config, OURS)
    exporter = Exporter(config, plans)

    async def go() -> None:
        for plan in plans:
            exporter.finished(await exporter.runner.run(plan))

    at_start = sum(len(family.samples) for family in exporter.registry.collect())
    asyncio.run(go())
    after = sum(len(family.samples) for family in exporter.registry.collect())
    estimate = count(plans, Buckets()) - PROCESS_SERIES + len(process_samples())
    assert at_start < after <= estimate
    assert after > 0.98 * estimate


def test_a_config_with_too_many_series_is_refused_with_the_number_and_the_cure(bench):
    config = config_of([bench.target("all", name=f"t{number}") for number in range(20)], max_series=10_000)
    plans = make_plans(config, OURS)
    number = count(plans, Buckets())
    with pytest.raises(ConfigError) as refused:
        check_limit(config, plans)
    assert str(refused.value) == (
        f"astrometer.toml: 20 targets and {len(plans)} probes on them make {number} series, "
        "more than 10,000: "
        "leave probes out (probes.NAME.enabled = false or probes.NAME.targets), or say that Prometheus can "
        f"take it: exporter.max_series = {number}"
    )
    allowed = config_of(config.targets.values(), max_series=number)
    assert check_limit(allowed, plans) == number


def test_fifty_targets_with_several_keys_fit_the_default_limit(bench):
    keys = dict.fromkeys(("all", "chat", "config", "im"), "chat config file im")
    config = config_of([bench.target(**keys, name=f"t{number}") for number in range(50)])
    assert 50_000 < check_limit(config, make_plans(config, OURS)) <= 100_000


def test_a_probe_without_its_key_has_no_series(bench):
    config = config_of([bench.target(im="im")])
    plans = make_plans(config, OURS)
    exporter = Exporter(config, plans)
    probes = {
        sample.labels["probe"]
        for family in exporter.registry.collect()
        for sample in family.samples
        if "probe" in sample.labels
    }
    assert "im" in probes
    assert "chat" not in probes


def read(tmp_path, text: str) -> Config:
    path = tmp_path / "astrometer.toml"
    path.write_text(f'[targets.a]\nurl = "http://x"\n{text}')
    return load(path, {})


def test_a_limit_of_an_objective_becomes_a_boundary(tmp_path):
    config = read(tmp_path, '[slo]\nobjectives = ["ttft_p95 < 2s", "e2e_p95 < 30s", "errors < 1%"]\n')
    assert 2.0 in config.exporter.buckets.ttft_s
    assert config.exporter.buckets.duration_s == Buckets().duration_s  # 30 is one already
    registry = CollectorRegistry()
    metrics = ProbeMetrics(registry, config.exporter.buckets)
    metrics.first_token.labels("t", "p").observe(1.9)
    le_2 = {"target": "t", "probe": "p", "le": "2.0"}
    assert registry.get_sample_value("astrbot_probe_time_to_first_token_seconds_bucket", le_2) == 1


def test_an_unknown_setting_names_what_was_meant(tmp_path):
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, "[exporter]\nmax_serie = 1\n")
    meant = 'exporter: unknown key "max_serie" (did you mean "max_series"?)'
    assert str(refused.value) == f"{tmp_path}/astrometer.toml: {meant}"


def test_only_openmetrics_shows_the_session_of_a_slow_token(bench):
    from prometheus_client import generate_latest
    from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

    async def probe(ctx):
        return Verdict.of(await ctx.chat("hi"))

    registry = CollectorRegistry()
    run = bench.run(bench.target("all"), probe)
    ProbeMetrics(registry).observe(run)
    session = run.turns[0].session_id
    assert f'# {{session_id="{session}"}}' in generate_openmetrics(registry).decode()
    assert session not in generate_latest(registry).decode()
