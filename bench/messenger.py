"""1,000 people on one connection under Locust: what a message costs, and how true its times are.

    python bench/messenger.py                                 # the checks, with PASS or FAIL
    python bench/messenger.py --users 1000 --pace 2 --seconds 60 --out messenger.json

A OneBot adapter that answers each question after 0.4 s (bench/golden_adapter.py) is on core 1, Locust with
`MessengerUser` on core 0. Each side has stamps of its own, in one clock. A *message* is a question or an
answer; the acknowledgement of an answer is part of it. CPU is all that the load process used, Locust and its
users included.

*arrival*: from when the adapter wrote an answer until astrometer says that it arrived (kernel stamp).
*sending*: from when astrometer says that it sent until the adapter read it. *reply time*: astrometer's first
reply minus the adapter's own time from question to answer: both ways on the loopback, and whatever either
side is late.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from programs import bench_parser, ended, first_line, verdict
from quiet import Watch

from astrometer.targets.golden.golden_process import pin

HERE = Path(__file__).resolve().parent
MIB = 1024 * 1024
MOST_CPU_US, MOST_RSS_MIB, MOST_ERROR_MS = 60.0, 120.0, 1.0
USERS = 1000  # whom the limit of the memory is for


def main() -> int:
    parser = bench_parser(__doc__)
    parser.add_argument("--users", type=int, default=USERS)
    parser.add_argument("--pace", type=float, default=2.0, help="seconds between two questions of one person")
    parser.add_argument("--delay", type=float, default=0.4, help="seconds from question to answer")
    parser.add_argument("--seconds", type=int, default=40, help="measured, once all have begun")
    parser.add_argument("--out", type=Path, help="file for the figures (JSON)")
    options = parser.parse_args()
    found = measure(options)
    print(json.dumps(found, indent=1))
    if options.out is not None:
        options.out.write_text(json.dumps(found, indent=1) + "\n")
    return verdict(
        {
            f"all of {found['started']:,} questions are accounted for": found["all_accounted"],
            f"under {MOST_CPU_US:g} us CPU a message": found["cpu_us_per_message"] < MOST_CPU_US,
            f"at most {MOST_RSS_MIB:g} MiB resident": found["rss_mib"] <= MOST_RSS_MIB,
            f"the reply time is true to {MOST_ERROR_MS:g} ms at p50": abs(found["reply_time_ms"]["p50"])
            <= MOST_ERROR_MS,
            f"the arrival is true to {MOST_ERROR_MS:g} ms at p50": abs(found["arrival_ms"]["p50"])
            <= MOST_ERROR_MS,
        }
    )


def measure(options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="astrometer-messenger-") as text:
        folder, watch = Path(text), Watch.begin()
        stamps = folder / "stamps.json"
        adapter = [sys.executable, str(HERE / "golden_adapter.py")]
        words = ["--delay", str(options.delay), "--stamps", str(stamps)]
        with ended(subprocess.Popen([*adapter, *words], stdout=subprocess.PIPE, text=True)) as process:
            pin(process.pid, [1])
            locust(options, first_line(process).strip(), folder)
        golden = json.loads(stamps.read_text())
        notes = json.loads((folder / "notes.json").read_text())
        results = json.loads((folder / "results.json").read_text())
        return {**figures(golden, notes, results, options.pace), "disturbance": str(watch.end())}


def locust(options: argparse.Namespace, address: str, folder: Path) -> None:
    spawn = max(1, options.users // 4)
    command = [
        *(sys.executable, "-m", "locust", "-f", str(HERE / "messenger_locustfile.py"), "--headless"),
        *("--host", "http://127.0.0.1:9", "--messenger", address, "--reply-quiet", "0s", "--only-summary"),
        *("-u", str(options.users), "-r", str(spawn), "-t", f"{options.seconds + 6 + round(options.pace)}s"),
        *("--astrometer-out", str(folder), "--stop-timeout", "10"),
    ]
    environment = {
        **os.environ,
        "ASTRBOT_API_KEY": "nobody-is-asked",
        "ASTROMETER_BENCH_NOTES": str(folder / "notes.json"),
        "ASTROMETER_BENCH_PACE": str(options.pace),
    }
    with (folder / "locust.txt").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        pin(process.pid, [0])
        if process.wait() != 0:
            sys.exit((folder / "locust.txt").read_text()[-3000:])


def figures(
    golden: dict[str, Any], notes: dict[str, Any], results: dict[str, Any], pace_s: float
) -> dict[str, Any]:
    told = {int(number): pair for number, pair in golden["stamps"].items()}
    # When the last one has begun and everybody has asked once.
    settled = notes["points"][0][0] + pace_s + 1
    points = [point for point in notes["points"] if point[0] >= settled]
    (t0, cpu0, n0, _), (t1, cpu1, n1, _) = points[0], points[-1]
    pairs = [
        (t_send, t_first, *told[number])
        for number, t_send, t_first, outcome in notes["turns"]
        if outcome == "ok" and t0 <= t_send <= t1
    ]
    turns = results["turns"]
    ok = turns["outcomes"].get("ok", 0)
    return {
        "users": results["users"],
        "started": turns["started"],
        "outcomes": turns["outcomes"],
        "all_accounted": sum(turns["outcomes"].values())
        == turns["started"]
        == len(told)
        == golden["acknowledged"]
        == ok,
        "questions_per_s": (n1 - n0) / (t1 - t0),
        "cpu_of_a_core": (cpu1 - cpu0) / (t1 - t0),
        "cpu_us_per_message": (cpu1 - cpu0) / (2 * (n1 - n0)) * 1e6,
        "rss_mib": max(rss for *_, rss in points) / MIB,
        "reply_time_ms": spread(
            t_first - t_send - (t_left - t_came) for t_send, t_first, t_came, t_left in pairs
        ),
        "arrival_ms": spread(t_first - t_left for _, t_first, _, t_left in pairs),
        "sending_ms": spread(t_came - t_send for t_send, _, t_came, _ in pairs),
        "causes": [cause["sentence"] for cause in results["causes"]],
    }


def spread(seconds: Any) -> dict[str, float]:
    values = sorted(value * 1e3 for value in seconds)
    percentiles = statistics.quantiles(values, n=100)
    return {"p50": percentiles[49], "p99": percentiles[98], "max": values[-1], "n": len(values)}


if __name__ == "__main__":
    sys.exit(main())
