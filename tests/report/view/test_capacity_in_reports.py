"""A search for the capacity: its fields are documented, and every report shows its answer."""

import random
from dataclasses import replace

import pytest
from asked_search import asked_search
from causes import LAG, sentences
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from test_results_are_documented import STATS, documented, paths
from workloads import BUSIEST

from astrometer.measure.capacity.capacity_result import CapacityRun
from astrometer.measure.capacity.next_load import SearchAnswer, SearchEnd, StepVerdict
from astrometer.measure.capacity.search_step import SearchStep
from astrometer.measure.results import document as results_file
from astrometer.measure.slo.slo_parser import parse_objectives
from astrometer.measure.slo.validity import Cause, CauseKind, GeneratorHealth
from astrometer.measure.tally.exchange_stats import Stats
from astrometer.measure.tally.histogram import Histogram
from astrometer.measure.tally.tally import StatsKey, Tally
from astrometer.report.html import render_html
from astrometer.report.junit import cases_of
from astrometer.report.summary import render_summary
from astrometer.report.table import render

OBJECTIVES = parse_objectives(["ttft_p90 < 1s", "errors < 2%"])


def window(level, verdict, *, slow=0.0, failed=0, n=240, start=0.0, causes=()):
    """`slow`: the share of answers beyond a second."""
    rng = random.Random(level)
    stats = Stats(started=n)
    stats.outcomes.update({"ok": n - failed, "server_error": failed})
    stats.missed["ttft"] = failed
    for number in range(n - failed):
        ttft_s = rng.uniform(1.2, 2) if number < slow * n else rng.uniform(0.2, 0.8)
        stats.ok["ttft"].record(ttft_s)
        stats.good += ttft_s < 1
    health = GeneratorHealth(loop_lag_p99_s=0.03 if causes else 0.004, cpu_max=0.2, schedule_lag_p99_s=0.001)
    return SearchStep(
        level=level, start_s=start, end_s=start + 30, verdict=verdict, stats={None: stats},
        completed=n - failed, causes=causes, health=health,
    )  # fmt: skip


STEPS = (
    window(4, StepVerdict.PASS),
    window(8, StepVerdict.INVALID, causes=[LAG], start=40),
    window(8, StepVerdict.PASS, start=80),
    window(16, StepVerdict.FAIL, slow=0.6, failed=30, start=120),
    window(9, StepVerdict.FAIL, slow=0.3, start=160),
    window(8, StepVerdict.PASS, start=200),
    window(9, StepVerdict.FAIL, slow=0.25, start=240),
)


def made(
    *, steps=STEPS, end=SearchEnd.CONVERGED, passing=8, failing=9, reason=None, between=("1", "500"),
    causes=(), objectives=OBJECTIVES, workload=None, **more,
):  # fmt: skip
    run = CapacityRun(
        settings=asked_search(*between, **more),
        objectives=objectives,
        steps=steps,
        answer=SearchAnswer(end=end, passing=passing, failing=failing),
        reason=reason,
    )
    tally = Tally()
    tally.counted[StatsKey("chat", "chat")].merge(STEPS[0].stats[None])
    info = results_file.RunInfo(
        scenario="chat", url="http://127.0.0.1:6185", start=1_700_000_000, duration_s=280, users=16,
        objectives=objectives, capacity=run, causes=causes, workload=workload,
        generator=GeneratorHealth(loop_lag_p99_s=0.5),  # of the whole run: no cause
    )  # fmt: skip
    return results_file.build(tally, info)


def told(results):
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(render(results))
    console.file.close()
    return " ".join(console.export_text().split())


@pytest.fixture(scope="module")
def searched():
    return made()


def test_every_field_is_documented_and_every_documented_field_exists(searched):
    capacity = searched["capacity"]
    steps = [
        {k: v for k, v in step.items() if k not in STATS} | {"causes": []} for step in capacity["steps"]
    ]  # as those of the whole file
    there = {k: v for k, v in capacity["at_highest_passing"].items() if k not in STATS}
    for step in (*capacity["steps"], capacity["at_highest_passing"]):
        assert set(step) >= STATS
    own = {**capacity, "steps": steps, "at_highest_passing": there}
    found = set(paths(own))
    assert found == documented("Capacity")


def test_the_answer_is_in_numbers(searched):
    capacity = searched["capacity"]
    assert searched["verdict"] == "PASS"
    assert searched["causes"] == []
    assert (capacity["highest_passing"], capacity["lowest_failing"]) == (8, 9)
    assert capacity["binding"] == "ttft_p90 < 1s"
    assert capacity["estimate"] == 8
    assert capacity["interval"] == {"low": 6, "high": 11, "confidence": 0.95}
    assert capacity["decline"] is None  # three times the odds that are allowed, and no answers lost
    assert capacity["peak"] == {"completed_per_s": 8.0, "load": 4, "plateau_from": None}
    assert capacity["at_highest_passing"]["turns"]["started"] == 480  # two windows, without the INVALID one
    assert [item["verdict"] for item in searched["objectives"]] == ["PASS", "PASS"]


@pytest.mark.parametrize(
    ("between", "share", "times"),
    [
        (("1", "500"), 1.0, 4.0),  # 480 questions in 60 s, of 2 per second
        (("1", "500"), 0.5, 0.2),  # other requests are among them: half of 8 users, of 20
        (("1/s", "500/s"), 0.5, 0.42),  # 0.424/s, of which half are conversations
    ],
)
def test_with_a_workload_the_answer_is_in_busiest_hours(between, share, times):
    results = made(between=between, workload=replace(BUSIEST, share=share, scale=None))
    assert results["capacity"]["times_busiest_hour"] == pytest.approx(times, rel=0.02)
    words = f"{times:g} times your busiest hour"
    assert words in told(results)
    assert words in render_html(results)


@pytest.mark.parametrize(
    ("slow", "failed", "kind"),
    [(0.9, 0, "cliff"), (0.12, 0, "smooth"), (0.0, 120, "cliff"), (0.25, 0, None)],
)
def test_an_edge_without_warning_is_a_cliff(slow, failed, kind):
    steps = (window(8, StepVerdict.PASS), window(9, StepVerdict.FAIL, slow=slow, failed=failed))
    assert made(steps=steps)["capacity"]["decline"] == kind


def test_a_median_has_cliffs_too():
    """At most twice the share that a p50 allows can be bad."""
    steps = (window(8, StepVerdict.PASS), window(9, StepVerdict.FAIL, slow=0.95))
    assert made(steps=steps, objectives=parse_objectives(["ttft_p50 < 1s"]))["capacity"]["decline"] == "cliff"


def test_lost_answers_are_a_cliff_and_are_told_in_figures():
    """A server that falls from 7.5 to 1.5 answers a second does not decline smoothly."""
    steps = (window(50, StepVerdict.PASS, n=225), window(51, StepVerdict.FAIL, slow=0.6, n=45))
    results = made(steps=steps, passing=50, failing=51, objectives=parse_objectives(["ttft_p50 < 1s"]))
    assert results["capacity"]["decline"] == "cliff"
    assert "a cliff: from 50 to 51 users: bad exchanges 0 % to 60.0 % (ttft_p50 < 1s allows" in told(results)
    assert "7.50/s to 1.50/s answers" in told(results)


def test_nearly_as_many_is_said_only_of_loads_that_had_as_many():
    falling = (window(50, StepVerdict.PASS, n=240), window(64, StepVerdict.FAIL, slow=0.6, n=120))
    assert made(steps=falling)["capacity"]["peak"] == {
        "completed_per_s": 8.0,
        "load": 50,
        "plateau_from": None,
    }
    assert "most answers: 8.00/s at 50 users" in told(made(steps=falling))
    assert "nearly as many" not in told(made(steps=falling))
    level = (window(50, StepVerdict.PASS, n=236), window(64, StepVerdict.FAIL, slow=0.6, n=240))
    assert "most answers: 8.00/s at 64 users, and nearly as many at every load from 50 users on" in told(
        made(steps=level)
    )


def test_contradicting_windows_widen_the_interval():
    steps = (window(7, StepVerdict.PASS), window(8, StepVerdict.FAIL, slow=0.12), *STEPS)
    interval = made(steps=steps)["capacity"]["interval"]
    assert (interval["low"], interval["high"]) == (6, 10)


def test_an_end_that_no_window_bounds_is_open():
    capacity = made(steps=(window(8, StepVerdict.PASS), window(9, StepVerdict.FAIL, slow=0.9)))["capacity"]
    assert (capacity["interval"]["low"], capacity["interval"]["high"]) == (None, None)


def test_the_charts_speak_of_a_shade_only_where_there_is_one(searched):
    shade = "Shaded: the 95 % interval of the capacity."
    assert shade in render_html(searched)
    assert "Shaded" not in render_html(made(end=SearchEnd.STOPPED))


def test_a_rate_is_one_of_arrivals_and_says_how_many_exchanges_each_made():
    steps = (window(8, StepVerdict.PASS, n=360), window(9, StepVerdict.FAIL, slow=0.9, n=400))
    said = told(made(steps=steps, between=("1/s", "500/s"), precision=0.5))
    assert "The server holds about 4.24 arrivals/s" in said
    assert "at 4 arrivals/s: 3.00 exchanges per arrival, 12.0/s answers" in said


@pytest.mark.parametrize(("answer_s", "is_said"), [(0.2, False), (4.0, True)])
def test_short_windows_are_said_to_flatter(answer_s, is_said):
    steps = (window(8, StepVerdict.PASS), window(9, StepVerdict.FAIL, slow=0.9))
    for step in steps:
        step.stats[None].ok["e2e"].merge(Histogram([answer_s] * 240))
    said = told(made(steps=steps))
    warning = (
        "windows of 30.00 s are short beside answers of 4.00 s and may flatter the server: --step-time 400s"
    )
    assert (warning in said) is is_said
    assert ("may flatter" in said) is is_said


@pytest.mark.parametrize(
    ("end", "passing", "failing", "verdict", "words"),
    [
        (
            SearchEnd.CONVERGED,
            8,
            9,
            "PASS",
            "The server holds about 8 users (95 %: 6 to 11); ttft_p90 < 1s breaks first.",
        ),
        (SearchEnd.MAXIMUM, 8, None, "PASS", "The server holds 8 users, the highest load that was tried"),
        (SearchEnd.SATURATED, 8, None, "PASS", "more load brings no more answers."),
        (
            SearchEnd.MINIMUM,
            None,
            9,
            "FAIL",
            "The server does not hold 9 users, the lowest load; ttft_p90 < 1s breaks first.",
        ),
        (SearchEnd.GENERATOR, 8, None, "INVALID", "So far 8 users passed"),
        (SearchEnd.BUDGET, 8, 16, "INVALID", "so far 8 users passed, 16 users failed"),
        (SearchEnd.NO_DATA, None, None, "INVALID", "nothing passed"),
    ],
)
def test_every_end_has_its_verdict_and_its_words(end, passing, failing, verdict, words):
    results = made(end=end, passing=passing, failing=failing)
    assert results["verdict"] == verdict
    assert (results["capacity"]["reason"] is None) == (verdict != "INVALID")
    assert words.lower() in told(results).lower()
    assert words.lower() in render_summary(results).replace("\\", "").lower()


def test_a_generator_that_was_held_up_is_said_to_tell_nothing_of_the_server_at_that_load():
    late = window(64, StepVerdict.INVALID, causes=[LAG])
    (cause,) = sentences(made(steps=(*STEPS, late), end=SearchEnd.GENERATOR, passing=16, failing=None))
    assert cause.endswith("the load generator was held up, so nothing is known about the server at 64 users")


def verdicts(results):
    return [item["verdict"] for item in results["objectives"]]


def test_a_window_that_the_majority_outvotes_is_not_among_those_that_objectives_are_judged_on():
    outvoted = window(8, StepVerdict.FAIL, slow=0.9, failed=30)
    results = made(steps=(*STEPS, outvoted))
    assert results["verdict"] == "PASS"
    assert verdicts(results) == ["PASS", "PASS"]
    assert [item["n"] for item in results["objectives"]] == [480, 480]
    assert not [case for case in cases_of(results) if case.problem]
    steps = (
        window(1, StepVerdict.FAIL, slow=0.2),
        window(1, StepVerdict.PASS, n=4000),
        window(1, StepVerdict.FAIL, slow=0.2),
    )
    broken = made(steps=steps, end=SearchEnd.MINIMUM, passing=None, failing=1)
    assert (broken["verdict"], verdicts(broken)) == ("FAIL", ["FAIL", "PASS"])


def test_what_turns_that_ended_late_decided_stays_decided():
    """They counted as bad when the window was judged, and have ended well since."""
    late = window(1, StepVerdict.FAIL, failed=4)
    results = made(steps=(late, late), end=SearchEnd.MINIMUM, passing=None, failing=1)
    assert (results["verdict"], verdicts(results)) == ("FAIL", ["PASS", "FAIL"])
    step = results["capacity"]["steps"][0]
    assert [item["verdict"] for item in step["objectives"]] == ["PASS", "FAIL"]


def test_nothing_passes_in_a_search_that_cannot_be_trusted():
    results = made(causes=[Cause(kind=CauseKind.WORKERS_LOST, value=1)])
    assert (results["verdict"], verdicts(results)) == ("INVALID", ["INVALID", "INVALID"])
    assert {case.problem for case in cases_of(results)} == {"error"}


@given(
    st.lists(
        st.tuples(st.sampled_from([1, 2]), st.sampled_from(list(StepVerdict)), st.integers(0, 20)), max_size=6
    ),
    st.sampled_from(list(SearchEnd)),
)
def test_verdict_and_objectives_agree_whatever_the_windows_were(windows, end):
    steps = [window(level, said, slow=bad / 20, failed=bad, n=200) for level, said, bad in windows]
    passing = None if end is SearchEnd.MINIMUM else 1
    results = made(steps=steps, end=end, passing=passing, failing=2)
    match results["verdict"]:
        case "PASS":
            assert set(verdicts(results)) == {"PASS"}
        case "FAIL":
            assert "FAIL" in verdicts(results)
        case _:
            assert not {"PASS", "FAIL"} & set(verdicts(results))


def test_the_terminal_shows_every_step_and_the_answer(searched):
    text = told(searched)
    assert "8 users INVALID" in text
    assert "8 users passed in 2 of 2 windows, 9 users failed in 2 of 2 windows" in text
    assert "search at 4 to 16 users" in text


def test_the_page_shows_the_steps_and_charts_against_load(searched, visible):
    html = render_html(searched)
    text = visible(html)
    assert "Capacity search" in text
    assert "Goodput against load" in text
    assert "Time to first token against load" in text or "TTFT against load" in text
    assert "event-loop lag p99 30 ms is above 20 ms" in text
    assert "8 users passed" in text
    assert "9 users failed" in text
    assert "capacity 8 users 95 %: 6 to 11" in " ".join(visible(html.replace("</span>", " </span>")).split())
    assert "all loads together" in text
    assert html.count('class="limit"') == 2  # the objective on TTFT, against load and in its distribution


def test_a_search_without_a_step_is_shown_too():
    results = made(steps=(), end=SearchEnd.STOPPED, passing=None, failing=None)
    assert results["verdict"] == "INVALID"
    assert "nothing passed" in told(results)
    render_html(results)
    render_summary(results)


def test_rates_are_shown_as_rates():
    results = made(between=("1/s", "50/s"))
    assert "0.4 arrivals/s passed in 2 of 2 windows, 0.45 arrivals/s failed" in told(results)
    assert results["capacity"]["unit"] == "per_s"


def test_a_run_without_a_search_says_nothing_of_it(passed):
    assert passed["capacity"] is None
    assert "capacity" not in told(passed)
    assert "Capacity search" not in render_html(passed)


def crowded(*, turns, model_most=None):
    """The search with so many turns open at once in its failing windows."""
    results = made(steps=[replace(step, turns_at_once=turns if step.level == 9 else 12.0) for step in STEPS])
    reached = "model" if model_most else "turns"
    limit = {**results["provider_limit"], "reached": reached, "model_most": model_most, "turns_most": turns}
    return {**results, "provider_limit": limit}


def test_a_capacity_at_astrbots_own_limit_is_said_to_be_one(everywhere):
    for text in everywhere(crowded(turns=118.0)):
        assert "at 9 users 118 turns were open at once. AstrBot never has more than 100 requests open" in text
        assert "this capacity may be that limit" in text
    for text in everywhere(crowded(turns=118.0, model_most=100)):
        assert "the model had 100 requests at once. AstrBot never has more than 100 requests open" in text
        assert "this capacity is that limit" in text


def test_a_capacity_far_below_that_limit_is_the_servers(everywhere):
    for text in everywhere(crowded(turns=60.0)):
        assert "never has more than" not in text
