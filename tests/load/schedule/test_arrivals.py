"""The schedule of an open model: exact, reproducible, and nothing skipped."""

import itertools
import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrometer.load.schedule.arrivals import WHOLE, Arrivals, Process, Share


def arrivals(process=Process.CONSTANT, *, seed=1, share=WHOLE, stream=0, rate=10.0):
    made = Arrivals(process, seed=seed, stream=stream)
    made.change(0.0, rate, share)
    return made


def times_of(taken):
    return [arrival.t for arrival in taken]


def test_constant_arrivals_are_one_interval_apart():
    times = times_of(arrivals(rate=5.0).take_until(2.0))
    assert len(times) == 10
    assert [later - earlier for earlier, later in itertools.pairwise(times)] == pytest.approx([0.2] * 9)


def test_poisson_arrivals_have_exponential_gaps():
    times = times_of(arrivals(Process.POISSON, rate=100.0).take_until(100.0))
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert len(times) == pytest.approx(10_000, rel=0.05)
    # The coefficient of variation of an exponential distribution is 1.
    assert statistics.stdev(gaps) / statistics.mean(gaps) == pytest.approx(1.0, rel=0.05)


def test_the_same_seed_gives_the_same_schedule():
    first, again = (arrivals(Process.POISSON).take_until(10.0) for _ in range(2))
    assert first == again
    assert arrivals(Process.POISSON, seed=2).take_until(10.0) != first


def test_constant_arrivals_of_several_processes_are_as_even_as_those_of_one():
    times = sorted(t for rank in range(3) for t, _ in arrivals(share=Share(rank, 3)).take_until(4.0))
    assert [later - earlier for earlier, later in itertools.pairwise(times)] == pytest.approx([0.1] * 39)


CHANGES = st.lists(st.tuples(st.floats(0.01, 5), st.floats(0, 100), st.integers(1, 6)), max_size=12)


@given(st.sampled_from(Process), CHANGES, st.data())
def test_shares_are_disjoint_and_together_the_whole_schedule(process, changes, data):
    """However the rate and the number of workers change, and whenever each of them looks.

    Workers join, leave and come back as others: each knows the sum of the rates so far, and no more. An
    arrival has the same number wherever it falls to.
    """
    whole, made = [], Arrivals(process, seed=3)
    workers, parts = {}, []
    t = rate = operational = 0.0
    for wait_s, following, of in changes:
        for look in sorted(data.draw(st.lists(st.floats(0, 1), max_size=3))):
            parts += [due for worker in workers.values() for due in worker.take_until(t + look * wait_s)]
        t, operational, rate = t + wait_s, operational + wait_s * rate, following
        whole += made.change(t, rate, WHOLE, operational)
        for gone in range(of, len(workers)):
            parts += workers.pop(gone).take_until(t)
        for rank in range(of):
            worker = workers.setdefault(rank, Arrivals(process, seed=3))
            parts += worker.change(t, rate, Share(rank, of), operational)
    whole += made.take_until(t + 3.0)
    parts += [due for worker in workers.values() for due in worker.take_until(t + 3.0)]
    assert sorted(parts) == whole


def test_an_arrival_in_the_moment_of_a_change_is_nobodys_twice():
    there, joining = arrivals(share=Share(0, 1)), Arrivals(Process.CONSTANT, seed=1)
    assert times_of(there.change(0.05, 10.0, Share(1, 2), 0.5)) == pytest.approx([0.05])
    assert joining.change(0.05, 10.0, Share(0, 2), 0.5) == []
    assert (there.due(), joining.due()) == pytest.approx((0.15, 0.25))


@given(CHANGES)
def test_a_process_adds_up_the_rates_itself_where_nobody_else_does(changes):
    alone, told = Arrivals(Process.POISSON, seed=3), Arrivals(Process.POISSON, seed=3)
    t = rate = operational = 0.0
    for wait_s, following, _ in changes:
        t, operational, rate = t + wait_s, operational + wait_s * rate, following
        mine, theirs = alone.change(t, rate), told.change(t, rate, WHOLE, operational)
        assert times_of(mine) == pytest.approx(times_of(theirs))


def test_the_next_arrival_of_a_share_is_known_before_it_is_due():
    made = arrivals(share=Share(2, 3))
    assert made.due() == pytest.approx(0.25)
    assert times_of(made.take_until(0.3)) == pytest.approx([0.25])
    assert made.due() == pytest.approx(0.55)


def test_nothing_arrives_without_a_rate():
    assert arrivals(rate=0.0).due() == math.inf
    assert arrivals(rate=0.0).take_until(1e9) == []


def test_a_late_generator_skips_nothing():
    made = arrivals(rate=10.0)
    late = times_of(made.take_until(3.0))
    assert len(late) == 30
    assert late[0] < 0.1


def test_what_was_due_before_a_change_keeps_its_time():
    made = arrivals(rate=10.0)
    taken = times_of(made.change(1.0, 1.0))
    assert len(taken) == 10
    assert max(taken) <= 1.0
    assert len(made.take_until(11.0)) == 10


@given(
    st.sampled_from(Process),
    st.lists(st.tuples(st.floats(0.01, 5), st.floats(0, 200)), min_size=1, max_size=20),
    st.integers(0, 4),
)
def test_however_it_is_polled_and_changed_times_never_run_backwards(process, steps, rank):
    made, share = Arrivals(process, seed=3), Share(rank, 5)
    t, times = 0.0, []
    for wait, rate in steps:
        times += times_of(made.take_until(t + wait / 2))
        t += wait
        times += times_of(made.change(t, rate, share))
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


def test_kinds_of_users_do_not_arrive_in_step():
    firsts = sorted(arrivals(stream=stream, rate=1.0).due() for stream in range(4))
    assert min(later - earlier for earlier, later in itertools.pairwise(firsts)) > 0.05
