"""Known differences -> how often `compare` calls them by their name: false alarms and misses.

    python bench/compare.py synthetic --repeats 300            # histograms drawn from known distributions
    python bench/compare.py simulator --repeats 20             # real Locust runs on the simulator

    python bench/compare.py simulator --repeats 0 --out DIR    # the runs of an earlier one, compared again

`simulator` makes three runs a repeat: a baseline, one that is the same, one whose model is 15 % slower. Each
pair is compared, and then the same runs again three by three, pooled by run.
"""

import argparse
import math
import os
import random
import secrets
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import fmean

from astrometer.compare.bootstrap import Ecdf, Sample, log_change
from astrometer.compare.change_verdict import ChangeRow, judged
from astrometer.compare.comparable import ComparedRun
from astrometer.compare.comparison import MARGIN, compare
from astrometer.measure.histogram import Histogram
from astrometer.measure.results import document
from astrometer.measure.wilson import Interval

SLOWER = 0.15
SECONDS = 7.0
USERS = 20
TRIES = 3
LOCUSTFILE = """
import os
import random

from locust import constant, task

from astrometer.load.users import ChatUser

FACTOR = float(os.environ["BENCH_FACTOR"])
RANDOM = random.Random(os.environ["BENCH_SEED"])


class Chatter(ChatUser):
    scenario = "chat"
    wait_time = constant(0.1)

    @task
    def ask_one_thing(self):
        ttft_s = 0.6 * FACTOR * RANDOM.lognormvariate(0, 0.08)
        self.ask(f"{self.prompt()} [[ttft={ttft_s:.4f} gap=0.02 tokens=3]]")
"""


def synthetic(repeats, *, runs, samples, jitter, noise, seed):
    """`noise`: how much whole runs differ, as a standard deviation; `jitter`: samples of one run."""
    rng = random.Random(seed)
    found = {}
    for change in (0.0, SLOWER):
        verdicts, covered, widths = Counter(), 0, []
        for _ in range(repeats):
            sides = [
                [_sample(rng, factor, samples, jitter, noise) for _ in range(runs)]
                for factor in (1, 1 + change)
            ]
            rows = []
            for percent in (50, 95):
                value, belief = log_change(*sides, percent, rng)
                low, high = belief.quantile(0.025), belief.quantile(0.975)
                covered += low <= math.log1p(change) <= high
                widths.append((high - low) / 2)
                rows.append(_row(percent, value, belief))
            verdicts.update(f"p{row.percent} {row.verdict}" for row in judged(rows))
        found[change] = verdicts
        told = "  ".join(
            f"p{percent}: "
            + ", ".join(f"{name} {verdicts[f'p{percent} {name}'] / repeats:.0%}" for name in NAMES)
            for percent in (50, 95)
        )
        print(
            f"| {runs} | {samples} | {noise:.0%} | {change:+.0%} | {told} | {covered / repeats / 2:.1%} "
            f"| ±{fmean(widths):.1%} |"
        )
    return found


REPORTED = ("ttft_p50", "ttft_p95", "e2e_p50")
NAMES = ("worse", "better", "same", "cannot tell")


def _sample(rng, factor, samples, jitter, noise):
    run = 0.3 * factor * math.exp(rng.gauss(0, noise))
    return Sample(
        ecdf=Ecdf(Histogram(run * rng.lognormvariate(0, jitter) for _ in range(samples))), n=samples
    )


def _row(percent, value, belief):
    low, high = (math.expm1(belief.quantile(share)) for share in (0.025, 0.975))
    return ChangeRow(
        scope="all", metric="ttft", percent=percent, base=0.3, cand=0.3, base_n=1, cand_n=1, base_runs=(),
        cand_runs=(), margin=MARGIN, change=math.expm1(value), interval=Interval(low, high), belief=belief,
    )  # fmt: skip


def simulator(repeats, out):
    from astrometer.targets.serving import serve
    from astrometer.targets.simulator.simulator_app import Simulator
    from astrometer.targets.simulator.simulator_config import SimulatorConfig

    locustfile = out / "bench_chat.py"
    locustfile.write_text(LOCUSTFILE)
    kinds = {"base": 1.0, "same": 1.0, "slow": 1.0 + SLOWER}
    began = time.monotonic()
    app = Simulator(SimulatorConfig())
    with serve(app) as url:
        for number in range(repeats):
            # In an order of its own each time: what drifts meets all three alike.
            for kind in random.Random(number).sample(sorted(kinds), 3):
                directory = out / f"{number:03}-{kind}"
                for _ in range(TRIES):  # as `astrometer release` does with a run that is INVALID
                    _load(locustfile, url, app.config.keys["all"].secret, kinds[kind], directory)
                    if document.read(directory)["verdict"] != "INVALID":
                        break
            print(f"repeat {number + 1} of {repeats}, {time.monotonic() - began:.0f} s", flush=True)
    kept = {
        kind: [
            ComparedRun(name=path.name, results=document.read(path)) for path in sorted(out.glob(f"*-{kind}"))
        ]
        for kind in kinds
    }
    runs = [run for side in kept.values() for run in side]
    invalid = sum(run.results["verdict"] == "INVALID" for run in runs)
    print(f"{len(runs)} runs, {invalid} INVALID, which are refused")
    report(kept)


def report(kept):
    repeats = min(len(side) for side in kept.values())
    for size in (1, 3):
        for kind in ("same", "slow"):
            verdicts, changes, refused = Counter(), [], 0
            for start in range(0, repeats - size + 1, size):
                compared = compare(kept["base"][start : start + size], kept[kind][start : start + size])
                row = compared.row("all", "ttft_p50")
                if compared.comparability.reasons or row is None or row.change is None:
                    refused += 1
                    continue
                changes.append(row.change)
                for name in REPORTED:
                    verdicts[name, compared.row("all", name).verdict.value] += 1
                for word in ("worse", "better"):
                    verdicts["any", word] += any(row.verdict == word for row in compared.rows)
            print(f"\n{size} run(s) a side, {kind}: {len(changes)} comparisons, {refused} refused")
            if changes:
                print(f"  ttft_p50 changed by {min(changes):+.1%} to {max(changes):+.1%}")
            for name in REPORTED:
                print(f"  {name}: " + ", ".join(f"{word} {verdicts[name, word]}" for word in NAMES))
            print(f"  any metric worse {verdicts['any', 'worse']}, better {verdicts['any', 'better']}")


def _load(locustfile, url, key, factor, directory):
    from astrometer.config import loader
    from astrometer.load import launch

    plan = launch.LoadPlan(
        locustfile=locustfile, target=loader.target_from_options(url, {"ASTRBOT_API_KEY": key}), users=USERS,
        spawn_rate=USERS, given={"warmup_s": "1s"}, duration_s=SECONDS, stop_timeout_s=5, processes=None,
        out=directory, web_port=None,
    )  # fmt: skip
    environ = {**os.environ, "BENCH_FACTOR": str(factor), "BENCH_SEED": secrets.token_hex(4)}
    launch.run(plan, environ)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=("synthetic", "simulator"))
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="keep the runs here")
    options = parser.parse_args()
    if options.kind == "synthetic":
        print(
            "| runs a side | samples a run | runs differ by (sd) | true change | verdicts "
            "| truth in the 95 % interval | its half-width |"
        )
        print("|--:|--:|--:|--:|---|--:|--:|")
        for runs, noise in ((1, 0.0), (1, 0.02), (3, 0.0), (3, 0.02), (5, 0.02), (5, 0.05)):
            synthetic(options.repeats, runs=runs, samples=300, jitter=0.1, noise=noise, seed=options.seed)
        return
    with tempfile.TemporaryDirectory() as folder:
        out = options.out or Path(folder)
        out.mkdir(parents=True, exist_ok=True)
        simulator(options.repeats, out)


if __name__ == "__main__":
    main()
