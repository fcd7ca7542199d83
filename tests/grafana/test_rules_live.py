"""The rules in a real Prometheus on a live exporter: quiet when all is well, firing once something breaks."""

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from required import needs

from astrometer.targets.script import ModelScript
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import SimulatorConfig

pytestmark = [pytest.mark.promtool, pytest.mark.timeout(120), pytest.mark.process]
GRAFANA = Path(__file__).parents[2] / "grafana"
# The same rules, with windows of seconds: probes ask every second here, not every minute.
QUICK = (
    ('short = "30s"', 'short = "1s"'),
    ('budget_window = "30d"', 'budget_window = "10m"'),
    ('"1h"\nshort = "5m"\nfor = "1m"', '"20s"\nshort = "5s"\nfor = "1s"'),
    ('[down]\nfor = "1m"', '[down]\nfor = "1s"'),
)
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
    command = [sys.executable, "-m", "astrometer", "probe", "--config", config, "--listen", "127.0.0.1:0"]
    chosen = ["--probe", "chat", "--probe", "scopes"]
    environment = {**os.environ, "KEY": secret, "XDG_STATE_HOME": str(folder)}
    with subprocess.Popen([*command, *chosen], env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stderr:
                if found := re.search(r"127\.0\.0\.1:\d+", line):
                    break
            else:
                pytest.fail(f"the exporter ended with {process.wait(5)}")
            yield found[0]
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="module")
def prometheus(exporter, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prometheus")
    text = (GRAFANA / "rules/thresholds.toml").read_text("utf-8")
    for old, new in QUICK:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (folder / "thresholds.toml").write_text(text)
    build = [sys.executable, str(GRAFANA / "build/rules.py"), "--thresholds", str(folder / "thresholds.toml")]
    subprocess.run([*build, "--out", str(folder)], check=True, capture_output=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
        "rule_files: [recording.yaml, alerts.yaml]\n"
        f"scrape_configs:\n- job_name: astrometer\n  static_configs: [{{targets: ['{exporter}']}}]\n"
    )
    command = [
        "prometheus",
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address={address}",
        "--log.level=error",
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield f"http://{address}"
        finally:
            process.terminate()
            process.wait(30)


def read(prometheus: str, path: str, **params: str) -> dict:
    answer = httpx.get(f"{prometheus}/api/v1/{path}", params=params, trust_env=False, timeout=5)
    return answer.raise_for_status().json()["data"]


def value(prometheus: str, query: str) -> float | None:
    result = read(prometheus, "query", query=query)["result"]
    return float(result[0]["value"][1]) if result else None


def wait_for(prometheus: str, found) -> None:
    """Until `found` is true. A fault must be seen within GIVE_UP_S."""
    give_up = time.monotonic() + GIVE_UP_S
    while time.monotonic() < give_up:
        try:
            if found():
                return
        except (httpx.TransportError, httpx.HTTPStatusError):
            pass  # Prometheus is still starting
        time.sleep(0.3)
    shown = [(a["labels"]["alertname"], a["state"]) for a in read(prometheus, "alerts")["alerts"]]
    pytest.fail(f"not within {GIVE_UP_S:g} s; alerts: {shown}")


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
