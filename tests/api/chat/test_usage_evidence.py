"""Answers that count no tokens: broken off by the model, or of a model that reports no usage."""

import pytest
from test_chat_exchange import COMPLETE, END, RUN, SESSION, full_turn, line, played, text

from astrometer.api.chat.usage_evidence import UsageEvidence
from astrometer.api.outcome import Outcome

ZEROS = line(
    type="agent_stats",
    data={
        "token_usage": {"input_other": 0, "input_cached": 0, "output": 0},
        "time_to_first_token": 0.1,
    },
)


def uncounted(*, run=b"", **options):
    """As AstrBot 4.18 to 4.25 show an answer that the model broke off after two tokens."""
    return played(
        (0.1, SESSION + run), (0.5, text("w0 ")), (0.6, text("w1 ")), (1.0, ZEROS + COMPLETE + END), **options
    )


def test_an_answer_without_a_count_fails_where_others_count():
    evidence = UsageEvidence()
    assert evidence.settle(full_turn()).outcome is Outcome.OK
    broken = evidence.settle(uncounted())
    assert broken.outcome is Outcome.LLM_ERROR
    assert broken.detail == "the model broke off, for agent_stats count no tokens; until then: w0 w1"
    assert broken.timings.ttft_s == pytest.approx(0.5)  # kept, labelled with the outcome


def test_a_model_that_reports_no_usage_is_not_all_failures():
    evidence = UsageEvidence()
    assert {evidence.settle(uncounted()).outcome for _ in range(5)} == {Outcome.OK}


def test_from_4_26_7_on_a_broken_answer_says_so_itself():
    evidence = UsageEvidence(counted=True)
    assert evidence.settle(uncounted(run=RUN)).outcome is Outcome.OK


def test_a_whole_answer_that_counts_nothing_is_of_a_model_without_usage():
    whole = played(
        (0.1, SESSION),
        (1.0, line(type="plain", data="w0 w1", streaming=False) + ZEROS + END),
        streaming=False,
    )
    assert UsageEvidence(counted=True).settle(whole).outcome is Outcome.OK


@pytest.mark.parametrize(
    ("before", "outcome"),
    [
        ((), Outcome.LLM_ERROR),  # neither the canary nor a count
        (("w0",), Outcome.CANARY_MISMATCH),  # an answer that was surely whole counted nothing either
    ],
)
def test_a_canary_that_is_missing_is_the_models_fault_unless_it_never_counts(before, outcome):
    evidence = UsageEvidence()
    for canary in before:
        assert evidence.settle(uncounted(canary=canary)).outcome is Outcome.OK
    assert evidence.settle(uncounted(canary="am-0123")).outcome is outcome


def test_a_missing_canary_in_an_answer_that_counts_stays_what_it_is():
    assert UsageEvidence().settle(full_turn(canary="am-0123")).outcome is Outcome.CANARY_MISMATCH
