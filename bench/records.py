"""One load process on the simulator, with records and without in turns -> what a record costs of an exchange.

    python bench/records.py [--exchanges 1000000] [--file r.jsonl.gz] [--users 30] [--tokens 20] [--period 4]

One run of one process. Its CPU time per exchange is known in two ways. Directly: what is spent in making and
handing over the lines, without the clock's own time. And from outside: for four seconds its exchanges are
recorded, for eight not, for four they are; the ratio has an interval from these rounds (bootstrap), wide on
a machine that others use. PASS: directly below 3 % of an exchange, the ratio does not say otherwise, and
each record is a whole line.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from programs import bench_parser, served, verdict

from astrometer.measure.records.record_files import read_rows

HERE = Path(__file__).resolve().parent
SIMULATOR = ("sim", "--rate-limit", "off", "--ttft", "5ms", "--gap", "1ms")
LIMIT = 1.03
Four = list[tuple[bool, float, int]]  # periods: with records, CPU seconds, exchanges


def main() -> int:
    parser = bench_parser(__doc__)
    parser.add_argument("--exchanges", type=int, default=1_000_000)
    parser.add_argument("--period", type=float, default=4.0, help="seconds of each turn")
    parser.add_argument("--file", default="r.jsonl.gz", help="its end says how it is kept")
    parser.add_argument("--users", type=int, default=30)
    parser.add_argument("--tokens", type=int, default=20, help="pieces of each answer")
    options = parser.parse_args()
    simulator = served(*SIMULATOR, "--tokens", str(options.tokens))
    with simulator as facts, tempfile.TemporaryDirectory(prefix="astrometer-records-") as text:
        folder = Path(text)
        notes, results = measure(options, facts, folder)
        file = folder / options.file
        lines, size = sum(1 for _ in read_rows(file)), file.stat().st_size
    periods = notes["periods"]
    rounds = [periods[at : at + 4] for at in range(0, len(periods), 4)]
    cost = {kept: us_each(rounds, kept) for kept in (True, False)}
    low, high = interval(rounds)
    counted = sum(count for _, _, count in periods)
    print(
        f"{counted:,} exchanges of {options.tokens} pieces, {options.file}: "
        f"{cost[True]:.0f} us of CPU each with records, {cost[False]:.0f} us without: "
        f"ratio {cost[True] / cost[False]:.3f} (95 %: {low:.3f} to {high:.3f}, {len(rounds)} rounds); "
        f"{size / lines:.0f} bytes a line"
    )
    told = results["records"]
    recorded = sum(count for kept, _, count in periods if kept)
    direct = notes["spent_s"] / recorded * 1e6 / cost[False]
    print(
        f"directly: {notes['spent_s'] / recorded * 1e6:.0f} us for each record, {direct:.1%} of an exchange"
    )
    return verdict(
        {
            f"directly below {LIMIT - 1:.0%}": direct < LIMIT - 1,
            f"by the ratio not shown to be above {LIMIT}": low < LIMIT,
            f"{lines:,} whole lines, as many as were recorded": lines == told["lines"] and not told["lost"],
        }
    )


def measure(
    options: argparse.Namespace, facts: dict[str, Any], folder: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    notes = folder / "notes.json"
    command = [
        *(sys.executable, "-m", "locust", "-f", str(HERE / "records_locustfile.py"), "--host", facts["url"]),
        *("--headless", "--users", str(options.users), "--spawn-rate", "100", "--only-summary"),
        *("--whole-answer-percent", "0", "--records", str(folder / options.file)),
        *("--astrometer-out", str(folder), "--slo", "none"),
    ]
    environment = {
        **os.environ,
        "ASTRBOT_API_KEY": facts["keys"]["all"],
        "ASTROMETER_BENCH_NOTES": str(notes),
        "ASTROMETER_BENCH_EXCHANGES": str(options.exchanges),
        "ASTROMETER_BENCH_PERIOD": str(options.period),
    }
    subprocess.run(
        command, env=environment, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return json.loads(notes.read_bytes()), json.loads((folder / "results.json").read_bytes())


def us_each(rounds: list[Four], kept: bool) -> float:
    mine = [period for four in rounds for period in four if period[0] is kept]
    return sum(cpu_s for _, cpu_s, _ in mine) / max(1, sum(count for _, _, count in mine)) * 1e6


def interval(rounds: list[Four]) -> tuple[float, float]:
    """Of the ratio, by drawing rounds anew."""
    chance = random.Random(1)
    drawn = [chance.choices(rounds, k=len(rounds)) for _ in range(2000)]
    ratios = sorted(us_each(some, True) / us_each(some, False) for some in drawn)
    edges = statistics.quantiles(ratios, n=40)
    return edges[0], edges[-1]


if __name__ == "__main__":
    sys.exit(main())
