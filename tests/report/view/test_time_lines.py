"""A reader sees at once how exactly the times are known."""

from astrometer.report.view.time_lines import certainty_lines

LATE = "Times are exact to 0.05 ms, but where this machine was late:"


def results(clock="kernel", **metrics):
    return {"generator": {"clock": clock, "loop_lag_p99_s": 0.0031}, "metrics": metrics}


def summary(uncertain=0.0, **errors):
    error_s = {"p50": 0.0, "p90": 0.0, "p95": 0.0, "p99": 0.0, "max": 0.0, **errors} if uncertain else None
    known = {"p50": 0.3, "p90": 0.4, "p95": 0.5, "p99": None, "max": 1.0}
    return {**known, "error_s": error_s, "uncertain": uncertain}


def test_a_reader_in_time_is_exact():
    assert certainty_lines(results(ttft=summary())) == ["Times are exact to 0.05 ms"]


def test_what_is_uncertain_is_named_with_the_percentiles_that_it_moves():
    found = certainty_lines(results(ttft=summary(), chunk_gap=summary(0.002, p95=0.02, p99=0.3)))
    assert found == [f"{LATE} 0.2 % of chunk gaps are uncertain (p95 by 20.0 ms)"]


def test_uncertain_samples_that_move_nothing_are_said_to_move_nothing():
    found = certainty_lines(results(ttft=summary(0.001)))
    assert found == [f"{LATE} 0.1 % of TTFTs are uncertain, which changes no percentile"]


def test_without_stamps_the_lateness_of_the_process_is_said():
    said = "Times are those of the load process, which was late by 3.1 ms at p99 (no stamps of the kernel)"
    assert certainty_lines(results("user", ttft=summary())) == [said]


def test_a_file_without_times_says_nothing():
    assert certainty_lines(results()) == []
