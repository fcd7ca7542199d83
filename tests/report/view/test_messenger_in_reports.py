"""What a messenger shows beside outcomes and times, in the terminal, on the page and in the summary."""

import pytest

from astrometer.api.outcome import Outcome
from astrometer.im.im_turn import ClosedBy, ImTurn, MatchedBy
from astrometer.im.onebot_actions import ChatPlace
from astrometer.im.queue_wait import QueueWaitKnown
from astrometer.measure.results import document as results_file
from astrometer.measure.results.run_info import RunInfo
from astrometer.measure.tally.tally import Tally
from astrometer.measure.turns_at_once import TurnsAtOnce

QUEUE = "<Queue at 0x7f00 maxsize=15> is bound to a different event loop"
SENTENCE = f"Error occurred while processing agent request: {QUEUE}"


def turn(*, outcome=Outcome.OK, text="fine", gaps=(), queue=None, wait_s=None, first_s=0.4):
    last_s = first_s + sum(gaps)
    return ImTurn(
        outcome=outcome, place=ChatPlace(user_id=1), user_id=1, message_id=1, t_send=10.0, t_intended=10.0,
        t_close=10.0 + last_s, closed_by=ClosedBy.QUIET, t_first=10.0 + first_s, t_last=10.0 + last_s,
        matched_by=MatchedBy.QUOTE, text=text, messages=1 + len(gaps), part_gaps_s=tuple(gaps),
        queue_wait_known=queue, t_turn=None if wait_s is None else 10.0 + wait_s, t_turn_since=10.0,
    )  # fmt: skip


def results(*turns, at_once=None, model_most=None, link=None):
    tally = Tally()
    for number, done in enumerate(turns):
        tally.started("im_chat", "im_chat", number / 10)
        tally.finished("im_chat", "im_chat", number / 10, done)
    info = RunInfo(
        scenario="im_chat", url="http://127.0.0.1:6185", start=1_700_000_000.0, duration_s=30.0, users=40,
        messenger=link or {}, at_once=at_once or TurnsAtOnce(), model_most=model_most,
    )  # fmt: skip
    return results_file.build(tally, info)


def all_say(everywhere, found, *sentences):
    for text in everywhere(found):
        for sentence in sentences:
            assert sentence in text


@pytest.mark.parametrize(
    "words", [QUEUE, "Task <x> got Future <Future pending> attached to a different loop"]
)
def test_the_bug_of_two_event_loops_has_its_name_its_share_and_its_cure(everywhere, words):
    bad = turn(outcome=Outcome.AGENT_ERROR, text=f"Error occurred while processing agent request: {words}")
    found = results(*[bad] * 31, *[turn()] * 69)
    assert all("were silent" not in text for text in everywhere(found))
    assert found["astrbot_bugs"] == {"two_event_loops": {"turns": 31, "of": 100, "share": 0.31}}
    said = "two-event-loop bug: 31.0 % of the turns of im_chat (31 of 100); ended with 4.27.3"
    all_say(everywhere, found, said)


def test_answers_that_the_bug_may_have_lost_are_told_besides(everywhere):
    bad, lost = turn(outcome=Outcome.AGENT_ERROR, text=SENTENCE), turn(outcome=Outcome.SILENT, text="")
    all_say(everywhere, results(bad, *[lost] * 12), "probably some of the 12 that were silent")


def test_another_exception_is_not_taken_for_that_bug(everywhere):
    other = turn(
        outcome=Outcome.AGENT_ERROR, text="Error occurred while processing agent request: 'NoneType'"
    )
    quoted = turn(text=f"You asked about this: {QUEUE}")
    found = results(other, quoted)
    assert found["astrbot_bugs"] == {}
    for text in everywhere(found):
        assert "two-event-loop" not in text


def test_pauses_between_parts_are_astrbots_and_said_to_be(everywhere):
    split = [turn(gaps=(1.5, 2.5))] * 3
    found = results(*split, turn())
    seen = found["messenger"]
    assert (seen["segmented"], seen["paused"], seen["part_pause_s"]) == (3, 3, 12.0)
    all_say(
        everywhere, found, "3 replies came in several messages, 3 of them with pauses of 1.5 s or more",
        "4.00 s a reply: AstrBot makes these by design (segmented_reply", "4 replies (2.5 messages each)",
    )  # fmt: skip


def test_parts_without_pauses_are_not_taken_for_them(everywhere):
    found = results(turn(gaps=(0.1,)))
    assert found["messenger"]["paused"] == 0
    all_say(everywhere, found, "1 reply came in several messages, without pauses between them")


def test_the_wait_for_others_is_told_where_it_can_be(everywhere):
    waited = [turn(queue=QueueWaitKnown.WAITED, wait_s=0.25)] * 30
    found = results(*waited, turn(queue=QueueWaitKnown.UNKNOWN), turn(queue=QueueWaitKnown.ALONE))
    assert found["messenger"]["queue"] == {"alone": 1, "waited": 30, "not_told": 1}
    assert found["metrics"]["queue_wait"]["n"] == 30
    said = "Queue wait of 30 questions that waited behind others of the same chat: p50 250 ms,"
    all_say(everywhere, found, said)


def test_where_no_wait_can_be_told_that_is_said(everywhere):
    found = results(turn(queue=QueueWaitKnown.UNKNOWN))
    all_say(everywhere, found, "Queue wait: not told of 1 question that waited behind others")


def test_nobody_who_was_alone_is_told_of_a_queue(everywhere):
    for text in everywhere(results(turn(queue=QueueWaitKnown.ALONE))):
        assert "Queue wait" not in text


def counted(turns, seconds=20):
    at_once = TurnsAtOnce()
    for _ in range(turns):
        at_once.began(2.0)
    for _ in range(turns):
        at_once.ended(2.0 + seconds)
    return at_once


def test_a_hundred_turns_at_once_may_be_astrbots_own_limit(everywhere):
    found = results(turn(), at_once=counted(153))
    limit = found["provider_limit"]
    assert (limit["reached"], limit["turns_most"], limit["turns_at_limit_s"]) == ("turns", 153, 20)
    all_say(
        everywhere, found, "100 turns or more were open at once for 20.00 s (most: 153)",
        "may be those of this limit",
    )  # fmt: skip


def test_a_model_that_had_a_hundred_requests_proves_it(everywhere):
    found = results(turn(), at_once=counted(153), model_most=100)
    assert found["provider_limit"]["reached"] == "model"
    all_say(everywhere, found, "the model had 100 requests at once. AstrBot never has more")


@pytest.mark.parametrize(("turns", "model_most"), [(99, None), (153, 37), (0, None)])
def test_below_the_limit_nothing_is_said(everywhere, turns, model_most):
    found = results(turn(), at_once=counted(turns), model_most=model_most)
    assert found["provider_limit"]["reached"] is None
    for text in everywhere(found):
        assert "never has more than" not in text


def test_a_moment_with_a_hundred_turns_limits_nothing():
    assert results(turn(), at_once=counted(500, seconds=0.5))["provider_limit"]["reached"] is None


def test_what_several_processes_had_at_once_adds_up():
    whole = TurnsAtOnce()
    for part in (counted(60), counted(50)):
        whole.merge(part.take(30.0))
    assert whole.most(0, 30) == 110
    assert whole.mean(2, 22) == 110


@pytest.mark.parametrize(
    ("by", "extra", "warns"),
    [(MatchedBy.OUTSTANDING, 3, True), (MatchedBy.QUOTE, 3, False), (MatchedBy.OUTSTANDING, 0, False)],
)
def test_messages_after_a_whole_answer_warn_where_they_may_have_answered_the_next(
    everywhere, by, extra, warns
):
    found = results(turn()._replace(matched_by=by), link={"stray_extra": extra, "stray_late": 2})
    for text in everywhere(found):
        assert ("3 messages came after an answer that was taken to be whole" in text) is warns
