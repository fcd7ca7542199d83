import pytest

from astrometer.api.timings import Timings
from astrometer.measure.accuracy import (
    CalibrationStep,
    ErrorSummary,
    Samples,
    ServerAccount,
    most_streams,
    too_many,
    workers_for,
)


def summary(p99, n=1000):
    return ErrorSummary(n=n, p50=p99, p99=p99, max=p99)


def step(streams=50, *, p99=0.001, processes=1, gap_s=0.02, server=None, **kwargs):
    account = {"events": 1000, "lateness_p99_s": 0.001, "cpu_share": 0.5} | (server or {})
    values = {"ttft": summary(p99), "gap": summary(p99), "delay": summary(p99)} | kwargs
    return CalibrationStep(
        streams=streams, processes=processes, gap_s=gap_s, duration_s=2.0, cpu_s=0.1, cpu_max=0.5,
        loop_lag_p99_s=0.001, server=ServerAccount(**account), **values,
    )  # fmt: skip


def test_an_error_is_measured_minus_true():
    samples = Samples()
    # Sent at 1.000, 1.020 and 1.040; noted 1, 4 and 2 ms later.
    timings = Timings(t_intended=0.9, t_send=0.9, t_token1=1.001, chunk_gaps_s=(0.023, 0.018))
    samples.add(timings, "1000000000 1020000000 1040000000 ")
    assert list(samples.ttft_s) == pytest.approx([0.001])
    assert list(samples.gap_s) == pytest.approx([0.003, -0.002])
    assert list(samples.delay_s) == pytest.approx([0.001, 0.004, 0.002])


def test_only_what_was_noted_in_the_window_counts():
    samples = Samples((1.01, 1.03))
    timings = Timings(t_intended=0.9, t_send=0.9, t_token1=1.001, chunk_gaps_s=(0.02, 0.02))
    samples.add(timings, "1000000000 1020000000 1040000000 ")
    assert (len(samples.ttft_s), len(samples.gap_s), len(samples.delay_s)) == (0, 1, 1)


def test_a_stream_whose_times_and_events_do_not_match_is_counted_apart():
    samples = Samples()
    samples.add(Timings(t_intended=0, t_send=0, t_token1=1.0, chunk_gaps_s=()), "1000000000 1020000000 ")
    samples.add(Timings(t_intended=0, t_send=0), "")
    assert samples.odd_streams == 2
    assert not samples.delay_s


def test_percentiles_are_of_the_absolute_error():
    found = ErrorSummary.of([-0.004, 0.001, 0.002, -0.003])
    assert (found.n, found.p50, found.p99, found.max) == (4, 0.002, 0.004, 0.004)
    assert ErrorSummary.of([]) == ErrorSummary(n=0, p50=None, p99=None, max=None)
    assert not ErrorSummary.of([]).within(1.0)


def test_a_step_is_trustworthy_when_every_p99_is_within_5_ms():
    assert step(p99=0.005).trustworthy
    for name in ("ttft", "gap", "delay"):
        assert not step(**{name: summary(0.0051)}).trustworthy


def test_cost_and_rate_follow_from_the_events():
    assert step().events_per_s == 500
    assert step().cpu_us_per_event == pytest.approx(100)
    assert step(delay=summary(None, n=0)).cpu_us_per_event is None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"server": {"lateness_p99_s": 0.0051}}, "golden server was the bottleneck: p99 5.1 ms late"),
        ({"server": {"cpu_share": 0.95}}, "golden server was the bottleneck: 95% CPU"),
        ({"server": {"same_clock": False}}, "clocks"),
        ({"odd_streams": 2, "failed_streams": 1}, "3 streams were not measured whole"),
        ({"lost_processes": 1}, "1 load processes did not report"),
        ({"delay": summary(None, n=0)}, "no events arrived"),
        ({"ttft": summary(None, n=0)}, "no stream began in the window"),
        ({"gap": summary(None, n=0)}, "longer --duration"),
    ],
)
def test_a_step_that_says_nothing_of_the_load_says_why_and_is_not_trusted(changed, said):
    assert said in step(**changed).problem()
    assert not step(**changed).trustworthy


def test_the_most_streams_are_those_of_the_largest_good_step_below_the_first_bad_one():
    assert most_streams([step(50), step(200), step(400, p99=0.1), step(1000)]) == 200
    assert most_streams([step(400, p99=0.1)]) is None
    assert most_streams([]) is None


def test_a_step_that_the_server_spoilt_neither_counts_nor_stops_the_search():
    spoilt = step(200, p99=0.1, server={"cpu_share": 0.99})
    assert most_streams([step(50), spoilt, step(400)]) == 400


def test_there_is_a_limit_only_where_more_was_measured_and_badly():
    assert too_many([step(50), step(200, p99=0.1)])
    assert not too_many([step(50), step(200, p99=0.1, server={"cpu_share": 0.99})])


def test_streams_are_counted_per_process():
    assert most_streams([step(400, processes=2)]) == 200
    assert workers_for(1000, 200) == 5
    assert workers_for(1001, 200) == 6
