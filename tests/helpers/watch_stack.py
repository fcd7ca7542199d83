"""A config -> a real exporter, a real Prometheus with our rules, a real Alertmanager; and what they say.

The rules are the shipped ones with windows of seconds: probes ask every few seconds here.
"""

import json
import os
import re
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import yaml

ROOT = Path(__file__).parents[2]
GRAFANA = ROOT / "grafana"
EACH = "*"  # of every table that has it
# Table, key, and its value here, whatever the shipped one is. The first [[burn]] is `burn`.
QUICK = {
    ("evaluation", "short"): "1s",
    ("slo", "budget_window"): "10m",
    ("burn", "long"): "20s",
    ("burn", "short"): "5s",
    ("burn", "for"): "1s",
    ("down", "for"): "1s",
    ("key_rejected", "for"): "1s",
    (EACH, "keep_firing_for"): "2s",
}


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"127.0.0.1:{free.getsockname()[1]}"


@contextmanager
def running(command: list[object]) -> Iterator[subprocess.Popen]:
    with subprocess.Popen(
        list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


@contextmanager
def exporter(config: Path, probes: tuple[str, ...], environment: Mapping[str, str]) -> Iterator[tuple]:
    """The process, and its host and port."""
    command = [sys.executable, "-m", "astrometer", "probe", "--config", config, "--listen", "127.0.0.1:0"]
    command += [word for name in probes for word in ("--probe", name)]
    environment = {**os.environ, "XDG_STATE_HOME": str(config.parent), **environment}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stderr:
                if found := re.search(r"127\.0\.0\.1:\d+", line):
                    break
            else:
                raise AssertionError(f"the exporter ended with {process.wait(5)}")
            yield process, found[0]
        finally:
            process.terminate()
            process.wait(30)


@contextmanager
def alertmanager(folder: Path) -> Iterator[str]:
    """With the shipped config; what it would send goes nowhere."""
    needed = yaml.safe_load((GRAFANA / "alertmanager/alertmanager.yml").read_text("utf-8"))
    for receiver in needed["receivers"]:
        receiver.pop("slack_configs", None)
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(needed))
    address = free_address()
    command = ["prometheus-alertmanager", f"--config.file={folder}/alertmanager.yml"]
    command += [f"--storage.path={folder}/alerts", f"--web.listen-address={address}"]
    with running([*command, "--cluster.listen-address=", "--log.level=error"]):
        yield address


def thresholds(quick: Mapping[tuple[str, str], object]) -> str:
    """The shipped file with these values instead."""
    tables = tomllib.loads((GRAFANA / "rules/thresholds.toml").read_text("utf-8"))
    parts = [
        (name, part) for name, one in tables.items() for part in (one if isinstance(one, list) else [one])
    ]
    for (table, key), value in quick.items():
        meant = [part for name, part in parts if table in (name, EACH) and key in part]
        assert meant, f"no {key} in [{table}] of thresholds.toml"
        for part in meant if table == EACH else meant[:1]:
            part[key] = value
    heads = {name: f"[[{name}]]" if isinstance(one, list) else f"[{name}]" for name, one in tables.items()}
    return "\n".join(
        "\n".join([heads[name], *(f"{key} = {json.dumps(value)}" for key, value in part.items())])
        for name, part in parts
    )


@contextmanager
def prometheus(
    folder: Path,
    scraped: str,
    *,
    quick: Mapping[tuple[str, str], object] = QUICK,
    alerts_to: str | None = None,
) -> Iterator[str]:
    """Its URL."""
    (folder / "thresholds.toml").write_text(thresholds(quick))
    build = [sys.executable, str(GRAFANA / "build/rules.py"), "--thresholds", str(folder / "thresholds.toml")]
    subprocess.run([*build, "--out", str(folder)], check=True, capture_output=True)
    address = free_address()
    told = [{"static_configs": [{"targets": [alerts_to]}]}] if alerts_to else []
    scrape = {"job_name": "astrometer", "static_configs": [{"targets": [scraped]}]}
    settings = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["recording.yaml", "alerts.yaml"],
        "alerting": {"alertmanagers": told},
        "scrape_configs": [scrape],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
    command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with running([*command, f"--web.listen-address={address}", "--log.level=error"]):
        yield f"http://{address}"


def read(url: str, **params: str) -> object:
    return httpx.get(url, params=params, trust_env=False, timeout=5).raise_for_status().json()


def wait_for(found: Callable[[], bool], limit_s: float, told: Callable[[], object]) -> None:
    """Until `found` is true; `told` is shown when it is not in time."""
    give_up = time.monotonic() + limit_s
    while time.monotonic() < give_up:
        try:
            if found():
                return
        except (httpx.TransportError, httpx.HTTPStatusError):
            pass  # still starting
        time.sleep(0.3)
    raise AssertionError(f"not within {limit_s:g} s: {told()}")
