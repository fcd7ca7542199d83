"""The rules in a real Prometheus on a live exporter: quiet when all is well, firing once something breaks."""

import httpx
import pytest
import watch_stack
from required import needs

from astrometer.targets.script import ModelScript
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import SimulatorConfig

pytestmark = [pytest.mark.promtool, pytest.mark.timeout(120), pytest.mark.process]
GIVE_UP_S = 30.0


@pytest.fixture(scope="module", autouse=True)
def installed():
    needs("promtool", "prometheus")


@pytest.fixture(scope="module")
def simulator():
    with serve(
        simulator := Simulator(SimulatorConfig(model=ModelScript(ttft_s=0.05, gap_s=0, tokens=5)))
    ) as url:
        yield url, simulator.store.keys["all"].secret


@pytest.fixture(scope="module")
def exporter(simulator, tmp_path_factory):
    """Two targets on one server: `good` states its key's scopes truly, `leaky` states fewer than it has."""
    url, secret = simulator
    folder = tmp_path_factory.mktemp("exporter")
    config = folder / "astrometer.toml"
    config.write_text(
        f'[targets.good]\nurl = "{url}"\n'
        '[targets.good.keys.all]\nenv = "KEY"\nscopes = ["chat", "config", "file", "im"]\n'
        f'[targets.leaky]\nurl = "{url}"\n'
        '[targets.leaky.keys.all]\nenv = "KEY"\nscopes = ["chat", "file", "im"]\n'
        '[probes.chat]\ninterval = "1s"\ntargets = ["good"]\n'
        '[probes.scopes]\ninterval = "1s"\ntargets = ["leaky"]\n'
    )
    environment = {"KEY": secret}
    with watch_stack.exporter(config, ("chat", "scopes"), environment) as (_, address):
        yield address


@pytest.fixture(scope="module")
def prometheus(exporter, tmp_path_factory):
    with watch_stack.prometheus(tmp_path_factory.mktemp("prometheus"), exporter) as url:
        yield url


def read(prometheus: str, path: str, **params: str) -> dict:
    return watch_stack.read(f"{prometheus}/api/v1/{path}", **params)["data"]


def value(prometheus: str, query: str) -> float | None:
    result = read(prometheus, "query", query=query)["result"]
    return float(result[0]["value"][1]) if result else None


def wait_for(prometheus: str, found) -> None:
    """Until `found` is true. A fault must be seen within GIVE_UP_S."""

    def alerts() -> list[tuple[str, str]]:
        return [(a["labels"]["alertname"], a["state"]) for a in read(prometheus, "alerts")["alerts"]]

    watch_stack.wait_for(found, GIVE_UP_S, alerts)


def firing(prometheus: str, alert: str, **labels: str) -> list[dict]:
    return [
        one
        for one in read(prometheus, "alerts")["alerts"]
        if one["state"] == "firing" and {"alertname": alert, **labels}.items() <= one["labels"].items()
    ]


def targets_of_alerts(prometheus: str) -> set[str | None]:
    """Pending ones, too."""
    return {one["labels"].get("target") for one in read(prometheus, "alerts")["alerts"]}


def test_no_rule_fails_and_a_healthy_target_is_quiet_while_a_leak_pages(prometheus):
    wait_for(prometheus, lambda: firing(prometheus, "AstrBotScopeLeak", endpoint="configs"))
    leak = firing(prometheus, "AstrBotScopeLeak", endpoint="configs")[0]
    assert {"target": "leaky", "key": "all", "severity": "page"}.items() <= leak["labels"].items()
    assert leak["annotations"]["summary"] == "Scope leak on AstrBot leaky: key all may use configs"
    ratio = 'target_probe_side:astrbot_probe_failures:ratio_rate5s{target="good", probe="chat"}'
    wait_for(prometheus, lambda: value(prometheus, f"count({ratio} == 0)") == 2)
    wait_for(
        prometheus,
        lambda: (value(prometheus, "target_probe:astrbot_probe_first_tokens:increase20s") or 0) > 0,
    )
    # A busy machine may make one chat slow, which is pending for a moment.
    wait_for(prometheus, lambda: "good" not in targets_of_alerts(prometheus))
    assert firing(prometheus, "AstrBotProbeWatchdog")
    states = [rule for group in read(prometheus, "rules")["groups"] for rule in group["rules"]]
    assert [(rule["name"], rule["lastError"]) for rule in states if rule["health"] == "err"] == []


def test_a_server_that_fails_is_down_and_neither_its_budget_nor_the_model_pages_too(prometheus, simulator):
    url, _ = simulator
    with httpx.Client(base_url=url, trust_env=False) as client:
        client.post(
            "/sim/faults", json={"kind": "http_500", "rate": 1, "endpoint": "chat"}
        ).raise_for_status()
        try:
            wait_for(prometheus, lambda: firing(prometheus, "AstrBotDown", target="good"))
            # Down says it; its error budget burns, and that is no second page.
            ratio = 'target_probe_side:astrbot_probe_failures:ratio_rate20s{target="good", side="server"}'
            wait_for(prometheus, lambda: (value(prometheus, ratio) or 0) > 0.2)
            for alert in ("AstrBotAvailabilityBurn", "AstrBotUpstreamLLMFailing"):
                assert not firing(prometheus, alert, target="good")
        finally:
            client.delete("/sim/faults").raise_for_status()
    wait_for(prometheus, lambda: not firing(prometheus, "AstrBotDown"))
