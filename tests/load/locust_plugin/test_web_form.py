"""Locust's web UI under attack: pages of other origins, rebound names, fields that are not shown."""

import json
import socket

import pytest
from waiting import until
from web_locust import web_locust

pytestmark = pytest.mark.process

PLAIN = {"user_count": "1", "spawn_rate": "1"}
EVIL = {"Origin": "http://evil.example"}


@pytest.fixture
def web(sim):
    with web_locust(sim, "reads", "--class-picker") as web:
        yield web


@pytest.mark.parametrize("picker", [False, True])
def test_only_fields_of_the_form_are_taken(sim, tmp_path, picker):
    journal, kept = tmp_path / "journal", tmp_path / "out"
    with web_locust(
        sim, "reads", *(["--class-picker"] if picker else []), "--astrometer-out", str(kept)
    ) as web:
        for field, value in {
            "astrometer_journal": str(journal),
            "astrometer_out": str(tmp_path / "stolen"),
            "astrbot_key_file": "/etc/passwd",
            "prompts": "/etc/passwd",
            "run_user_prefix": "$(touch x)",
            "run_username": "admin",
            "im_sink": "http://169.254.169.254/",
            "html_file": str(tmp_path / "report.html"),
            "csv_prefix": str(tmp_path / "csv"),
            "logfile": str(tmp_path / "log"),
            "capacity": "1..5",
            "no_such_field": "x",
        }.items():
            refused = web.swarm(**{field: value})
            assert refused["success"] is False, field
            assert f"not in the form: '{field}'" in refused["message"]
        assert web.stats()["state"] == "ready"
        assert (
            web.swarm(session_turns="2", slo="errors < 5%", umos="webchat:FriendMessage:x")["success"] is True
        )
        until(lambda: web.stats()["stats"][-1]["num_requests"] >= 1)
        assert web.client.post("/stop").json()["success"] is True
        until((kept / "results.json").exists)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/swarm"), ("POST", "/stop"), ("POST", "/stats/reset"), ("POST", "/user"), ("GET", "/"),
        ("GET", "/logs"), ("GET", "/exceptions"), ("GET", "/tasks"), ("GET", "/stats/requests"),
        ("GET", "/metrics"), ("GET", "/stats/report"), ("GET", "/stats/requests/csv"), ("GET", "/login"),
        ("GET", "/worker-count"), ("OPTIONS", "/swarm"), ("HEAD", "/logs"), ("GET", "/no-such-page"),
    ],
)  # fmt: skip
def test_every_route_refuses_another_site_and_a_rebound_name(shared, method, path):
    port = shared.client.base_url.port
    for headers in (
        EVIL,
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Host": "evil.example"},
        {"Host": f"evil.example:{port}"},
        {"Host": f"evil.example:{port}", "Origin": f"http://evil.example:{port}"},
    ):
        answer = shared.client.request(
            method, path, headers=headers, data=PLAIN if method == "POST" else None
        )
        assert answer.status_code == 403, headers
        assert "Access-Control-Allow-Origin" not in answer.headers
    assert shared.stats()["state"] == "ready"


@pytest.fixture(scope="module")
def shared():
    from locust_runs import Sim

    from astrometer.targets.serving import serve
    from astrometer.targets.simulator.simulator_app import Simulator
    from astrometer.targets.simulator.simulator_config import SimulatorConfig

    app = Simulator(SimulatorConfig())
    with serve(app) as url, web_locust(Sim(url=url, app=app), "reads") as web:
        yield web


def test_two_hosts_and_none_are_refused(shared):
    port = shared.client.base_url.port
    for head in ("", f"Host: 127.0.0.1:{port}\r\nHost: evil.example\r\n"):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
            raw.sendall(f"GET /logs HTTP/1.1\r\n{head}Connection: close\r\n\r\n".encode())
            status = raw.makefile("rb").readline()
        assert b" 403 " in status or b" 400 " in status


def test_our_own_page_may_do_everything(shared):
    port = shared.client.base_url.port
    for name in ("127.0.0.1", "localhost"):
        headers = {"Host": f"{name}:{port}", "Origin": f"http://{name}:{port}"}
        answer = shared.client.get("/stats/requests", headers=headers)
        assert answer.status_code == 200
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_class_picker_sets_what_it_shows_and_nothing_else(web):
    def user(**settings):
        return web.client.post("/user", content=json.dumps({"user_class_name": "Reader", **settings}))

    name = next(iter(json.loads(web.client.get("/tasks").text)["per_class"]))
    for settings in ({"run_username": "admin"}, {"host": "http://evil.example"}, {"__init__": 1}):
        answer = user(user_class_name=name, **settings)
        assert answer.json()["success"] is False
    assert web.client.post("/user", content="[]").json()["success"] is False
    assert user(user_class_name=name, weight=2).status_code == 201


def test_a_proxys_name_is_allowed_by_hand(sim):
    with web_locust(sim, "reads", "--astrometer-allowed-host", "load.example") as web:
        behind = {"Host": "load.example", "Origin": "https://load.example"}
        assert web.client.get("/stats/requests", headers=behind).status_code == 200
        assert web.client.get("/stats/requests", headers={"Host": "other.example"}).status_code == 403


def test_without_web_host_the_loopback_alone_is_listened_on(sim):
    import os
    import signal
    import subprocess

    import psutil
    from own_master import free_port

    port = free_port()
    command = sim.command("reads")
    at = command.index("--headless")
    command[at : at + 7] = ["--web-port", str(port)]
    child = subprocess.Popen(
        command, env=sim.environment(), stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        listening = until(
            lambda: [
                one.laddr.ip
                for one in psutil.net_connections("tcp")
                if one.laddr.port == port and one.status == "LISTEN"
            ]
        )
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    assert listening == ["127.0.0.1"]
