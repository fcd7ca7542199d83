import json
import math
from dataclasses import replace

import pytest
from synthetic_runs import make_run, make_side

from astrometer.compare.change_verdict import ChangeVerdict, holm
from astrometer.compare.comparable import ComparedRun, check
from astrometer.compare.comparison import compare, margin_of
from astrometer.compare.gates import (
    GateError,
    GateVerdict,
    check_scenarios,
    compare_for,
    evaluate_gates,
    overall,
    parse_gate,
)
from astrometer.compare.repeated_looks import Look
from astrometer.measure.slo.validity import GeneratorHealth, OpenArrivals


def verdict(comparison, name, scope="all"):
    return comparison.row(scope, name).verdict


@pytest.fixture(scope="module")
def base():
    return make_side("base", seed=1)


@pytest.fixture(scope="module")
def slower(base):
    return compare(base, make_side("cand", seed=11, ttft_s=0.345))


@pytest.fixture(scope="module")
def alike(base):
    return compare(base, make_side("cand", seed=21))


def test_fifteen_percent_slower_is_worse_and_the_other_way_round_better(base, slower):
    assert verdict(slower, "ttft_p50") is verdict(slower, "ttft_p95") is ChangeVerdict.WORSE
    row = slower.row("all", "ttft_p50")
    assert row.change == pytest.approx(0.15, abs=0.03)
    assert row.interval.low < 0.15 < row.interval.high
    assert row.superiority > 0.75
    assert verdict(compare(slower.cand, base), "ttft_p50") is ChangeVerdict.BETTER


def test_the_same_is_called_the_same(alike):
    assert verdict(alike, "ttft_p50") is verdict(alike, "errors") is ChangeVerdict.SAME
    assert verdict(alike, "chunk_gap_p50") is ChangeVerdict.SAME


def test_a_small_change_is_the_same_only_within_the_margin():
    little = make_side("cand", seed=31, ttft_s=0.306, jitter=0.02)
    steady = make_side("base", seed=71, jitter=0.02)
    assert verdict(compare(steady, little), "ttft_p50") is ChangeVerdict.SAME
    assert verdict(compare(steady, little, margin=0.005), "ttft_p50") is not ChangeVerdict.SAME


def test_what_spans_the_margin_cannot_be_told(base):
    row = compare(base, make_side("cand", seed=41, ttft_s=0.318)).row("all", "ttft_p95")
    assert row.verdict is ChangeVerdict.CANNOT_TELL
    assert "same or worse" in row.why


def test_a_percentile_of_too_few_samples_is_withheld_with_the_reason():
    compared = compare([make_run(chats=100)], [make_run(chats=100, seed=2)])
    row = compared.row("all", "ttft_p95")
    assert (row.base, row.change, row.verdict) == (None, None, ChangeVerdict.CANNOT_TELL)
    assert "needs 200" in row.why
    assert compared.row("all", "ttft_p50").base is not None


def test_runs_are_pooled_by_run_and_not_by_sample():
    """One long slow run must not outweigh two short ones."""
    side = [make_run("a", seed=1), make_run("b", seed=2), make_run("c", seed=3, chats=3000, ttft_s=0.6)]
    row = compare(side, make_side("cand", seed=11)).row("all", "ttft_p50")
    assert row.base == pytest.approx((0.3 * 0.3 * 0.6) ** (1 / 3), rel=0.03)
    assert row.verdict is ChangeVerdict.CANNOT_TELL  # such runs say little


def test_a_candidate_that_fails_is_worse_and_never_faster(base):
    """Failing turns are infinitely slow: one in ten takes the p95 away."""
    broken = compare(base, make_side("cand", seed=51, failures=30, ttft_s=0.2))
    row = broken.row("all", "ttft_p95")
    assert (row.cand, row.verdict) == (math.inf, ChangeVerdict.WORSE)
    assert verdict(broken, "errors") is ChangeVerdict.WORSE
    assert {row.outcome for row in broken.outcomes} == {"ok", "stalled"}


def test_goodput_is_compared_only_when_both_had_the_same_objectives(base):
    with_slo = [make_run(seed=61, slos=("ttft_p50 < 1s",))]
    assert compare(with_slo, [make_run(seed=62, slos=("ttft_p50 < 1s",))]).row("all", "goodput") is not None
    other = compare(with_slo, [make_run(seed=63, slos=("ttft_p50 < 2s",))])
    assert other.row("all", "goodput") is None
    assert any("goodput is left out" in note for note in other.comparability.notes)


def test_scenarios_are_compared_one_by_one_when_there_are_several():
    kinds = {"scenarios": ("chat", "sessions"), "chats": 600}
    compared = compare([make_run(seed=1, **kinds)], [make_run(seed=2, ttft_s=0.6, **kinds)])
    assert verdict(compared, "ttft_p50", "sessions") is ChangeVerdict.WORSE


def test_replies_in_a_messenger_are_compared():
    def in_messenger(run):
        text = json.dumps(run.results).replace('"ttft"', '"reply_first"').replace('"e2e"', '"reply_last"')
        return replace(run, results=json.loads(text))

    base, cand = (
        [in_messenger(run) for run in make_side(name, seed=seed, ttft_s=ttft_s, streams=True)]
        for name, seed, ttft_s in (("base", 1, 0.3), ("cand", 11, 0.36))
    )
    compared = compare(base, cand)
    assert compared.row("all", "reply_first_p50").verdict is ChangeVerdict.WORSE
    assert {f"reply_last_p{percent}" for percent in (50, 95, 99)} < {row.name for row in compared.rows}


def test_holm_rejects_in_order_and_stops_at_the_first_that_holds():
    assert holm({1: 0.001, 2: 0.02, 3: 0.012}, 0.025) == {1, 3, 2}
    assert holm({1: 0.001, 2: 0.02, 3: 0.02}, 0.025) == {1}
    assert holm({}, 0.025) == set()


OPEN = OpenArrivals(process="poisson", seed=1, rate_per_s=5, expected=150, intended=150)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"scenario": "mixed"}, "different scenarios: chat in a, mixed in b"),
        ({"users": 40}, "different loads: closed model, 20 users in a, closed model, 40 users in b"),
        ({"arrivals": OPEN}, "open model, 5/s (poisson) in b"),
        ({"profile": "10:1m,50:1m"}, "shape 10:1m,50:1m in b"),
        ({"duration_s": 60.0}, "different windows: 30 s in a, 60 s in b"),
        ({"excluded_s": 10.0, "duration_s": 40.0}, "different ramp and warm-up: 0 s in a, 10 s in b"),
        ({"generator": GeneratorHealth(processes=2)}, "different numbers of load processes: 1 in a, 2 in b"),
        ({"kind": "simulator"}, "different kinds of target: astrbot in a, simulator in b"),
        ({"generator": GeneratorHealth(loop_lag_p99_s=0.1)}, "b is INVALID: event-loop lag"),
    ],
)
def test_runs_of_different_kinds_are_not_compared_and_the_reason_is_said(other, reason):
    told = check([make_run("a")], [make_run("b", seed=2, **other)])
    assert any(reason in line for line in told.reasons), told.reasons


def test_a_search_for_the_capacity_is_not_compared():
    """Its numbers are of every load that it tried, overload included."""
    search = make_run("b", seed=2)
    search = ComparedRun(name="b", results={**search.results, "capacity": {"end": "converged"}})
    (reason,) = check([make_run("a")], [search]).reasons
    assert reason == "b is a capacity search: its numbers mix many loads"


def test_a_run_is_not_compared_with_itself():
    assert check([make_run("a")], [make_run("b")]).reasons == ("b is the same run as a",)


def test_other_machines_versions_and_arguments_are_told_but_do_not_forbid():
    other = make_run(
        "b", seed=2, version="4.28.2", environment={"platform": "Plan 9"},
        command=("locust", "-f", "chat.py", "--prompts", "x"),
    )  # fmt: skip
    told = check([make_run("a")], [other])
    assert told.reasons == ()
    assert len(told.notes) == 2
    elsewhere = ("locust", "-f", "/elsewhere/chat.py", "--host", "http://b", "--arrival-seed", "3")
    where = make_run("b", seed=2, command=elsewhere)
    assert check([make_run("a")], [where]).notes == ()


def test_runs_that_drifted_are_named_with_what_follows():
    steady, drifting = make_run("a"), make_run("b", seed=2)
    drifting.results["verdict"] = "DRIFTING"
    drifting.results["steadiness"]["drifts"] = [{"sentence": "TTFT rose 3.1 % a minute"}]
    told = check([steady], [drifting])
    assert told.reasons == ()
    (note,) = told.notes
    assert note.startswith(
        "not steady: b (TTFT rose 3.1 % a minute): the rows hold for runs as long as these"
    )
    assert note.endswith(
        "the baseline was steady, so what is the same or better here may be worse in a longer run"
    )
    assert "baseline was steady" not in check([drifting], [steady]).notes[0]


def test_runs_whose_warm_up_was_found_may_differ_in_it():
    one, two = make_run("a", excluded_s=2.0), make_run("b", seed=2, excluded_s=9.0)
    assert check([one], [two]).reasons
    for run in (one, two):
        run.results["window"]["warm_up"] = {"least_s": 1.0}
    assert check([one], [two]).reasons == ()


def test_only_the_arguments_that_differ_are_told_and_never_where_a_run_was_written():
    base = ["locust", "-f", "/a/chat.py", "--host", "http://a", "--users", "3", "--seed=-1", "--headless"]
    cand = ["locust", "-f", "/b/chat.py", "--records", "j.jsonl", "--users", "20", "--seed=-1"]
    told = check([make_run("a", command=base)], [make_run("b", seed=2, command=[*cand, "--tags", "x", "y"])])
    assert told.notes == (
        "different arguments in a / b: --users 3 / 20, --headless given / –, --tags – / x y",
    )


def test_a_gate_fails_passes_or_is_undecided(slower, alike):
    def ask(text, comparison):
        return evaluate_gates([parse_gate(text)], comparison)[0].verdict

    assert ask("ttft_p50 worse by 10%", slower) is GateVerdict.FAIL
    assert ask("ttft_p50 worse by 30ms", slower) is GateVerdict.FAIL
    assert ask("ttft_p50 worse by 50%", slower) is GateVerdict.PASS
    assert ask("ttft_p50 worse by 10%", alike) is GateVerdict.PASS
    assert ask("ttft_p50 worse by 0.1%", alike) is GateVerdict.UNDECIDED
    assert ask("errors worse by 2pp", alike) is GateVerdict.PASS
    assert ask("e2e_p99 worse by 1%", alike) is GateVerdict.UNDECIDED  # 900 samples
    assert ask("delivery_p50 worse by 1%", alike) is GateVerdict.UNDECIDED  # nobody measured it
    assert ask("any worse", slower) is GateVerdict.FAIL
    assert ask("any worse", alike) is GateVerdict.PASS


def test_errors_are_those_of_the_window_as_in_the_objectives_of_a_run():
    """Whatever failed in the ramp is neither in an objective nor in a comparison."""
    ramp = {"excluded_s": 10.0, "duration_s": 40.0, "slos": ("errors < 1%",)}
    base, cand = make_run(seed=1, **ramp), make_run(seed=2, ramp_failures=40, failures=8, **ramp)
    compared = compare([base], [cand])
    (objective,) = cand.results["objectives"]
    assert compared.row("all", "errors").cand == objective["value"]
    assert compared.row("all", "errors").cand_n == objective["n"]
    failed = [row.cand_share for row in compared.outcomes if row.outcome != "ok"]
    assert sum(failed) == pytest.approx(objective["value"])
    assert compared.row("all", "goodput").cand_n == objective["n"]


@pytest.mark.parametrize("seed", range(1, 41, 4))
@pytest.mark.parametrize("limit", ["2%", "5%", "10%", "20ms"])
def test_a_gate_and_its_row_never_contradict_each_other(seed, limit):
    """`worse` and FAIL are one verdict, of one interval, one margin and one correction."""
    gates = [parse_gate(f"ttft_p50 worse by {limit}"), parse_gate("ttft_p95 worse by 10%")]
    compared = compare_for(gates, make_side("b", seed=seed), make_side("c", seed=seed + 50, ttft_s=0.318))
    for result in evaluate_gates(gates, compared):
        row = compared.row("all", result.gate.row_name)
        at = result.gate.limit_of(row.base)
        if result.verdict is GateVerdict.FAIL:
            assert row.verdict is ChangeVerdict.WORSE
            assert row.interval.low >= at
        if result.verdict is GateVerdict.PASS:
            assert row.interval.high < at
        if row.verdict is ChangeVerdict.WORSE and row.margin == pytest.approx(at):
            assert result.verdict is GateVerdict.FAIL
        if row.verdict is ChangeVerdict.SAME:
            assert result.verdict is not GateVerdict.FAIL


def test_a_row_with_a_condition_has_its_limit_as_margin_where_that_is_narrower(base, slower):
    gates = [parse_gate("ttft_p50 worse by 2%"), parse_gate("ttft_p95 worse by 30%")]
    compared = compare_for(gates, base, slower.cand)
    assert compared.row("all", "ttft_p50").margin == pytest.approx(0.02)
    assert compared.row("all", "ttft_p95").margin == pytest.approx(0.05)
    tight = compare_for([parse_gate("errors worse by 0.5pp")], base, slower.cand)
    assert tight.row("all", "errors").margin == pytest.approx(0.005)


@pytest.mark.parametrize(
    ("name", "percent", "times"),
    [
        ("ttft", 50, 1),
        ("ttft", 95, 3),
        ("overhead", 50, 2),
        ("overhead", 95, 6),
        ("gate_wait", 50, 2),
        ("server_cpu_per_turn", None, 2),
    ],
)
def test_short_blocks_have_wider_margins_for_tails_and_for_what_the_server_adds(name, percent, times):
    blocks = Look(pairs=3, planned=3)
    assert margin_of(name, percent, 0.05, blocks) == pytest.approx(0.05 * times)
    assert margin_of(name, percent, 0.05, None) == pytest.approx(0.05)


def test_the_whole_fails_before_it_is_undecided_and_nothing_counts_of_what_cannot_be_compared(slower):
    both = evaluate_gates([parse_gate("ttft_p50 worse by 10%"), parse_gate("e2e_p99 worse by 1%")], slower)
    assert overall(both, comparable=True) == "FAIL"
    assert overall(both[1:], comparable=True) == "CANNOT TELL"
    assert overall(both, comparable=False) == "NOT COMPARABLE"
    assert overall([], comparable=True) == "NONE"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ttft_p95 > 10%", "write METRIC_pNN worse by LIMIT"),
        ("ttfb_p95 worse by 10%", "unknown metric 'ttfb'; there are accept_time"),
        ("ttft worse by 10%", "which percentile? write ttft_p95"),
        ("ttft_p96 worse by 10%", "there are p50, p90, p95, p99"),
        ("errors worse by 1%", "write 'errors worse by 1pp'"),
        ("ttft_p95 worse by 1pp", "its limit is in %, us, ms or s"),
        ("ttft_p95 worse by 0%", "above zero"),
    ],
)
def test_a_gate_that_cannot_be_read_says_what_exists(text, told):
    with pytest.raises(GateError, match=text.split()[0]) as error:
        parse_gate(text)
    assert told in str(error.value)


def test_a_gate_on_a_scenario_that_did_not_run_names_those_that_did(slower):
    with pytest.raises(GateError, match="no scenario 'uploads'; there are all, chat"):
        check_scenarios([parse_gate("uploads: duration_p50 worse by 10%")], slower)


@pytest.mark.parametrize("empty_first", [True, False])
def test_a_run_that_measured_nothing_is_no_crash(empty_first):
    empty, whole = make_side("empty", runs=1, seed=1, chats=0), make_side("whole", runs=1, seed=9)
    comparison = compare(*((empty, whole) if empty_first else (whole, empty)))
    assert {row.verdict for row in comparison.rows} == {ChangeVerdict.CANNOT_TELL}


def test_times_of_the_kernel_and_of_the_process_itself_are_told_apart():
    kernel, own, another = (
        make_run(name, seed=seed, generator=GeneratorHealth(clock=clock))
        for name, seed, clock in (("a", 1, "kernel"), ("b", 2, "user"), ("c", 3, "user"))
    )
    note = (
        "different clocks, and a process that stamps by itself adds its own lateness: kernel in a, user in b"
    )
    assert check([kernel], [own]).notes == (note,)
    assert check([own], [another]).notes == ()


def test_what_a_plugin_does_before_the_model_is_asked_is_told_where_the_first_token_cannot_tell_it():
    noisy = {"jitter": 1.0, "chats": 60}
    before = make_side("base", seed=1, gate_wait_s=0.04, **noisy)
    after = make_side("cand", seed=11, gate_wait_s=0.15, **noisy)
    compared = compare(before, after)
    assert verdict(compared, "ttft_p50") is ChangeVerdict.CANNOT_TELL
    assert verdict(compared, "gate_wait_p50") is ChangeVerdict.WORSE


def test_an_older_candidate_that_tells_no_gate_wait_has_lost_nothing():
    compared = compare(make_side("base", seed=1, gate_wait_s=0.04), make_side("cand", seed=21))
    assert compared.row("all", "gate_wait_p50").is_unmeasured
    (told,) = evaluate_gates([parse_gate("any worse")], compared)
    assert told.verdict is GateVerdict.PASS
