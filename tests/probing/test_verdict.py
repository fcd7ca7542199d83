"""What a verdict says."""

from astrometer.api.outcome import Outcome
from astrometer.probing.verdict import Verdict


def test_a_verdict_is_ok_only_when_its_reason_is():
    assert Verdict.passed().ok
    assert not Verdict.failed(Outcome.RESET).ok
