"""One question from its send to its turn: first and last reply, what closes it, and with which bounds."""

import pytest

from astrometer.api.outcome import Outcome
from astrometer.im.im_exchange import ImDeadlines, ImExchange, ImQuestion
from astrometer.im.im_turn import ClosedBy, MatchedBy
from astrometer.im.reply_content import ReplyContent

NONCE = "am-0011223344"


def asked(canary=None, t_intended=None, **limits):
    question = ImQuestion.of_text(5001, "hi", canary=canary)
    deadlines = ImDeadlines(**{"reply_s": 60.0, "total_s": 300.0, "quiet_s": 4.0, **limits})
    return ImExchange(question, message_id=41, t=100.0, deadlines=deadlines, t_intended=t_intended)


def say(exchange, t, text="w0", since=None, by=MatchedBy.OUTSTANDING, **more):
    exchange.reply(t, t if since is None else since, ReplyContent(text=text, **more), by)
    return exchange


def test_one_message_is_closed_by_quiet_and_the_quiet_is_not_in_its_time():
    exchange = say(asked(), 100.44)
    assert exchange.answered
    assert not exchange.done
    assert exchange.deadline() == pytest.approx(104.44)
    exchange.expire(104.5)
    turn = exchange.result()
    assert (turn.outcome, turn.closed_by, turn.matched_by) == (
        Outcome.OK,
        ClosedBy.QUIET,
        MatchedBy.OUTSTANDING,
    )
    assert turn.reply_first_s == turn.reply_last_s == pytest.approx(0.44)
    assert (turn.messages, turn.segmented, turn.part_gaps_s) == (1, False, ())
    assert turn.metrics()["reply_first"] == (turn.reply_first_s,)
    assert "schedule_lag" not in turn.metrics()


def test_a_split_answer_has_a_first_and_a_last_reply_and_the_pauses_between():
    exchange = asked()
    for t, text in ((102.3, "一。"), (103.8, "二。"), (105.3, "三。")):
        say(exchange, t, text)
    exchange.expire(109.3)
    turn = exchange.result()
    assert turn.outcome is Outcome.OK
    assert turn.reply_first_s == pytest.approx(2.3)
    assert turn.reply_last_s == pytest.approx(5.3)
    assert turn.part_gaps_s == pytest.approx((1.5, 1.5))
    assert (turn.segmented, turn.messages, turn.text) == (True, 3, "一。\n二。\n三。")


def test_a_quotation_closes_at_once_where_answers_are_not_split():
    exchange = say(asked(quoted_quiet_s=0.0), 100.4, quoted_id="41", by=MatchedBy.QUOTE)
    assert exchange.done
    assert (exchange.result().closed_by, exchange.result().t_close) == (ClosedBy.QUOTE, 100.4)


def test_a_quotation_of_another_message_closes_nothing():
    exchange = say(asked(quoted_quiet_s=0.0), 100.4, quoted_id="40")
    assert not exchange.done


def test_a_second_answer_within_the_quiet_after_a_quotation_is_seen():
    exchange = asked(quoted_quiet_s=0.5)
    say(exchange, 100.4, quoted_id="41")
    say(exchange, 100.6, "other", quoted_id="41")
    exchange.expire(101.1)
    assert (exchange.result().outcome, exchange.result().duplicates) == (Outcome.DUPLICATED, 1)
    assert not exchange.result().segmented


def test_bounds_of_both_replies_are_kept():
    exchange = asked()
    say(exchange, 100.5, "一。", since=100.3)
    say(exchange, 102.0, "二。", since=101.99)
    exchange.expire(107)
    turn = exchange.result()
    assert (turn.t_first, turn.t_first_since, turn.t_last, turn.t_last_since) == (100.5, 100.3, 102.0, 101.99)


def test_no_reply_until_the_deadline_is_silent():
    exchange = asked(reply_s=10.0)
    assert exchange.deadline() == 110.0
    exchange.expire(110.0)
    turn = exchange.result()
    assert (turn.outcome, turn.closed_by, turn.reply_first_s) == (Outcome.SILENT, ClosedBy.DEADLINE, None)
    assert "reply_first" not in turn.metrics()


def test_an_answer_that_does_not_end_meets_the_total_deadline():
    exchange = asked(total_s=10.0)
    for t in range(101, 112):
        say(exchange, float(t), f"{t}。")
    turn = exchange.result()
    assert (turn.outcome, turn.closed_by) == (Outcome.TIMEOUT_TOTAL, ClosedBy.DEADLINE)
    assert turn.reply_first_s == pytest.approx(1.0)


def test_a_reply_that_may_have_come_before_the_total_deadline_counts():
    exchange = say(asked(total_s=10.0), 110.2, since=109.9)
    assert exchange.answered
    assert not exchange.done


def test_a_lost_link_spoils_an_answer_that_does_not_prove_to_be_whole():
    cut = say(asked(), 100.4)
    cut.lost(101, Outcome.LOST_LINK, "gone")
    assert (cut.result().outcome, cut.result().detail) == (Outcome.LOST_LINK, "gone")
    whole = say(asked(canary=NONCE), 100.4, f"x {NONCE}")
    whole.lost(101, Outcome.LOST_LINK)
    assert (whole.result().outcome, whole.result().closed_by) == (Outcome.OK, ClosedBy.LOSS)


def test_the_end_of_a_run_judges_what_is_there_and_cuts_the_rest():
    waiting, answered = asked(), say(asked(), 100.4)
    waiting.abort(101, Outcome.CUTOFF)
    answered.abort(101, Outcome.CUTOFF)
    assert waiting.result().outcome is Outcome.CUTOFF
    assert (answered.result().outcome, answered.result().closed_by) == (Outcome.OK, ClosedBy.ABORT)


def test_nothing_changes_after_the_end():
    exchange = asked(reply_s=1.0)
    exchange.expire(101)
    say(exchange, 102)
    exchange.lost(103, Outcome.LOST_LINK)
    assert (exchange.result().outcome, exchange.result().messages) == (Outcome.SILENT, 0)


def test_in_the_open_model_lateness_is_counted_from_the_intended_time():
    exchange = say(asked(t_intended=99.5), 100.4)
    exchange.expire(105)
    metrics = exchange.result().metrics()
    assert metrics["schedule_lag"] == (0.5,)
    assert metrics["reply_first_effective"] == (pytest.approx(0.9),)


def test_a_result_before_the_end_is_a_mistake():
    with pytest.raises(RuntimeError, match="not finished"):
        asked().result()


def test_a_bot_that_never_stops_talking_fills_no_memory():
    exchange = asked(total_s=1e9)
    for number in range(1000):
        say(exchange, 100.0 + number, f"{number}。")
    exchange.expire(2000)
    assert exchange.result().messages == 1000
    assert len(exchange.result().text) < 2000
