"""Series and runs that are steady or drift by a known amount. Neighbours are alike, as those of a run are."""

import math
import random

from synthetic_runs import Turn

from astrometer.api.outcome import Outcome
from astrometer.measure.results import document
from astrometer.measure.slo.slo_parser import parse_objectives
from astrometer.measure.tally.tally import Tally

STEP_S = 5


def alike(n, r, rng):
    """A first-order autoregression of standard deviation 1."""
    value, found = rng.gauss(0, 1), []
    for _ in range(n):
        value = r * value + math.sqrt(1 - r * r) * rng.gauss(0, 1)
        found.append(value)
    return found


def run_results(level, *, minutes=10, per_s=5, r=0.5, seed=1, slos=("ttft_p95 < 60s",), failed=None, **info):
    """`level(t_s)`: the median TTFT then, with noise: 5 % of neighbours that are alike, 15 % of each chat.

    `failed(t_s)`: the share that fails.
    """
    rng = random.Random(seed)
    tally, duration_s = Tally(), minutes * 60.0
    noise = alike(int(duration_s / STEP_S) + 1, r, rng)
    for number in range(int(duration_s * per_s)):
        t_s = number / per_s
        ttft_s = level(t_s) * math.exp(0.05 * noise[int(t_s / STEP_S)] + rng.gauss(0, 0.15))
        is_failed = failed is not None and rng.random() < failed(t_s)
        tally.started("chat", "chat", t_s)
        tally.finished("chat", "chat", t_s, Turn(Outcome.STALLED if is_failed else Outcome.OK, ttft_s))
    facts = document.RunInfo(
        scenario="chat", url="http://h", start=0.0, duration_s=duration_s, users=20,
        objectives=parse_objectives(slos), **info,
    )  # fmt: skip
    return document.build(tally, facts)
