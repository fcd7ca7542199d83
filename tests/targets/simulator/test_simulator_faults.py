"""The simulator's own faults, as a client sees them and as the project classifies them."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from astrometer.api.chat.chat_exchange import ChatExchange, Deadlines
from astrometer.api.chat.chat_turn import ChatTurn
from astrometer.api.chat.messages import chat_body
from astrometer.api.outcome import Outcome
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulated_faults import FaultError, FaultKind, FaultPlan, Planned
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import SimulatedRateLimit, SimulatorConfig

QUICK = "[[ttft=0.02 gap=0.01 tokens=8]]"


@dataclass(frozen=True, slots=True)
class Running:
    url: str
    key: str

    def chat(self, prompt: str, *, session_id: str | None = None) -> ChatTurn:
        exchange = ChatExchange(streaming=True, deadlines=Deadlines())
        body = chat_body(username="u", message=prompt, session_id=session_id)
        headers = {"Authorization": f"Bearer {self.key}"}
        exchange.sent(time.perf_counter())
        url = f"{self.url}/api/v1/chat"
        try:
            with httpx.stream("POST", url, headers=headers, json=body, timeout=5, verify=False) as response:
                exchange.headers(time.perf_counter(), response.status_code, response.headers["content-type"])
                for chunk in response.iter_raw():
                    exchange.feed(time.perf_counter(), chunk)
            exchange.eof(time.perf_counter())
        except (httpx.ReadError, httpx.RemoteProtocolError):
            exchange.lost(time.perf_counter(), Outcome.RESET)
        return exchange.result()

    def stats(self) -> dict:
        return httpx.get(f"{self.url}/sim/stats").json()


def running(**config: object) -> Iterator[Running]:
    simulator = Simulator(SimulatorConfig(**config))
    with serve(simulator) as url:
        yield Running(url, simulator.config.keys["all"].secret)


@pytest.fixture(scope="module")
def newest() -> Iterator[Running]:
    yield from running()


@pytest.fixture(params=["4.18.0", "4.29.3"], scope="module")
def either(request: pytest.FixtureRequest) -> Iterator[Running]:
    yield from running(version=request.param)


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("cut:3", Outcome.RESET),
        ("hangup:3", Outcome.RESET),
        ("truncated:3", Outcome.TRUNCATED),
        ("no_end", Outcome.TRUNCATED),
        ("not_sse", Outcome.NOT_SSE),
        ("malformed:2", Outcome.MALFORMED),
        ("stream_error:2", Outcome.STREAM_ERROR),
        ("agent_error", Outcome.AGENT_ERROR),
        ("blocked", Outcome.BLOCKED),
        ("http_500", Outcome.SERVER_ERROR),
        ("http_503", Outcome.SERVER_ERROR),
        ("http_429", Outcome.RATE_LIMITED),
    ],
)
def test_a_fault_named_in_the_prompt_has_its_own_outcome(
    either: Running, fault: str, outcome: Outcome
) -> None:
    assert either.chat(f"hello [sim:{fault}] {QUICK}").outcome is outcome


def test_a_swallowed_follow_up_is_told_by_the_newest_only(either: Running) -> None:
    turn = either.chat(f"[sim:follow_up_captured] {QUICK}")
    assert turn.outcome in (Outcome.FOLLOW_UP_CAPTURED, Outcome.NOT_ASKED)
    assert (turn.outcome is Outcome.FOLLOW_UP_CAPTURED) == ("run_started" in either.chat(QUICK).events)


def test_a_cut_comes_after_the_tokens_it_was_asked_for(newest: Running) -> None:
    assert newest.chat(f"[sim:cut:3] {QUICK}").text == "w0 w1 w2 "


def test_a_cut_is_a_tcp_reset_and_a_hangup_is_not(newest: Running) -> None:
    headers = {"Authorization": f"Bearer {newest.key}"}
    for fault, error in (("cut", httpx.ReadError), ("hangup", httpx.RemoteProtocolError)):
        body = chat_body(username="u", message=f"[sim:{fault}:2] {QUICK}")
        with pytest.raises(error):
            httpx.post(f"{newest.url}/api/v1/chat", headers=headers, json=body, timeout=5, verify=False)


def test_a_fault_planned_by_count_strikes_that_often_and_is_counted() -> None:
    for server in running():
        planned = {"kind": "http_500", "count": 2, "endpoint": "configs"}
        assert httpx.post(f"{server.url}/sim/faults", json=planned).status_code == 200
        headers = {"X-API-Key": server.key}
        statuses = [httpx.get(f"{server.url}/api/v1/configs", headers=headers).status_code for _ in range(4)]
        assert statuses == [500, 500, 200, 200]
        assert server.chat(QUICK).outcome is Outcome.OK
        assert server.stats()["faults_struck"] == 2
        httpx.delete(f"{server.url}/sim/faults")
        assert httpx.get(f"{server.url}/sim/faults").json() == {"faults": []}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "rain", "rate": 1}, "unknown kind 'rain' (known: http_500"),
        ({"kind": "cut"}, "either a rate or a count is needed"),
        ({"kind": "cut", "rate": 2}, "rate from 0 to 1"),
        ({"kind": "cut", "often": 2}, "often (known: kind, rate, count, value, endpoint)"),
    ],
)
def test_a_fault_that_cannot_be_planned_is_refused_with_the_cure(
    newest: Running, fields: dict, words: str
) -> None:
    answer = httpx.post(f"{newest.url}/sim/faults", json=fields)
    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_a_rate_strikes_about_that_share_of_the_requests_and_the_same_ones_each_time() -> None:
    struck = []
    for _ in range(2):
        plan = FaultPlan()
        plan.add(Planned(kind=FaultKind.CUT, rate=0.25))
        struck.append([plan.strike("chat", whole_request=False) is not None for _ in range(400)])
    assert struck[0] == struck[1]
    assert 70 < sum(struck[0]) < 130


def test_an_unknown_fault_in_a_prompt_is_refused(newest: Running) -> None:
    turn = newest.chat("[sim:rain]")
    assert turn.outcome is Outcome.CLIENT_ERROR
    assert "unknown kind 'rain'" in turn.detail
    with pytest.raises(FaultError):
        FaultPlan().add(Planned(kind=FaultKind.CUT))


def test_a_freeze_stops_everybody() -> None:
    for server in running():
        httpx.post(f"{server.url}/sim/faults", json={"kind": "freeze", "count": 1, "value": 0.6})
        started = time.perf_counter()
        assert server.chat(QUICK).outcome is Outcome.OK
        assert time.perf_counter() - started > 0.6


def test_a_rate_limit_that_discards_leaves_an_empty_stream() -> None:
    for server in running(rate_limit=SimulatedRateLimit(count=1, window_s=60, strategy="discard")):
        assert server.chat(QUICK, session_id="s").outcome is Outcome.OK
        assert server.chat(QUICK, session_id="s").outcome is Outcome.NOT_ASKED
        assert server.chat(QUICK).outcome is Outcome.OK


def test_a_rate_limit_that_stalls_answers_late_and_beats_meanwhile() -> None:
    for server in running(rate_limit=SimulatedRateLimit(count=1, window_s=0.8), heartbeat_s=0.2):
        server.chat(QUICK, session_id="s")
        turn = server.chat(QUICK, session_id="s")
        assert turn.outcome is Outcome.OK
        assert turn.heartbeats >= 2
        assert (turn.timings.gate_wait_s or 0) > 0.5


def test_a_model_that_stalls_is_given_up_after_the_servers_own_timeout() -> None:
    for server in running(upstream_timeout_s=0.3):
        turn = server.chat("[[ttft=0.02 gap=0.01 tokens=9 stall=2]]")
        assert turn.outcome is Outcome.LLM_ERROR
        assert turn.text.startswith("w0 w1 LLM")
        assert (turn.timings.max_gap_s or 0) > 0.25


def test_a_blocked_word_is_answered_by_the_filter(newest: Running) -> None:
    assert newest.chat("this is a sim-blocked-word").outcome is Outcome.BLOCKED
