"""Samples of the server's process -> CPU and memory of a turn, withheld where they would say nothing."""

import pytest

from astrometer.measure.server_usage import (
    MAX_KEPT,
    ServerEnd,
    ServerEndKind,
    ServerSample,
    ServerSeries,
    usage_of,
)


def sample(t_s, *, turns_per_s=10, cpu_per_turn_s=0.08, growth=0.012e6, **more):
    turns = t_s * turns_per_s
    given = {
        "rss_bytes": round(280e6 + turns * growth), "cpu_s": 20 + turns * cpu_per_turn_s,
        "threads": 12, "open_files": 30, "processes": 1, "database_bytes": round(1e6 + turns * 2000),
        **more,
    }  # fmt: skip
    return ServerSample(t_s=t_s, turns=round(turns), **given)


def used(samples, *, excluded_s=0.0, until_s=1e9, **more):
    series = ServerSeries(excluded_s)
    for one in samples:
        series.add(one)
    return usage_of(series, pid=1, listens=True, excluded_s=excluded_s, until_s=until_s, **more)


def test_a_steady_server_costs_what_it_costs_by_turn():
    usage = used([sample(t) for t in range(61)])
    assert usage.turns == 600
    assert usage.cpu_per_turn_s == pytest.approx(0.08)
    assert usage.cpu_share == pytest.approx(0.8)
    assert usage.rss_growth_bytes == pytest.approx(12e6)
    assert usage.database_growth_bytes == pytest.approx(2e6)


def test_ramp_warm_up_and_drain_are_not_measured():
    loud = [sample(t, cpu_s=0.0, rss_bytes=900_000_000) for t in range(10)]
    quiet = [sample(t) for t in range(10, 41)]
    drained = [sample(t, turns_per_s=40, rss_bytes=10) for t in range(41, 50)]
    usage = used([*loud, *quiet, *drained], excluded_s=10, until_s=40)
    assert (usage.window[0].t_s, usage.window[-1].t_s) == (10, 40)
    assert usage.cpu_per_turn_s == pytest.approx(0.08)
    assert usage.rss_growth_bytes == pytest.approx(12e6)
    assert usage.maxima["rss_bytes"] < 300e6
    assert usage.last.t_s == 49


def test_one_odd_sample_at_the_end_does_not_make_the_growth():
    samples = [*(sample(t, growth=0) for t in range(60)), sample(60, rss_bytes=300_000_000)]
    assert abs(used(samples).rss_growth_bytes) < 20e6 / 0.6 / 8  # from the ends alone: 33 MB
    assert used(samples).maxima["rss_bytes"] == 300_000_000


def test_memory_that_is_given_back_is_a_negative_growth():
    assert used([sample(t, growth=-0.01e6) for t in range(61)]).rss_growth_bytes == pytest.approx(-10e6)


def test_few_samples_say_nothing_of_a_turn():
    assert used([sample(t) for t in range(9)]).cpu_per_turn_s is None
    assert used([sample(t) for t in range(9)]).cpu_share is None
    assert used([sample(t) for t in range(10)]).cpu_per_turn_s == pytest.approx(0.08)


@pytest.mark.parametrize(
    ("turns", "cpu", "growth"), [(0, False, False), (19, False, False), (20, True, False), (100, True, True)]
)
def test_few_turns_say_nothing_of_a_turn(turns, cpu, growth):
    usage = used([sample(t, turns_per_s=turns / 20) for t in range(21)])
    assert (usage.cpu_per_turn_s is not None) == cpu
    assert (usage.rss_growth_bytes is not None) == growth
    assert usage.cpu_share is not None


def test_nothing_is_said_of_a_turn_when_the_process_ended():
    end = ServerEnd(t_s=40.5, how=ServerEndKind.GONE)
    usage = used([sample(t) for t in range(41)], ended=end)
    assert usage.value_of("server_cpu_per_turn") is None
    assert usage.value_of("server_rss_growth") is None
    assert usage.cpu_share is None
    assert usage.window[-1].rss_bytes > 280e6  # what was seen is kept


def test_a_server_whose_database_is_not_known_has_no_growth_of_it():
    assert used([sample(t, database_bytes=None) for t in range(61)]).database_growth_bytes is None


def test_a_day_is_kept_in_bounded_memory_and_says_the_same():
    series = ServerSeries()
    for t in range(24 * 3600):
        series.add(sample(t, rss_bytes=10**9) if t == 777 else sample(t, growth=10))
    assert MAX_KEPT / 2 <= len(series.samples) <= MAX_KEPT
    usage = usage_of(series, pid=1, listens=True, excluded_s=0, until_s=1e9)
    assert usage.cpu_per_turn_s == pytest.approx(0.08)
    assert usage.maxima["rss_bytes"] == 10**9, "also of a sample that is not kept"
