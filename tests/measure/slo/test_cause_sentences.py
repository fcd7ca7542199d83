"""Every kind of cause has its sentence."""

import pytest

from astrometer.measure.slo.cause_sentences import cause_json, sentence
from astrometer.measure.slo.validity import (
    Cause,
    CauseKind,
)


@pytest.mark.parametrize("kind", list(CauseKind))
def test_every_kind_has_a_sentence_and_says_all_its_values(kind):
    full = Cause(
        kind=kind, value=0.5, limit=0.25, at_s=1.0, stage="peak", objective="errors < 1%", scenario="chat",
        detail="files",
    )  # fmt: skip
    for cause in (full, Cause(kind=kind)):
        said = sentence(cause)
        assert "{" not in said
    assert sentence(full).startswith("stage 'peak': ")
    assert cause_json(full)["kind"] == kind.value
