"""One real Locust master of astrometer, fed by simulated workers -> what it takes and what is lost.

    python bench/master.py --workers 50 --workers 200
    python bench/master.py --workers 200 --streams 400 --events 1000    # answers of 40 s

Each worker has `--streams` chats under way (200: half of what one process measures well, see
`astrometer calibrate`), each an answer of about `--events` pieces 40 ms apart, and uploads, look-ups and
pushes beside them. The master is on core 0, all workers in one process on core 1. *Late*: from just before a
report is packed and sent until it is merged; both processes are on one machine, so they have one clock.
Prints a table in Markdown. *Others / host took*: so much of the machine; then the lateness is
theirs, too.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from programs import bench_parser
from quiet import Disturbance, Watch

from astrometer.targets.sandbox.server_process import free_port

HERE = Path(__file__).resolve().parent
MASTER_CPU, WORKERS_CPU = 0, 1
MIB = 1024 * 1024
RAMP_S = 2.0
GAP_S, TTFT_S = 0.04, 0.8  # of the simulated answers
USERS = 10  # of each worker; they are only names to the master


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One run. `feeder`: what the workers said, `notes`: the master's, `rss`: (when, bytes) of the master."""

    workers: int
    settled_s: float  # after the last user: answers come back as fast as chats begin
    feeder: dict[str, Any]
    notes: dict[str, Any]
    results: dict[str, Any]
    rss: list[tuple[float, int]]
    log: str
    disturbance: Disturbance

    def row(self) -> dict[str, str]:
        points, reports = self.notes["points"], self.notes["reports"]
        from_s, to_s = points["spawned"][0] + self.settled_s, points["stopping"][0]
        steady = [item for item in reports if from_s <= item[1] < to_s]
        late_s = sorted(merged - sent for sent, merged, _, _ in steady)
        final_s = max((merged - points["stopping"][0] for _, merged, _, final in reports if final), default=0)
        cpu_s = steady[-1][2] - steady[0][2]
        took_s = steady[-1][1] - steady[0][1]
        percentiles = statistics.quantiles(late_s, n=100)
        lost = self.feeder["exchanges"] - self.results["turns"]["started"]
        return {
            "workers": f"{self.workers}",
            "report, KiB: p50 / max": " / ".join(
                f"{self.feeder['report_bytes'][name] / 1024:.0f}" for name in ("p50", "max")
            ),
            "reports/s": f"{(len(steady) - 1) / took_s:.0f}",
            "CPU of its core": f"{cpu_s / took_s:.0%}",
            "CPU, ms a report": f"{cpu_s / (len(steady) - 1) * 1e3:.1f}",
            "workers at a full core": f"{self.workers * took_s / cpu_s:.0f}",
            "late, ms: p50 / p99 / max": " / ".join(
                f"{value * 1e3:.0f}" for value in (percentiles[49], percentiles[98], late_s[-1])
            ),
            "last reports merged after": f"{final_s:.1f} s",
            "RSS, MiB: begin / end / most": " / ".join(
                f"{value / MIB:.0f}"
                for value in (
                    self._rss_at(points["began"][0]),
                    self._rss_at(points["stopping"][0]),
                    max(size for _, size in self.rss),
                )
            ),
            "reports lost": f"{self.feeder['reports'] - len(reports)} of {self.feeder['reports']:,}",
            "exchanges lost": f"{lost} of {self.feeder['exchanges']:,}",
            "workers missing at times / lost": f"{self.log.count('failed to send heartbeat')} / "
            f"{self.results['generator']['lost_workers']}",
            "others / host took": f"{self.disturbance.foreign or 0:.0%} / {self.disturbance.steal or 0:.0%}",
        }

    def _rss_at(self, t: float) -> int:
        return min(self.rss, key=lambda sample: abs(sample[0] - t))[1]


def main() -> None:
    parser = bench_parser(__doc__)
    parser.add_argument("--workers", type=int, action="append", metavar="N")
    parser.add_argument("--seconds", type=int, default=25, help="measured, when the load has settled")
    parser.add_argument("--streams", type=int, default=200, help="chats under way in each worker")
    parser.add_argument("--events", type=int, default=150, help="pieces of an answer, 40 ms apart")
    options = parser.parse_args()
    heading = True
    for workers in options.workers or (50, 200):
        measured = measure(workers, options)
        row = measured.row()
        if heading:
            print(f"| {' | '.join(row)} |\n|{'--:|' * len(row)}")
            heading = False
        print(f"| {' | '.join(row.values())} |", flush=True)
        causes = [cause["sentence"] for cause in measured.results["causes"]]
        print(f"{workers} workers: {measured.disturbance}; causes {causes}", file=sys.stderr, flush=True)


def measure(workers: int, options: argparse.Namespace) -> Measured:
    with tempfile.TemporaryDirectory(prefix="astrometer-master-") as text:
        folder, port, watch = Path(text), str(free_port()), Watch.begin()
        settled_s = 1.5 * (GAP_S * options.events + TTFT_S)
        seconds = str(round(RAMP_S + settled_s + options.seconds))
        feeder = subprocess.Popen(
            [
                *(sys.executable, str(HERE / "simulated_workers.py"), "--port", port),
                *("--workers", str(workers), "--seconds", seconds),
                *("--streams", str(options.streams), "--events", str(options.events)),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        psutil.Process(feeder.pid).cpu_affinity([WORKERS_CPU])
        master = subprocess.Popen(
            [
                *(sys.executable, "-m", "locust", "-f", str(HERE / "master_locustfile.py"), "--master"),
                *("--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--headless"),
                *("--expect-workers", str(workers), "--host", "http://127.0.0.1:9", "--only-summary"),
                *("-u", str(workers * USERS), "-r", str(workers * USERS / RAMP_S)),
                *("-t", f"{seconds}s", "--warmup", "5s", "--stop-timeout", "30"),
                *("--slo", "ttft_p95 < 5s", "--astrometer-out", str(folder / "out")),
                *("--logfile", str(folder / "log")),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "BENCH_MASTER_NOTES": str(folder / "notes.json")},
        )
        psutil.Process(master.pid).cpu_affinity([MASTER_CPU])
        rss: list[tuple[float, int]] = []
        follower = threading.Thread(target=follow, args=(master, rss))
        follower.start()
        try:
            master.wait()
            told, _ = feeder.communicate(timeout=30)
        finally:
            for process in (master, feeder):
                process.kill()
                process.wait()
            follower.join()
        return Measured(
            workers=workers,
            settled_s=settled_s,
            feeder=json.loads(told),
            notes=json.loads((folder / "notes.json").read_bytes()),
            results=json.loads((folder / "out" / "results.json").read_bytes()),
            rss=rss,
            log=(folder / "log").read_text(),
            disturbance=watch.end(),
        )


def follow(master: subprocess.Popen[bytes], rss: list[tuple[float, int]]) -> None:
    """Note its resident memory until it ends."""
    watched = psutil.Process(master.pid)
    while master.poll() is None:
        rss.append((time.perf_counter(), watched.memory_info().rss))
        time.sleep(0.25)


if __name__ == "__main__":
    main()
