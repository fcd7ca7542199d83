import json

import pytest
from click.testing import CliRunner

from astrometer.cli import calibrate, main
from astrometer.load.calibrate.calibration_limit import Allowance, kept
from astrometer.load.calibrate.calibration_run import StepFailed, StepPlan, run_step, server_account

ERRORS = {"p50", "p99", "max", "n"}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROMETER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def run(*args):
    return CliRunner().invoke(main, ["calibrate", *args])


@pytest.mark.process
def test_a_step_compares_what_a_real_run_measures_with_what_was_sent():
    done = run("--streams", "5", "--duration", "2s", "--json")
    assert done.exit_code in (0, 3), done.output  # a busy machine measures badly, and says so
    found = json.loads(done.stdout)
    (step,) = found["steps"]
    assert set(step["ttft_error_s"]) == set(step["gap_error_s"]) == ERRORS
    assert (step["streams"], step["processes"], step["gap_s"]) == (5, 1, 0.02)
    # 5 streams of 50 events/s, less the pauses before first tokens.
    assert 100 < step["events_per_s"] < 260
    assert 0 < step["gap_error_s"]["p50"] <= step["gap_error_s"]["p99"] <= step["gap_error_s"]["max"] < 2
    assert step["ttft_error_s"]["n"] >= 5
    assert step["cpu_us_per_event"] > 0
    assert step["loop_lag_p99_s"] >= 0
    assert step["server"]["same_clock"]
    assert found["max_streams_within_5ms"] == (5 if step["trustworthy"] else None)
    assert (kept() is not None) == step["trustworthy"] == (done.exit_code == 0)


@pytest.mark.process
def test_workers_share_the_streams_and_all_of_them_report():
    step = calibrate.measure_step(6, gap_s=0.05, duration_s=2.0, processes=2)
    assert step.lost_processes == 0
    assert 60 < step.events_per_s < 130


@pytest.mark.process
def test_a_golden_server_that_is_too_slow_is_named_and_its_step_is_not_counted():
    step = calibrate.measure_step(5, gap_s=0.02, duration_s=2.0, handicap_s=0.01)
    assert "the golden server was the bottleneck" in step.problem()
    assert not step.trustworthy


def test_without_a_trusted_step_the_sentence_promises_nothing():
    assert calibrate.sentence(None, [50], is_limit=False) == "No step could be trusted."
    assert "try fewer --streams" in calibrate.sentence(None, [50], is_limit=True)


def test_the_sentence_says_how_many_workers_more_streams_need():
    assert calibrate.sentence(200, [50, 200, 1000], is_limit=True) == (
        "Up to 200 concurrent streams per process within 5 ms at p99; for 1,000 streams you need 5 workers."
    )


def test_where_all_went_well_there_is_no_limit_to_tell():
    assert calibrate.sentence(200, [50, 200], is_limit=False) == (
        "At least 200 concurrent streams per process within 5 ms at p99; no more were measured."
    )


def test_a_check_of_few_streams_does_not_make_little_of_what_was_found_before():
    known = Allowance(streams=200, gap_s=0.02)
    assert not Allowance(streams=50, gap_s=0.02).widens(known)
    assert Allowance(streams=400, gap_s=0.02).widens(known)
    assert Allowance(streams=50, gap_s=0.1).widens(known)  # of other streams
    assert known.widens(None)


def failed(done):
    return done.exit_code == 3 and isinstance(done.exception, SystemExit)


@pytest.mark.process
def test_a_calibration_that_measured_nothing_takes_nothing_back(monkeypatch):
    Allowance(streams=200, gap_s=0.02).keep()
    monkeypatch.setenv("PYTHONHOME", "/nonexistent")  # no Python starts with this
    done = run("--streams", "5", "--duration", "1s")
    assert failed(done), done.output
    assert "Error: the golden server did not start" in done.stderr
    assert kept() == Allowance(streams=200, gap_s=0.02)


@pytest.mark.process
def test_what_was_kept_is_forgotten_when_a_step_was_measured_and_none_can_be_trusted():
    Allowance(streams=200, gap_s=0.02).keep()
    done = run("--streams", "2", "--gap", "5s", "--duration", "1s", "--json")
    assert failed(done), done.output
    assert json.loads(done.stdout)["steps"][0]["problem"] in (
        "no events arrived",
        "no stream began in the window, or none went on in it: longer --duration",
    )
    assert kept() is None


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


def test_a_run_within_the_calibration_is_not_commented_on():
    allowance = Allowance(streams=200, gap_s=0.02)
    assert allowance.warning(200, None) is None
    assert allowance.warning(400, 2) is None


def test_a_run_beyond_the_calibration_is_told_how_many_processes_it_needs():
    warning = Allowance(streams=200, gap_s=0.02).warning(1000, 2)
    assert "1000 users in 2 process(es)" in warning
    assert "200 streams of 50 events/s" in warning
    assert "--processes 5" in warning


@pytest.mark.process
def test_load_warns_in_one_line_of_a_kept_calibration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Allowance(streams=2, gap_s=0.02).keep()
    arguments = ["load", "chat", "--host", "http://127.0.0.1:1", "-u", "4"]  # nobody listens there
    done = CliRunner().invoke(main, arguments, env={"ASTRBOT_API_KEY": "abk-secret"})
    assert done.exit_code == 4
    warnings = [line for line in done.stderr.splitlines() if line.startswith("Warning:")]
    assert len(warnings) == 1
    assert "4 users in 1 process" in warnings[0]


def test_what_is_kept_survives_and_damage_is_as_good_as_nothing(cache):
    assert kept() is None
    path = Allowance(streams=200, gap_s=0.02).keep()
    assert path.parent == cache
    assert kept() == Allowance(streams=200, gap_s=0.02)
    path.write_text("{")
    assert kept() is None
