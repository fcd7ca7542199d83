"""Steady runs and drifting ones -> how many are called DRIFTING.

    python bench/drift.py [RESULTS_DIR ...] [--runs 500] [--parts 54]

Steady: series whose neighbours are correlated by 0 to 0.8, and real ones: of each results file the medians
of its steps, without trend, drawn anew in blocks of eight neighbours (moving blocks bootstrap), so that they
keep their autocorrelation. Drifting: the same real noise with a rise of 2 % a minute. Each series is judged
as one of the three metrics of a chat run are: chance 1 % for all, and 10 % of change that matters.
"""

import json
import random
import statistics
from pathlib import Path

from programs import bench_parser

from astrometer.measure.slo.drift import BY_CHANCE, LEAST_CHANGE
from astrometer.measure.steadiness import inflation, shift, trend
from astrometer.measure.tally.histogram import Histogram

METRICS = 3  # TTFT, e2e, failures
BLOCK = 8
RISE_PER_MINUTE = 0.02


def main() -> None:
    parser = bench_parser(__doc__)
    parser.add_argument("results", type=Path, nargs="*", help="of steady runs")
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--parts", type=int, default=54)
    options = parser.parse_args()
    chance = random.Random(1)
    for r in (0.0, 0.3, 0.5, 0.8):
        for noise in (0.03, 0.10):
            made = [alike(options.parts, r, noise, chance) for _ in range(options.runs)]
            say(f"made, r {r:g}, noise {noise:.0%}", made)
    for place in options.results:
        rest, part_s, r = residuals(place)
        drawn = [blocks(rest, options.parts, chance) for _ in range(options.runs)]
        say(f"{place.name}, n/n* {r:.1f}, parts of {part_s:g} s", drawn)
        rise = RISE_PER_MINUTE * part_s / 60
        rising = [[v * (1 + rise * at) for at, v in enumerate(series)] for series in drawn]
        say(f"{place.name}, rising 2 % a minute for {options.parts * part_s / 60:.0f} min", rising)


def say(what: str, runs: list[list[float]]) -> None:
    only = sum(significant(values) for values in runs)
    both = sum(drifts(values) for values in runs)
    print(f"{what}: DRIFTING {both / len(runs):.1%}; by the tests alone {only / len(runs):.1%}", flush=True)


def significant(values: list[float]) -> bool:
    limit = BY_CHANCE / (2 * METRICS)
    return trend(values).chance < limit or shift(values).chance < limit


def drifts(values: list[float]) -> bool:
    limit = BY_CHANCE / (2 * METRICS)
    line, level = trend(values), shift(values)
    rise = abs(line.slope * (len(values) - 1)) >= LEAST_CHANGE * line.begin
    step = abs(level.after - level.before) >= LEAST_CHANGE * level.before
    return (line.chance < limit and rise) or (level.chance < limit and step)


def alike(n: int, r: float, noise: float, chance: random.Random) -> list[float]:
    value, found = chance.gauss(0, 1), []
    for _ in range(n):
        value = r * value + (1 - r * r) ** 0.5 * chance.gauss(0, 1)
        found.append(1 + noise * value)
    return found


def residuals(place: Path) -> tuple[list[float], float, float]:
    """Of a run: its medians around 1, how long each part is, and n/n*. Two steps are a part."""
    told = json.loads((place / "results.json").read_bytes())
    window, timeline = told["window"], told["timeline"]
    inside = [
        Histogram.decode(step["metrics"]["ttft"]["histogram"])
        for step in timeline["steps"]
        if window["excluded_s"] <= step["t_s"] and "ttft" in step["metrics"]
    ][:-1]
    values = []
    for first in range(0, len(inside) - 1, 2):
        whole = Histogram()
        whole.merge(inside[first])
        whole.merge(inside[first + 1])
        if (middle_s := whole.percentile(50)) is not None:
            values.append(middle_s)
    line = trend(values)
    rest = [value - line.slope * at for at, value in enumerate(values)]
    middle = statistics.median(rest)
    return [value / middle for value in rest], 2 * timeline["step_s"], inflation(rest)


def blocks(values: list[float], n: int, chance: random.Random) -> list[float]:
    found: list[float] = []
    while len(found) < n:
        first = chance.randrange(len(values) - BLOCK + 1)
        found += values[first : first + BLOCK]
    return found[:n]


if __name__ == "__main__":
    main()
