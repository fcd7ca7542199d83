"""A run's notes: without keys, one line each, bounded."""

import pytest

from astrometer.api.timings import Timings
from astrometer.config.secret import Secret
from astrometer.config.settings import Key, Target
from astrometer.probing.run_record import MAX_LOG_LINES, Record, question_phases

TARGET = Target(name="t", url="http://t", keys={"k": Key(name="k", secret=Secret("abk_secret"))})


def test_no_line_and_no_note_holds_a_key_or_a_control_character():
    record = Record(TARGET)
    record.say("sent abk_secret\x1b[31m\r\nHost: x")
    record.note("abk_secret \x07 stays")
    record.note("abk_secret \x07 stays")
    assert [line.text for line in record.log] == ["sent ***\\x1b[31m Host: x"]
    assert record.notes == ["*** \\x07 stays"]


def test_the_log_is_bounded():
    record = Record(TARGET)
    for _ in range(2 * MAX_LOG_LINES):
        record.say("x" * 10_000)
    assert len(record.log) == MAX_LOG_LINES
    assert max(len(line.text) for line in record.log) <= 500


def test_preparations_are_told_apart_also_when_they_fail():
    record = Record(TARGET)
    with pytest.raises(ZeroDivisionError), record.preparing():
        _ = 1 / 0
    assert record.aside_s > 0


def test_phases_that_were_not_reached_are_absent_and_never_zero():
    times = Timings(t_intended=0.0, t_send=0.0, t_headers=0.5)
    assert question_phases(times, {"connect": 0.2}) == {"connect": 0.2, "headers": 0.3}
