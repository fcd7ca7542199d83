import pytest

from astrometer.api.timings import Timings
from astrometer.measure.accuracy import (
    CalibrationStep,
    ErrorSummary,
    MetricAccuracy,
    Samples,
    ServerAccount,
    Truth,
)

SENT = "1000000000 1020000000 1040000000 "


def summary(p99, n=1000):
    return ErrorSummary(n=n, p50=p99, p99=p99, max=p99)


def accuracy(p99=0.001, n=1000, outside=0):
    return MetricAccuracy(all=summary(p99, n), certain=summary(p99, n), outside=outside)


def step(streams=50, *, clock="kernel", p99=0.001, server=None, **kwargs):
    account = {"events": 1000, "lateness_p99_s": 0.001, "cpu_share": 0.5} | (server or {})
    values = {"ttft": accuracy(p99), "gap": accuracy(p99), "delay": summary(p99), "events": 1000} | kwargs
    return CalibrationStep(
        streams=streams, processes=1, clock=clock, gap_s=0.02, duration_s=2.0, cpu_s=0.1, cpu_max=0.5,
        loop_lag_p99_s=0.001, server=ServerAccount(**account), **values,
    )  # fmt: skip


def stream(*, first=1.001, gaps=(0.023, 0.018), **kwargs):
    return Timings(t_intended=0.9, t_send=0.9, t_token1=first, chunk_gaps_s=gaps, streamed=True, **kwargs)


def test_an_error_is_told_minus_true():
    samples = Samples()
    # Sent at 1.000, 1.020 and 1.040; noted 1, 4 and 2 ms later.
    samples.add(stream(), SENT)
    assert list(samples.ttft.all_s) == pytest.approx([0.001])
    assert list(samples.gap.all_s) == pytest.approx([0.003, -0.002])
    assert list(samples.delay_s) == pytest.approx([0.001, 0.004, 0.002])


def test_only_what_was_noted_in_the_window_counts():
    samples = Samples((1.01, 1.03))
    samples.add(stream(gaps=(0.02, 0.02)), SENT)
    assert (len(samples.ttft.all_s), len(samples.gap.all_s), len(samples.delay_s)) == (0, 1, 1)


def test_a_stream_whose_times_and_events_do_not_match_is_counted_apart():
    samples = Samples()
    samples.add(stream(gaps=()), "1000000000 1020000000 ")
    samples.add(Timings(t_intended=0, t_send=0), "")
    assert samples.odd_streams == 2
    assert not samples.events


def test_a_value_whose_bounds_are_far_apart_is_not_certain_and_may_be_wrong_within_them():
    samples = Samples()
    # Three events found in one read at 1.060; the read before ended at 0.990.
    merged = stream(
        first=1.06, gaps=(0.0, 0.0), since={"t_token1": 0.99}, gap_bounds={0: (0.0, 0.07), 1: (0.0, 0.07)}
    )
    samples.add(merged, SENT)
    for metric in (samples.ttft, samples.gap):
        assert max(map(abs, metric.all_s)) >= 0.02
        assert not metric.certain_s
        assert not metric.outside


def test_a_true_value_outside_of_its_bounds_is_counted_with_how_far():
    samples = Samples(truth=Truth(within_s=0.0005))
    # True are 20 and 20 ms. No bound claims to be exact to less than a millisecond.
    samples.add(stream(first=1.003, gaps=(0.023, 0.0186), gap_bounds={0: (0.0225, 0.023)}), SENT)
    assert (samples.ttft.outside, samples.gap.outside) == (1, 1)
    assert samples.ttft.outside_s == pytest.approx(0.0015)
    assert samples.gap.outside_s == pytest.approx(0.001)
    assert len(samples.gap.certain_s) == 2


def test_what_the_golden_server_does_not_know_itself_is_not_compared():
    samples = Samples(truth=Truth(held_up=frozenset({1_020_000_000})))
    samples.add(stream(), SENT)
    assert (samples.events, len(samples.delay_s)) == (3, 2)
    assert len(samples.ttft.all_s) == 1
    assert not samples.gap.all_s


def test_the_errors_of_all_processes_are_one_distribution():
    one, other = Samples(), Samples(truth=Truth(within_s=1.0))
    one.add(stream(), SENT)
    other.add(stream(gaps=(0.02, 0.02), gap_bounds={1: (0.01, 0.02)}), SENT)
    found = MetricAccuracy.of([samples.to_wire()["gap"] for samples in (one, other)])
    assert (found.all.n, found.certain.n, found.outside) == (4, 3, 2)
    assert (found.uncertain_share, found.within_share) == (0.25, 0.5)
    assert found.outside_s == pytest.approx(0.002)
    nothing = MetricAccuracy.of([])
    assert (nothing.uncertain_share, nothing.within_share) == (None, None)


def test_percentiles_are_of_the_absolute_error():
    found = ErrorSummary.of([-0.004, 0.001, 0.002, -0.003])
    assert (found.n, found.p50, found.p99, found.max) == (4, 0.002, 0.004, 0.004)
    assert ErrorSummary.of([]) == ErrorSummary(n=0, p50=None, p99=None, max=None)
    assert not ErrorSummary.of([]).within(1.0)


def test_with_the_kernels_stamps_a_step_holds_when_every_true_value_lay_within_its_bounds():
    assert step(p99=0.1).holds
    assert not step(ttft=accuracy(outside=1)).holds
    assert not step(gap=accuracy(outside=1)).holds


def test_where_nothing_bounds_an_error_a_step_holds_when_every_p99_is_within_5_ms():
    assert step(clock="user", p99=0.005, gap=accuracy(outside=1)).holds
    for late in ({"ttft": accuracy(0.0051)}, {"gap": accuracy(0.0051)}, {"delay": summary(0.0051)}):
        assert not step(clock="user", **late).holds


def test_cost_and_rate_follow_from_the_events():
    assert step().events_per_s == 500
    assert step().cpu_us_per_event == pytest.approx(100)
    assert step(events=0).cpu_us_per_event is None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"server": {"lateness_p99_s": 0.0051}}, "golden server was the bottleneck: p99 5.1 ms late"),
        ({"server": {"cpu_share": 0.95}}, "golden server was the bottleneck: 95% CPU"),
        ({"server": {"same_clock": False}}, "clocks"),
        ({"odd_streams": 2, "failed_streams": 1}, "3 streams were not measured whole"),
        ({"lost_processes": 1}, "1 load processes did not report"),
        ({"events": 0}, "no events arrived"),
        ({"ttft": accuracy(None, n=0)}, "no stream began in the window"),
        ({"gap": accuracy(None, n=0)}, "longer --duration"),
    ],
)
def test_a_step_that_says_nothing_of_the_load_says_why_and_does_not_hold(changed, said):
    assert said in step(**changed).problem()
    assert not step(**changed).holds
