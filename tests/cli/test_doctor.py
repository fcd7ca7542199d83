"""`astrometer doctor`: what it says of a healthy, a broken and an absent server."""

import json
import socket

import pytest
from click.testing import CliRunner, Result

from astrometer.cli import main
from astrometer.probing.target_checks.doctor import clock_offset
from astrometer.targets.script import ModelScript
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import SimulatorConfig

MODEL = ModelScript(ttft_s=0.05, gap_s=0.005, tokens=5)


def examine(url: str, secret: str, *options: str) -> tuple[int, dict[str, dict[str, str]]]:
    result = invoke(url, secret, *options)
    return result.exit_code, {check["check"]: check for check in json.loads(result.stdout)}


def invoke(url: str, secret: str, *options: str) -> Result:
    command = ["doctor", "--host", url, "--json", *options]
    result = CliRunner(env={"ASTRBOT_API_KEY": secret}).invoke(main, command, catch_exceptions=False)
    assert secret not in result.output
    return result


def simulator(version: str = "4.29.3", **settings: object) -> Simulator:
    return Simulator(SimulatorConfig(version=version, **{"model": MODEL, **settings}))


def states(checks: dict[str, dict[str, str]]) -> dict[str, str]:
    return {name: check["state"] for name, check in checks.items()}


NAMES = ("reachable", "key default", "version", "model", "rate limit", "clocks", "leaves behind")


def test_a_healthy_new_server_is_ok_throughout_and_left_as_it_was():
    sim = simulator()
    with serve(sim) as url:
        code, checks = examine(url, sim.store.keys["all"].secret)
    assert code == 0
    assert states(checks) == dict.fromkeys(NAMES, "ok")
    assert checks["version"]["line"] == "4.29.3"
    allowed = "allowed: chat, sessions, configs, upload, im_message, im_bots, bot, provider"
    assert checks["key default"]["line"] == allowed
    assert list(sim.store.sessions) == []


def test_an_old_server_warns_of_what_stays():
    sim = simulator("4.18.0")
    with serve(sim) as url:
        code, checks = examine(url, sim.store.keys["all"].secret)
    assert code == 0
    assert checks["version"]["line"] == "4.18.0"
    allowed = "allowed: chat, sessions, configs, upload, im_message, im_bots"
    assert checks["key default"]["line"] == allowed
    assert checks["leaves behind"]["state"] == "warn"


@pytest.mark.parametrize(
    ("version", "state", "line"),
    [("4.29.3", "ok", "4.29.3"), ("4.18.0", "warn", "4.18 to 4.25, by the lack of an openapi.json")],
)
def test_a_key_that_may_not_chat_leaves_the_exact_version_of_an_old_server_open(version, state, line):
    sim = simulator(version)
    with serve(sim) as url:
        code, checks = examine(url, sim.store.keys["file"].secret)
    assert code == 0
    assert checks["version"]["line"] == line
    assert (checks["model"]["state"], checks["version"]["state"]) == ("warn", state)


def test_an_update_without_a_restart_is_a_warning():
    sim = simulator(code_version="4.29.9")
    with serve(sim) as url:
        code, checks = examine(url, sim.store.keys["all"].secret)
    assert (code, checks["version"]["state"]) == (0, "warn")
    assert checks["version"]["line"] == "updated to 4.29.9, but 4.29.3 is still running"
    assert checks["version"]["cure"] == "restart AstrBot"


def test_a_bad_key_fails_with_a_cure():
    sim = simulator()
    with serve(sim) as url:
        code, checks = examine(url, sim.store.keys["expired"].secret)
    assert code == 1
    assert checks["key default"]["line"] == "refused (401)"
    assert "make a new one" in checks["key default"]["cure"]


@pytest.mark.parametrize("fail", ["500", "empty"])
def test_a_failing_model_fails(fail):
    from astrometer.targets.script import Fail

    sim = simulator(model=ModelScript(ttft_s=0.05, fail=Fail(fail)))
    with serve(sim) as url:
        code, checks = examine(url, sim.store.keys["all"].secret)
    assert code == 1
    assert checks["model"]["line"].startswith("llm_error")
    assert "provider" in checks["model"]["cure"]


def test_nobody_there_exits_4():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    code, checks = examine(f"http://127.0.0.1:{port}", "abk_secret")
    assert code == 4
    assert states(checks) == {"reachable": "fail"}
    assert checks["reachable"]["line"] == "connect: Connection refused"


def test_a_server_that_is_no_astrbot_is_told():
    async def app(scope, receive, send) -> None:
        if scope["type"] == "http":
            headers = [(b"content-type", b"text/html")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"<html>"})

    with serve(app) as url:
        code, checks = examine(url, "abk_secret")
    assert code == 1
    assert "not like AstrBot" in checks["reachable"]["line"]


def test_behind_a_proxy_that_passes_the_api_alone_what_can_be_checked_is_checked():
    sim = simulator()

    async def proxy(scope, receive, send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/api/v1/"):
            await sim(scope, receive, send)
            return
        headers = [(b"content-type", b"text/html")]
        await send({"type": "http.response.start", "status": 403, "headers": headers})
        await send({"type": "http.response.body", "body": b"<html>"})

    with serve(proxy) as url:
        code, checks = examine(url, sim.store.keys["all"].secret)
    assert code == 0
    assert states(checks) == {**dict.fromkeys(NAMES, "ok"), "reachable": "warn"}
    assert "GET /api/stat/start-time does not (HTTP 403)" in checks["reachable"]["line"]
    assert checks["version"]["line"] == "4.29.3"


def test_the_offset_of_a_clock_has_its_uncertainty():
    # The header says :05 and was written between :05.2 and :05.4 of our clock: equal clocks are possible.
    offset_s, either_way_s = clock_offset(5.0, 5.2, 5.4)
    assert offset_s - either_way_s <= 0 <= offset_s + either_way_s
    assert either_way_s == pytest.approx(0.6)
    offset_s, either_way_s = clock_offset(3605.0, 5.2, 5.4)
    assert offset_s == pytest.approx(3600.2)


def test_the_price_comes_first_and_what_is_left_last():
    sim = simulator()
    with serve(sim) as url:
        done = invoke(url, sim.store.keys["all"].secret)
        assert done.exit_code == 0
        assert done.stderr.splitlines()[0] == "default: about 1,750 tokens (1 turn of 1,750 tokens, assumed)"
        assert done.stderr.splitlines()[-1] == "Left on default: nothing"


def test_deletable_refuses_a_server_on_which_nothing_can_be_deleted():
    sim = simulator("4.25.6")
    with serve(sim) as url:
        done = invoke(url, sim.store.keys["all"].secret, "--deletable")
        assert done.exit_code == 2
        assert "--deletable: default: AstrBot before 4.26 deletes nothing" in done.stderr
