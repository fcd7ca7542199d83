"""Histograms: precise, mergeable in any order, honest about small samples."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrometer.measure.tally.histogram import Histogram, buckets_of

SECONDS = st.floats(min_value=1e-6, max_value=3600, allow_nan=False)
SAMPLES = st.lists(st.one_of(SECONDS, st.just(math.inf)), max_size=60)


@given(SAMPLES, SAMPLES, SAMPLES)
def test_the_order_of_merging_does_not_matter(a, b, c):
    def merged(*parts):
        total = Histogram()
        for part in parts:
            total.merge(part)
        return total

    def shipped(*parts):
        total = Histogram()
        for part in parts:
            total.add_wire(part.to_wire())
        return total

    one, two, three = Histogram(a), Histogram(b), Histogram(c)
    assert merged(one, two, three) == merged(three, merged(two, one)) == Histogram([*a, *b, *c])
    assert shipped(one, two, three) == shipped(three, one, two) == Histogram([*a, *b, *c])
    assert shipped(one, two, three).n == len([*a, *b, *c])


@given(st.lists(SECONDS, min_size=1, max_size=60))
def test_every_value_is_kept_within_three_digits(samples):
    histogram = Histogram(samples)
    for rank, value in enumerate(sorted(samples), start=1):
        found = histogram.percentile(100 * rank / len(samples))
        assert found >= value - 1e-6
        assert found == pytest.approx(value, rel=1e-3, abs=1.1e-6)


@given(st.lists(st.one_of(SECONDS, st.just(math.inf)), min_size=1, max_size=60))
def test_percentiles_never_fall(samples):
    values = Histogram(samples).percentiles([0, 10, 50, 90, 95, 99, 100])
    assert values == sorted(values)
    assert values[-1] == Histogram(samples).max


@given(SAMPLES)
def test_what_is_encoded_is_what_is_decoded(samples):
    histogram = Histogram(samples)
    assert Histogram.decode(histogram.encode()) == histogram
    assert Histogram.from_wire(json.loads(json.dumps(histogram.to_wire()))) == histogram


def test_the_encoding_is_what_other_hdr_tools_read():
    from hdrh.histogram import HdrHistogram

    _, _, body = Histogram([0.1, 0.2, 0.3]).encode().partition(":")
    theirs = HdrHistogram.decode(body.encode())
    assert theirs.get_total_count() == 3
    assert theirs.get_value_at_percentile(50) == pytest.approx(200_000, rel=1e-3)


@pytest.mark.parametrize("text", ["", "x", "1", "0:", "0:%%%", "0:HISTFAAA", "-1:HISTFAAA"])
def test_what_is_no_histogram_is_refused(text):
    with pytest.raises(ValueError, match="not an encoded histogram"):
        Histogram.decode(text)


@given(st.lists(st.floats(min_value=-1, max_value=10_000)))
def test_a_sample_belongs_to_the_same_bucket_alone_and_among_others(seconds):
    together = Histogram()
    together.add_buckets(buckets_of(seconds))
    assert together == Histogram(seconds)
    assert together.n == len(seconds)


def test_values_out_of_range_are_clamped_and_not_lost():
    histogram = Histogram([0.0, -1.0, 1e-9, 1e9])
    assert histogram.n == 4
    assert histogram.percentile(50) == 1e-6
    assert histogram.max == pytest.approx(3600, rel=1e-3)


def test_nan_is_no_duration():
    with pytest.raises(ValueError, match="NaN"):
        Histogram([math.nan])


def test_a_failure_is_slower_than_everything():
    histogram = Histogram([1.0] * 95 + [math.inf] * 5)
    assert histogram.percentile(95) == pytest.approx(1.0, rel=1e-3)
    assert histogram.percentile(96) == math.inf
    assert histogram.max == math.inf
    assert histogram.sum == pytest.approx(95.0, rel=1e-3)


@pytest.mark.parametrize(("percent", "least"), [(50, 20), (95, 200), (99, 1000)])
def test_a_percentile_of_too_few_samples_is_withheld(percent, least):
    assert Histogram([0.1] * (least - 1)).quantile_or_none(percent) is None
    assert Histogram([0.1] * least).quantile_or_none(percent) == pytest.approx(0.1, rel=1e-3)


def test_nothing_measured_is_none_and_not_zero():
    assert Histogram().percentile(50) is None
    assert Histogram().max is None
    assert Histogram().sum == 0


def test_counts_below_a_limit_and_buckets():
    histogram = Histogram([0.1, 0.2, 0.2, 0.5])
    assert histogram.count_at_most(0.25) == 3
    assert [count for _, _, count in histogram.buckets()] == [1, 2, 1]
    assert all(low <= high for low, high, _ in histogram.buckets())
    assert repr(histogram) == "Histogram(n=4)"
    assert histogram != "something else"
