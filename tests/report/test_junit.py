"""junit.xml as a CI server reads it."""

from xml.etree import ElementTree as ET

import pytest

from astrometer.measure.slo.run_verdict import Stop, StopReason
from astrometer.report.junit import render_junit

ALLOWED = {
    "testsuites": {"name", "tests", "failures", "errors", "skipped", "time"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time", "timestamp", "hostname"},
    "properties": set(), "property": {"name", "value"}, "testcase": {"name", "classname", "time"},
    "failure": {"message", "type"}, "error": {"message", "type"}, "system-out": set(),
}  # fmt: skip
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase", "system-out"},
    "properties": {"property"},
    "testcase": {"failure", "error", "system-out"},
}


def cases(results):
    return {
        case.get("name"): [child.tag for child in case]
        for case in ET.fromstring(render_junit(results)).iter("testcase")
    }


@pytest.mark.parametrize("which", ["passed", "failed", "invalid", "empty", "tiny", "staged"])
def test_the_shape_is_the_common_one_and_the_counts_are_right(request, which):
    root = ET.fromstring(render_junit(request.getfixturevalue(which)))
    for element in root.iter():
        assert set(element.attrib) == ALLOWED[element.tag]
        assert {child.tag for child in element} <= CHILDREN.get(element.tag, set())
    for suite in (root, *root.iter("testsuite")):
        found = list(suite.iter("testcase"))
        assert int(suite.get("tests")) == len(found)
        assert int(suite.get("failures")) == sum(case.find("failure") is not None for case in found)
        assert int(suite.get("errors")) == sum(case.find("error") is not None for case in found)


def test_there_is_a_case_for_validity_and_one_for_each_objective(passed, failed):
    assert cases(passed) == {
        "the run can be trusted": ["system-out"], "ttft_p95 < 1s": ["system-out"],
        "errors < 5%": ["system-out"], "goodput > 90%": ["system-out"],
    }  # fmt: skip
    assert cases(failed)["ttft_p95 < 1s"] == ["failure"]
    assert cases(failed)["the run can be trusted"] == ["system-out"]


def test_an_invalid_run_is_an_error_in_every_case(invalid):
    assert set(map(tuple, cases(invalid).values())) == {("error",)}


def test_value_limit_and_n_stand_in_the_message(failed):
    root = ET.fromstring(render_junit(failed))
    message = next(root.iter("failure")).get("message")
    assert message.startswith("FAIL: was ")
    assert "limit < 1.00 s, n " in message


def test_letters_that_xml_does_not_have_are_replaced(make):
    results = make(chats=0, calls=0, slos=(), scenario="a\x00<b>&\x1b\ufffe", version="]]>")
    root = ET.fromstring(render_junit(results))
    assert "<b>&" in next(root.iter("testsuite")).get("name")


def test_a_run_that_was_aborted_says_by_what(make):
    stop = Stop(
        by=StopReason.OBJECTIVE,
        sentence="objective 'errors < 5%' was not met",
        at_s=9.0,
        objective="errors < 5%",
    )
    text = render_junit(make(stop=stop))
    assert "Aborted after 9.00 s: objective 'errors &lt; 5%' was not met" in text
    assert ET.fromstring(text).get("failures") == "1"


def test_a_run_without_objectives_in_which_nothing_succeeded_is_a_failed_case(empty):
    turns = {**empty["turns"], "started": 3, "outcomes": {"unauthorized": 3}}
    results = {**empty, "verdict": "FAIL", "causes": [], "objectives": [], "turns": turns}
    assert cases(results)["something succeeded"] == ["failure"]
    assert "No exchange succeeded. unauthorized 3" in render_junit(results)
