"""Streams of the golden server, read by astrometer and by its peers in turn -> one Markdown table.

    python bench/accuracy.py [--streams 50] [--gap 0.02] [--seconds 8] [--rounds 3] [--peer NAME ...]

Every peer runs in a process of its own on one core, the golden server on another. A peer notes for each
content event when it got hold of it, as early as its interface allows, and its text: when it was sent.
Needs `pip install -r bench/requirements.txt` besides astrometer.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
from pathlib import Path

from astrometer.load.calibrating import StepPlan, run_step
from astrometer.measure.accuracy import ErrorSummary
from astrometer.targets.golden.process import golden, pin
from astrometer.targets.golden.server import GoldenSchedule

BARE = "bare gevent socket, HTTP parser, json"
PEERS = {
    "bare": BARE,
    "client": "astrometer: client and exchange",
    "locust": "astrometer: whole load path in Locust",
    "iter_lines": "Locust FastHttpSession.iter_lines",
    "httpx_sse": "httpx-sse under gevent",
    "aiohttp": "aiohttp, json",
}
SERVER_CPU, CLIENT_CPU = 1, 0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--streams", type=int, default=50)
    parser.add_argument("--gap", type=float, default=0.02, help="seconds between events of a stream")
    parser.add_argument("--seconds", type=float, default=8.0, help="measured, after a ramp of 2 s")
    parser.add_argument("--rounds", type=int, default=3, help="medians are shown")
    parser.add_argument("--peer", choices=PEERS, action="append")
    options = parser.parse_args()
    events = max(20, round(4 / options.gap))
    schedule = GoldenSchedule(ttft_s=0.1, gap_s=options.gap, events=events)
    rounds: dict[str, list[dict]] = {name: [] for name in options.peer or PEERS}
    for _ in range(options.rounds):
        for name, found in rounds.items():
            found.append(measure(name, options, schedule))
            print(name, json.dumps(found[-1]), file=sys.stderr, flush=True)
    print(table(rounds))


def measure(name: str, options: argparse.Namespace, schedule: GoldenSchedule) -> dict:
    with golden(schedule, cpus=[SERVER_CPU]) as url:
        if name == "locust":
            return _of_step(options, schedule, url)
        command = [sys.executable, str(Path(__file__).with_name("peers.py")), name, url]
        done = subprocess.run(
            [*command, str(options.streams), str(options.seconds)], stdout=subprocess.PIPE, check=True
        )
        found = json.loads(done.stdout)
    return _row(found["gap_s"], found["delay_s"], found["cpu_s"], found["seconds"])


def _of_step(options: argparse.Namespace, schedule: GoldenSchedule, url: str) -> dict:
    plan = StepPlan(
        streams=options.streams, gap_s=options.gap, duration_s=options.seconds, stream_s=schedule.length_s,
        cpus=[CLIENT_CPU],
    )  # fmt: skip
    step = run_step(plan, url)
    return {
        "gap": [step.gap.p50, step.gap.p99, step.gap.max],
        "delay": [step.delay.p50, step.delay.p99, step.delay.max],
        "cpu_us": step.cpu_us_per_event,
        "events_per_s": step.events_per_s,
    }


def _row(gaps: list[float], delays: list[float], cpu_s: float, seconds: float) -> dict:
    gap, delay = ErrorSummary.of(gaps), ErrorSummary.of(delays)
    return {
        "gap": [gap.p50, gap.p99, gap.max],
        "delay": [delay.p50, delay.p99, delay.max],
        "cpu_us": cpu_s / max(1, len(delays)) * 1e6,
        "events_per_s": len(delays) / seconds,
    }


def table(rounds: dict[str, list[dict]]) -> str:
    """Medians of the rounds; the ratio is taken within each round."""
    lines = [
        "| reader | events/s | gap error, ms: p50 / p99 / max | delay, ms: same | CPU us | to bare |",
        "|---|---|---|---|---|---|",
    ]
    for name, found in rounds.items():
        ratios = [
            one["cpu_us"] / bare["cpu_us"] for one, bare in zip(found, rounds.get("bare", []), strict=False)
        ]
        shown = [
            " / ".join(
                f"{statistics.median(one[what][rank] or math.nan for one in found) * 1e3:.2f}"
                for rank in range(3)
            )
            for what in ("gap", "delay")
        ]
        events_per_s = statistics.median(one["events_per_s"] for one in found)
        cpu_us = statistics.median(one["cpu_us"] for one in found)
        ratio = f"{statistics.median(ratios):.2f}" if ratios else "–"
        lines.append(
            f"| {PEERS[name]} | {events_per_s:.0f} | {shown[0]} | {shown[1]} | {cpu_us:.1f} | {ratio} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    pin(0, [CLIENT_CPU])
    main()
