import json

import pytest
from click.testing import CliRunner
from rich.console import Console

from astrometer.cli import calibrate, main
from astrometer.load.calibrate.calibration_run import StepFailed, StepPlan, run_step, server_account
from astrometer.measure.accuracy import CalibrationStep, ErrorSummary, MetricAccuracy, ServerAccount
from astrometer.wire.receive_stamps import StampClock, stamp_clock

SUMMARY = {"p50", "p99", "max", "n"}


def run(*args, **kwargs):
    return CliRunner().invoke(main, ["calibrate", *args], **kwargs)


def accuracy(certain_p99=0.00001, *, n=100_000, certain=None, outside=0, outside_s=0.0):
    certain_n = n if certain is None else certain
    return MetricAccuracy(
        all=ErrorSummary(n=n, p50=0.000006, p99=0.0192, max=0.0981),
        certain=ErrorSummary(n=certain_n, p50=0.000006, p99=certain_p99, max=0.0004),
        outside=outside, outside_s=outside_s,
    )  # fmt: skip


def step(streams=50, *, clock="kernel", **kwargs):
    values = {
        "ttft": accuracy(), "gap": accuracy(), "delay": ErrorSummary(n=1000, p50=0.001, p99=0.002, max=0.002)
    } | kwargs  # fmt: skip
    return CalibrationStep(
        streams=streams, processes=1, clock=clock, gap_s=0.02, duration_s=10.0, events=475_000, cpu_s=9.0,
        cpu_max=0.9, loop_lag_p99_s=0.0358, **values,
        server=ServerAccount(events=475_000, lateness_p99_s=0.001, cpu_share=0.6),
    )  # fmt: skip


@pytest.mark.process
@pytest.mark.skipif(stamp_clock() is StampClock.USER, reason="no receive stamps here")
def test_true_values_lie_within_the_bounds_that_a_real_run_gives():
    done = run("--streams", "5", "--duration", "2s", "--json")
    found = json.loads(done.stdout)
    (measured,) = found["steps"]
    assert (measured["streams"], measured["processes"], measured["gap_s"]) == (5, 1, 0.02)
    assert measured["clock"] == "kernel"
    # 5 streams of 50 events/s, less the pauses before first tokens.
    assert 100 < measured["events_per_s"] < 260
    assert measured["cpu_us_per_event"] > 0
    assert measured["loop_lag_p99_s"] >= 0
    assert measured["server"]["same_clock"]
    for name in ("ttft_error_s", "gap_error_s"):
        errors = measured[name]
        assert set(errors["all"]) == set(errors["certain"]) == SUMMARY
        assert 1 <= errors["certain"]["n"] <= errors["all"]["n"]  # few where others are busy
        assert 0 < errors["certain"]["p50"] < 0.0005
        assert 0 <= errors["uncertain_share"] < 1
        assert errors["within_bounds_share"] == 1, errors
    if measured["problem"] is None:  # a busy machine's golden server may be late, and says so
        assert (done.exit_code, found["holds"], measured["holds"]) == (0, True, True), done.output


@pytest.mark.process
def test_a_process_that_stamps_by_itself_has_no_bounds_to_prove():
    done = run("--streams", "5", "--duration", "2s", "--json", env={"ASTROMETER_CLOCK": "user"})
    (measured,) = json.loads(done.stdout)["steps"]
    assert measured["clock"] == "user"
    assert measured["gap_error_s"]["within_bounds_share"] is None
    assert measured["gap_error_s"]["all"]["n"] > 50


@pytest.mark.process
def test_workers_share_the_streams_and_all_of_them_report():
    measured = calibrate.measure_step(6, gap_s=0.05, duration_s=2.0, processes=2)
    assert measured.lost_processes == 0
    assert 60 < measured.events_per_s < 130


@pytest.mark.process
def test_a_golden_server_that_is_too_slow_is_named_and_its_step_is_not_counted():
    measured = calibrate.measure_step(5, gap_s=0.02, duration_s=2.0, handicap_s=0.01)
    assert "the golden server was the bottleneck" in measured.problem()
    assert not measured.holds


@pytest.mark.process
def test_a_golden_server_that_cannot_start_proves_nothing(monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/nonexistent")  # no Python starts with this
    done = run("--streams", "5", "--duration", "1s")
    assert done.exit_code == 3, done.output
    assert "Error: the golden server did not start" in done.stderr
    assert done.stdout == "Nothing is proven: no step could be counted.\n"


@pytest.mark.process
def test_a_step_without_events_is_not_counted_and_says_why():
    done = run("--streams", "2", "--gap", "5s", "--duration", "1s", "--json")
    assert done.exit_code == 3, done.output
    found = json.loads(done.stdout)
    assert not found["holds"]
    assert found["steps"][0]["problem"] in (
        "no events arrived",
        "no stream began in the window, or none went on in it: longer --duration",
    )


def test_the_sentence_says_how_exact_times_are_how_many_are_uncertain_and_that_bounds_hold():
    counted = [step(50), step(1000, ttft=accuracy(0.00002), gap=accuracy(certain=98_700))]
    assert calibrate.sentence(counted) == (
        "Times are exact to 0.020 ms at p99; up to 1.3 % of gaps are uncertain, at 1,000 streams. "
        "All true values lie within their bounds."
    )
    assert calibrate.sentence([step()]) == (
        "Times are exact to 0.010 ms at p99. All true values lie within their bounds."
    )


def test_bounds_that_do_not_hold_are_said_with_how_many_values_and_how_far():
    counted = [step(50), step(400, gap=accuracy(outside=300, outside_s=0.0123))]
    assert not calibrate.all_hold(counted)
    assert "300 of 400,000 true values lie outside, by up to 12.3 ms" in calibrate.sentence(counted)


def test_without_stamps_the_sentence_says_the_largest_error_and_what_helps():
    told = calibrate.sentence([step(clock="user", ttft=accuracy(), delay=accuracy().all)])
    assert "clock: user" in told
    assert "wrong by up to 19.2 ms at p99" in told
    assert "Try fewer --streams" in told
    fine = MetricAccuracy(all=ErrorSummary(n=9, p50=0.001, p99=0.002, max=0.002), certain=accuracy().certain)
    assert calibrate.sentence([step(clock="user", ttft=fine, gap=fine)]).endswith("up to 2.00 ms at p99.")


def test_nothing_is_proven_without_a_step_that_counts():
    assert not calibrate.all_hold([])
    assert calibrate.sentence([]) == "Nothing is proven: no step could be counted."


def test_the_tables_are_whole_in_80_columns_and_without_colour():
    steps = [step(50), step(10_000, gap=accuracy(certain=40_000, outside=50))]
    console = Console(width=80, no_color=True, force_terminal=False)
    with console.capture() as capture:
        console.print(calibrate.error_table(steps), calibrate.process_table(steps))
    shown = capture.get()
    assert "0.006/19.2/98.1  0.006/0.010/0.400" in shown
    assert "60.0 %" in shown
    assert "> 99.9 %" in shown
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.process
def test_a_load_that_does_not_end_is_a_failed_step_and_is_ended():
    plan = StepPlan(streams=1, gap_s=0.02, duration_s=1.0, stream_s=0.5, patience_s=-1.5)
    with pytest.raises(StepFailed, match="did not end within 0 s"):
        run_step(plan, "http://127.0.0.1:9")


def test_a_golden_server_that_is_gone_is_a_failed_step():
    with pytest.raises(StepFailed, match="no account of itself"):
        server_account("http://127.0.0.1:9", 0.0, 1.0)


def test_the_server_has_a_core_of_its_own_where_there_are_several():
    assert calibrate.split_cpus([0, 1, 2]) == ([2], [0, 1])
    assert calibrate.split_cpus([3]) == ((), ())


@pytest.mark.parametrize(
    "wrong", [("--streams", "50,x"), ("--streams", "0"), ("--gap", "fast"), ("--gap", "0")]
)
def test_arguments_that_make_no_step_are_usage_errors(wrong):
    assert run(*wrong).exit_code == 2
