"""A warm-up is found where it ends, nothing that was measured is lost, and a steady run keeps what it has."""

import json
import math
import random

import pytest
from steady_series import STEP_S, alike
from synthetic_runs import Turn

from astrometer.api.outcome import Outcome
from astrometer.measure.results import document
from astrometer.measure.slo.drift import LoadWindow
from astrometer.measure.slo.found_warm_up import SLACK_S, find_warm_up, shortest_run_s
from astrometer.measure.tally.tally import Tally
from astrometer.measure.tally.windows import Window

MINUTES, PER_S = 5, 5


def tally_of(level, *, minutes=MINUTES, seed=1, ramp_s=0.0, failed=lambda _: False):
    """`level(t_s)`: the median TTFT then."""
    rng = random.Random(seed)
    tally = Tally(window=Window(excluded_s=ramp_s), by_step=True)
    noise = alike(int(minutes * 60 / STEP_S) + 1, 0.3, rng)
    for number in range(int(minutes * 60 * PER_S)):
        t_s = number / PER_S
        ttft_s = level(t_s) * math.exp(0.05 * noise[int(t_s / STEP_S)] + rng.gauss(0, 0.15))
        tally.started("chat", "chat", t_s)
        tally.finished("chat", "chat", t_s, Turn(Outcome.STALLED if failed(t_s) else Outcome.OK, ttft_s))
    return tally


def found_in(tally, *, minutes=MINUTES, ramp_s=0.0):
    return find_warm_up(tally.timeline, LoadWindow(ramp_s, minutes * 60.0))


@pytest.mark.parametrize("warm_s", [15, 40, 75, 120])
@pytest.mark.parametrize("factor", [2.0, 0.5], ids=["slow at first", "fast at first"])
def test_an_injected_warm_up_is_cut_whole_and_at_most_two_parts_more(warm_s, factor):
    found = found_in(tally_of(lambda t_s: 0.5 * (factor if t_s < warm_s else 1.0)))
    assert warm_s <= found.until_s <= warm_s + 2 * found.part_s
    assert "ttft" in found.metrics


def test_of_forty_steady_runs_one_percent_is_cut_at_most():
    cuts = [found_in(tally_of(lambda _: 0.5, seed=seed)) for seed in range(40)]
    assert all(found.problem is None for found in cuts)
    assert sum(found.until_s for found in cuts) <= 0.01 * 40 * MINUTES * 60


@pytest.mark.parametrize("ramp_s", [0.0, 1.0, 5.0, 11.5])
def test_the_shortest_run_has_just_enough_parts(ramp_s):
    tally, run_s = tally_of(lambda _: 0.5, ramp_s=ramp_s), shortest_run_s(ramp_s)
    assert find_warm_up(tally.timeline, LoadWindow(ramp_s, run_s - SLACK_S)).problem is None
    assert find_warm_up(tally.timeline, LoadWindow(ramp_s, run_s - SLACK_S - 0.1)).problem is not None


def test_failures_at_first_are_not_left_out():
    found = found_in(tally_of(lambda _: 0.5, failed=lambda t_s: t_s < 30 and int(t_s * PER_S) % 2 == 0))
    assert found.until_s == 0


def test_what_is_cut_is_counted_apart_to_the_last_exchange():
    tally = tally_of(lambda t_s: 1.0 if t_s < 60 else 0.5, ramp_s=7.0)
    whole = tally.total()
    found = found_in(tally, ramp_s=7.0)
    tally.begin_window_at(found.until_s)
    total, excluded = tally.total(), tally.total_excluded()
    assert found.until_s == pytest.approx(60, abs=found.part_s)
    assert excluded.started == found.until_s * PER_S
    assert total.started == (MINUTES * 60 - found.until_s) * PER_S
    assert total.ok["ttft"].n == total.started
    together = total.ok["ttft"]
    assert together.max < whole.ok["ttft"].max
    assert whole.started == total.started + excluded.started - 7 * PER_S


def test_parts_of_several_processes_are_cut_as_one():
    one, two = (tally_of(lambda t_s: 1.0 if t_s < 60 else 0.5, seed=seed) for seed in (1, 2))
    master = Tally(by_step=True)
    for tally in (one, two):
        master.add_wire(json.loads(json.dumps(tally.take().encode())))
    assert one.total().started == 0
    found = found_in(master)
    master.begin_window_at(found.until_s)
    assert master.total().started == 2 * (MINUTES * 60 - found.until_s) * PER_S
    assert {key.scenario for key in master.counted} == {"chat"}


@pytest.mark.parametrize(
    ("level", "minutes", "why"),
    [
        (lambda _: 0.5, 1, "needs 24 whole parts of 5 s"),
        (lambda t_s: 1.0 if t_s < 155 else 0.5, MINUTES, "half of the run or more"),
    ],
    ids=["too short", "never over"],
)
def test_a_run_without_an_end_of_its_warm_up_is_invalid(level, minutes, why):
    tally = tally_of(level, minutes=minutes)
    facts = document.RunInfo(
        scenario="chat", url="http://h", start=0.0, duration_s=minutes * 60.0,
        warm_up=found_in(tally, minutes=minutes),
    )  # fmt: skip
    results = document.build(tally, facts)
    assert results["verdict"] == "INVALID"
    (cause,) = results["causes"]
    assert cause["kind"] == "warm_up_not_found"
    assert why in cause["sentence"]
    assert results["window"]["excluded_s"] == 0
    assert results["window"]["warm_up"]["until_s"] is None
