"""The search against synthetic servers: what it answers, in how many steps, and when it gives up."""

import random
from itertools import pairwise

import pytest
from asked_search import asked_search
from hypothesis import given, settings
from hypothesis import strategies as st

from astrometer.measure.capacity.next_load import (
    MAX_INVALID,
    MAX_TRIALS,
    Ask,
    SearchAnswer,
    SearchEnd,
    SearchPlan,
    StepVerdict,
    Trial,
    decide,
)
from astrometer.measure.capacity.search_settings import Level, Model, SearchError, search_between

LIMIT = 1.0


def run(plan, server):
    """Ask `server(level, thorough)` until the search answers."""
    trials = []
    while isinstance(step := decide(plan, trials), Ask):
        assert plan.minimum <= step.level <= plan.maximum
        trials.append(server(step.level, step.thorough))
        assert len(trials) <= MAX_TRIALS
    return step, trials


def trial(level, passes, margin=None, completed=None):
    verdict = StepVerdict.PASS if passes else StepVerdict.FAIL
    return Trial(level=level, verdict=verdict, margin=margin, completed_per_s=completed)


def cliff(capacity):
    """Nothing warns of the edge."""
    return lambda level, _: trial(level, level <= capacity, 0.3 if level <= capacity else float("inf"))


def smooth(capacity, power=3.0):
    """Latency grows with the load and reaches the limit at the capacity."""

    def server(level, _):
        margin = ((level + 0.5) / (capacity + 1)) ** power
        return trial(level, margin < LIMIT, margin)

    return server


plans = st.builds(
    lambda start, more, precision, repeats: SearchPlan(
        start=start, maximum=start + more, precision=precision, repeats=repeats
    ),
    start=st.integers(1, 50),
    more=st.integers(0, 5000),
    precision=st.floats(0.01, 0.3),
    repeats=st.sampled_from([1, 3, 5]),
)


@given(plan=plans, capacity=st.integers(0, 6000), kind=st.sampled_from([cliff, smooth]))
def test_a_steady_server_is_bracketed_as_precisely_as_asked(plan, capacity, kind):
    answer, trials = run(plan, kind(capacity))
    if capacity < 1:
        assert answer == SearchAnswer(end=SearchEnd.MINIMUM, passing=None, failing=1)
    elif capacity >= plan.maximum:
        assert answer == SearchAnswer(end=SearchEnd.MAXIMUM, passing=plan.maximum, failing=None)
    else:
        assert answer.end is SearchEnd.CONVERGED
        assert answer.passing <= capacity < answer.failing
        assert plan.is_narrow(answer.passing, answer.failing)
    for level in (answer.passing, answer.failing):
        verdict = [item.verdict for item in trials if item.level == level]
        assert level is None or len(verdict) == plan.majority
    assert len(trials) <= 40


def test_margins_find_a_smooth_edge_sooner_than_halving_does():
    plan = SearchPlan(start=1, maximum=100_000, precision=0.02)
    by_margin, _ = run(plan, smooth(700))[1], None
    blind = run(plan, lambda level, _: trial(level, level <= 700))[1]
    assert len(by_margin) < len(blind)


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), capacity=st.integers(5, 300), spread=st.floats(0.01, 0.1))
def test_noise_moves_the_answer_by_little(seed, capacity, spread):
    rng = random.Random(seed)
    plan = SearchPlan(start=1, maximum=5000)

    def noisy(level, _):
        value = (level + 0.5) / (capacity + 1) * rng.lognormvariate(0, spread)
        return trial(level, value < 1, value)

    answer, _ = run(plan, noisy)
    assert answer.end in {SearchEnd.CONVERGED, SearchEnd.TRIALS}
    if answer.end is SearchEnd.CONVERGED:
        assert answer.passing < answer.failing
        assert (1 - 4 * spread) * capacity - 2 <= answer.passing <= (1 + 4 * spread) * capacity + 2


@given(st.lists(st.tuples(st.sampled_from(list(StepVerdict)), st.booleans()), max_size=80), plans)
def test_whatever_a_server_says_the_search_ends(says, plan):
    answers = iter(says)

    def server(level, _):
        verdict, at_length = next(answers, (StepVerdict.PASS, False))
        return Trial(level=level, verdict=verdict, at_length=at_length)

    run(plan, server)


def test_one_fluke_does_not_end_the_doubling():
    verdict = iter([True, True, False])  # at level 4, once

    def server(level, _):
        return trial(level, next(verdict, level <= 40))

    answer, trials = run(SearchPlan(start=1, maximum=1000), server)
    assert (answer.passing, answer.failing) == (40, 41) or answer.passing in {38, 39, 40}
    assert sum(item.level == 4 for item in trials) >= 3


def test_a_start_that_fails_is_halved():
    answer, _ = run(SearchPlan(start=64, maximum=1000), cliff(5))
    assert answer == SearchAnswer(end=SearchEnd.CONVERGED, passing=5, failing=6)


def test_more_load_without_more_answers_ends_the_search_before_the_maximum():
    def server(level, _):
        return trial(level, True, 0.1, completed=min(level, 10) * 2.0)

    answer, trials = run(SearchPlan(start=1, maximum=100_000), server)
    assert answer == SearchAnswer(end=SearchEnd.SATURATED, passing=64, failing=None)
    assert len(trials) < 12


def test_a_generator_that_is_the_bottleneck_is_no_limit_of_the_server():
    def server(level, _):
        return Trial(level=level, verdict=StepVerdict.INVALID) if level > 30 else trial(level, True)

    answer, trials = run(SearchPlan(start=1, maximum=1000), server)
    assert answer == SearchAnswer(end=SearchEnd.GENERATOR, passing=16, failing=None)
    assert [item.level for item in trials[-MAX_INVALID:]] == [32] * MAX_INVALID


def test_a_window_that_is_invalid_once_is_measured_again():
    spoilt = iter([True])

    def server(level, _):
        if level == 8 and next(spoilt, False):
            return Trial(level=8, verdict=StepVerdict.INVALID)
        return trial(level, level <= 10)

    assert run(SearchPlan(start=1, maximum=100), server)[0].passing == 10


def test_thin_evidence_lets_the_load_grow_but_confirms_nothing():
    asked = []

    def server(level, thorough):
        asked.append((level, thorough))
        if thorough:
            return trial(level, level <= 12)
        return Trial(level=level, verdict=StepVerdict.THIN if level <= 12 else StepVerdict.FAIL)

    answer, _ = run(SearchPlan(start=1, maximum=100), server)
    assert (answer.end, answer.passing, answer.failing) == (SearchEnd.CONVERGED, 12, 13)
    assert asked.count((12, True)) == 2


def test_too_few_samples_in_the_longest_window_end_the_search():
    answer, _ = run(
        SearchPlan(start=1, maximum=2),
        lambda level, thorough: Trial(level=level, verdict=StepVerdict.THIN, at_length=thorough),
    )
    assert answer.end is SearchEnd.NO_DATA


def test_the_boundary_is_confirmed_in_turns():
    _, trials = run(SearchPlan(start=4, maximum=100, repeats=5), cliff(10))
    levels = [item.level for item in trials][-4:]
    assert set(levels) == {10, 11}
    assert all(one != other for one, other in pairwise(levels))


@pytest.mark.parametrize(
    ("start", "maximum", "more", "whole"),
    [
        ("1", "500", {}, "1..500 step 30s settle 6s precision 5% repeats 3"),
        ("30/m", "20/s", {"step_s": 5.0}, "0.5/s..20/s step 5s settle 1s precision 5% repeats 3"),
        (
            "2",
            "4",
            {"repeats": 5, "precision": 0.025, "settle_s": 0.0, "step_s": 60.0},
            "2..4 step 60s settle 0s precision 2.5% repeats 5",
        ),
    ],
)
def test_results_say_what_was_searched(start, maximum, more, whole):
    assert str(asked_search(start, maximum, **more)) == whole


@pytest.mark.parametrize(
    ("start", "maximum", "more", "reason"),
    [
        ("10", "1", {}, "--start 10 must not be above --max 1"),
        ("1", "5/s", {}, "must agree"),
        ("1/s", "5/s", {"model": Model.CLOSED}, "must agree"),
        ("1", "5", {"precision": 0.9}, "0.1% and 50%"),
        ("1", "5", {"repeats": 2}, "odd"),
        ("1", "5", {"step_s": 0.5}, "--step-time"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused_with_its_cure(start, maximum, more, reason):
    with pytest.raises(SearchError) as refused:
        asked_search(start, maximum, **more)
    assert reason in str(refused.value)


@pytest.mark.parametrize("text", ["0", "0.5", "-3", "five", "5/x", "0/s", "1e3", ""])
def test_a_level_is_a_number_of_users_or_a_rate(text):
    with pytest.raises(ValueError, match="is n"):
        Level.parse(text)


def test_a_search_has_a_start_and_a_maximum_of_its_own():
    assert str(search_between(None, None)).startswith("1..1000 ")
    assert str(search_between(None, None, model=Model.OPEN)).startswith("1/s..200/s ")
    assert str(search_between(Level.parse("2/s"), None)).startswith("2/s..400/s ")
    assert str(search_between(None, Level.parse("0.5/s"))).startswith("0.5/s..0.5/s ")


def test_a_rate_is_searched_in_parts_as_fine_as_the_precision():
    found = asked_search("2/s", "50/s", precision=0.04)
    assert found.plan.start == 25
    assert found.load(found.plan.start) == 2.0
    assert found.load(found.plan.maximum) == 50.0
    assert found.load_text(3) == "0.24 arrivals/s"
