"""The probes of `probes/` against the simulator in several versions, and against real AstrBot."""

import asyncio
from types import MappingProxyType

import httpx
import pytest

from astrometer import bundled
from astrometer.config.secret import Secret
from astrometer.config.settings import Key, Target
from astrometer.probing.plan import Plan
from astrometer.probing.probe_files import load_folder
from astrometer.probing.runner import Runner, run_once
from astrometer.targets.script import ModelScript
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import SimulatorConfig

OURS = load_folder(bundled.folder("probes")).probes
# These targets have no messenger.
ASKED_OK = {name: "skipped" if probe.needs_messenger else "ok" for name, probe in OURS.items()}
ALL_SCOPES = frozenset({"chat", "config", "file", "im"})


def probe_all(target: Target, *names: str) -> dict:
    plans = [Plan(target=target, probe=probe) for name, probe in OURS.items() if not names or name in names]
    return {run.probe: run for run in asyncio.run(run_once(Runner(), plans))}


def one_key(url: str, secret: str, key_id: str | None = None, scopes: frozenset[str] = ALL_SCOPES) -> Target:
    key = Key(name="all", secret=Secret(secret), scopes=scopes, id=key_id)
    return Target(name="t", url=url, keys=MappingProxyType({"all": key}))


def key_per_scope(url: str, secrets: dict[str, str]) -> Target:
    """As an operator would write it: every key with what it may do; the revoked one may do nothing."""
    scopes = {name: frozenset({name}) for name in ALL_SCOPES} | {"all": ALL_SCOPES, "revoked": frozenset()}
    keys = {
        name: Key(name=name, secret=Secret(secrets[name]), scopes=stated) for name, stated in scopes.items()
    }
    return Target(name="t", url=url, keys=MappingProxyType(keys))


@pytest.fixture(params=["4.18.0", "4.22.1", "4.25.6", "4.26.0", "4.26.8", "4.28.2", "4.29.3"])
def simulated(request):
    simulator = Simulator(
        SimulatorConfig(version=request.param, model=ModelScript(ttft_s=0.02, gap_s=0.001, tokens=3))
    )
    with serve(simulator) as url:
        yield simulator, url


def test_all_pass_on_a_healthy_server_of_every_version(simulated):
    simulator, url = simulated
    runs = probe_all(one_key(url, simulator.store.keys["all"].secret))
    assert {name: run.reason for name, run in runs.items()} == ASKED_OK


def test_nothing_stays_where_the_key_can_delete(simulated):
    simulator, url = simulated
    key = simulator.store.keys["all"]
    runs = probe_all(one_key(url, key.secret, key_id=key.key_id), "chat", "upload")
    if simulator.wire.fastapi:
        assert (list(simulator.store.sessions), list(simulator.store.attachments)) == ([], [])
        assert {run.stays for run in runs.values()} == {()}
    else:
        assert sorted(simulator.store.sessions) == ["astrometer-probe-chat", "astrometer-probe-upload"]
        # and the model's memory of them is cleared before each question
        assert runs["upload"].stays == ("upload", "session")


def test_scopes_are_as_stated_on_every_version(simulated):
    simulator, url = simulated
    secrets = {name: key.secret for name, key in simulator.store.keys.items()}
    run = probe_all(key_per_scope(url, secrets), "scopes")["scopes"]
    rows = 13 if simulator.wire.fastapi else 6
    assert (run.reason, len(run.scope_checks)) == ("ok", 6 * rows)
    assert simulator.store.counters["messages_user"] == 0  # no token spent, nothing sent


def test_a_key_that_may_more_than_it_says_is_a_leak(bench):
    run = probe_all(one_key(bench.url, bench.store.keys["all"].secret, scopes=frozenset({"chat"})), "scopes")
    assert run["scopes"].reason == "leak"
    leaks = {check.endpoint for check in run["scopes"].scope_checks if check.violation == "leak"}
    assert leaks == {"configs", "upload", "im_message", "im_bots", "bot", "provider"}  # config includes two


def test_a_key_that_may_less_than_it_says_is_rejected(bench):
    target = one_key(bench.url, bench.store.keys["chat"].secret)
    run = probe_all(target, "scopes")["scopes"]
    assert run.reason == "forbidden"
    assert {check.violation for check in run.scope_checks if check.endpoint == "configs"} == {"rejected"}
    assert probe_all(target, "im")["im"].reason == "forbidden"


def test_a_server_error_in_the_matrix_is_inconclusive_and_no_pass(bench):
    httpx.post(f"{bench.url}/sim/faults", json={"kind": "http_500", "count": 1, "endpoint": "configs"})
    run = probe_all(one_key(bench.url, bench.store.keys["all"].secret), "scopes")["scopes"]
    assert run.reason == "server_error"
    assert "inconclusive" in run.detail
    assert len(run.scope_checks) == 12
    assert not any(check.violation for check in run.scope_checks)


def test_a_wrong_key_fails_every_probe_with_a_key_as_unauthorized(simulated):
    simulator, url = simulated
    runs = probe_all(one_key(url, simulator.store.keys["revoked"].secret))
    without_key = {"im_chat": "skipped", "server": "ok"}
    assert {name: run.reason for name, run in runs.items()} == dict.fromkeys(
        runs, "unauthorized"
    ) | without_key


@pytest.mark.process
@pytest.mark.astrbot
@pytest.mark.timeout(300)
@pytest.mark.parametrize("version", ["4.18.0", "latest"])
def test_all_pass_on_real_astrbot(real_astrbot, version):
    box = real_astrbot(version)
    runs = probe_all(key_per_scope(box.url, box.keys))
    assert {name: run.reason for name, run in runs.items()} == ASKED_OK
    assert runs["chat"].ttft_s > 0.1  # the stub model waits 0.2 s


@pytest.mark.process
@pytest.mark.astrbot
@pytest.mark.timeout(300)
def test_the_newest_astrbot_has_the_same_sessions_before_and_after(real_astrbot):
    box = real_astrbot("latest")
    target = one_key(box.url, box.keys["all"])

    def sessions() -> list[object]:
        who = f"api_key:{box.key_ids['all']}"
        answers = [
            httpx.get(
                f"{box.url}/api/v1/chat/sessions",
                params={"username": name, "page_size": 100},
                headers={"X-API-Key": box.keys["all"]},
                trust_env=False,
            ).json()["data"]["sessions"]
            for name in (who, "astrometer-probe")
        ]
        return [row["session_id"] for rows in answers for row in rows]

    before = sessions()
    runs = probe_all(target)
    assert {name: run.reason for name, run in runs.items()} == ASKED_OK
    assert {run.stays for run in runs.values()} == {()}
    assert sessions() == before
