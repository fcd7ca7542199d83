"""Values with their intervals, and change points, of runs with known levels."""

import math
import random

import pytest
from required import needs_extra
from server_usages import usage
from synthetic_runs import make_run

from astrometer.compare.samples import Effects
from astrometer.history.found_runs import FoundRuns
from astrometer.history.history_view import notes
from astrometer.history.point_values import percentile_value
from astrometer.history.run_groups import Order, Point
from astrometer.history.run_history import history_of
from astrometer.measure.tally.histogram import Histogram

needs_extra("history", "ruptures")


def told(runs, order=Order.TIME, **margins):
    return history_of(FoundRuns(runs=tuple(runs), left_out=()), order, **margins)


def series(history, name):
    return next(item for item in history.groups[0].series if item.name == name)


def weeks(runs, *, ttft_s, noise=0.02, seed=1, **more):
    """`ttft_s(number)`, times what chance does to a whole run."""
    rng = random.Random(seed)
    return [
        make_run(
            f"{number:02}",
            seed=number,
            ttft_s=ttft_s(number) * math.exp(rng.gauss(0, noise)),
            **{name: value(number) if callable(value) else value for name, value in more.items()},
        )
        for number in range(runs)
    ]


def test_a_value_is_the_percentile_of_the_histogram_in_the_file_and_lies_in_its_interval():
    run = make_run("a", chats=300)
    value = series(told([run]), "ttft_p95").values[0]
    exact = Histogram.decode(run.results["metrics"]["ttft"]["histogram"]).percentile(95)
    assert value.value == pytest.approx(exact)
    assert value.interval.low < value.value < value.interval.high
    assert value.n == 300


def test_the_interval_of_a_run_covers_the_truth_about_as_often_as_it_says():
    """The median is 0.3 s. 95 % of 80 are 76; fewer than 70 come once in 100 times."""
    effects = Effects()
    points = [Point(runs=(make_run(f"{seed}", seed=seed, chats=40),)) for seed in range(80)]
    values = [percentile_value(point, "ttft", 50, effects) for point in points]
    assert sum(value.interval.low <= 0.3 * 1.001 and value.interval.high >= 0.3 for value in values) >= 70


def test_a_percentile_with_too_few_samples_is_withheld():
    history = told([make_run("a", chats=60)])
    names = {item.name for item in history.groups[0].series}
    assert "ttft_p50" in names
    assert "ttft_p95" not in names


def test_a_step_at_a_version_is_told_with_its_size_and_what_else_differs():
    runs = weeks(
        16,
        ttft_s=lambda number: 0.3 if number < 9 else 0.2,
        version=lambda number: "4.26.5" if number < 9 else "4.26.6",
    )
    history = told(runs)
    (change,) = series(history, "ttft_p50").changes
    assert change.at == 9
    assert change.row.change == pytest.approx(-1 / 3, abs=0.03)
    assert change.row.interval.low < -1 / 3 < change.row.interval.high
    assert change.row.verdict == "better"
    assert (change.before.name, change.after.name) == ("08", "09")
    assert change.differs == ("AstrBot 4.26.5 → 4.26.6",)
    assert {item.name for item, _ in history.groups[0].changes} <= {
        "ttft_p50",
        "ttft_p95",
        "e2e_p50",
        "e2e_p95",
    }


def test_by_version_the_runs_of_a_version_are_pooled_and_the_step_is_between_versions():
    runs = weeks(
        12,
        ttft_s=lambda number: 0.3 if number < 6 else 0.2,
        version=lambda number: f"4.26.{number // 3 + 4}",
    )
    history = told(runs, Order.VERSION)
    ttft = series(history, "ttft_p50")
    assert [len(value.runs) for value in ttft.values] == [3, 3, 3, 3]
    (change,) = ttft.changes
    assert history.groups[0].group.points[change.at].version == "4.26.6"


def test_a_change_within_the_margin_is_not_told():
    runs = weeks(8, ttft_s=lambda number: 0.3 if number < 4 else 0.33, noise=0.001)
    assert series(told(runs, margin=0.2), "ttft_p50").changes == ()
    assert series(told(runs, margin=0.02), "ttft_p50").changes != ()


def test_more_errors_are_a_change_for_the_worse():
    runs = weeks(14, ttft_s=lambda _: 0.3, failures=lambda number: 3 if number < 8 else 40)
    (change,) = series(told(runs), "errors").changes
    assert change.at == 8
    assert change.row.verdict == "worse"


def test_where_failures_reach_a_percentile_its_runs_do_not_count_for_change_points():
    runs = weeks(14, ttft_s=lambda _: 0.3, failures=lambda number: 3 if number < 8 else 40)
    ttft = series(told(runs), "ttft_p95")
    assert math.isinf(ttft.values[-1].value)
    assert ttft.changes == ()
    assert ttft.not_searched == ""


def test_the_server_s_process_has_its_series():
    history = told([make_run(f"{number}", seed=number, server=usage()) for number in range(3)])
    cpu = series(history, "server_cpu_per_turn")
    assert cpu.values[0].value == pytest.approx(0.08)
    assert series(history, "server_rss_growth").values[0].value == pytest.approx(12e6, rel=0.01)
    assert cpu.not_searched == "change points need 6 runs"


def test_goodput_has_a_series_only_while_the_objectives_are_the_same():
    same = [make_run(f"{number}", seed=number, slos=("ttft_p95 < 1s",)) for number in range(2)]
    other = make_run("2", seed=2, slos=("ttft_p95 < 2s",))
    assert "goodput" in {item.name for item in told(same).groups[0].series}
    assert "goodput" not in {item.name for item in told([*same, other]).groups[0].series}


def test_runs_that_drifted_are_named():
    steady, drifting = make_run("a", chats=40), make_run("b", seed=2, chats=40)
    drifting.results["steadiness"]["drifts"] = [{"sentence": "TTFT rose 3.1 % a minute"}]
    (note,) = (note for note in notes(told([steady, drifting])) if note.startswith("Not steady"))
    assert note.endswith("(their numbers depend on how long they lasted): b.")
