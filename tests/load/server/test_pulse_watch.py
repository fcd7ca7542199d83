"""Answers of a cheap question -> what is said of the server; nothing of the warm-up, and nothing made up."""

import pytest

from astrometer.api.call_exchange import CallResult
from astrometer.api.outcome import Outcome
from astrometer.load.run.run_clock import RunClock
from astrometer.load.server.pulse_watch import PulseWatch
from astrometer.measure.server_pulse import ServerPulse
from astrometer.report.view.server_lines import server_lines
from astrometer.wire.tls import DEFAULT


@pytest.fixture
def watch():
    return PulseWatch("http://127.0.0.1", RunClock(now=lambda: 0.0), excluded_s=3.0, tls=DEFAULT)


def answer(t_s, duration_s=0.003, *, since=1000, outcome=Outcome.OK):
    payload = {"start_time": since} if outcome is Outcome.OK else None
    return CallResult(outcome=outcome, duration_s=duration_s, t_send=t_s, status=200, payload=payload)


def test_blocks_of_the_window_are_counted_and_those_of_the_warm_up_are_not(watch):
    for t_s in range(30):
        watch.note(answer(t_s, 0.5 if t_s in {1, 10, 20} else 0.003))
    told = watch.pulse().to_json()
    assert (told["n"], told["blocked"], told["failed"], told["restarts"]) == (27, 2, 0, 0)
    assert told["max_s"] == pytest.approx(0.5, rel=0.01)
    assert server_lines({"server": None, "pulse": told}) == [
        "Server: a cheap request each second: p50 3.0 ms, at most 500 ms; above 200 ms 2 of 27 times"
    ]


def test_a_restart_is_told_also_when_nobody_answered_meanwhile(watch):
    watch.note(answer(4))
    watch.note(answer(5, 10.0, outcome=Outcome.TIMEOUT_TOTAL))
    watch.note(answer(15, since=2000))
    told = watch.pulse().to_json()
    assert (told["restarts"], told["failed"]) == (1, 1)
    lines = server_lines({"server": None, "pulse": told})
    assert lines[0] == "Warning: the server restarted during the run (1 time)"
    assert lines[1].endswith("; 1 failed")


def test_a_server_that_never_answered_has_no_pulse(watch):
    watch.note(answer(4, outcome=Outcome.TIMEOUT_TOTAL))
    assert watch.pulse() is None
    assert server_lines({"server": None, "pulse": None}) == []
    assert server_lines({"server": None, "pulse": ServerPulse().to_json()}) == []
