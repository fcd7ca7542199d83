import itertools
import json
import socket
import ssl
import sys
import threading
import time
from contextlib import contextmanager

import httpx
import psutil
import pytest
from tls_files import Authority

from astrometer.targets.golden.account import Account
from astrometer.targets.golden.golden_process import golden
from astrometer.targets.golden.golden_server import GoldenSchedule, GoldenServer

SCHEDULE = GoldenSchedule(ttft_s=0.05, gap_s=0.01, events=20)


@contextmanager
def serving(schedule=SCHEDULE, **kwargs):
    server = GoldenServer(schedule, **kwargs)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.stop = True
        thread.join(5)
        assert not thread.is_alive()


def chat(url):
    """The events of one stream, each with when it was received."""
    with httpx.stream("POST", f"{url}/api/v1/chat", json={"message": "m"}, trust_env=False) as response:
        lines = [(time.perf_counter_ns(), line) for line in response.iter_lines()]
    return [(t, json.loads(line[6:])) for t, line in lines if line.startswith("data: ")]


def stats(url, start=0.0, end=1e12):
    window = {"from": start, "to": end}
    return httpx.get(f"{url}/golden/stats", params=window, trust_env=False).json()


def test_a_stream_is_a_chat_of_astrbot_with_as_many_tokens_as_the_schedule_says():
    with serving() as server:
        types = [event["type"] for _, event in chat(server.url)]
    assert types == ["session_id", *["plain"] * 20, "agent_stats", "end"]


def test_the_text_of_an_event_is_when_it_was_sent_never_before_it_was_due_nor_after_it_came():
    with serving() as server:
        before = time.perf_counter_ns()
        events = [(t, int(event["data"])) for t, event in chat(server.url) if event["type"] == "plain"]
    sent = [sent_ns for _, sent_ns in events]
    assert sent == sorted(sent)
    for index, (received_ns, sent_ns) in enumerate(events):
        assert before + SCHEDULE.due_s(index) * 1e9 <= sent_ns <= received_ns


def test_a_late_event_does_not_delay_those_that_follow_it():
    """The schedule counts from the start of the stream: over a whole stream lateness does not add up."""
    with serving(GoldenSchedule(ttft_s=0.0, gap_s=0.02, events=50)) as server:
        sent = [int(event["data"]) for _, event in chat(server.url) if event["type"] == "plain"]
        late_s = stats(server.url)["lateness_p99_s"]
    assert abs((sent[-1] - sent[0]) / 1e9 - 49 * 0.02) <= late_s + 0.001


def test_as_an_openai_model_it_streams_the_same_schedule_and_counts_an_event_as_a_token():
    asked = {"model": "golden", "stream": True, "messages": [{"role": "user", "content": "m"}]}
    with serving() as server, httpx.Client(base_url=server.url, trust_env=False) as client:
        assert [model["id"] for model in client.get("/v1/models").json()["data"]] == ["golden"]
        before = time.perf_counter_ns()
        lines = client.post("/v1/chat/completions", json=asked).text.splitlines()
        after = time.perf_counter_ns()
    events = [line.removeprefix("data: ") for line in lines if line]
    assert events[-1] == "[DONE]"
    *chunks, stop, usage = map(json.loads, events[:-1])
    assert stop["choices"][0]["finish_reason"] == "stop"
    assert (usage["choices"], usage["usage"]["completion_tokens"]) == ([], 20)
    sent = [int(chunk["choices"][0]["delta"]["content"]) for chunk in chunks]
    for index, sent_ns in enumerate(sent):
        assert before + SCHEDULE.due_s(index) * 1e9 <= sent_ns <= after


def test_the_stats_tell_what_a_client_must_have_seen():
    with serving(GoldenSchedule(ttft_s=0.1, gap_s=0.02, events=6)) as server:
        before = time.perf_counter()
        sent = [int(event["data"]) / 1e9 for _, event in chat(server.url) if event["type"] == "plain"]
        truth = stats(server.url)
    gaps = sorted(late - early for early, late in itertools.pairwise(sent))
    assert 0.1 <= truth["true_ttft_s"]["p50"] <= sent[0] - before
    assert truth["true_ttft_s"]["n"] == 1
    assert truth["true_gap_s"] == {"n": 5, "p50": pytest.approx(gaps[2]), "p99": pytest.approx(gaps[4])}
    assert truth["true_mean_gap_s"]["n"] == 1
    assert truth["true_mean_gap_s"]["p50"] == pytest.approx((sent[-1] - sent[0]) / 5)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux stamps what it receives")
def test_the_true_ttft_counts_from_the_arrival_of_a_request_that_the_server_read_late():
    request = b"POST /api/v1/chat HTTP/1.1\r\n\r\n"
    with serving(GoldenSchedule(ttft_s=0.0, events=1), handicap_s=0.3) as server:
        address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
        with socket.create_connection(address) as first, socket.create_connection(address) as second:
            second.sendall(b"GET /v1/models HTTP/1.1\r\n\r\n")
            assert second.recv(1000)
            first.sendall(request)
            assert first.recv(1000)  # now the server is held up before the first one's event
            second.sendall(request)
            while b'"end"' not in second.recv(1000):
                pass
        late_s, own_s = 0.3, 0.3
        assert stats(server.url)["true_ttft_s"]["p99"] > 0.9 * (late_s + own_s)


def test_the_true_ttft_begins_when_the_whole_request_is_there():
    with serving() as server:
        with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as slow:
            slow.sendall(b"POST /api/v1/chat HTTP/1.1\r\nContent-Length: 2\r\n\r\n")
            time.sleep(0.3)  # a client that is late with its body
            slow.sendall(b"{}")
            while b'"end"' not in slow.recv(1000):
                pass
        assert stats(server.url)["true_ttft_s"]["p50"] < 0.3


def test_with_a_certificate_it_streams_over_tls_and_a_client_without_disturbs_nobody(tmp_path):
    authority = Authority(tmp_path)
    cert, key = authority.issue("golden")
    both = tmp_path / "both.pem"
    both.write_bytes(cert.read_bytes() + key.read_bytes())
    trusting = ssl.create_default_context(cafile=str(authority.file))
    with serving(certificate=both) as server:
        with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with httpx.Client(base_url=server.url, verify=trusting, trust_env=False) as client:
            answers = [client.post("/api/v1/chat", json={"message": "m"}).text for _ in range(2)]
    assert server.url.startswith("https://")
    assert [answer.count('"plain"') for answer in answers] == [20, 20]


def test_a_connection_serves_one_stream_after_another():
    with serving() as server, httpx.Client(base_url=server.url, trust_env=False) as client:
        answers = [client.post("/api/v1/chat", json={"message": "m"}).text for _ in range(3)]
        assert [answer.count('"plain"') for answer in answers] == [20] * 3
        assert stats(server.url)["streams"] == 3


def test_the_stats_tell_events_of_a_window_lateness_cpu_and_clock():
    with serving() as server:
        chat(server.url)
        middle = time.perf_counter()
        chat(server.url)
        whole, second = stats(server.url), stats(server.url, start=middle)
    assert (whole["events"], second["events"]) == (40, 20)
    assert 0 <= whole["lateness_p50_s"] <= whole["lateness_p99_s"]
    assert whole["cpu_share"] >= 0
    assert abs(whole["clock_s"] + time.perf_counter() - time.time()) < 0.1


def test_an_account_of_nothing_has_no_percentiles():
    empty = Account().between(0.0, 1.0)
    assert (empty["events"], empty["lateness_p99_s"], empty["cpu_share"]) == (0, None, None)


def test_a_handicapped_server_is_late_and_says_so():
    with serving(handicap_s=0.015) as server:
        chat(server.url)
        assert stats(server.url)["lateness_p99_s"] > 0.05


def test_clients_that_hang_up_or_send_a_request_in_pieces_disturb_nobody():
    with serving() as server:
        address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
        body = b'{"message":"m"}'
        head = b"POST /api/v1/chat HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)
        with socket.create_connection(address) as gone:
            gone.sendall(head + body)
            gone.recv(10)
        with socket.create_connection(address) as slow:
            for piece in (head[:20], head[20:], body[:4], body[4:]):
                slow.sendall(piece)
                time.sleep(0.02)
            assert slow.recv(100).startswith(b"HTTP/1.1 200")
        assert len(chat(server.url)) == 23


def test_a_stopped_server_has_closed_its_port():
    with serving() as server:
        url = server.url
        chat(url)
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)


@pytest.mark.process
def test_the_process_ends_with_its_context():
    children = set(psutil.Process().children())
    with golden(SCHEDULE) as url:
        assert len(chat(url)) == 23
        assert len(set(psutil.Process().children()) - children) == 1
    assert set(psutil.Process().children()) == children
