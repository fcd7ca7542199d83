"""`any worse` and gates of single scenarios: no pass without evidence."""

import json
from dataclasses import replace

import pytest
from rich.console import Console
from synthetic_runs import make_run, make_side

from astrometer.compare.change_verdict import ChangeVerdict
from astrometer.compare.gates import GateVerdict, check_scenarios, compare_for, evaluate_gates, parse_gate
from astrometer.compare.output.compare_html import render_html
from astrometer.compare.output.compare_json import to_json
from astrometer.compare.output.compare_summary import render_summary
from astrometer.compare.output.compare_table import render
from astrometer.compare.output.compare_view import page
from astrometer.compare.repeated_looks import Look

BOTH = ("chat", "sessions")


def asked(text, base, cand):
    gate = parse_gate(text)
    compared = compare_for([gate], base, cand)
    check_scenarios([gate], compared)
    return evaluate_gates([gate], compared)[0], compared


def any_worse(base, cand):
    return asked("any worse", base, cand)[0]


def test_a_headline_percentile_that_looks_much_worse_is_undecided_and_no_pass():
    """Two runs a side that differ among themselves: the interval is wide, and 45 % no trifle."""
    base = [make_run(seed=1, ttft_s=0.26), make_run(seed=2, ttft_s=0.34)]
    cand = [make_run(seed=3, ttft_s=0.34), make_run(seed=4, ttft_s=0.54)]
    told, compared = asked("any worse", base, cand)
    assert compared.row("all", "ttft_p50").change > 0.4
    assert ChangeVerdict.WORSE not in {row.verdict for row in compared.rows}
    assert told.verdict is GateVerdict.UNDECIDED
    assert "may be worse" in told.why
    assert "ttft_p50" in told.why


def test_more_errors_than_the_margin_are_undecided_where_chance_may_have_made_them():
    told = any_worse([make_run(chats=60)], [make_run(chats=60, seed=2, failures=2)])
    assert told.verdict is GateVerdict.UNDECIDED
    assert "may be worse: errors" in told.why


def test_what_only_failures_may_reach_is_undecided():
    told = any_worse([make_run(failures=13)], [make_run(seed=2, failures=17)])  # 4 and 6 %: about the p95
    assert told.verdict is GateVerdict.UNDECIDED
    assert "ttft_p95" in told.why


def test_too_few_samples_for_any_duration_are_undecided_although_errors_are_the_same():
    told = any_worse([make_run(chats=15)], [make_run(chats=15, seed=2)])
    assert told.verdict is GateVerdict.UNDECIDED
    assert "no duration can be told" in told.why


def test_the_same_passes_and_what_looks_better_does_not_stand_in_the_way():
    base = make_side("base", seed=1)
    assert any_worse(base, make_side("cand", seed=21)).verdict is GateVerdict.PASS
    faster = [make_run(seed=3, ttft_s=0.29), make_run(seed=4, ttft_s=0.2)]
    told = any_worse([make_run(seed=1, jitter=0.02), make_run(seed=2, jitter=0.02)], faster)
    assert "may be worse" not in told.why


@pytest.fixture(scope="module")
def silenced():
    """The candidate answers as fast as before, but no longer streams."""
    return asked("any worse", make_side("base", seed=1), make_side("cand", seed=21, streams=False))


def test_a_metric_that_the_candidate_no_longer_has_is_undecided_and_has_its_row(silenced):
    told, compared = silenced
    row = compared.row("all", "ttft_p50")
    assert (row.change, row.base_n, row.cand_n) == (None, 900, 0)
    assert (row.verdict, row.why) == (ChangeVerdict.CANNOT_TELL, "not measured in the candidate")
    assert compared.row("all", "e2e_p50").verdict is not ChangeVerdict.WORSE
    assert (told.verdict, told.why) == (GateVerdict.UNDECIDED, "no longer measured: ttft, chunk_gap")
    assert "ttft is not measured in the candidate" in compared.comparability.notes


def test_every_report_shows_what_is_no_longer_measured(silenced):
    told, compared = silenced
    shown = page(compared, [told])
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(render(shown))
    console.file.close()
    terminal = " ".join(console.export_text().split())
    told = "No answer on ttft_p50, ttft_p95, ttft_p99, chunk_gap_p50, chunk_gap_p95, chunk_gap_p99: "
    assert f"{told}not measured in the candidate." in terminal
    assert "TTFT p50" not in terminal, "a line in place of six rows of dashes"
    assert "ttft is not measured in the candidate" in terminal
    assert "TTFT p50" in (html := render_html(shown))
    assert '<span class="meaning">not measured in the candidate</span>' in html
    assert f"<sub>{told}".replace("_", "\\_") in render_summary(shown)
    (row,) = [row for row in to_json(shown)["rows"] if row["name"] == "ttft_p50"]
    assert json.dumps(row["why"]) == '"not measured in the candidate"'


def test_what_one_run_of_the_candidate_lacks_is_said_and_undecided():
    cand = [*make_side("cand", seed=21, runs=2), make_run("last", seed=31, streams=False)]
    told, compared = asked("any worse", make_side("base", seed=1), cand)
    assert compared.row("all", "ttft_p50").why == "measured in only 2 of 3 runs of the candidate"
    assert told.verdict is GateVerdict.UNDECIDED


def test_what_only_the_candidate_measures_is_told_and_forbids_nothing():
    told, compared = asked("any worse", make_side("base", seed=1, streams=False), make_side("c", seed=21))
    assert compared.row("all", "ttft_p50").why == "not measured in the baseline"
    assert told.verdict is GateVerdict.PASS


def test_a_gate_on_a_metric_that_is_gone_is_undecided_with_the_reason():
    told, _ = asked("ttft_p95 worse by 10%", [make_run()], [make_run(seed=2, streams=False)])
    assert (told.verdict, told.why) == (GateVerdict.UNDECIDED, "not measured in the candidate")


@pytest.mark.parametrize("percent", [50, 90, 95])
def test_a_gate_on_the_only_scenario_is_decided_as_one_on_everything(percent):
    base, slower = make_side("base", seed=1), make_side("cand", seed=11, ttft_s=0.36)
    told, compared = asked(f"chat: ttft_p{percent} worse by 10%", base, slower)
    assert told.verdict is GateVerdict.FAIL
    assert {row.scope for row in compared.rows} == {"all"}  # nothing is shown twice
    assert asked("chat: errors worse by 2pp", base, slower)[0].verdict is GateVerdict.PASS


def test_a_gate_on_the_only_scenario_that_both_have_is_decided_too():
    base = make_side("base", seed=1, scenarios=BOTH, chats=600)
    told, _ = asked("chat: ttft_p50 worse by 10%", base, make_side("cand", seed=11, ttft_s=0.36))
    assert told.verdict is GateVerdict.FAIL


def with_cpu(runs, *values):
    return [
        replace(run, results={**run.results, "server": {"cpu_per_turn_s": value, "rss_bytes": None}})
        for run, value in zip(runs, values, strict=True)
    ]


def at_look(text, base, cand):
    gate = parse_gate(text)
    compared = compare_for([gate], base, cand, look=Look(pairs=len(base), planned=len(base)))
    return evaluate_gates([gate], compared)[0], compared


def test_a_number_of_each_block_is_compared_pair_by_pair():
    """What drifts over the session is the same for both of a pair: it is no noise."""
    base, cand = make_side("b", seed=1, runs=4), make_side("c", seed=21, runs=4)
    loaded = with_cpu(base, 0.02, 0.03, 0.04, 0.05), with_cpu(cand, 0.0241, 0.0362, 0.0478, 0.06)
    told, compared = at_look("server_cpu_per_turn worse by 10%", *loaded)
    row = compared.row("all", "server_cpu_per_turn")
    assert row.change == pytest.approx(0.2, abs=0.01)
    assert (row.verdict, told.verdict) == (ChangeVerdict.WORSE, GateVerdict.FAIL)
    assert at_look("any worse", *loaded)[0].why.startswith("worse: server_cpu_per_turn +")
    assert "| server CPU per turn | 33.1 ms" in render_summary(page(compared, [told]))


def test_a_number_that_a_block_lacks_is_undecided():
    base, cand = make_side("b", seed=1), make_side("c", seed=21)
    told, _ = at_look("server_cpu_per_turn worse by 10%", with_cpu(base, 1, 1, 1), with_cpu(cand, 1, None, 1))
    assert (told.verdict, told.why) == (GateVerdict.UNDECIDED, "not known of every block of the candidate")


def test_any_worse_does_not_wait_for_a_number_that_a_block_lacks():
    base, cand = make_side("b", seed=1, runs=6), make_side("c", seed=21, runs=6)
    told, _ = at_look("any worse", with_cpu(base, *[1] * 6), with_cpu(cand, 1, None, 1, 1, 1, 1))
    assert told.verdict is GateVerdict.PASS, told.why


def test_any_worse_at_a_look_does_not_wait_for_what_only_the_candidate_measures():
    base = make_side("b", seed=1, runs=6, streams=False)
    told, compared = at_look("any worse", base, make_side("c", seed=21, runs=6))
    assert compared.row("all", "ttft_p50").why == "not measured in the baseline"
    assert (told.verdict, "ttft" in told.why) == (GateVerdict.PASS, False), told.why


def test_any_worse_at_a_look_passes_on_what_is_wholly_not_worse_and_on_nothing_less():
    base = make_side("b", seed=1, runs=6)
    faster = [
        make_run("c", seed=50 + i, ttft_s=0.3 * (0.94, 0.97, 0.95, 0.98, 0.93, 0.96)[i]) for i in range(6)
    ]
    told, compared = at_look("any worse", base, faster)
    row = compared.row("all", "ttft_p50")
    assert (row.verdict, row.why, row.is_not_worse) == (ChangeVerdict.CANNOT_TELL, "same or better", True)
    assert told.verdict is GateVerdict.PASS, told.why
    assert "ttft_p50" in told.why
    two, _ = at_look("any worse", base[:2], faster[:2])
    assert two.verdict is GateVerdict.UNDECIDED
