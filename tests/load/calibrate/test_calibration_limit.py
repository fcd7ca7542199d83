"""Chats at once in a load process, against what it was calibrated for."""

import subprocess
import sys

import pytest

from astrometer.load.calibrate import calibration_limit
from astrometer.load.calibrate.calibration_limit import Allowance
from astrometer.load.run.health import HealthMonitor, ProcessHealth, worst
from astrometer.measure.histogram import Histogram
from astrometer.measure.tally import Tally
from astrometer.report import view


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROMETER_CACHE", str(tmp_path))


def test_the_most_chats_at_once_are_noted_with_what_the_process_was_calibrated_for():
    Allowance(streams=2, gap_s=0.02).keep()
    monitor = HealthMonitor()
    monitor.start()
    with monitor.stream(), monitor.stream(), monitor.stream():
        pass
    with monitor.stream():
        wire = monitor.take()
    monitor.stop()
    assert (wire["streams_peak"], wire["streams_calibrated"]) == (3, 2)


def test_the_process_nearest_to_its_limit_speaks_for_all():
    strained = ProcessHealth(Histogram(), streams_peak=90, streams_calibrated=50)
    larger = ProcessHealth(Histogram(), streams_peak=100, streams_calibrated=400)
    health = worst([larger, strained], Tally(), lost_workers=0)
    assert (health.streams_peak, health.streams_calibrated) == (90, 50)


@pytest.mark.parametrize(
    ("peak", "calibrated", "warned"), [(90, 50, True), (50, 50, False), (90, None, False), (None, 50, False)]
)
def test_a_report_warns_of_more_chats_than_calibrated_for(peak, calibrated, warned):
    lines = view.strain_lines({"generator": {"streams_peak": peak, "streams_calibrated": calibrated}})
    assert bool(lines) is warned
    assert not view.strain_lines({"generator": {}})  # an older file


def test_an_explicit_cap_of_an_open_model_is_compared_before_the_run_and_the_default_is_not():
    Allowance(streams=200, gap_s=0.02).keep()
    assert calibration_limit.before(None, None, []) is None
    assert calibration_limit.before(None, None, [], 200) is None
    warning = calibration_limit.before(None, None, ["--users-ignored"], 500)
    assert "--max-in-flight 500" in warning
    assert "calibrated for 200 of 50 events/s" in warning
    assert calibration_limit.before(None, None, ["--processes", "many"]) is None  # Locust will complain


def test_processes_after_the_dashes_count_as_well():
    Allowance(streams=200, gap_s=0.02).keep()
    assert calibration_limit.before(400, None, ["--processes", "2"]) is None
    assert "in 1 process(es)" in calibration_limit.before(400, 2, ["--processes", "1"])
    assert calibration_limit.before(200, None, ["--processes", "-1"]) is None  # one on each core


def test_without_a_calibration_nothing_is_said():
    assert calibration_limit.before(10_000, None, []) is None


QUICK = """
from locust import argument_parser
from astrometer.load.locust_plugin import locust_patches
before = argument_parser.default_args_dict()
locust_patches.know_own_options()
assert argument_parser.default_args_dict() == before
assert argument_parser.default_args_dict() is argument_parser.default_args_dict()
"""


@pytest.mark.process
def test_a_worker_does_not_build_locusts_parser_anew_for_every_option():
    """Half a second of standing still at each step of a ramp, on Locust 2.47."""
    subprocess.run([sys.executable, "-c", QUICK], check=True, timeout=60)
