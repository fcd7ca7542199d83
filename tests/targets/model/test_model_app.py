import json
import threading
import time

import httpx
import pytest
from waiting import until

from astrometer.targets.model.call_log import CallLog
from astrometer.targets.model.completions import Prompt
from astrometer.targets.model.model_app import build_app
from astrometer.targets.script import ModelScript
from astrometer.targets.serving import serve


@pytest.fixture
def client():
    with (
        serve(build_app(ModelScript(ttft_s=0, gap_s=0, tokens=3))) as url,
        httpx.Client(base_url=url) as client,
    ):
        yield client


def body(text, *, stream=True, usage=True, **more):
    return {
        "model": "stub-model",
        "messages": [{"role": "system", "content": "be nice"}, {"role": "user", "content": text}],
        "stream": stream,
        **({"stream_options": {"include_usage": True}} if usage else {}),
        **more,
    }


def chunks(response):
    lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def answer(parts, key="content"):
    return "".join(choice["delta"].get(key, "") for part in parts for choice in part["choices"])


def stats_when(client, ready):
    return until(lambda: stats if ready(stats := client.get("/stub/stats").json()) else None)


def test_a_stream_carries_the_words_the_stop_and_the_usage(client):
    parts = chunks(client.post("/v1/chat/completions", json=body("am-deadbeef01 hello")))
    assert answer(parts) == "am-deadbeef01 w1 w2 "
    assert [c["finish_reason"] for part in parts for c in part["choices"]] == [None, None, None, "stop"]
    assert parts[0]["choices"][0]["delta"]["role"] == "assistant"
    assert parts[-1]["choices"] == []
    assert parts[-1]["usage"]["completion_tokens"] == 3


def test_usage_rides_on_the_last_chunk_when_nobody_asked_for_it(client):
    parts = chunks(client.post("/v1/chat/completions", json=body("hello", usage=False)))
    assert parts[-1]["choices"][0]["finish_reason"] == "stop"
    assert parts[-1]["usage"]["completion_tokens"] == 3


@pytest.mark.parametrize("asked", [True, False])
def test_usage_can_be_withheld(client, asked):
    parts = chunks(client.post("/v1/chat/completions", json=body("[[usage=0]]", usage=asked)))
    assert not any("usage" in part for part in parts)
    assert "usage" not in client.post("/v1/chat/completions", json=body("[[usage=0]]", stream=False)).json()


def test_a_whole_answer(client):
    got = client.post("/v1/chat/completions", json=body("[[reasoning=2]]", stream=False)).json()
    assert got["choices"][0]["message"] == {
        "role": "assistant",
        "content": "w0 w1 w2 ",
        "reasoning_content": "r0 r1 ",
    }
    assert got["usage"]["completion_tokens"] == 5
    assert got["usage"]["completion_tokens_details"] == {"reasoning_tokens": 2}


def test_reasoning_comes_before_the_answer(client):
    parts = chunks(client.post("/v1/chat/completions", json=body("[[reasoning=2 tokens=1]]")))
    assert answer(parts[:2], "reasoning_content") == "r0 r1 "
    assert answer(parts) == "w0 "


def test_text_parts_are_read_as_one_prompt(client):
    parts = [{"type": "image_url", "image_url": {"url": "data:"}}, {"type": "text", "text": "am-deadbeef02"}]
    got = chunks(client.post("/v1/chat/completions", json=body(parts)))
    assert answer(got).startswith("am-deadbeef02 ")


def test_tokens_leave_on_time_and_lateness_does_not_add_up(client):
    arrivals = []
    with client.stream(
        "POST", "/v1/chat/completions", json=body("[[ttft=0.1 gap=0.005 tokens=100]]")
    ) as reply:
        arrivals = [time.perf_counter() for line in reply.iter_lines() if '"content"' in line]
    entry = client.get("/stub/requests").json()[-1]
    late = [at - (entry["time"] + 0.1 + 0.005 * k) for k, at in enumerate(arrivals)]
    assert len(late) == 100
    assert min(late) >= 0
    assert sorted(late)[50] < 0.02
    assert late[-1] < 0.1  # 100 wake-ups of 1 ms each too late would add up to more on a relative timeline
    assert entry["first_token_time"] - entry["time"] == pytest.approx(0.1, abs=0.05)
    assert entry["tokens_sent"] == 100


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500, 503])
@pytest.mark.parametrize("stream", [True, False])
def test_statuses_are_answered_as_openai_errors(client, status, stream):
    reply = client.post("/v1/chat/completions", json=body(f"[[fail={status}]]", stream=stream))
    assert reply.status_code == status
    assert reply.json()["error"]["message"] == f"scripted failure {status}"


@pytest.mark.parametrize("stream", [True, False])
def test_refuse_closes_before_any_reply(client, stream):
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        client.post("/v1/chat/completions", json=body("[[fail=refuse]]", stream=stream))
    assert stats_when(client, lambda stats: stats["dropped"])["dropped"] == 1


def test_empty_and_blank_are_completions_without_text(client):
    empty = chunks(client.post("/v1/chat/completions", json=body("[[fail=empty]]")))
    blank = chunks(client.post("/v1/chat/completions", json=body("[[fail=blank]]")))
    assert (answer(empty), answer(blank)) == ("", " ")
    assert empty[-1]["usage"]["completion_tokens"] == 0
    assert stats_when(client, lambda stats: stats["failed"] == 2)["failed"] == 2


@pytest.mark.parametrize("stream", [True, False])
def test_garbage_cannot_be_decoded(client, stream):
    reply = client.post("/v1/chat/completions", json=body("[[fail=garbage]]", stream=stream))
    assert reply.status_code == 200
    with pytest.raises(UnicodeDecodeError):
        reply.content.decode()


@pytest.mark.parametrize("tokens", [0, 2, 99])
def test_drop_cuts_the_connection_after_so_many_tokens(client, tokens):
    got = []
    with (
        pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"),
        client.stream("POST", "/v1/chat/completions", json=body(f"[[drop={tokens}]]")) as reply,
    ):
        got.extend(line for line in reply.iter_lines() if line)
    assert len(got) == min(tokens, 3)
    assert stats_when(client, lambda stats: stats["dropped"])["dropped"] == 1


@pytest.mark.parametrize("stream", [True, False])
def test_stall_falls_silent_until_the_client_leaves(client, stream):
    got = []
    with (
        pytest.raises(httpx.ReadTimeout),
        client.stream(
            "POST", "/v1/chat/completions", json=body("[[stall=1]]", stream=stream), timeout=0.2
        ) as r,
    ):
        got.extend(line for line in r.iter_lines() if line)
    assert len(got) == (1 if stream else 0)
    stats = stats_when(client, lambda stats: stats["stalled"])
    assert (stats["stalled"], stats["in_flight"]) == (1, 0)


def test_a_client_that_leaves_is_counted_as_aborted(client):
    with client.stream("POST", "/v1/chat/completions", json=body("[[gap=1 tokens=9]]")) as reply:
        received = reply.iter_bytes()  # kept: httpx closes the reply when this is forgotten
        next(received)
        assert client.get("/stub/stats").json()["in_flight"] == 1
    stats = stats_when(client, lambda stats: stats["aborted"])
    assert (stats["aborted"], stats["in_flight"]) == (1, 0)
    assert client.get("/stub/requests").json()[-1]["tokens_sent"] == 1


def test_a_malformed_directive_is_answered_400_and_named(client):
    reply = client.post("/v1/chat/completions", json=body("[[ttft=soon]]"))
    assert reply.status_code == 400
    assert "ttft=soon" in reply.json()["error"]["message"]
    assert client.get("/stub/stats").json()["rejected"] == 1


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b'{"messages": []}', b"\xff"])
def test_a_request_that_is_none_is_answered_400(client, content):
    assert client.post("/v1/chat/completions", content=content).status_code == 400


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("prefix", ["Generate a concise title for the following user query:\n", ""])
def test_title_requests_are_short_and_apart_and_obey_no_directive(client, stream, prefix):
    messages = [
        {"role": "system", "content": "You are a conversation title generator. " if not prefix else "x"},
        {"role": "user", "content": f"{prefix}[[fail=500 ttft=9]] am-deadbeef01"},
    ]
    reply = client.post("/v1/chat/completions", json=body("", stream=stream, messages=messages), timeout=2)
    assert "Stub" in reply.text
    assert "am-deadbeef01" not in reply.text
    stats = client.get("/stub/stats").json()
    assert (stats["titles"], stats["received"]) == (1, 0)
    assert client.get("/stub/requests").json()[0]["title"] is True


def test_many_streams_at_once_are_all_accounted_for(client):
    def ask():
        client.post("/v1/chat/completions", json=body("[[ttft=0.05 gap=0.01 tokens=10]]"))

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = stats_when(client, lambda stats: stats["finished"] == 20)
    assert stats == {"received": 20, "finished": 20} | dict.fromkeys(
        ("aborted", "failed", "dropped", "stalled", "titles", "rejected", "in_flight"), 0
    )


def test_the_record_can_be_cleared(client):
    client.post("/v1/chat/completions", json=body("hello"))
    until(lambda: not client.get("/stub/stats").json()["in_flight"])  # the answer is out before it is booked
    client.delete("/stub/requests")
    assert client.get("/stub/requests").json() == []
    assert set(client.get("/stub/stats").json().values()) == {0}


def test_the_record_is_bounded_but_its_counts_are_exact():
    journal = CallLog(kept=3)
    prompt = Prompt(
        text="x" * 9999, model="m", streaming=True, wants_usage=False, is_title=False, characters=1
    )
    for number in range(10):
        journal.received(float(number), prompt, ModelScript())
    assert [entry["number"] for entry in journal.requests()] == [8, 9, 10]
    assert all(len(entry["prompt"]) == 2000 for entry in journal.requests())
    assert journal.stats()["received"] == 10


def test_it_lists_its_model(client):
    assert [model["id"] for model in client.get("/v1/models").json()["data"]] == ["stub-model"]
