"""Many people over one link: who gets which reply, what AstrBot is told, and what becomes of the rest."""

import json

import pytest
from onebot_peer import ADDRESS, Peer, Room
from wsproto.events import Pong

from astrometer.api.outcome import Outcome
from astrometer.im.im_exchange import ImDeadlines, ImExchange, ImQuestion
from astrometer.im.im_turn import ClosedBy, MatchedBy
from astrometer.im.messenger_session import ImAskError, MessengerSession
from astrometer.im.onebot_actions import ChatPlace, RefusedFor
from astrometer.im.onebot_events import EventError, TextSegment
from astrometer.im.open_questions import OpenQuestions, StrayKind

N1, N2, N3 = "am-00000001", "am-00000002", "am-00000003"


def room(**options):
    options.setdefault("deadlines", ImDeadlines(reply_s=20.0, quiet_s=4.0))
    return Room(**options)


def quote(exchange):
    return {"type": "reply", "data": {"id": str(exchange.message_id)}}


def at(user_id):
    return {"type": "at", "data": {"qq": str(user_id)}}


def outcomes(here):
    return [(turn.user_id, turn.outcome) for turn in here.turns()]


# one question


def test_a_question_goes_out_as_an_event_and_its_reply_is_acknowledged_at_once():
    here = room()
    exchange = here.ask(5001, "hello")
    assert [event["raw_message"] for event in here.peer.events] == ["hello"]
    here.feed(here.peer.private(5001, "w0 w1"), after=0.44)
    assert here.peer.answers[-1]["status"] == "ok"
    assert here.peer.answers[-1]["echo"] == {"seq": 1}
    assert not exchange.done
    turn = here.wait(4.1).turn()
    assert (turn.outcome, turn.matched_by, turn.text) == (Outcome.OK, MatchedBy.OUTSTANDING, "w0 w1")
    assert turn.reply_first_s == pytest.approx(0.44)
    assert here.session.outstanding == 0


def test_a_question_that_is_answered_is_not_waited_for_any_more():
    here = room(deadlines=ImDeadlines(reply_s=20.0, quiet_s=0.0, quoted_quiet_s=0.0))
    exchange = here.ask(5001, "hello")
    assert here.session.deadline() == here.now + 20.0
    here.feed(here.peer.private(5001, "w0", quote(exchange)), after=0.44)
    assert exchange.done
    assert here.session.deadline() is None


def test_the_lower_bound_of_a_read_is_the_replys():
    here = room()
    here.ask(5001)
    merged = here.peer.private(5001, "w0") + here.peer.ping()
    here.feed(merged, after=0.5, since=100.2)
    turn = here.wait(5).turn()
    assert (turn.t_first, turn.t_first_since) == (100.5, 100.2)


def test_a_frame_in_pieces_came_with_its_last_byte():
    here = room()
    here.ask(5001)
    data = here.peer.private(5001, "w0" * 1000)
    for index in range(0, len(data), 100):
        here.feed(data[index : index + 100], after=0.01, since=here.now)
    turn = here.wait(5).turn()
    assert turn.outcome is Outcome.OK
    assert turn.t_first == pytest.approx(100.0 + 0.01 * -(-len(data) // 100))
    assert turn.t_first_since == turn.t_first


def test_the_handshake_and_the_first_frame():
    here = room()
    request = here.peer.request
    headers = {name.lower(): value for name, value in request.extra_headers}
    assert (request.target, request.host) == ("/ws", "127.0.0.1:6199")
    assert headers[b"x-self-id"] == b"10001"
    assert headers[b"x-client-role"] == b"Universal"
    assert headers[b"authorization"] == b"Bearer T-secret"
    assert here.peer.frames[0]["meta_event_type"] == "lifecycle"


def test_what_astrbot_would_not_answer_is_not_sent():
    here = room()
    with pytest.raises(EventError):
        here.ask(5001, "  ")
    assert not here.peer.events
    assert here.session.outstanding == 0


# matching


def test_replies_in_any_order_find_their_people():
    here = room()
    for user_id in range(5001, 5041):
        here.ask(user_id)
    for user_id in reversed(range(5001, 5041)):
        here.feed(here.peer.private(user_id, f"to {user_id}"))
    turns = here.wait(5).turns()
    assert {turn.user_id: turn.text for turn in turns} == {n: f"to {n}" for n in range(5001, 5041)}


def test_forty_of_one_person_at_once_are_told_by_their_nonces():
    here = room()
    nonces = [f"am-{number:08x}" for number in range(40)]
    for nonce in nonces:
        here.ask(5001, nonce, canary=nonce)
    for nonce in nonces[::-1]:
        here.feed(here.peer.private(5001, f"» {nonce}\n<system_reminder>…"))
    turns = here.wait(5).turns()
    assert [turn.outcome for turn in turns] == [Outcome.OK] * 40
    assert {turn.matched_by for turn in turns} == {MatchedBy.NONCE}


def test_a_quotation_is_stronger_than_a_nonce():
    here = room()
    first, second = here.ask(5001, canary=N1), here.ask(5001, canary=N2)
    here.feed(here.peer.private(5001, N1, quote(second))).feed(here.peer.private(5001, N1, quote(first)))
    turns = {turn.message_id: turn for turn in here.wait(5).turns()}
    assert turns[first.message_id].outcome is Outcome.OK
    assert turns[second.message_id].outcome is Outcome.CANARY_MISMATCH
    assert {turn.matched_by for turn in turns.values()} == {MatchedBy.QUOTE}


def test_people_of_one_group_are_told_by_quotation_nonce_and_mention():
    for sign, by in ((0, MatchedBy.QUOTE), (1, MatchedBy.NONCE), (2, MatchedBy.MENTION)):
        here = room()
        asked = [
            here.ask(user, "/x", group_id=7001, canary=nonce if sign == 1 else None)
            for user, nonce in ((5001, N1), (5002, N2), (5003, N3))
        ]
        for index in (2, 0, 1):
            before = ((quote(asked[index]),), (), (at(5001 + index),))[sign]
            here.feed(here.peer.group(7001, f"{(N1, N2, N3)[index]} for {5001 + index}", *before), after=0.1)
        turns = here.wait(5).turns()
        assert {turn.matched_by for turn in turns} == {by}
        assert all(f"for {turn.user_id}" in turn.text for turn in turns)
        assert {turn.outcome for turn in turns} == {Outcome.OK}


def test_in_a_group_without_any_sign_the_oldest_gets_it_and_the_result_says_it_is_a_guess():
    here = room()
    for user in (5001, 5002):
        here.ask(user, "/x", group_id=7001)
    here.feed(here.peer.group(7001, "one")).feed(here.peer.group(7001, "two"), after=0.3)
    turns = here.wait(5).turns()
    assert [(turn.user_id, turn.text, turn.matched_by) for turn in turns] == [
        (5001, "one", MatchedBy.ORDER),
        (5002, "two", MatchedBy.ORDER),
    ]


def test_a_further_part_of_a_quoted_answer_belongs_to_the_one_before():
    here = room()
    first = here.ask(5001, "/x", group_id=7001)
    here.ask(5002, "/x", group_id=7001)
    here.feed(here.peer.group(7001, "一。", quote(first))).feed(here.peer.group(7001, "二。"), after=1.5)
    turns = {turn.user_id: turn for turn in here.wait(60).turns()}
    assert (turns[5001].text, turns[5001].segmented) == ("一。\n二。", True)
    assert turns[5002].outcome is Outcome.SILENT


def test_an_error_in_a_group_is_an_answer_of_its_own():
    here = room()
    first = here.ask(5001, "/x", group_id=7001)
    here.ask(5002, "/x", group_id=7001)
    here.feed(here.peer.group(7001, "w0", quote(first)))
    here.feed(here.peer.group(7001, "LLM 响应错误: All chat models failed"), after=1.0)
    assert sorted(outcomes(here.wait(5))) == [(5001, Outcome.OK), (5002, Outcome.LLM_ERROR)]


# what goes wrong


@pytest.mark.parametrize("sign", ["quote", "nonce"])
def test_swapped_answers_are_misrouted_and_each_is_counted_once(sign):
    here = room()
    asked = {5001: here.ask(5001, canary=N1), 5002: here.ask(5002, canary=N2)}
    nonces = {5001: N1, 5002: N2}
    for user, other in ((5001, 5002), (5002, 5001)):
        before = (quote(asked[other]),) if sign == "quote" else ()
        here.feed(here.peer.private(user, f"w0 {nonces[other]}", *before), after=0.1)
    turns = here.turns()
    assert {turn.outcome for turn in turns} == {Outcome.MISROUTED}
    assert len(turns) == 2
    assert not here.wait(60).turns()


def test_an_answer_in_a_foreign_chat_spoils_its_own_question_and_not_the_proven_answer_there():
    here = room()
    stray = here.ask(5001, canary=N1)
    here.ask(5002, canary=N2)
    here.feed(here.peer.private(5002, N1)).feed(here.peer.private(5002, N2))
    turns = {turn.user_id: turn for turn in here.wait(5).turns()}
    assert turns[5001].outcome is Outcome.MISROUTED
    assert turns[5001].closed_by is ClosedBy.MISROUTED
    assert (turns[5002].outcome, turns[5002].foreign) == (Outcome.OK, 1)
    assert "private chat" in stray.result().detail


def test_who_got_only_somebody_elses_answer_was_not_merely_left_without():
    here = room()
    here.ask(5001, canary=N1)
    here.ask(5002, canary=N2)
    here.feed(here.peer.private(5002, N1))
    assert dict(outcomes(here.wait(60))) == {5001: Outcome.MISROUTED, 5002: Outcome.MISROUTED}


def test_a_second_answer_is_a_duplicate_within_the_quiet_and_a_stray_after_it():
    here = room()
    exchange = here.ask(5001)
    for _ in range(2):
        here.feed(here.peer.private(5001, "w0 w1", quote(exchange)), after=0.1)
    assert here.wait(5).turn().outcome is Outcome.DUPLICATED
    here.feed(here.peer.private(5001, "w0 w1", quote(exchange)))
    assert here.session.strays == {StrayKind.DUPLICATE: 1}


def test_a_late_reply_is_counted_and_never_answers_the_next_question():
    here = room(quotes=True)
    first = here.ask(5001)
    assert here.wait(20).turn().outcome is Outcome.SILENT
    assert here.session.owes(ChatPlace(user_id=5001), here.now)
    second = here.ask(5001)
    here.feed(here.peer.private(5001, "late", quote(first)), after=1)
    assert not second.answered
    here.feed(here.peer.private(5001, "in time", quote(second)), after=1)
    assert here.wait(5).turn().text == "in time"
    assert here.session.strays == {StrayKind.LATE: 1}


def test_without_a_sign_a_late_reply_is_still_not_the_next_questions():
    here = room()
    here.ask(5001)
    assert here.wait(20).turn().outcome is Outcome.SILENT
    with pytest.raises(ImAskError, match="as somebody else, or with a nonce"):
        here.ask(5001)
    second = here.ask(5001, canary=N2)
    here.feed(here.peer.private(5001, "late"), after=1)
    assert not second.answered
    here.feed(here.peer.private(5001, N2), after=1)
    assert here.wait(5).turn().outcome is Outcome.OK
    assert here.session.strays == {StrayKind.LATE: 1}
    here.ask(5001)  # nothing is owed any more


@pytest.mark.parametrize("sign", ["quote", "nonce"])
@pytest.mark.parametrize("between_s", [0.5, 3.5])
def test_the_further_parts_of_a_late_reply_are_not_the_next_questions(sign, between_s):
    """Only the first part has a sign."""
    here = room(quotes=sign == "quote")
    nonces = (N1, N2) if sign == "nonce" else (None, None)
    first = here.ask(5001, canary=nonces[0])
    assert here.wait(20).turn().outcome is Outcome.SILENT
    second = here.ask(5001, canary=nonces[1])
    signed = {first: (f"late {N1}", quote(first)), second: (f"in time {N2}", quote(second))}
    for text, *before in [signed[first], ["and its rest"], ["and more of it"]]:
        here.feed(here.peer.private(5001, text, *(before if sign == "quote" else ())), after=between_s)
    assert not second.answered
    text, before = signed[second]
    here.feed(here.peer.private(5001, text, *((before,) if sign == "quote" else ())), after=between_s)
    turn = here.wait(5).turn()
    assert (turn.outcome, turn.text, turn.messages) == (Outcome.OK, text, 1)
    assert here.session.strays == {StrayKind.LATE: 1, StrayKind.EXTRA: 2}


@pytest.mark.parametrize("sign", ["quote", "nonce"])
def test_an_error_after_a_late_reply_is_the_next_questions_own(sign):
    here = room(quotes=sign == "quote")
    first = here.ask(5001, canary=N1)
    here.wait(20).turns()
    here.ask(5001, canary=N2)
    before = (quote(first),) if sign == "quote" else ()
    here.feed(here.peer.private(5001, f"late {N1}", *before), after=0.5)
    here.feed(here.peer.private(5001, "LLM 响应错误: All chat models failed"), after=0.5)
    assert here.wait(5).turn().outcome is Outcome.LLM_ERROR


@pytest.mark.parametrize("sign", ["quote", "nonce"])
def test_an_answer_after_the_error_of_a_failed_question_is_not_the_next_questions(sign):
    here = room(quotes=sign == "quote")
    first = here.ask(5001, canary=N1)
    before = (quote(first),) if sign == "quote" else ()
    here.feed(here.peer.private(5001, "LLM 响应错误: All chat models failed", *before), after=0.5)
    assert here.wait(5).turn().outcome is Outcome.LLM_ERROR
    second = here.ask(5001, canary=N2)
    here.feed(here.peer.private(5001, f"after all {N1}", *before), after=0.5)
    here.feed(here.peer.private(5001, "and its rest"), after=0.5)
    assert not second.answered
    before = (quote(second),) if sign == "quote" else ()
    here.feed(here.peer.private(5001, N2, *before), after=0.5)
    turn = here.wait(5).turn()
    assert (turn.outcome, turn.text) == (Outcome.OK, N2)
    assert here.session.strays == {StrayKind.DUPLICATE: 1, StrayKind.EXTRA: 1}


def test_who_got_only_somebody_elses_answer_may_still_get_the_own_one_late():
    here = room()
    here.ask(5001, canary=N1)
    here.ask(5002)
    here.feed(here.peer.private(5002, N1), after=0.1)
    assert dict(outcomes(here.wait(60))) == {5001: Outcome.MISROUTED, 5002: Outcome.MISROUTED}
    assert here.session.owes(ChatPlace(user_id=5002), here.now)
    assert not here.session.owes(ChatPlace(user_id=5001), here.now)
    here.feed(here.peer.private(5002, "late"))
    assert here.session.strays == {StrayKind.LATE: 1}


def noises(peer):
    """What is no message of the bot: frames of WebSocket's own, events, answers, and other actions."""
    meta = {"time": 1, "self_id": 10001, "post_type": "meta_event"}
    return {
        "ping": peer.ping(),
        "pong": peer.ws.send(Pong(payload=b"")),
        "heartbeat": peer.raw(json.dumps({**meta, "meta_event_type": "heartbeat", "interval": 5000})),
        "pong as text": peer.raw('{"type":"pong"}'),
        "an answer": peer.raw('{"status":"ok","retcode":0,"data":{"message_id":5},"echo":{"seq":1}}'),
        "a look-up": peer.action("get_stranger_info", user_id=5001),
        "an unknown action": peer.action("get_status"),
    }


@pytest.mark.parametrize("noise", noises(Room().peer))
@pytest.mark.parametrize("merged", [False, True], ids=["apart", "with the reply"])
def test_what_is_no_message_neither_is_a_reply_nor_extends_the_quiet_time(noise, merged):
    here = room()
    exchange = here.ask(5001)
    here.feed(noises(here.peer)[noise], after=0.1)
    assert not exchange.answered
    reply, after = here.peer.private(5001, "w0"), noises(here.peer)[noise]
    here.feed(reply + after if merged else reply, after=0.3)
    due = here.session.deadline()
    assert due == pytest.approx(100.4 + 4.0)
    for _ in range(3):
        here.feed(noises(here.peer)[noise], after=1.2)
    assert here.session.deadline() == due
    turn = here.wait(due - here.now).turn()
    assert (turn.outcome, turn.text, turn.messages) == (Outcome.OK, "w0", 1)
    assert (turn.reply_last_s, turn.t_close) == (pytest.approx(0.4), due)
    here.feed(noises(here.peer)[noise])
    assert here.session.strays == {}


def test_a_late_reply_with_nobody_waiting_is_counted_as_late_once():
    here = room()
    here.ask(5001)
    here.wait(21).turns()
    here.feed(here.peer.private(5001, "late")).feed(here.peer.private(5001, "and more"))
    assert here.session.strays == {StrayKind.LATE: 1, StrayKind.EXTRA: 1}


def test_a_second_answer_never_answers_the_next_question():
    here = room()
    here.ask(5001, canary=N1)
    here.feed(here.peer.private(5001, N1), after=0.1)
    assert here.wait(5).turn().outcome is Outcome.OK
    second = here.ask(5001, canary=N2)
    here.feed(here.peer.private(5001, N1), after=0.1)
    assert not second.answered
    here.feed(here.peer.private(5001, N2), after=0.1)
    assert here.wait(5).turn().outcome is Outcome.OK
    assert here.session.strays == {StrayKind.DUPLICATE: 1}


def test_an_answer_may_repeat_what_was_said_before():
    here = room()
    here.ask(5001, canary=N1)
    here.feed(here.peer.private(5001, N1))
    here.wait(5).turns()
    here.ask(5001, "and what did I say before?")
    here.feed(here.peer.private(5001, f"You said {N1}"))
    assert here.wait(5).turn().outcome is Outcome.OK


def test_the_rest_of_an_answer_that_took_too_long_is_not_the_next_questions():
    here = room(deadlines=ImDeadlines(total_s=3.0))
    here.ask(5001)
    for number in range(5):
        here.feed(here.peer.private(5001, f"{number}。"), after=1.0)
    assert here.turn().outcome is Outcome.TIMEOUT_TOTAL
    assert here.session.owes(ChatPlace(user_id=5001), here.now)


def test_a_chat_owes_no_reply_for_ever():
    here = room()
    here.ask(5001)
    here.wait(20).turns()
    here.wait(181)
    assert not here.session.owes(ChatPlace(user_id=5001), here.now)
    here.ask(5001)
    here.feed(here.peer.private(5001, "w0"))
    assert here.wait(5).turn().outcome is Outcome.OK


def test_a_reset_after_a_silent_question_gets_its_own_answer():
    here = room()
    here.ask(5001)
    here.wait(20).turns()
    reset = ImQuestion(user_id=5001, segments=(TextSegment(text="/reset"),), is_command=True)
    here.session.ask(here.now, reset)
    here.feed(here.peer.private(5001, "✅ Conversation reset successfully."), after=0.1)
    assert here.wait(5).turn().outcome is Outcome.OK


def test_a_push_that_nobody_asked_for_is_taken_and_counted():
    here = room()
    here.feed(here.peer.private(5009, "news"))
    assert here.session.strays == {StrayKind.UNASKED: 1}
    assert here.peer.answers[-1]["status"] == "ok"


def test_a_push_to_nobody_of_ours_can_be_refused():
    here = room(takes_pushes=False)
    here.ask(5001)
    here.feed(here.peer.private(5009, "news")).feed(here.peer.private(5001, "w0"))
    assert [said["status"] for said in here.peer.answers] == ["failed", "ok"]
    assert here.session.refused == {RefusedFor.UNKNOWN_CHAT: 1}


# what AstrBot asks


def test_look_ups_are_answered_with_a_card_so_that_none_follows():
    here = room()
    here.feed(here.peer.action("get_group_member_info", group_id=7001, user_id=10001, self_id=10001))
    here.feed(here.peer.action("get_stranger_info", user_id=5001))
    member, stranger = here.peer.answers
    assert (member["status"], member["data"]["card"], member["data"]["group_id"]) == ("ok", "bot", 7001)
    assert (stranger["data"]["nickname"], stranger["data"]["user_id"]) == ("5001", 5001)


def test_what_cannot_be_served_is_refused_at_once_and_the_link_stays():
    here = room()
    exchange = here.ask(5001)
    here.feed(here.peer.raw("{")).feed(here.peer.raw("[]")).feed(here.peer.action("get_msg", message_id=1))
    here.feed(here.peer.action("send_private_msg", user_id="alice", message=[]))
    assert [said["status"] for said in here.peer.answers] == ["failed", "failed"]
    assert "get_msg" in here.peer.answers[0]["message"]
    assert here.session.refused == {
        RefusedFor.NOT_JSON: 1,
        RefusedFor.NOT_AN_ACTION: 1,
        RefusedFor.UNKNOWN_ACTION: 1,
        RefusedFor.BAD_PARAMS: 1,
    }
    here.feed(here.peer.private(5001, "w0"))
    assert exchange.answered


def test_an_image_too_large_ends_its_question_and_nothing_else():
    here = room(most_chars=10_000)
    here.ask(5001)
    image = {"type": "image", "data": {"file": "base64://" + "A" * 50_000}}
    data = here.peer.action("send_private_msg", user_id=5001, message=[image])
    for index in range(0, len(data), 7000):
        here.feed(data[index : index + 7000])
    assert here.peer.answers[-1]["status"] == "failed"
    assert here.peer.answers[-1]["echo"] == {"seq": 1}
    assert here.session.refused == {RefusedFor.OVERSIZED: 1}
    assert here.wait(5).turn().outcome is Outcome.MALFORMED
    here.ask(5002)
    here.feed(here.peer.private(5002, "w0"))
    assert here.wait(5).turn().outcome is Outcome.OK


def test_a_ping_is_answered():
    here = room()
    here.feed(here.peer.ping())
    assert here.peer.pongs == 1


# the link


def test_a_loss_ends_what_waits_and_nothing_is_sent_again():
    here = room()
    here.ask(5001)
    here.ask(5002, canary=N2)
    here.feed(here.peer.close())
    assert outcomes(here) == [(5001, Outcome.LOST_LINK), (5002, Outcome.LOST_LINK)]
    assert (here.session.end.code, here.peer.closed) == (1000, 1000)
    assert "Adapter shutdown" in here.session.end.detail
    here.now = here.session.reconnect_t()
    here.link()
    assert not here.peer.events  # AstrBot would ask the model again
    here.feed(here.peer.private(5002, N2))  # made while the link was down
    assert here.session.strays == {StrayKind.LATE: 1}
    assert here.session.links_lost == 1


def test_a_connection_that_just_ends_is_a_loss_too():
    here = room()
    here.ask(5001)
    here.session.eof(here.now)
    assert outcomes(here) == [(5001, Outcome.LOST_LINK)]
    assert here.session.end.code == 1006


def test_a_question_without_a_link_is_over_at_once():
    session = MessengerSession(ADDRESS, first_message_id=1)
    exchange = session.ask(1.0, ImQuestion.of_text(5001, "hi"))
    assert exchange.result().outcome is Outcome.LOST_LINK
    assert len(session.finished()) == 1
    session.connect(2.0)
    assert session.ask(2.0, ImQuestion.of_text(5001, "hi", canary=N1)).done  # the handshake is not over


def test_never_two_links_with_one_id():
    here = room()
    with pytest.raises(RuntimeError, match="second link"):
        here.session.connect(here.now)
    here.session.close(here.now)
    with pytest.raises(RuntimeError, match="second link"):
        here.session.connect(here.now)
    assert here.session.deadline() == here.now + 5.0
    here.peer.hear(here.session.outgoing())
    here.feed(here.peer.close())
    assert here.session.end.asked_for
    assert here.session.reconnect_t() is None
    with pytest.raises(RuntimeError, match="may not know yet"):
        here.session.connect(here.now + 0.2)
    here.session.connect(here.now + 1.0)


def test_a_close_or_a_handshake_that_is_not_answered_ends_by_itself():
    here = room()
    here.session.close(here.now)
    here.wait(5.1)
    assert here.session.end.asked_for
    here.session.connect(here.now + 1)
    here.session.feed(here.now + 1, b"SSH-2.0-OpenSSH_9.2\r\n")
    here.wait(11.1)
    assert here.session.end.outcome is Outcome.TIMEOUT_CONNECT
    assert here.session.deadline() is None


@pytest.mark.parametrize(
    ("status", "outcome", "again"),
    [
        (401, Outcome.UNAUTHORIZED, False),
        (403, Outcome.FORBIDDEN, False),
        (400, Outcome.CLIENT_ERROR, False),
        (404, Outcome.CLIENT_ERROR, False),
        (405, Outcome.CLIENT_ERROR, False),
        (200, Outcome.MALFORMED, True),
        (500, Outcome.SERVER_ERROR, True),
        (503, Outcome.SERVER_ERROR, True),
    ],
)
def test_a_refused_handshake_is_named_with_its_cure(status, outcome, again):
    session = MessengerSession(ADDRESS, first_message_id=1)
    session.connect(1.0)
    peer = Peer().hear(session.outgoing())
    session.feed(1.1, peer.reject(status))
    end = session.end
    assert (end.outcome, end.status, end.opened) == (outcome, status, False)
    assert f"HTTP {status}" in end.detail
    assert len(end.detail) > 40
    assert "T-secret" not in repr(end) + repr(session.address)
    assert (session.reconnect_t() is not None) is again


def test_a_link_that_cannot_be_made_is_tried_less_and_less_often():
    session = MessengerSession(ADDRESS, first_message_id=1)
    now, pauses = 1.0, []
    for _ in range(8):
        session.connect(now)
        session.lost(now, Outcome.CONNECT, "refused")
        assert session.end.outcome is Outcome.CONNECT
        pauses.append(session.reconnect_t() - now)
        now = session.reconnect_t()
    assert pauses == [2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0]


def test_the_end_of_a_run_ends_every_question():
    here = room()
    here.ask(5001)
    here.ask(5002)
    here.feed(here.peer.private(5001, "w0"))
    here.session.abort(here.now, Outcome.CUTOFF)
    assert sorted(outcomes(here)) == [(5001, Outcome.OK), (5002, Outcome.CUTOFF)]


def test_a_thousand_people_in_one_instant_are_all_accounted_for():
    here = room()
    for number in range(1000):
        here.ask(10_000 + number, canary=f"am-{number:08x}")
    for number in range(0, 1000, 2):
        here.feed(here.peer.private(10_000 + number, f"am-{number:08x}"))
    turns = here.wait(60).turns()
    assert len(turns) == 1000
    assert sum(turn.outcome is Outcome.OK for turn in turns) == 500
    assert sum(turn.outcome is Outcome.SILENT for turn in turns) == 500
    assert here.session.deadline() is None


def test_what_is_remembered_of_ended_questions_is_bounded():
    kept = OpenQuestions(remembered=10)
    for number in range(1, 50):
        question = ImQuestion.of_text(6000 + number, "hi", canary=f"am-{number:08x}")
        exchange = ImExchange(question, message_id=number, t=float(number))
        kept.add(exchange)
        kept.end(exchange, float(number), owed=True)
    assert len(kept._ended_by_id) == len(kept._ended_by_canary) == len(kept._ended) == 10
    assert len(kept._last_of) == len(kept._owed) == 10
    assert len(kept) == 0
