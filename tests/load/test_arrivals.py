"""The schedule of an open model: exact, reproducible, and nothing skipped."""

import itertools
import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrometer.load.arrivals import Arrivals, Process


def arrivals(process=Process.CONSTANT, *, seed=1, shard=0, stream=0, rate=10.0):
    made = Arrivals(process, seed=seed, shard=shard, stream=stream, start=0.0)
    made.change_rate(0.0, rate)
    return made


def test_constant_arrivals_are_one_interval_apart():
    times = arrivals(rate=5.0).take_until(2.0)
    assert len(times) == 10
    assert [later - earlier for earlier, later in itertools.pairwise(times)] == pytest.approx([0.2] * 9)


def test_poisson_arrivals_have_exponential_gaps():
    times = arrivals(Process.POISSON, rate=100.0).take_until(100.0)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert len(times) == pytest.approx(10_000, rel=0.05)
    # The coefficient of variation of an exponential distribution is 1.
    assert statistics.stdev(gaps) / statistics.mean(gaps) == pytest.approx(1.0, rel=0.05)


def test_the_same_seed_gives_the_same_schedule_and_another_shard_another():
    first, again = (arrivals(Process.POISSON).take_until(10.0) for _ in range(2))
    assert first == again
    assert arrivals(Process.POISSON, shard=1).take_until(10.0) != first
    assert arrivals(Process.POISSON, seed=2).take_until(10.0) != first


@pytest.mark.parametrize("shards", [2, 4, 8])
def test_constant_arrivals_of_several_processes_interleave(shards):
    times = sorted(t for shard in range(shards) for t in arrivals(shard=shard, rate=1.0).take_until(20.0))
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert max(gaps) <= 2 / shards + 1e-9


def test_nothing_arrives_without_a_rate():
    assert arrivals(rate=0.0).due() == math.inf
    assert arrivals(rate=0.0).take_until(1e9) == []


def test_a_late_generator_skips_nothing():
    made = arrivals(rate=10.0)
    late = made.take_until(3.0)
    assert len(late) == 30
    assert late[0] < 0.1


def test_what_was_due_before_a_change_keeps_its_time():
    made = arrivals(rate=10.0)
    taken = made.change_rate(1.0, 1.0)
    assert len(taken) == 10
    assert max(taken) <= 1.0
    assert made.rate == 1.0
    assert len(made.take_until(11.0)) == 10


@given(
    st.sampled_from(Process),
    st.lists(st.tuples(st.floats(0.01, 5), st.floats(0, 200)), min_size=1, max_size=20),
    st.integers(0, 50),
)
def test_however_it_is_polled_and_changed_times_never_run_backwards(process, steps, shard):
    made = Arrivals(process, seed=3, shard=shard, start=0.0)
    t, times = 0.0, []
    for wait, rate in steps:
        times += made.take_until(t + wait / 2)
        t += wait
        times += made.change_rate(t, rate)
    assert times == sorted(times)
    assert all(0 <= value <= t for value in times)


@given(st.floats(0.1, 200), st.lists(st.floats(0.001, 1), max_size=30))
def test_polling_does_not_change_the_schedule(rate, waits):
    polled, t = [], 0.0
    made = arrivals(rate=rate)
    for wait in waits:
        t += wait
        polled += made.take_until(t)
    assert polled == arrivals(rate=rate).take_until(t)


@pytest.mark.parametrize("kinds", [1, 3])
def test_kinds_of_users_do_not_arrive_in_step_nor_do_processes(kinds):
    firsts = sorted(
        arrivals(shard=shard, stream=stream, rate=1.0).due() for shard in range(4) for stream in range(kinds)
    )
    gaps = [later - earlier for earlier, later in itertools.pairwise(firsts)]
    assert min(gaps) > 0.05 / len(firsts)
