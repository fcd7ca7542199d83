import io
import re

import pytest
from rich.console import Console

from astrometer.measure.slo.validity import OpenArrivals
from astrometer.report import formatting
from astrometer.report.table import render


def shown(results, *, width=80, colour=False) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=colour, no_color=not colour, _environ={})
    console.print(render(results))
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 100, 140])
def test_the_table_fits_and_says_everything(passed, width):
    text = shown(passed, width=width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    for word in ("chat", "im", "reads", "sessions", "uploads", "all", "TTFT", "gap p95", "e2e", "goodput"):
        assert word in text
    for line in ("rate_limited 11", "stalled 11", "reset 11", "forbidden 4"):
        assert line in text


def test_every_percentile_has_its_n(passed):
    text = shown(passed)
    n = passed["scenarios"]["chat"]["metrics"]["ttft"]["n"]
    assert text.count(f"n {n:,}") >= 2


def test_the_last_lines_are_the_verdict_and_its_objectives(passed):
    text = shown(passed)
    assert re.search(r"PASS\s+Every objective was met", text)
    assert "mixed against http://127.0.0.1:6185 · AstrBot 4.29.3 · 30.00 s · 20 users" in text
    assert re.search(r"✓\s+ttft_p95 < 1s\s+was \d+ ms\s+n 1,4\d\d", text)


def test_a_missed_objective_is_marked(failed):
    text = shown(failed)
    assert re.search(r"FAIL\s+At least one objective was not met", text)
    assert re.search(r"✗\s+ttft_p95 < 1s", text)


def test_an_invalid_run_says_why_and_what_helps(invalid, passed):
    text = shown(invalid)
    assert "What helps: close other programs" in text
    assert "What helps" not in shown(passed)
    assert "INVALID" in text
    assert "event-loop lag p99 84 ms is above 20 ms" in text
    assert text.index("event-loop lag p99 84 ms") < text.index("What helps")
    assert "1 worker(s) lost" in text


def test_a_search_that_the_budget_ended_says_how_to_come_further(make):
    cause = {"kind": "search_unfinished", "detail": "(not confirmed)", "sentence": "no answer"}
    stopped = {"by": "budget", "sentence": "the token budget was spent", "at_s": 30.0}
    results = {**make(), "verdict": "INVALID", "causes": [cause], "stopped": stopped}
    assert "What helps: a higher --budget-tokens, a --start near what passed" in shown(results)


def test_where_a_percentile_is_withheld_the_worst_sample_is_shown_with_the_reason(tiny):
    text = shown(tiny)
    worst = tiny["metrics"]["ttft"]
    assert f"≤ {formatting.duration(worst['max'])}" in text
    assert f"n {worst['n']}" in text
    assert "≤ the maximum; withheld, too few samples: p50 needs n ≥ 20, p95 needs n ≥ 200" in text


def test_no_reason_is_given_when_nothing_is_withheld(make):
    assert "withheld" not in shown(make(chats=2000, calls=0))


def test_plain_calls_have_a_marked_duration_in_the_column_of_e2e(passed):
    text = shown(passed)
    assert re.search(r"^im .*ms†", text, flags=re.MULTILINE)
    assert "† duration of plain calls" in text


def test_nothing_started_is_said(empty):
    assert "Nothing was started" in shown(empty)


def test_an_exchange_that_never_ended_is_shown(make):
    results = make(chats=300, calls=0)
    results["scenarios"]["chat"]["turns"]["started"] += 3
    assert "never ended 3" in shown(results)


def test_no_colour_means_no_escape_sequence(passed):
    assert "\x1b" not in shown(passed)


def test_colour_is_used_where_there_is_some(passed):
    assert "\x1b[" in shown(passed, colour=True)


def test_names_from_outside_cannot_command_the_terminal(make):
    text = shown(make(chats=40, calls=0, scenario="\x1b[2Jmixed [bold red]x[/]", url="http://h\x07"))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[bold red]x[/]" in text


def test_a_percentile_among_failures_is_infinite(make):
    results = make(chats=300, calls=0, slos=("ttft_p99 < 1s", "e2e_max < 1s"))
    assert "was ∞" in shown(results)


def test_what_the_ramp_left_out_is_said_and_the_load_of_an_open_model_is_a_rate(make):
    arrivals = OpenArrivals(process="poisson", seed=1, rate_per_s=2.5, expected=75, intended=75)
    results = make(arrivals=arrivals)
    results["turns"]["excluded"] = 61
    results["turns"]["excluded_outcomes"] = {"ok": 58, "http_5xx": 2}
    results["window"]["excluded_s"] = 2.0
    text = shown(results, width=140)
    assert "First 2.00 s (ramp-up, warm-up) excluded: 61 turns (ok 58, http_5xx 2)" in text
    assert "2.5/s, poisson arrivals" in text


def test_what_continues_on_a_second_line_is_indented_as_the_first(make):
    url = f"http://{'a' * 50}:6185"
    lines = shown(make(chats=300, calls=0, slos=("ttft_p50 < 1s",), url=url)).splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("PASS  Every"))
    subject = lines[at + 1 : -3]
    assert len(subject) > 1
    assert all(re.match(r" {6}\S", line) for line in subject)
    assert lines[-2].startswith("  Objectives count failed requests")
    assert re.match(r" {2}\S", lines[-1])


def test_a_run_in_which_nothing_succeeded_says_so(passed):
    assert "No exchange succeeded." in shown({**passed, "verdict": "FAIL", "objectives": []})


def test_answers_without_any_token_count_have_a_note(passed):
    note = "12 ok answers have no token count"
    assert note not in shown(passed)
    assert note in shown({**passed, "turns": {**passed["turns"], "uncounted": 12}})
