"""The exporter with many targets, scraped hard -> how fast it answers, what it costs, whether it grows.

    python bench/exporter.py [--targets 50] [--seconds 120] [--scrapes-per-s 1]

A real `astrometer probe` on core 0 with five probes per target, all of them asking one simulator on core 1,
where the scraping goes on as well: one connection per scrape, as a Prometheus without keep-alive would. A
scrape that is due while another is under way starts all the same, so that a slow answer hides nothing.
"""

import argparse
import asyncio
import math
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
from programs import astrometer, bench_parser, exporter_url, served

PROBES = {"chat": "30s", "upload": "60s", "im": "60s", "reads": "30s", "scopes": "120s"}
SIMULATOR = ("sim", "--rate-limit", "off")
EXPORTER_CPU, OTHERS_CPU = 0, 1
MIB = 1024 * 1024


def main() -> None:
    parser = bench_parser(__doc__)
    parser.add_argument("--targets", type=int, default=50)
    parser.add_argument("--settle", type=float, default=60.0, help="seconds in which all begins")
    parser.add_argument("--seconds", type=float, default=120.0, help="scraped after that")
    parser.add_argument("--scrapes-per-s", type=float, default=1.0)
    options = parser.parse_args()
    psutil.Process().cpu_affinity([OTHERS_CPU])
    with tempfile.TemporaryDirectory(prefix="astrometer-bench-") as folder, served(*SIMULATOR) as facts:
        measure(options, facts, Path(folder))


def measure(options: argparse.Namespace, facts: dict[str, Any], folder: Path) -> None:
    (folder / "astrometer.toml").write_text(config(options.targets, facts["url"]))
    command = [
        *("probe", "--config", str(folder / "astrometer.toml"), "--listen", "127.0.0.1:0"),
        *("--state-dir", str(folder / "state")),
        *(part for name in PROBES for part in ("--probe", name)),
    ]
    environ = {**os.environ, "KEY": facts["keys"]["all"]}
    with astrometer(*command, stderr=subprocess.PIPE, env=environ) as process:
        psutil.Process(process.pid).cpu_affinity([EXPORTER_CPU])
        url = f"{exporter_url(process)}/metrics"
        watched = psutil.Process(process.pid)
        asyncio.run(scrape(url, options.settle, 1.0))
        began, cpu, rss = time.monotonic(), sum(watched.cpu_times()[:2]), watched.memory_info().rss
        took = asyncio.run(scrape(url, options.seconds, options.scrapes_per_s))
        text = httpx.get(url, trust_env=False, timeout=30).text
        cpu_share = (sum(watched.cpu_times()[:2]) - cpu) / (time.monotonic() - began)
        memory = f"{rss / MIB:.1f} before, {watched.memory_info().rss / MIB:.1f} after"
        report(took, text, {"CPU of its core": f"{cpu_share:.0%}", "resident memory, MiB": memory})


def config(targets: int, url: str) -> str:
    lines = ["[exporter]\nmax_series = 1_000_000"]
    lines += [
        f'[targets.t{number:02}]\nurl = "{url}"\n[targets.t{number:02}.keys.all]\nenv = "KEY"\n'
        'scopes = ["chat", "config", "file", "im"]'
        for number in range(targets)
    ]
    lines += [f'[probes.{name}]\ninterval = "{interval}"' for name, interval in PROBES.items()]
    return "\n".join(lines)


async def scrape(url: str, seconds: float, per_s: float) -> list[float]:
    """The time of each answer, infinite for one that failed."""
    began = time.monotonic()
    running = []
    async with httpx.AsyncClient(
        trust_env=False, timeout=30, limits=httpx.Limits(max_keepalive_connections=0)
    ) as client:
        for number in range(round(seconds * per_s)):
            await asyncio.sleep(max(0.0, began + number / per_s - time.monotonic()))
            running.append(asyncio.create_task(one(client, url)))
        return list(await asyncio.gather(*running))


async def one(client: httpx.AsyncClient, url: str) -> float:
    began = time.perf_counter()
    try:
        answer = await client.get(url)
    except httpx.HTTPError:
        return math.inf
    return time.perf_counter() - began if answer.status_code == 200 else math.inf


def report(took: list[float], text: str, costs: dict[str, str]) -> None:
    samples = [line for line in text.splitlines() if line and not line.startswith("#")]

    def total(name: str) -> str:
        found = (line for line in samples if line.startswith(f"astrbot_probe_{name}_total{{"))
        return f"{sum(float(line.rsplit(' ', 1)[1]) for line in found):.0f}"

    percentiles = statistics.quantiles(took, n=100)
    rows = {
        "series, size": f"{len(samples)}, {len(text) / 1024:.0f} KiB",
        "runs, failed, skipped": ", ".join(total(name) for name in ("runs", "failures", "skipped")),
        "scrapes, failed": f"{len(took)}, {sum(map(math.isinf, took))}",
        "scrape ms: p50, p99, max": ", ".join(
            f"{seconds * 1e3:.1f}" for seconds in (percentiles[49], percentiles[98], max(took))
        ),
        **costs,
    }
    for name, value in rows.items():
        print(f"{name:<26}{value}")


if __name__ == "__main__":
    main()
