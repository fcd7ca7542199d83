"""Each fault of the server and of its model, as the probe's reason."""

import pytest


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("hi", "ok"),
        ("[[fail=500]]", "llm_error"),
        ("[[fail=401]]", "llm_error"),
        ("[[fail=empty]]", "llm_error"),
        ("[[canary=wrong]]", "canary_mismatch"),
        ("[sim:http_500]", "server_error"),
        ("[sim:http_429]", "rate_limited"),
        ("[sim:cut:2]", "reset"),
        ("[sim:hangup:2]", "reset"),
        ("[sim:truncated:2]", "truncated"),
        ("[sim:no_end]", "truncated"),
        ("[sim:not_sse]", "not_sse"),
        ("[sim:malformed]", "malformed"),
        ("[sim:stream_error]", "stream_error"),
        ("[sim:agent_error]", "agent_error"),
        ("[sim:blocked]", "blocked"),
        ("[sim:follow_up_captured]", "follow_up_captured"),
    ],
)
def test_fault_gives_its_reason(bench, message, reason):
    run = bench.ask(message)
    assert run.reason == reason
    assert run.ok == (reason == "ok")
    assert bench.sessions() == []  # whatever happened, nothing stays


def test_a_model_that_never_starts_is_timeout_first_token_and_is_stopped(bench):
    run = bench.ask("[[stall=0]]", first_token_s=0.4)
    assert run.reason == "timeout_first_token"
    assert bench.store.counters["requests_session_stop"] == 1
    assert bench.simulator.pipeline.running == {} or not any(bench.simulator.pipeline.running.values())
    assert bench.sessions() == []


def test_a_model_that_stops_talking_is_stalled_although_heartbeats_flow(bench):
    run = bench.ask("[[stall=2]]", idle_s=1.5)
    assert run.reason == "stalled"
    assert run.turns[-1].heartbeats >= 1
    assert run.ttft_s is not None


@pytest.mark.parametrize(("key", "reason"), [("revoked", "unauthorized"), ("expired", "unauthorized")])
def test_bad_key_is_unauthorized(bench, key, reason):
    assert bench.ask("hi", bench.target(key)).reason == reason


def test_key_without_the_scope_is_forbidden(bench):
    assert bench.ask("hi", bench.target("file")).reason == "forbidden"


def test_bad_key_and_missing_scope_on_the_oldest_version(old_bench):
    assert old_bench.ask("hi", old_bench.target("revoked")).reason == "unauthorized"
    assert old_bench.ask("hi", old_bench.target("file")).reason == "forbidden"


def test_empty_answer_with_zero_counts_is_llm_error_on_the_oldest_version(old_bench):
    assert old_bench.ask("[[fail=500]]").reason == "llm_error"
