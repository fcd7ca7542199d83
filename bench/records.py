"""One load process on the simulator, with records and without in turns -> what a record costs of an exchange.

    python bench/records.py [--exchanges 1000000] [--file r.jsonl.gz] [--users 30] [--tokens 20]

One run of one process: for four seconds its exchanges are recorded, for eight not, for four they are. The
ratio of the CPU time per exchange has an interval from the rounds (bootstrap). PASS: its upper end is below
1.03, and the file has a whole line for each exchange that was recorded.
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

from programs import astrometer, verdict

from astrometer.measure.records.record_files import read_rows

HERE = Path(__file__).resolve().parent
SIMULATOR = ("sim", "--json", "--rate-limit", "off", "--ttft", "5ms", "--gap", "1ms")
LIMIT = 1.03


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--exchanges", type=int, default=1_000_000)
    parser.add_argument("--file", default="r.jsonl.gz", help="its end says how it is kept")
    parser.add_argument("--users", type=int, default=30)
    parser.add_argument("--tokens", type=int, default=20, help="pieces of each answer")
    options = parser.parse_args()
    simulator = astrometer(*SIMULATOR, "--tokens", str(options.tokens), stdout=subprocess.PIPE)
    with simulator as process, tempfile.TemporaryDirectory(prefix="astrometer-records-") as text:
        folder = Path(text)
        periods, results = measure(options, json.loads(process.stdout.readline()), folder)
        file = folder / options.file
        lines, size = sum(1 for _ in read_rows(file)), file.stat().st_size
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
    return verdict(
        {
            f"below {LIMIT}": high < LIMIT,
            f"{lines:,} whole lines, as many as were recorded": lines == told["lines"] and not told["lost"],
        }
    )


def measure(options: argparse.Namespace, facts: dict, folder: Path) -> tuple[list, dict]:
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
    }
    subprocess.run(
        command, env=environment, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return json.loads(notes.read_bytes()), json.loads((folder / "results.json").read_bytes())


def us_each(rounds: list, kept: bool) -> float:
    mine = [period for four in rounds for period in four if period[0] is kept]
    return sum(cpu_s for _, cpu_s, _ in mine) / sum(count for _, _, count in mine) * 1e6


def interval(rounds: list) -> tuple[float, float]:
    """Of the ratio, by drawing rounds anew."""
    chance = random.Random(1)
    drawn = [chance.choices(rounds, k=len(rounds)) for _ in range(2000)]
    ratios = sorted(us_each(some, True) / us_each(some, False) for some in drawn)
    edges = statistics.quantiles(ratios, n=40)
    return edges[0], edges[-1]


if __name__ == "__main__":
    sys.exit(main())
