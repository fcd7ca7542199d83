"""A results file -> `junit.xml`: a test case for whether the run can be trusted, and one for each objective.

The shape is what Jenkins, GitLab and the GitHub actions read (testsuites, testsuite, testcase, failure,
error). FAIL is a failure; NO_DATA and an INVALID run are errors: nothing was proven.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from xml.etree import ElementTree as ET  # writes only

from astrometer.report import formatting
from astrometer.report.view import run_view

FILE_NAME = "junit.xml"
_FORBIDDEN = re.compile("[^\\t\\n\\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One test case. `problem`: "failure", "error", "skipped" or None; `message` says what was anyway."""

    name: str
    classname: str
    message: str
    problem: str | None = None
    detail: str = ""


def render_junit(results: Mapping[str, Any]) -> str:
    head, target = run_view.headline(results), results["target"]
    return document(
        f"astrometer.{results['scenario']}",
        cases_of(results),
        runs=[results],
        properties=(
            ("verdict", head.verdict),
            ("target", target["url"]),
            ("astrbot", target["version"] or "unknown"),
            ("load", formatting.load(results)),
            *(results["environment"].items()),
        ),
        said=f"{head.sentence}\n{head.stopped}\n{head.subject}",
    )


def document(
    name: str,
    cases: Sequence[Case],
    *,
    runs: Sequence[Mapping[str, Any]],
    properties: Iterable[tuple[str, object]],
    said: str,
) -> str:
    """One suite of `cases`, which judge `runs`: the results of one or more, the first one first."""

    def count(problem: str) -> str:
        return str(sum(case.problem == problem for case in cases))

    totals = {
        "tests": str(len(cases)),
        "failures": count("failure"),
        "errors": count("error"),
        "skipped": count("skipped"),
        "time": f"{sum(run['window']['duration_s'] for run in runs):.3f}",
    }
    root = ET.Element("testsuites", {"name": "astrometer", **totals})
    suite = ET.SubElement(
        root,
        "testsuite",
        {
            "name": _text(name),
            **totals,
            "timestamp": _text(str(runs[0]["window"]["start"]).split(".")[0].split("+")[0]),
            "hostname": _text(runs[0]["target"]["url"]),
        },
    )
    listed = ET.SubElement(suite, "properties")
    for key, value in properties:
        ET.SubElement(listed, "property", {"name": _text(key), "value": _text(value)})
    for case in cases:
        _write_case(suite, case)
    ET.SubElement(suite, "system-out").text = _text(said)
    ET.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def cases_of(results: Mapping[str, Any]) -> list[Case]:
    """Validity first, then each objective in its order; those of stages are told in its text."""
    scenario = formatting.plain(results["scenario"])
    causes = run_view.headline(results).causes
    stopped = run_view.headline(results).stopped
    valid = Case(
        name="the run can be trusted",
        classname=f"astrometer.{scenario}",
        message="; ".join(causes) or "no problem found",
        problem="error" if results["verdict"] == "INVALID" else None,
        detail="\n".join([*causes, *([stopped] if stopped else [])]),
    )
    found = [valid]
    if results["verdict"] == "DRIFTING":
        said = "; ".join(causes)
        found = [
            replace(valid, message="no problem found", detail=""),
            replace(valid, name="the run was steady", message=said, problem="error", detail=said),
        ]
    if results["verdict"] == "FAIL" and not results["objectives"]:
        said = f"{run_view.NOTHING_SUCCEEDED} {run_view.row('all', results).outcomes_text}"
        name = "something succeeded"
        found.append(Case(name=name, classname=valid.classname, message=said, problem="failure", detail=said))
    for item in results["objectives"]:
        judged = run_view.judged(item)
        of = f".{formatting.plain(item['scenario'])}" if item["scenario"] else ""
        said = f"{judged.verdict}: was {judged.value}, limit {judged.limit}, n {judged.n}"
        found.append(
            Case(
                name=judged.text,
                classname=f"astrometer.{scenario}{of}",
                message=said,
                problem={"PASS": None, "FAIL": "failure"}.get(judged.verdict, "error"),
                detail="\n".join([said, *(f"{name}: {line}" for name, line in _by_stage(results, item))]),
            )
        )
    return found


def _by_stage(results: Mapping[str, Any], item: Mapping[str, Any]) -> list[tuple[str, str]]:
    lines = []
    for stage in results["stages"]:
        for one in stage["objectives"]:
            if one["text"] == item["text"]:
                judged = run_view.judged(one)
                line = f"{judged.verdict}, was {judged.value}, n {judged.n}"
                lines.append((formatting.plain(stage["name"]), line))
    return lines


def _write_case(suite: ET.Element, case: Case) -> None:
    element = ET.SubElement(
        suite,
        "testcase",
        {"name": _text(case.name), "classname": _text(case.classname), "time": "0"},
    )
    if case.problem is not None:
        kind = {"message": _text(case.message), "type": case.problem}
        ET.SubElement(element, case.problem, kind).text = _text(case.detail or case.message)
    else:
        ET.SubElement(element, "system-out").text = _text(case.detail or case.message)


def _text(value: object) -> str:
    """Line by line safe to show. XML 1.0 has no control characters, not even escaped ones."""
    lines = (formatting.plain(line, 20_000) for line in str(value).split("\n"))
    return _FORBIDDEN.sub("\ufffd", "\n".join(lines))
