"""A real AstrBot in a sandbox does what was promised; each version is started once."""

import json
import threading
import time

import box_control
import httpx
import pytest
from waiting import until

from astrometer.targets.sandbox.provision import ProvisionSettings, RateLimit, Strategy

pytestmark = [pytest.mark.astrbot, pytest.mark.timeout(600), pytest.mark.process]


@pytest.fixture(params=["4.18.0", "latest"])
def box(request, real_astrbot):
    return real_astrbot(request.param)


def chat(box, message, key="chat", **more):
    body = {"username": "sandbox-test", "message": message, **more}
    headers = {"X-API-Key": box.keys[key]}
    with httpx.stream("POST", f"{box.url}/api/v1/chat", json=body, headers=headers, timeout=60) as reply:
        lines = [line.removeprefix("data: ") for line in reply.iter_lines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines]


def text_of(events):
    return "".join(event["data"] for event in events if event["type"] == "plain")


def status(box, key, method, path):
    return httpx.request(method, f"{box.url}/api/v1{path}", headers={"X-API-Key": box.keys[key]}).status_code


SCOPED = {
    "chat": ("GET", "/chat/sessions?username=x"),
    "config": ("GET", "/configs"),
    "im": ("GET", "/im/bots"),
}


def test_each_key_opens_what_its_scope_says_and_no_more(box):
    for scope, (method, path) in SCOPED.items():
        opened = {key: status(box, key, method, path) for key in box.keys}
        others = {"chat", "config", "file", "im"} - {scope}
        assert opened == {scope: 200, "all": 200, "revoked": 401, "expired": 401} | dict.fromkeys(others, 403)


def test_the_file_key_uploads(box):
    headers = {"X-API-Key": box.keys["file"]}
    reply = httpx.post(f"{box.url}/api/v1/file", headers=headers, files={"file": ("a.txt", b"hello")})
    assert reply.json()["data"]["attachment_id"]


def test_it_is_the_version_that_was_asked_for(box):
    told = box.dashboard.call("GET", "/api/stat/version")["version"]
    assert told.removeprefix("v") == box.version
    assert set(box.key_ids) == set(box.keys)


def test_the_model_obeys_the_prompt_through_the_real_server(box):
    httpx.delete(f"{box.stub_url}/stub/requests")
    before = box_control.stored(box)
    started = time.perf_counter()
    events = chat(box, "[t] am-0123456789 [[ttft=0.3 gap=0.06 tokens=5]]")
    assert text_of(events) == "am-0123456789 w1 w2 w3 w4 "
    assert events[-1]["type"] == "end"
    stats = next(event["data"] for event in events if event["type"] == "agent_stats")
    assert stats["token_usage"]["output"] == 5
    entry = next(entry for entry in httpx.get(f"{box.stub_url}/stub/requests").json() if not entry["title"])
    assert started < entry["time"] < entry["first_token_time"]
    assert entry["first_token_time"] - entry["time"] == pytest.approx(0.3, abs=0.05)
    assert entry["last_token_time"] - entry["first_token_time"] == pytest.approx(0.24, abs=0.05)
    after = box_control.stored(box)
    assert after.sessions == before.sessions + 1
    assert after.user_messages == before.user_messages + 1


def test_the_second_call_of_a_new_session_is_seen_as_its_title(box):
    httpx.delete(f"{box.stub_url}/stub/requests")
    chat(box, "[t] [[tokens=1 ttft=0]]")
    url = f"{box.stub_url}/stub/stats"
    until(lambda: httpx.get(url).json()["titles"] == 1)
    stats = httpx.get(url).json()
    assert (stats["titles"], stats["received"], stats["finished"]) == (1, 1, 1)


def test_a_model_that_refuses_the_request(box):
    events = chat(box, "[t] [[fail=400]]")
    assert "w0" not in text_of(events)
    assert events[-1]["type"] == "end"


def test_a_killed_server_comes_back_with_its_keys_and_its_model(box):
    threading.Timer(1.5, box_control.kill, [box]).start()
    with pytest.raises(httpx.RemoteProtocolError):
        chat(box, "[t] [[ttft=0.1 gap=1 tokens=30]]")
    box_control.wait_dead(box)
    assert not box.server_running
    box_control.restart(box)
    assert text_of(chat(box, "[t] [[tokens=2]]")) == "w0 w1 "


def test_settings_can_be_changed_and_put_back(box):
    try:
        box_control.configure(
            box, ProvisionSettings(rate_limit=RateLimit(messages=1, seconds=60, strategy=Strategy.DISCARD))
        )
        session = {"session_id": f"limited-{time.monotonic_ns()}"}
        assert text_of(chat(box, "[t] [[tokens=1]]", **session)) == "w0 "
        assert text_of(chat(box, "[t] [[tokens=1]]", **session)) == ""
    finally:
        box_control.configure(box, ProvisionSettings())
    for _ in range(2):
        assert text_of(chat(box, "[t] [[tokens=1]]", session_id="unlimited")) == "w0 "


def test_the_model_can_be_switched_off(box):
    try:
        box_control.configure(box, ProvisionSettings(model_enabled=False))
        events = chat(box, "[t] [[tokens=1]]")
        assert text_of(events) == ""
        assert "agent_stats" not in [event["type"] for event in events]
    finally:
        box_control.configure(box, ProvisionSettings())


def test_another_model_timeout_is_obeyed(box):
    box_control.configure(box, ProvisionSettings(model_timeout_s=2))
    try:
        started = time.perf_counter()
        events = chat(box, "[t] [[tokens=5 stall=2 ttft=0]]")
        assert text_of(events).startswith("w0 w1 ")
        assert 2 <= time.perf_counter() - started < 10
    finally:
        box_control.configure(box, ProvisionSettings())


def test_a_model_that_is_gone_and_comes_back(box):
    box_control.stop_model(box)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{box.stub_url}/stub/stats")
    box.start_model()
    assert text_of(chat(box, "[t] [[tokens=1]]")) == "w0 "
