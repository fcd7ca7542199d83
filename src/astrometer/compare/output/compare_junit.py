"""A judged comparison -> `junit.xml`: a test case for whether it can be made, and one for each condition.

FAIL is a failure. UNDECIDED is an error, as nothing was proven; where that is accepted it is skipped. Of runs
that must not be compared every case is an error.
"""

from astrometer.compare.output.compare_view import Page
from astrometer.report import junit

FILE_NAME = junit.FILE_NAME
SUITE = "astrometer.release"


def render_junit(page: Page, *, accept_undecided: bool = False) -> str:
    problems: dict[str, str | None] = {
        "PASS": None,
        "FAIL": "failure",
        "UNDECIDED": "skipped" if accept_undecided else "error",
    }
    untrusted = "the runs cannot be compared; " if page.reasons else ""
    cases = [
        junit.Case(
            name="the runs can be compared",
            classname=SUITE,
            message="; ".join(page.reasons) or "no problem found",
            problem="error" if page.reasons else None,
            detail="\n".join(page.reasons),
        ),
        *(
            junit.Case(
                name=check.text,
                classname=SUITE,
                message=f"{untrusted}{check.verdict}: {check.why}",
                problem="error" if page.reasons else problems[check.verdict],
            )
            for check in page.checks
        ),
    ]
    runs = [run.results for run in (*page.comparison.base, *page.comparison.cand)]
    baseline, candidate = page.sides
    return junit.document(
        SUITE,
        cases,
        runs=runs,
        properties=(
            ("verdict", page.verdict),
            ("candidate", candidate.version),
            ("baseline", baseline.version),
        ),
        said=f"{page.sentence}\n{page.subject}",
    )
