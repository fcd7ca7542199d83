"""The line of progress on a terminal: one row, however narrow."""

import io
from types import SimpleNamespace

import pytest

from astrometer.load.live.progress import ProgressLine
from astrometer.measure.tally.exchange_stats import Stats
from astrometer.measure.tally.histogram import Histogram
from astrometer.measure.tally.tally import StatsKey


class Terminal(io.StringIO):
    def isatty(self):
        return True


def live(users=20, operation="chat"):
    stats = Stats()
    stats.started = 118_000
    stats.outcomes["ok"] = 97_000
    stats.ok["ttft"] = Histogram()
    run = SimpleNamespace(
        tally=SimpleNamespace(counted={StatsKey("any", operation): stats}),
        clock=SimpleNamespace(elapsed_s=3725.0),
        is_over=True,
    )
    return ProgressLine(run, lambda: users, Terminal())


def test_the_whole_line_is_shown_where_there_is_room_and_one_user_is_no_users():
    assert "  20 users  started 118000  ok 97000  " in live().line(1.0)
    assert "  1 user  started" in live(users=1).line(1.0)


def test_people_in_a_messenger_wait_for_a_reply_and_not_for_a_first_token():
    assert "  reply p50 – (n=0)  " in live(operation="im_chat").line(1.0)
    assert "ttft" not in live(operation="im_chat").line(1.0)
    assert "  ttft p50 – (n=0)  " in live().line(1.0)


@pytest.mark.parametrize("columns", [80, 60, 10])
def test_the_line_never_wraps(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = live()
    shown._print(1.0)
    (row,) = shown._out.getvalue().removeprefix("\r\x1b[2K").splitlines()
    assert len(row) < columns
    assert "started" not in row
    assert row.startswith("62m 05s"[: columns - 1])
