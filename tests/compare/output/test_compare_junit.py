"""The gate's junit.xml as a CI server reads it."""

from xml.etree import ElementTree as ET

import pytest
from synthetic_runs import make_run

from astrometer.compare.comparison import compare
from astrometer.compare.gates import evaluate_gates, parse_gate
from astrometer.compare.output.compare_junit import render_junit
from astrometer.compare.output.compare_view import ConditionView, page

GATES = [parse_gate("ttft_p50 worse by 10%"), parse_gate("ttft_p50 worse by 0.1%")]


def suite(base, cand, **options):
    compared = compare([base], [cand])
    met = ConditionView(text="candidate: errors < 2%", verdict="PASS", why="met in 1 of 1 runs (0.0 %)")
    return ET.fromstring(
        render_junit(page(compared, evaluate_gates(GATES, compared), checks=[met]), **options)
    )


def cases(root):
    return {case.get("name"): next(iter(case)).tag for case in root.iter("testcase")}


@pytest.fixture(scope="module")
def base():
    return make_run("base", seed=1)


def test_each_condition_is_a_case_and_what_is_undecided_is_no_pass(base):
    root = suite(base, make_run("cand", seed=2))
    assert cases(root) == {
        "the runs can be compared": "system-out",
        "candidate: errors < 2%": "system-out",
        "fail if ttft_p50 worse by 10%": "system-out",
        "fail if ttft_p50 worse by 0.1%": "error",
    }
    assert [root.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["4", "0", "1", "0"]


def test_what_is_undecided_is_skipped_where_that_is_accepted(base):
    root = suite(base, make_run("cand", seed=2), accept_undecided=True)
    assert cases(root)["fail if ttft_p50 worse by 0.1%"] == "skipped"
    assert [root.get(name) for name in ("errors", "skipped")] == ["0", "1"]


def test_a_condition_that_came_true_is_a_failure_with_its_reason(base):
    root = suite(base, make_run("cand", seed=2, ttft_s=0.4, version="4.30.0"))
    failure = next(root.iter("failure"))
    assert failure.get("message") == "FAIL: +31.4 % (+28.4 % … +34.9 %), and not by chance"
    facts = {item.get("name"): item.get("value") for item in root.iter("property")}
    assert facts == {"verdict": "FAIL", "candidate": "AstrBot 4.30.0", "baseline": "AstrBot 4.29.3"}


def test_of_runs_that_cannot_be_compared_every_case_is_an_error(base):
    root = suite(base, make_run("cand", seed=2, users=99), accept_undecided=True)
    assert set(cases(root).values()) == {"error"}
    first, second, *_ = (error.get("message") for error in root.iter("error"))
    assert "different loads" in first
    assert second == "the runs cannot be compared; PASS: met in 1 of 1 runs (0.0 %)"
