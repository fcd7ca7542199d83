"""Runs that are remembered: failures longer, of every probe its own, bounded."""

from astrometer.api.outcome import Outcome
from astrometer.probing.exporter.kept_runs import (
    KEPT_FAILED,
    KEPT_PASSED,
    LOG_LINES,
    LOGS_FAILED,
    KeptRuns,
    log_text,
)
from astrometer.probing.verdict import LogLine, ProbeRun, Verdict


def run(probe: str = "chat", *, ok: bool = True, lines: int = 1) -> ProbeRun:
    verdict = Verdict.passed() if ok else Verdict.failed(Outcome.RESET, "gone")
    log = tuple(LogLine(t_s=float(n), text=f"line {n}") for n in range(lines))
    return ProbeRun(
        target="t", url="http://t", probe=probe, verdict=verdict, started_at=0.0, duration_s=1.0, log=log
    )


def test_one_that_fails_all_the_time_pushes_nobody_else_s_out():
    history = KeptRuns()
    history.add(run("reads", ok=False))
    for _ in range(100):
        history.add(run("chat", ok=False))
        history.add(run("chat"))
    kept = history.newest_first()
    assert sum(item.run.probe == "reads" for item in kept) == 1
    assert len(kept) == 1 + KEPT_FAILED + KEPT_PASSED
    assert [item.number for item in kept] == sorted((item.number for item in kept), reverse=True)
    assert {item.run.ok for item in history.newest_first(failed=True)} == {False}
    assert {item.run.probe for item in history.newest_first(target="t", probe="reads")} == {"reads"}


def test_logs_are_found_by_number_until_there_are_too_many():
    history = KeptRuns()
    for _ in range(LOGS_FAILED + 1):
        history.add(run(ok=False))
    assert history.log_of(1) is None
    assert "verdict: reset  gone" in history.log_of(2)
    assert history.log_of(10**9) is None


def test_a_long_log_leaves_its_middle_out():
    text = log_text(run(lines=3 * LOG_LINES))
    assert f"{2 * LOG_LINES} lines left out" in text
    assert "line 0" in text
    assert f"line {3 * LOG_LINES - 1}" in text


def test_plans_that_are_no_more_keep_only_their_failures():
    history = KeptRuns()
    history.add(run("gone"))
    history.add(run("gone", ok=False))
    history.keep_only([("t", "chat")])
    assert history.last == {}
    assert [item.run.ok for item in history.newest_first()] == [False]
