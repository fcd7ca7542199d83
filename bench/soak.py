"""A long mixed load on the simulator -> the memory of the load process, minute by minute, and a verdict.

    python bench/soak.py [--minutes 10] [--users 40] [--processes 2]

The run is an ordinary `astrometer load mixed`; nothing is hooked in, its processes are looked at from outside
once a second. PASS: the median resident memory of the last minute is within 5 % of that of the second one
(the first has the imports and the ramp in it). With the default prompts about 20 of 40 users wait for an
answer at any time, 20 events/s each.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from programs import bench_parser, served, verdict

LIMIT = 0.05
MIB = 1024 * 1024


def main() -> int:
    parser = bench_parser(__doc__)
    parser.add_argument("--minutes", type=int, default=10, help="at least 3")
    parser.add_argument("--users", type=int, default=40)
    parser.add_argument("--processes", type=int)
    parser.add_argument("--prompt-suffix", default="[[ttft=0.5 gap=0.05 tokens=150]]")
    options = parser.parse_args()
    if options.minutes < 3:
        parser.error("--minutes: the second and the last have to be different ones")
    with tempfile.TemporaryDirectory(prefix="astrometer-soak-") as folder:
        with served("sim") as facts:
            minutes = soak(options, facts, Path(folder))
        measured = json.loads((Path(folder) / "results.json").read_bytes())
    if len(minutes) < options.minutes:
        return verdict({f"the load lasted longer than {len(minutes)} minutes": False})
    return judge(minutes, measured)


def soak(options: argparse.Namespace, facts: dict[str, Any], out: Path) -> list[float]:
    """The median resident memory of each whole minute, in bytes."""
    command = [
        *(sys.executable, "-m", "astrometer", "load", "mixed", "--host", facts["url"]),
        *("--users", str(options.users), "--duration", f"{options.minutes}m", "--out", str(out)),
        *(("--processes", str(options.processes)) if options.processes else ()),
        *("--", "--prompt-suffix", options.prompt_suffix),
    ]
    key = facts["keys"]["all"]
    load = subprocess.Popen(
        command,
        env={**os.environ, "ASTRBOT_API_KEY": key},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    print("minute | RSS, MiB: median | lowest | highest", flush=True)
    began, minutes = time.monotonic(), []
    try:
        for minute in range(1, options.minutes + 1):
            samples = []
            while (left_s := began + 60 * minute - time.monotonic()) > 0 and load.poll() is None:
                time.sleep(min(1.0, left_s))
                samples.append(resident(load.pid))
            samples = [size for size in samples if size]
            if not samples:
                break
            minutes.append(statistics.median(samples))
            shown = (f"{size / MIB:.1f}" for size in (minutes[-1], min(samples), max(samples)))
            print(f"{minute:6d} | {' | '.join(shown)}", flush=True)
        load.wait(120)
    finally:
        if load.poll() is None:
            load.terminate()
            load.wait()
    return minutes


def resident(pid: int) -> int:
    """Of the Locust processes below `astrometer load`, in bytes; 0 when there are none (yet, or any more)."""
    total = 0
    for child in psutil.Process(pid).children(recursive=True):
        try:
            total += child.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def judge(minutes: list[float], measured: dict[str, Any]) -> int:
    turns = measured["turns"]
    print(
        f"{turns['started']} exchanges, {json.dumps(turns['outcomes'])}, "
        f"load verdict {measured['verdict']} {[cause['sentence'] for cause in measured['causes']]}"
    )
    growth = minutes[-1] / minutes[1] - 1
    return verdict(
        {
            f"last minute {growth:+.1%} against the second (limit {LIMIT:.0%})": abs(growth) <= LIMIT,
            "every exchange has an outcome": sum(turns["outcomes"].values()) == turns["started"],
        }
    )


if __name__ == "__main__":
    sys.exit(main())
