"""Series and runs with known levels -> how often `astrometer history` tells a change: false alarms and hits.

    python bench/history.py series --repeats 2000      # numbers with known noise, one metric
    python bench/history.py pages --repeats 100        # whole pages of synthetic runs, all metrics together
    python bench/history.py simulator DIR --repeats 3  # nine versions, two known changes, real Locust runs
    python bench/history.py runs DIR                   # the runs of `bench/compare.py simulator --out DIR`

`series` looks at the search alone, at the chance that a metric has on a page of ten. `pages` is what a reader
sees: also `compare` must call the runs after a step better or worse. `simulator` gives its versions what
AstrBot's had: 50 ms more between chunks up to 4.26.5, and failing turns up to 4.26.8.
"""

import math
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from programs import bench_parser
from short_run import is_valid, run_until_valid, short_run
from short_run import simulator as simulated

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "helpers"))
from synthetic_runs import make_run

from astrometer.compare.comparable import ComparedRun
from astrometer.history.change_points import change_points
from astrometer.history.found_runs import FoundRuns, found_below
from astrometer.history.run_groups import Order
from astrometer.history.run_history import CHANCE, history_of
from astrometer.measure.results import document

LENGTHS = (9, 27, 60)
METRICS = 10  # of a usual page
STEPS = (3, 5, 8)  # in standard deviations
VERSIONS = ("4.18.0", "4.23.6", "4.25.6", "4.26.5", "4.26.6", "4.26.8", "4.27.3", "4.28.2", "4.29.3")
PACED, FAILING = VERSIONS[:4], VERSIONS[:6]
Draw = Callable[[int], np.ndarray]


def noises(rng: np.random.Generator) -> dict[str, Draw]:
    def resembling(runs: int, share: float) -> np.ndarray:
        series = rng.standard_normal(runs)
        for at in range(1, runs):
            series[at] += share * series[at - 1]
        return series

    return {
        "normal": rng.standard_normal,
        "long tails (t, 3 degrees)": lambda runs: rng.standard_t(3, runs),
        "skewed (lognormal, sigma 0.5)": lambda runs: np.exp(rng.standard_normal(runs) / 2),
        "like the one before (0.3)": lambda runs: resembling(runs, 0.3),
        "like the one before (0.6)": lambda runs: resembling(runs, 0.6),
    }


def series(repeats: int) -> None:
    chance = CHANCE / METRICS
    print(f"\nchance of a series: {chance:.1%}; {repeats} series each\n")
    print(
        "| runs | noise | false alarms | " + " | ".join(f"step of {step} sd found" for step in STEPS) + " |"
    )
    print("|--:|---|--:|" + "--:|" * len(STEPS))
    for runs in LENGTHS:
        for name, draw in noises(np.random.default_rng(1)).items():
            alarms = sum(bool(found(draw(runs), chance)) for _ in range(repeats))
            hits = [hit_share(draw, runs, step, chance, repeats // 4) for step in STEPS]
            cells = " | ".join(f"{share:.0%}" for share in hits)
            print(f"| {runs} | {name} | {alarms / repeats:.1%} | {cells} |", flush=True)


def found(values: np.ndarray, chance: float) -> Sequence[int]:
    return change_points(list(values), range(len(values)), least_variance=0.0, chance=chance)


def hit_share(draw: Draw, runs: int, step: float, chance: float, repeats: int) -> float:
    """How often the step in the middle is found within one run of its place, and nothing else is."""
    spread = np.std(np.concatenate([draw(runs) for _ in range(50)]))
    hits = 0
    for _ in range(repeats):
        values = draw(runs)
        values[runs // 2 :] += step * spread
        places = found(values, chance)
        hits += len(places) == 1 and abs(places[0] - runs // 2) <= 1
    return hits / repeats


def pages(repeats: int) -> None:
    print(f"\n{repeats} pages each, 24 runs of 300 chats; in the second half TTFT is longer by the step\n")
    print("| runs differ by (sd) | step | pages with a change of TTFT | with any change elsewhere |")
    print("|--:|--:|--:|--:|")
    for noise in (0.01, 0.03, 0.1):
        for step in (0.0, 0.15):
            rng = random.Random(f"{noise} {step}")
            right, wrong = 0, 0
            for _ in range(repeats):
                told = told_by(
                    run_of(rng, number, noise, step if number >= 12 else 0.0) for number in range(24)
                )
                # TTFT is a part of e2e.
                places = {at for name, at in told if name.startswith(("ttft", "e2e"))}
                is_right = any(abs(at - 12) <= 1 for at in places) if step else bool(places)
                right += is_right
                wrong += any(
                    not (step and name.startswith(("ttft", "e2e")) and abs(at - 12) <= 1) for name, at in told
                )
            print(
                f"| {noise:.0%} | {step:+.0%} | {right / repeats:.0%} | {wrong / repeats:.0%} |", flush=True
            )


def run_of(rng: random.Random, number: int, noise: float, step: float) -> ComparedRun:
    ttft_s = 0.3 * (1 + step) * math.exp(rng.gauss(0, noise))
    return make_run(f"{number:03}", seed=number, ttft_s=ttft_s, failures=rng.choice((0, 1, 2, 3)))


def told_by(runs: Iterable[ComparedRun], order: Order = Order.TIME) -> list[tuple[str, Any]]:
    """Each metric that changed, and at which run or version."""
    group = history_of(FoundRuns(runs=tuple(runs), left_out=()), order).groups[0]
    points = group.group.points
    return [
        (item.name, change.at if order is Order.TIME else points[change.at].version)
        for item, change in group.changes
    ]


def simulator(folder: Path, repeats: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with simulated() as (url, key):
        for number in range(repeats):
            for version in VERSIONS if number % 2 == 0 else VERSIONS[::-1]:
                out = folder / version / str(number)
                if not is_valid(out):
                    plan = short_run(url, out, key=key).with_given(version=version)
                    gap, fails = "0.07" if version in PACED else "0.02", "0.15" if version in FAILING else "0"
                    model = {"BENCH_TTFT": "0.3", "BENCH_GAP": gap, "BENCH_TOKENS": "6"}
                    run_until_valid(plan, {**model, "BENCH_FAILS": fails})
                print(f"{version} {number}: {document.read(out)['verdict']}", file=sys.stderr, flush=True)
    found_runs = found_below(folder)
    print(f"{len(found_runs.runs)} runs, {len(found_runs.left_out)} left out")
    for name, version in told_by(found_runs.runs, Order.VERSION):
        print(f"{name} changed with {version}")


def of_runs(folder: Path) -> None:
    """The same runs with and without the slower ones at the end."""
    kept = {run.name: run for run in found_below(folder).runs}
    alike = [run for name, run in kept.items() if not name.endswith("slow")]
    slower = [run for name, run in kept.items() if name.endswith("slow")]
    print(f"{len(alike)} runs of one kind: {told_by(renumbered(alike)) or 'no change'}")
    print(f"and then {len(slower)} slower ones: {told_by(renumbered([*alike, *slower])) or 'no change'}")


def renumbered(runs: Iterable[ComparedRun]) -> Iterator[ComparedRun]:
    """In this order, whenever they ran."""
    for number, run in enumerate(runs):
        start = f"2026-01-01T00:{number // 60:02}:{number % 60:02}+00:00"
        results = {**run.results, "window": {**run.results["window"], "start": start}}
        yield ComparedRun(name=run.name, results=results)


def main() -> None:
    parser = bench_parser(__doc__)
    parser.add_argument("what", choices=["series", "pages", "simulator", "runs"])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--repeats", type=int, default=200)
    asked = parser.parse_args()
    if asked.what == "runs":
        of_runs(asked.folder)
    elif asked.what == "simulator":
        simulator(asked.folder, asked.repeats)
    else:
        {"series": series, "pages": pages}[asked.what](asked.repeats)


if __name__ == "__main__":
    main()
