"""A real Prometheus scrapes the real exporter while it probes, and PromQL gives a TTFT quantile."""

import os
import re
import socket
import subprocess
import sys
import time

import httpx
import pytest
from required import needs

pytestmark = [pytest.mark.promtool, pytest.mark.timeout(240), pytest.mark.process]


@pytest.fixture(autouse=True)
def installed():
    needs("promtool", "prometheus", "promtool")


@pytest.fixture(params=["simulator", pytest.param("astrbot", marks=pytest.mark.astrbot)])
def server(request):
    """URL and key of what is probed."""
    if request.param == "astrbot":
        box = request.getfixturevalue("real_astrbot")("latest")
        return box.url, box.keys["all"]
    bench = request.getfixturevalue("bench")
    return bench.url, bench.store.keys["all"].secret


@pytest.fixture
def exporter(server, tmp_path):
    """The exporter as a program, asking every second."""
    url, secret = server
    config = tmp_path / "astrometer.toml"
    config.write_text(
        f'[targets.sim]\nurl = "{url}"\n'
        '[targets.sim.keys.all]\nenv = "KEY"\nscopes = ["chat", "config", "file", "im"]\n'
        + "".join(f'[probes.{name}]\ninterval = "1s"\n' for name in ("chat", "upload", "im", "scopes"))
    )
    command = [sys.executable, "-m", "astrometer", "probe", "--config", config, "--listen", "127.0.0.1:0"]
    environment = {**os.environ, "KEY": secret}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            addresses = (re.search(r"127\.0\.0\.1:\d+", line) for line in process.stderr)
            yield next(filter(None, addresses))[0]
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture
def prometheus(exporter, tmp_path):
    """A Prometheus that scrapes it every second."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    (tmp_path / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
        "scrape_configs:\n"
        f"  - job_name: astrometer\n    static_configs: [{{targets: ['{exporter}']}}]\n"
        "  - job_name: on_demand\n    metrics_path: /probe\n    scrape_interval: 5s\n    scrape_timeout: 5s\n"
        f"    params: {{target: [sim], probe: [im]}}\n    static_configs: [{{targets: ['{exporter}']}}]\n"
    )
    command = [
        "prometheus",
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address={address}",
        "--log.level=error",
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield address
        finally:
            process.terminate()
            process.wait(30)


def ask(prometheus: str, query: str, give_up_s: float = 60.0) -> float:
    """The one value of `query`, once it has one."""
    give_up = time.monotonic() + give_up_s
    while time.monotonic() < give_up:
        time.sleep(0.5)
        try:
            url = f"http://{prometheus}/api/v1/query"
            answer = httpx.get(url, params={"query": query}, trust_env=False, timeout=5).json()
        except httpx.TransportError:
            continue
        result = answer["data"]["result"]
        if result and result[0]["value"][1] != "NaN":
            return float(result[0]["value"][1])
    pytest.fail(f"no value for {query}")


def test_prometheus_computes_a_ttft_quantile_from_the_exporter(prometheus, exporter):
    assert ask(prometheus, 'up{job="astrometer"} == 1') == 1
    ttft = "astrbot_probe_time_to_first_token_seconds_bucket"
    p95 = ask(prometheus, f'histogram_quantile(0.95, sum by (le) (rate({ttft}{{probe="chat"}}[20s])))')
    assert 0.05 < p95 <= 5.0  # the models wait 0.05 and 0.2 s
    assert ask(prometheus, 'astrbot_probe_success{probe="scopes"}') == 1
    assert ask(prometheus, "sum(astrbot_probe_scope_checks_total) > 0") >= 6
    assert ask(prometheus, "sum(astrbot_probe_scope_violations_total)") == 0
    assert ask(prometheus, 'sum(astrbot_probe_failures_total{probe="chat"})') == 0
    assert ask(prometheus, 'probe_success{job="on_demand"}') == 1
    assert ask(prometheus, 'min(up{job="on_demand"})') == 1
    # Every run has a duration, every good one a first token.
    runs = 'astrbot_probe_runs_total{probe="chat"}'
    tokens = 'astrbot_probe_time_to_first_token_seconds_count{probe="chat"}'
    assert ask(prometheus, f"{runs} - ignoring() {tokens}") == 0
    assert ask(prometheus, 'count(astrbot_probe_target_info{target="sim"})') == 1
    assert ask(prometheus, "astrbot_probe_exporter_config_last_reload_successful") == 1
    assert ask(prometheus, 'time() - max(astrbot_probe_last_run_timestamp_seconds{probe="chat"})') < 60
    metrics = httpx.get(f"http://{exporter}/metrics", trust_env=False).content
    lint = subprocess.run(["promtool", "check", "metrics"], check=False, input=metrics, capture_output=True)
    assert (lint.returncode, lint.stdout, lint.stderr) == (0, b"", b"")
