"""What the exporter says, as Prometheus would read it."""

import asyncio
import sys
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from astrometer.api.endpoints import CONFIGS, START_TIME
from astrometer.api.outcome import Outcome
from astrometer.im.im_turn import ClosedBy, ImTurn
from astrometer.im.onebot_actions import ChatPlace
from astrometer.probing.exporter.metrics import ProbeMetrics
from astrometer.probing.exporter.series import Series
from astrometer.probing.plan import Plan
from astrometer.probing.runner import Runner
from astrometer.probing.status.state_by_layer import StateBook
from astrometer.probing.target_checks.scopes import judge, look
from astrometer.probing.verdict import ProbeReason, ProbeRun, ScopeCheck, Verdict
from astrometer.wire.tcp_info import TcpInfo

INFO = TcpInfo(min_rtt_s=0.03, retransmits=2, out_of_order=3)
PLACE = {"target": "sim", "probe": "p"}


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def metrics(registry):
    return ProbeMetrics(registry)


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"astrbot_probe_{name}", {**PLACE, **labels})


def plan_of(bench) -> Plan:
    async def probe(_ctx):
        return Verdict.passed()

    return bench.plan(bench.target(all="chat im"), probe)


def test_counters_exist_at_zero_and_gauges_of_a_last_run_do_not(bench, registry, metrics):
    Series(metrics).declare([plan_of(bench)])
    assert value(registry, "runs_total") == 0
    for outcome in (*(outcome for outcome in Outcome if not outcome.is_ok), "cleanup", "internal", "leak"):
        assert value(registry, "failures_total", reason=str(outcome)) == 0
    for cause in ("budget", "overlap", "schedule"):
        assert value(registry, "skipped_total", cause=cause) == 0
    assert value(registry, "time_to_first_token_seconds_count") == 0
    assert value(registry, "stream_events_total", event="plain") == 0
    assert value(registry, "interval_seconds") == 60
    assert value(registry, "success") is None
    assert value(registry, "last_run_timestamp_seconds") is None
    assert value(registry, "phase_duration_seconds", phase="first_token") is None


def test_the_network_is_told_apart(bench, registry, metrics):
    series, plan = Series(metrics), plan_of(bench)
    series.declare([plan])
    for direction in ("sent", "received"):
        assert value(registry, "tcp_retransmits_total", direction=direction) == 0
    run = replace(bench.ask("hi"), networks=(INFO, INFO._replace(min_rtt_s=0.02, out_of_order=None)))
    for _ in range(2):
        metrics.observe(run)
    assert value(registry, "network_rtt_seconds") == 0.02
    assert value(registry, "tcp_retransmits_total", direction="sent") == 8
    assert value(registry, "tcp_retransmits_total", direction="received") == 6
    metrics.observe(replace(run, networks=()))
    assert value(registry, "network_rtt_seconds") is None
    series.declare([])
    assert value(registry, "tcp_retransmits_total", direction="sent") is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="TCP_INFO is Linux's")
def test_every_run_knows_its_round_trip(bench):
    async def only_a_call(ctx):
        return Verdict.of(await ctx.get(CONFIGS, ctx.key("config")))

    for run in (bench.ask("hi"), bench.run(bench.target("all"), only_a_call)):
        assert 0 < run.network_rtt_s < 0.05
        assert run.tcp_retransmits == {"sent": 0, "received": 0}


def test_a_good_run_is_counted_and_timed(bench, registry, metrics):
    run = bench.ask("hi")
    metrics.observe(run)
    assert value(registry, "runs_total") == 1
    assert value(registry, "success") == 1
    assert value(registry, "time_to_first_token_seconds_sum") == pytest.approx(run.ttft_s)
    assert value(registry, "inter_chunk_gap_seconds_count") == 4  # five tokens
    assert value(registry, "tokens_total", direction="output") == 5
    assert value(registry, "stream_events_total", event="plain") == 5
    assert value(registry, "server_time_to_first_token_seconds") > 0
    assert value(registry, "phase_duration_seconds", phase="tail") >= 0
    assert value(registry, "phase_duration_seconds", phase="tls") is None


def test_a_failed_run_takes_the_phases_that_it_did_not_reach_away(bench, registry, metrics):
    metrics.observe(bench.ask("hi"))
    metrics.observe(bench.ask("[[stall=0]]", first_token_s=0.3))
    assert value(registry, "success") == 0
    assert value(registry, "failures_total", reason="timeout_first_token") == 1
    assert value(registry, "phase_duration_seconds", phase="headers") is not None
    assert value(registry, "phase_duration_seconds", phase="first_token") is None
    assert value(registry, "max_stall_seconds") is None
    assert value(registry, "server_time_to_first_token_seconds") is None


def test_a_run_that_failed_before_its_chat_takes_the_values_of_the_chat_before_away(bench, registry, metrics):
    async def no_chat(_ctx):
        return Verdict.failed(Outcome.UNAUTHORIZED)

    metrics.observe(bench.ask("hi"))
    assert value(registry, "max_stall_seconds") is not None
    metrics.observe(bench.run(bench.target("all"), no_chat))
    assert value(registry, "max_stall_seconds") is None
    assert value(registry, "server_time_to_first_token_seconds") is None


def test_the_longest_stall_is_that_of_all_turns_and_counts_up_to_where_the_probe_gave_up(
    bench, registry, metrics
):
    async def two_turns(ctx):
        stalled = await ctx.chat("[[stall=2]]", idle_s=0.6)
        assert stalled.outcome is Outcome.STALLED
        return Verdict.of(await ctx.chat("hi"))

    metrics.observe(bench.run(bench.target("all"), two_turns))
    assert 0.6 <= value(registry, "max_stall_seconds") < 5


def test_the_sentence_of_a_failed_model_is_no_first_token(bench, registry, metrics):
    run = bench.ask("[[fail=500]]")
    metrics.observe(run)
    assert value(registry, "failures_total", reason="llm_error") == 1
    assert not value(registry, "time_to_first_token_seconds_count")


def test_reasoning_has_a_first_token_of_its_own(bench, registry, metrics):
    metrics.observe(bench.ask("[[reasoning=3 gap=0.2]]"))  # not read at once
    assert value(registry, "time_to_first_reasoning_seconds_count") == 1


def test_scope_checks_and_violations_are_counted_per_cell(bench, registry, metrics):
    from astrometer.probing.target_checks.scopes import MATRIX

    async def probe(ctx):
        key = ctx.target.keys["all"]
        return judge(ctx, [await look(ctx, key, row) for row in MATRIX])

    run = bench.run(bench.target(all="chat im"), probe)
    assert ScopeCheck(key="all", endpoint="configs", expected="denied", violation="leak") in run.scope_checks
    metrics.observe(run)
    cell = {"target": "sim", "key": "all", "endpoint": "configs", "expected": "denied"}
    assert registry.get_sample_value("astrbot_probe_scope_checks_total", cell) == 1
    leak = {**cell, "kind": "leak"}
    assert registry.get_sample_value("astrbot_probe_scope_violations_total", leak) == 1


def test_what_stays_adds_up_except_the_one_fixed_session(old_bench, registry, metrics):
    async def probe(ctx):
        ctx.stays("upload", "no way to delete it")
        return Verdict.of(await ctx.chat("hi"))

    async def twice() -> None:
        runner = Runner()
        for _ in range(2):
            metrics.observe(await runner.run(old_bench.plan(old_bench.target("all"), probe)))

    asyncio.run(twice())
    assert value(registry, "leaked_resources", resource="upload") == 2
    assert value(registry, "leaked_resources", resource="session") == 1


def everything_happens(bench, plan: Plan) -> list[ProbeRun]:
    """Runs in which all that a metric is about occurs."""

    async def probe(ctx):
        await ctx.get(START_TIME, None)
        return Verdict.of(await ctx.chat("[[reasoning=3]] hi"))

    run = bench.run(plan.target, probe)
    (turn,) = run.turns
    later = replace(turn.timings, t_text1=turn.timings.t_text1 + 0.001)  # than the reasoning, surely
    run = replace(
        run,
        probe=plan.probe.name,
        turns=(replace(turn, timings=later),),
        measured={"login_seconds": 0.3},
    )
    replied = ImTurn(
        outcome=Outcome.OK, place=ChatPlace(user_id=1), user_id=1, message_id=1, t_send=10.0, t_intended=10.0,
        t_close=11.0, closed_by=ClosedBy.QUIET, t_first=10.5, t_last=10.5,
    )  # fmt: skip
    check = ScopeCheck(key="all", endpoint="configs", expected="denied", violation="leak")
    failed = replace(
        run,
        verdict=Verdict.failed(ProbeReason.LEAK),
        networks=(INFO,),
        im_turns=(replied,),
        scope_checks=(check,),
        cleanup_failures=("session",),
        cert_expires_at=1.0,
    )
    return [failed, replace(failed, verdict=None, skipped="budget"), run, replace(run, networks=(INFO,))]


def test_every_metric_is_set_by_some_run_and_has_no_series_without_plans(bench, registry, metrics):
    plan = replace(plan_of(bench), probe=replace(plan_of(bench).probe, name="scopes"))
    series, states = Series(metrics), StateBook()
    series.declare([plan])
    states.keep([plan], 1.0)
    for run in everything_happens(bench, plan):
        metrics.observe(run)
    metrics.set_outdated("sim", True)
    metrics.set_budget("sim", 5)
    metrics.set_states(states.states(2.0))
    never = [
        family.name
        for family in registry.collect()
        if not any(sample.value > 0 and not sample.name.endswith("_bucket") for sample in family.samples)
    ]
    assert never == [], "src/astrometer/probing/exporter/metrics.py: `observe` never sets it, or no run here"
    series.declare([])
    metrics.set_states({})
    left = {sample.name for family in registry.collect() for sample in family.samples}
    assert left == set(), "src/astrometer/probing/exporter/metrics.py: make it with `declare` or `of_target`"


def test_the_buckets_are_those_of_the_catalogue(bench, registry, metrics):
    Series(metrics).declare([plan_of(bench)])
    text = generate_latest(registry).decode()
    assert "_created" not in text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    bounds = [
        sample.labels["le"]
        for sample in families["astrbot_probe_time_to_first_token_seconds"].samples
        if "le" in sample.labels
    ]
    assert " ".join(bounds) == (
        "0.05 0.1 0.25 0.5 0.75 1.0 1.5 2.5 3.0 5.0 7.5 10.0 15.0 20.0 40.0 80.0 160.0 +Inf"
    )
