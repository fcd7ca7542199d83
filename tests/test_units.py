"""Durations as people write and read them."""

import pytest

from astrometer.units import distinct_texts, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("1m30s", 90), ("250ms", 0.25), ("1.5h", 5400), ("2", 2), (0.5, 0.5), ("1d", 86400)],
)
def test_a_duration_is_read(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "fast", "10 parsecs", "1m 30", "-3s", True])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (float("inf"), "∞"),
        (0.0004, "0.4 ms"),
        (0.0999, "100 ms"),
        (0.25, "250 ms"),
        (0.9999, "1.00 s"),
        (12.345, "12.35 s"),
        (125.2, "2m 05s"),
    ],
)
def test_a_duration_is_shown_with_its_unit(seconds, text):
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "limit", "texts"),
    [
        (30.2, 20, ("30", "20")),
        (20.4, 20, ("20.4", "20")),
        (20.004, 20, ("20.004", "20")),
        (12.6, 12.5, ("13", "12")),
        (100, 100, ("100.000000000", "100")),
    ],
)
def test_numbers_that_differ_do_so_in_writing(value, limit, texts):
    assert distinct_texts(value, limit) == texts
