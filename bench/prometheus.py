"""Ten quiet minutes of the exporter on a real AstrBot, as a real Prometheus tells them afterwards.

    python bench/prometheus.py [--minutes 10] [--astrbot 4.29.3] [--every 5]

A sandbox (stub model), `astrometer probe` with all our probes on it, and Debian's `prometheus`, which scrapes
`/metrics`, and `/probe` for `reads`; all on 127.0.0.1 and free ports, all gone afterwards. PASS: no scrape
and no run failed, no key reaches what it must not, nothing stays on the server, promtool has nothing to say
about `/metrics`, and no key is in what the exporter says or writes: pages, logs of runs, stderr, state.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from programs import astrometer, bench_parser, ended, served, verdict

from astrometer import bundled
from astrometer.probing.probe_files import load_folder
from astrometer.targets.sandbox.server_process import free_port

INTERVALS_S = {
    name: min(60, probe.interval_s / 6)
    for name, probe in load_folder(bundled.folder("probes")).probes.items()
}
BAD_KEYS = ["revoked", "expired"]
SCOPES = {"all": ["chat", "config", "file", "im"], "revoked": [], "expired": []}  # of others: their own name
PAGES = ("/", "/metrics", "/history", "/history?failed=true", "/config", "/-/ready", "/probe", "/nothing")
OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}
MIB = 1024 * 1024
TTFT = "astrbot_probe_time_to_first_token_seconds_bucket"


def main() -> int:
    parser = bench_parser(__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--astrbot", default="4.29.3", metavar="VERSION")
    parser.add_argument("--every", type=int, default=5, metavar="SECONDS", help="between two scrapes")
    options = parser.parse_args()
    for program in ("prometheus", "promtool"):
        if shutil.which(program) is None:
            sys.exit(f"{program} is not installed (Debian: apt-get install prometheus)")
    with tempfile.TemporaryDirectory(prefix="astrometer-prometheus-") as name:
        return watch(Path(name), options)


def watch(folder: Path, options: argparse.Namespace) -> int:
    state, stderr = folder / "state", folder / "stderr"
    with served("sandbox", "up", "--astrbot", options.astrbot) as facts:
        (folder / "astrometer.toml").write_text(config(facts))
        keys = {f"KEY_{name}": secret for name, secret in facts["keys"].items()}
        address = f"127.0.0.1:{free_port()}"
        command = ["probe", "--config", str(folder / "astrometer.toml"), "--listen", address]
        with (
            stderr.open("w") as log,
            astrometer(
                *command, "--state-dir", str(state), stderr=log, env={**os.environ, **keys}
            ) as exporter,
            prometheus(folder, address, options.every) as asked,
        ):
            time.sleep(60 * options.minutes)
            seen = read_back(asked, f"{60 * options.minutes:.0f}s")
            said = {**dict(everything_said(f"http://{address}")), **written(state, "while it runs")}
            exporter.send_signal(signal.SIGTERM)
            exit_code = exporter.wait(60)
            seen["exit code after SIGTERM"] = exit_code
            said |= {"stderr": stderr.read_bytes(), **written(state, "afterwards")}
    found = [
        f"{name} in {where}" for where, text in said.items() for name in keys if keys[name].encode() in text
    ]
    lint = subprocess.run(
        ["promtool", "check", "metrics"], input=said["/metrics"], capture_output=True, check=False
    )
    seen["outputs searched for keys"] = len(said)
    seen["KiB of them"] = sum(map(len, said.values())) / 1024
    for name, value in seen.items():
        print(f"| {name} | {value:.6g} |")
    return verdict(
        {
            "every scrape went well": seen["up, /metrics"] == seen["up, /probe"] == 1,
            "no run failed": seen["runs"] > 0 and not seen["failed runs"],
            "no run was skipped": not seen["skipped runs"],
            "scopes are as stated": seen["scope checks"] > 0 and not seen["scope violations"],
            "nothing stays on the server": not seen["left on the server"],
            f"promtool: {(lint.stdout + lint.stderr).decode() or 'nothing to say'}": not lint.returncode,
            f"no key in any output {' '.join(found)}".rstrip(): not found,
            "SIGTERM ends it in order": exit_code == 0,
        }
    )


def config(facts: dict[str, Any]) -> str:
    lines = [f'[targets.box]\nurl = "{facts["url"]}"\nbudget = {{ tokens_per_day = 100_000_000 }}']
    for name in facts["keys"]:
        scopes = json.dumps(SCOPES.get(name, [name]))
        lines.append(f'[targets.box.keys.{name}]\nenv = "KEY_{name}"\nscopes = {scopes}')
    lines += [f"[probes.{name}]\ninterval = {seconds}" for name, seconds in INTERVALS_S.items()]
    lines.append(f"[probes.auth.options]\nrevoked = {json.dumps(BAD_KEYS)}")
    lines.append(f"[probes.scopes.options]\nskip_keys = {json.dumps(BAD_KEYS)}")
    return "\n".join(lines)


def read_back(url: str, window: str) -> dict[str, float]:
    """What Prometheus knows of the last `window`."""

    def ask(query: str) -> float:
        parameters = {"query": query.replace("WINDOW", window)}
        answer = httpx.get(f"{url}/api/v1/query", params=parameters, trust_env=False, timeout=30).json()
        return float(answer["data"]["result"][0]["value"][1])

    def ttft_ms(quantile: float) -> float:
        return 1000 * ask(
            f'histogram_quantile({quantile}, sum by (le) (rate({TTFT}{{probe="chat"}}[WINDOW])))'
        )

    p, own = "astrbot_probe_", '{job="astrometer"}'
    return {
        "scrapes of /metrics": ask(f"count_over_time(up{own}[WINDOW])"),
        "up, /metrics": ask(f"avg_over_time(up{own}[WINDOW])"),
        "up, /probe": ask('avg_over_time(up{job="on_demand"}[WINDOW])'),
        "probe_success, /probe": ask("avg_over_time(probe_success[WINDOW])"),
        "scrape of /metrics, ms: mean": 1000 * ask(f"avg_over_time(scrape_duration_seconds{own}[WINDOW])"),
        "highest": 1000 * ask(f"max_over_time(scrape_duration_seconds{own}[WINDOW])"),
        "series": ask(f"scrape_samples_scraped{own}"),
        "runs": ask(f"sum({p}runs_total{own})"),
        "failed runs": ask(f"sum({p}failures_total{own})"),
        "skipped runs": ask(f"sum({p}skipped_total{own})"),
        "chat TTFT, ms: p50": ttft_ms(0.5),
        "p95": ttft_ms(0.95),
        "p99": ttft_ms(0.99),
        "scope checks": ask(f"sum({p}scope_checks_total{own})"),
        "scope violations": ask(f"sum({p}scope_violations_total{own})"),
        "tokens": ask(f"sum({p}tokens_total{own})"),
        "booked": 100_000_000 - ask(f"{p}budget_tokens_remaining"),
        "left on the server": ask(f"sum({p}leaked_resources{own})"),
        "event loop lag, ms: highest": 1000
        * ask(f"max_over_time({p}exporter_event_loop_lag_seconds[WINDOW])"),
        "resident memory, MiB: first": ask(f"min_over_time(process_resident_memory_bytes{own}[WINDOW])")
        / MIB,
        "last": ask(f"process_resident_memory_bytes{own}") / MIB,
        "CPU, % of a core": 100 * ask(f"rate(process_cpu_seconds_total{own}[WINDOW])"),
    }


def everything_said(url: str) -> Iterator[tuple[str, bytes]]:
    """Every page, the log of every run that is kept, the debug page of every probe."""
    with httpx.Client(base_url=url, trust_env=False, timeout=90) as client:
        for path in PAGES:
            yield path, client.get(path).content
        yield "/metrics, OpenMetrics", client.get("/metrics", headers=OPENMETRICS).content
        for name in INTERVALS_S:
            path = f"/probe?target=box&probe={name}"
            yield path, client.get(path).content
            yield f"{path}&debug=true", client.get(f"{path}&debug=true").content
        for number in set(re.findall(r"/history/\d+", client.get("/history").text)):
            yield number, client.get(number).content
        yield "POST /-/reload", client.post("/-/reload").content


def written(state: Path, when: str) -> dict[str, bytes]:
    return {f"{path} {when}": path.read_bytes() for path in state.rglob("*") if path.is_file()}


@contextmanager
def prometheus(folder: Path, exporter: str, every_s: int) -> Iterator[str]:
    """Its URL. Its own scrape of the exporter, and one of `/probe` for what costs nothing."""
    (folder / "prometheus.yml").write_text(
        f"global: {{scrape_interval: {every_s}s, scrape_timeout: {every_s}s}}\n"
        "scrape_configs:\n"
        f"  - {{job_name: astrometer, static_configs: [{{targets: ['{exporter}']}}]}}\n"
        "  - job_name: on_demand\n    metrics_path: /probe\n    params: {target: [box], probe: [reads]}\n"
        f"    static_configs: [{{targets: ['{exporter}']}}]\n"
    )
    address = f"127.0.0.1:{free_port()}"
    command = [
        "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address={address}", "--log.level=error",
    ]  # fmt: skip
    with ended(subprocess.Popen(command)):
        yield f"http://{address}"


if __name__ == "__main__":
    sys.exit(main())
