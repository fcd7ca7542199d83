"""A chat is answered one question after the other: how long each waited, where it can be told."""

import pytest
from onebot_peer import Room

from astrometer.im.im_exchange import ImDeadlines
from astrometer.im.queue_wait import QueueWaitKnown

GROUP = 7001


def room(**limits):
    return Room(deadlines=ImDeadlines(**{"reply_s": 20.0, "quiet_s": 1.0, **limits}))


def quote(exchange):
    return {"type": "reply", "data": {"id": str(exchange.message_id)}}


def ask_all(here, *users):
    return [here.ask(user, group_id=GROUP) for user in users]


def answer(here, exchange, *, after, text="fine", quoted=True):
    here.feed(here.peer.group(GROUP, text, *([quote(exchange)] if quoted else [])), after=after)


def known(here):
    return {turn.user_id: (turn.queue_wait_known, turn.queue_wait_s) for turn in here.wait(60).turns()}


def test_each_waits_until_the_one_before_was_answered():
    here = room()
    one, two, three = ask_all(here, 1, 2, 3)
    answer(here, one, after=0.2)
    answer(here, two, after=0.3)
    answer(here, three, after=0.3)
    found = known(here)
    assert found[1] == (QueueWaitKnown.ALONE, None)
    assert found[2] == (QueueWaitKnown.WAITED, pytest.approx(0.2))
    assert found[3] == (QueueWaitKnown.WAITED, pytest.approx(0.5))


def test_the_queue_is_as_long_as_the_last_part_of_the_answer_before():
    here = room(quiet_s=4.0)
    one, two = ask_all(here, 1, 2)
    answer(here, one, after=0.2)
    answer(here, one, after=1.5, quoted=False)
    answer(here, two, after=0.4)
    assert known(here)[2] == (QueueWaitKnown.WAITED, pytest.approx(1.7))


def test_whoever_writes_alone_with_the_bot_waits_for_nobody():
    here = room()
    here.ask(1)
    here.ask(2)
    here.feed(here.peer.private(1, "fine"), after=0.2).feed(here.peer.private(2, "fine"), after=0.1)
    assert {seen for seen, _ in known(here).values()} == {QueueWaitKnown.ALONE}


def test_a_question_behind_one_that_was_answered_waits_for_nobody():
    here = room()
    (one,) = ask_all(here, 1)
    answer(here, one, after=0.2)
    (two,) = ask_all(here, 2)
    answer(here, two, after=0.2)
    assert known(here)[2] == (QueueWaitKnown.ALONE, None)


def test_behind_a_question_without_an_answer_nothing_can_be_told():
    here = room(reply_s=2.0)
    ask_all(here, 1)
    here.wait(1)
    (two,) = ask_all(here, 2)
    here.wait(1.2)
    answer(here, two, after=0.1)
    assert known(here)[2] == (QueueWaitKnown.UNKNOWN, None)


def test_a_guess_whose_answer_it_was_tells_nothing():
    here = room()
    one, two = ask_all(here, 1, 2)
    answer(here, one, after=0.2, quoted=False)
    answer(here, two, after=0.2, quoted=False)
    assert known(here)[2] == (QueueWaitKnown.UNKNOWN, None)


def test_answers_between_each_other_are_no_queue():
    here = room(quiet_s=4.0)
    one, two = ask_all(here, 1, 2)
    answer(here, one, after=0.2)
    answer(here, two, after=0.2)
    answer(here, one, after=0.2)
    assert known(here)[2] == (QueueWaitKnown.UNKNOWN, None)


def test_the_bounds_of_a_read_are_those_of_the_wait():
    here = room()
    one, two = ask_all(here, 1, 2)
    merged = here.peer.group(GROUP, "fine", quote(one)) + here.peer.ping()  # the last of a read is certain
    here.feed(merged, after=0.5, since=100.3)
    answer(here, two, after=0.2)
    turn = next(turn for turn in here.wait(5).turns() if turn.user_id == 2)
    (bounds,) = turn.bounds()["queue_wait"]
    assert (bounds.low, bounds.high) == (pytest.approx(0.3), pytest.approx(0.5))


def test_it_is_counted_and_measured():
    here = room()
    one, two = ask_all(here, 1, 2)
    answer(here, one, after=0.2)
    answer(here, two, after=0.3)
    first, second = sorted(here.wait(5).turns(), key=lambda turn: turn.user_id)
    assert "queue_wait" not in first.metrics()
    assert second.metrics()["queue_wait"] == (pytest.approx(0.2),)
    assert first.facts["queue_alone"] == second.facts["queue_waited"] == 1
