"""What the server's process used: rows, conditions and reports, of runs and of pairs of blocks."""

import io
import random
from dataclasses import replace

import pytest
from rich.console import Console
from synthetic_runs import make_run, make_side

from astrometer.compare.change_verdict import ChangeVerdict
from astrometer.compare.gates import GateError, GateVerdict, compare_for, evaluate_gates, parse_gate
from astrometer.compare.output.compare_html import render_html
from astrometer.compare.output.compare_json import to_json
from astrometer.compare.output.compare_summary import render_summary
from astrometer.compare.output.compare_table import render
from astrometer.compare.output.compare_view import page
from astrometer.compare.repeated_looks import Look
from astrometer.measure.results.result_parts import server_json
from astrometer.measure.server_usage import ServerSample, ServerSeries, usage_of

CPU, RSS = "server_cpu_per_turn", "server_rss_growth"


def watched(run, *, cpu_s=0.08, bytes_per_turn=11_000, turns_per_s=10, noise=0.03, seed=1):
    """A run beside which a process used `cpu_s` and kept `bytes_per_turn` for each turn."""
    rng, series = random.Random(seed), ServerSeries()
    cpu, rss, seconds = 20.0, 280e6, int(run.results["window"]["duration_s"])
    for t in range(seconds + 1):
        cpu += turns_per_s * cpu_s * rng.gauss(1, noise)
        rss += turns_per_s * bytes_per_turn * rng.gauss(1, noise)
        series.add(
            ServerSample(
                t_s=float(t), turns=t * turns_per_s, rss_bytes=round(rss), cpu_s=cpu, threads=12,
                open_files=30, processes=1, log_warnings=t // 10, log_errors=1,
            )
        )  # fmt: skip
    usage = usage_of(series, pid=4711, listens=True, excluded_s=0, until_s=seconds)
    return replace(run, results={**run.results, "server": server_json(usage)})


def side(name, *, runs, seed, **used):
    made = make_side(name, runs=runs, seed=seed)
    return [watched(run, seed=seed + index, **used) for index, run in enumerate(made)]


def told(text, base, cand, *, is_paired=False):
    look = Look(pairs=len(base), planned=len(base)) if is_paired else None
    compared = compare_for([parse_gate(text)], base, cand, look=look)
    return evaluate_gates([parse_gate(text)], compared), compared


@pytest.mark.parametrize("is_paired", [False, True])
def test_a_server_that_leaks_more_for_each_turn_is_worse_by_so_many_bytes(is_paired):
    base = side("b", runs=4, seed=1)
    cand = side("c", runs=4, seed=21, bytes_per_turn=27_000)
    (gate,), compared = told(f"{RSS} worse by 10MB/1000 turns", base, cand, is_paired=is_paired)
    row = compared.row("all", RSS)
    assert row.base == pytest.approx(11e6, rel=0.05)
    assert row.change == pytest.approx(16e6, rel=0.1)
    assert (row.verdict, gate.verdict) == (ChangeVerdict.WORSE, GateVerdict.FAIL)
    assert compared.row("all", CPU).verdict is ChangeVerdict.SAME


def test_growth_that_differs_by_less_than_the_lumps_of_an_allocator_is_the_same():
    cand = side("c", runs=4, seed=21, bytes_per_turn=-1_000)
    (gate,), compared = told("any worse", side("b", runs=4, seed=1, bytes_per_turn=1_000), cand)
    assert compared.row("all", RSS).verdict is ChangeVerdict.SAME
    assert gate.verdict is GateVerdict.PASS


def test_a_single_run_each_has_an_interval_from_its_parts():
    """Without it one run would be as sure as many; with quiet parts it is surer than with loud ones."""
    widths = {}
    for noise in (0.02, 0.3):
        base = [watched(make_run(), noise=noise, seed=3)]
        cand = [watched(make_run(seed=2), cpu_s=0.1, noise=noise, seed=4)]
        row = told(f"{CPU} worse by 10%", base, cand)[1].row("all", CPU)
        widths[noise] = row.interval.high - row.interval.low
        assert row.interval.low < 0.25 < row.interval.high
    assert widths[0.02] * 5 < widths[0.3]


def test_a_condition_on_cpu_comes_true_without_looks_too():
    base, cand = side("b", runs=3, seed=1), side("c", runs=3, seed=21, cpu_s=0.1)
    assert told(f"{CPU} worse by 10%", base, cand)[0][0].verdict is GateVerdict.FAIL
    assert told(f"{CPU} worse by 40ms", base, cand)[0][0].verdict is GateVerdict.PASS
    assert told("any worse", base, cand)[0][0].why.startswith(f"worse: {CPU} +")


def test_few_turns_or_an_unwatched_run_say_nothing_and_why():
    few = [watched(run, turns_per_s=1) for run in make_side("b", runs=3, seed=1)]
    rows = told("any worse", few, few[::-1], is_paired=True)[1]
    assert rows.row("all", RSS).why == "too few turns: 100 are needed on each side"
    unwatched = make_side("c", runs=3, seed=21)
    compared = told("any worse", side("b", runs=3, seed=1), unwatched)[1]
    assert compared.row("all", RSS).why == "not known of every run of the candidate"
    assert f"{CPU} is not known of every run of the candidate" in compared.comparability.notes
    assert told("any worse", unwatched, unwatched[::-1])[1].row("all", CPU) is None


def test_every_report_shows_both_rows_in_their_units():
    base, cand = side("b", runs=3, seed=1), side("c", runs=3, seed=21, bytes_per_turn=27_000)
    results, compared = told(f"{RSS} worse by 10MB/1000 turns", base, cand)
    shown = page(compared, results)
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(render(shown))
    for text in (console.export_text(), render_html(shown), render_summary(shown)):
        assert "server CPU per turn" in text
        assert "server memory growth" in text
        assert "+16." in text
    (row,) = [row for row in to_json(shown)["rows"] if row["name"] == RSS]
    assert (row["unit"], row["margin"]) == ("bytes_per_1000_turns", 5e6)
    facts = dict(shown.sides[0].facts)
    assert facts["server"].startswith("RSS 280.1 MB → ")
    assert facts["server"].endswith("log: 9 warnings, 3 errors")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (f"{RSS} worse by 10%", f"the limit has another unit; write '{RSS} worse by 10MB/1000 turns'"),
        (f"{CPU} worse by 10MB/1000 turns", f"another unit; write '{CPU} worse by 10%'"),
        (f"{CPU}_p95 worse by 10%", "one number of each run"),
        (f"chat: {CPU} worse by 10%", "serves all scenarios"),
        ("ttft_p95 worse by 10MB/1000 turns", "is a duration"),
        (f"{RSS} worse by 0MB/1000 turns", "above zero"),
    ],
)
def test_a_condition_in_the_wrong_unit_is_refused_with_an_example(text, complaint):
    with pytest.raises(GateError) as caught:
        parse_gate(text)
    assert complaint in str(caught.value)
