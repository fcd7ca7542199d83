"""The messenger: handshake, questions and answers, groups, one after the other."""

import itertools

import pytest
from messenger_contract import at, is_silent, people, text
from onebot_client import SELF_ID, OneBotTestClient, headers, message_event, quoted, refused_with, text_of
from waiting import until

# the handshake

GOOD = headers("TOKEN")
HANDSHAKES = {
    "good": ("/ws", GOOD, None),
    "trailing slash": ("/ws/", GOOD, None),
    "old word for the token": ("/ws", {**GOOD, "Authorization": "Token TOKEN"}, None),
    "only actions": ("/ws/api", headers("TOKEN", role="API"), None),
    "only events": ("/ws/event", headers("TOKEN", role="Event"), None),
    "no token": ("/ws", headers(None), 401),
    "token in the query": ("/ws?access_token=TOKEN", headers(None), 401),
    "wrong token": ("/ws", headers("wrong"), 403),
    "wrong token and nothing else": ("/ws", {"Authorization": "Bearer wrong"}, 403),
    "no account": ("/ws", {key: value for key, value in GOOD.items() if key != "X-Self-ID"}, 400),
    "no role": ("/ws", {key: value for key, value in GOOD.items() if key != "X-Client-Role"}, 400),
    "unknown role": ("/ws", headers("TOKEN", role="bogus"), 500),
    "root": ("/", GOOD, 405),
    "another path": ("/nothing", GOOD, 404),
}


@pytest.mark.parametrize("case", HANDSHAKES)
def test_a_handshake_is_refused_with_its_own_status(messenger, case):
    path, shown, status = HANDSHAKES[case]
    shown = {name: value.replace("TOKEN", messenger.token) for name, value in shown.items()}
    url = messenger.url.removesuffix("/ws") + path.replace("TOKEN", messenger.token)
    assert refused_with(url, shown) == status


# questions and answers


def test_a_friend_is_answered_once_with_the_whole_text_and_a_quote(messenger, client):
    asked = messenger.asked()
    person = next(people)
    message_id = client.private(person, "am-0123456789 [[ttft=0.2 gap=0 tokens=3]]")
    (reply,) = client.wait()
    assert reply["action"] == "send_private_msg"
    assert reply["params"]["user_id"] == person
    assert (text_of(reply), quoted(reply)) == ("am-0123456789 w1 w2", message_id)
    assert reply["params"].get("self_id") == (SELF_ID if messenger.version >= (4, 26, 0) else None)
    assert isinstance(reply["echo"]["seq"], int)
    assert is_silent(messenger, client, 0.5)
    assert messenger.asked() == asked + 1  # and no title


def test_a_quote_holds_more_than_the_id_in_old_versions(messenger, client):
    client.private(next(people), "[[ttft=0 tokens=1]]")
    (reply,) = client.wait()
    data = reply["params"]["message"][0]["data"]
    assert set(data) == (
        {"id"}
        if messenger.version >= (4, 25, 0)
        else {"id", "chain", "sender_id", "sender_nickname", "time", "message_str", "text", "qq", "seq"}
    )


def test_the_sender_is_who_the_event_says_inside(client):
    person = next(people)
    kind = {"message_type": "private", "user_id": 1}
    client.send(message_event(person, 900_001, "[[ttft=0 tokens=1]]") | kind)
    assert client.wait()[0]["params"]["user_id"] == person


def test_an_event_needs_little(client):
    person = next(people)
    segments = [text("[[ttft=0"), text(" tokens=1]]")]
    sender = {"user_id": person}
    client.send({"post_type": "message", "message_type": "private", "message": segments, "sender": sender})
    (reply,) = client.wait()
    assert text_of(reply) == "w0"


@pytest.mark.parametrize("missing", ["sender", "message_type"])
def test_an_event_without_its_needs_is_met_with_silence(messenger, client, missing):
    event = message_event(next(people), 900_002, "[[ttft=0 tokens=1]]") | {"message_type": "private"}
    del event[missing]
    client.send(event)
    assert is_silent(messenger, client, 1.0)


@pytest.mark.parametrize("frame", ["no json", "[1]", "{}", '{"post_type": "none"}'])
def test_a_frame_that_says_nothing_does_no_harm(client, frame):
    client.socket.send(frame)
    client.private(next(people), "[[ttft=0 tokens=1]]")
    assert text_of(client.wait()[0]) == "w0"


def test_a_message_that_is_no_list_is_answered_with_a_sentence(client):
    person = next(people)
    event = message_event(person, 900_003, "x") | {"message_type": "private", "message": "hello"}
    client.send(event)
    (reply,) = client.wait()
    assert reply["action"] == "send_msg"
    assert "无法识别的消息类型: hello" in text_of(reply)


def test_an_event_is_answered_as_often_as_it_is_sent(messenger, client):
    asked = messenger.asked()
    event = message_event(next(people), 900_004, "[[ttft=0 tokens=1]]") | {"message_type": "private"}
    client.send(event)
    client.send(event)
    assert [quoted(reply) for reply in client.wait(2)] == [900_004, 900_004]
    assert messenger.asked() == asked + 2


def test_a_person_whose_id_is_no_number_is_answered_another_way(client):
    client.send(message_event("abc", 900_005, "[[ttft=0 tokens=1]]") | {"message_type": "private"})
    (reply,) = client.wait()
    assert (reply["action"], reply["params"]["user_id"]) == ("send_msg", "abc")
    assert (reply["params"]["message_type"], text_of(reply)) == ("private", "w0")


def test_a_message_over_16_mib_is_answered_with_a_close(messenger):
    with OneBotTestClient(messenger.url, messenger.token) as client:
        image = {"type": "image", "data": {"file": "base64://" + "A" * (17 * 1024 * 1024)}}
        client.private(next(people), [text("[[ttft=0 tokens=1]]"), image])
        until(lambda: client.close_frame == 1009)
        assert client.replies == []


# groups


def test_a_group_is_woken_by_its_prefix_without_a_call(client):
    group, person = next(people), next(people)
    message_id = client.group(group, person, "/[[ttft=0 tokens=2]]")
    (reply,) = client.wait()
    assert (reply["action"], reply["params"]["group_id"]) == ("send_group_msg", group)
    assert (text_of(reply), quoted(reply)) == ("w0 w1", message_id)
    assert len(client.actions) == 1


def calls(client):
    return [action["action"] for action in client.actions]


@pytest.mark.parametrize(
    ("data", "asked"),
    [
        ({"card": "Bot"}, ["get_group_member_info"]),
        (None, ["get_group_member_info"]),
        ({}, ["get_group_member_info"]),
        ({"card": "", "nickname": "B"}, ["get_group_member_info", "get_stranger_info"]),
        ({"nickname": "B"}, ["get_group_member_info", "get_stranger_info"]),
    ],
)
def test_who_is_named_is_looked_up_first(client, data, asked):
    client.answer = lambda action: {
        "status": "ok",
        "retcode": 0,
        "data": data if "info" in action["action"] else None,
    }
    group = next(people)
    client.group(group, next(people), [at(), text(" [[ttft=0 tokens=2]]")])
    (reply,) = client.wait()
    assert calls(client) == [*asked, "send_group_msg"]
    assert client.actions[0]["params"]["user_id"] == SELF_ID
    assert client.actions[0]["params"]["group_id"] == group
    assert text_of(reply) == "w0 w1"


def test_a_look_up_that_fails_leaves_the_bot_unnamed(messenger, client):
    client.answer = lambda _action: {"status": "failed", "retcode": 100}
    client.group(next(people), next(people), [at(), text(" [[ttft=0 tokens=1]]")])
    assert is_silent(messenger, client, 1.0)


@pytest.mark.parametrize(
    "segments",
    [
        [text("[[ttft=0 tokens=1]]")],
        [at("all"), text(" [[ttft=0 tokens=1]]")],
        [at(123), text(" /[[ttft=0 tokens=1]]")],
    ],
    ids=["nobody named", "all", "another"],
)
def test_a_group_that_does_not_mean_the_bot_is_met_with_silence(messenger, client, segments):
    asked = messenger.asked()
    client.group(next(people), next(people), segments)
    assert is_silent(messenger, client, 1.0)
    assert messenger.asked() == asked


def test_a_quoted_message_is_fetched(client):
    client.private(next(people), [{"type": "reply", "data": {"id": "77"}}, text("[[ttft=0 tokens=1]]")])
    client.wait()
    assert calls(client) == ["get_msg", "send_private_msg"]
    assert client.actions[0]["params"]["message_id"] == 77


# one after the other


def test_a_session_is_served_one_at_a_time_and_others_beside_it(client):
    group = next(people)
    for number in range(3):
        client.group(group, next(people), f"/[[ttft=0.3 gap=0 say=q{number}]]")
    client.private(next(people), "[[ttft=0.3 gap=0 say=other]]")
    client.wait(4)
    moments = {text_of(action): t for t, action in client.seen}
    turns = sorted(moments[f"q{number}"] for number in range(3))
    assert min(after - before for before, after in itertools.pairwise(turns)) > 0.25
    assert moments["other"] < turns[1] + 0.2


def test_an_action_without_an_answer_holds_up_its_session_alone(messenger, client):
    person = next(people)
    client.answer = lambda _action: None
    client.private(person, "[[ttft=0 say=first]]")
    (first,) = client.wait()
    client.private(person, "[[ttft=0 say=second]]")
    client.private(next(people), "[[ttft=0 say=other]]")
    assert [text_of(reply) for reply in client.wait(2)] == ["first", "other"]
    assert is_silent(messenger, client, 0.8)
    client.acknowledge(first, status="ok", retcode=0, data=None)  # late, and the session goes on
    assert text_of(client.wait(3)[-1]) == "second"


@pytest.mark.parametrize("answer", [{"status": "failed", "retcode": 100}, {"retcode": 0}])
def test_a_refused_action_is_not_sent_again(messenger, client, answer):
    person = next(people)
    client.answer = lambda _action: answer
    client.private(person, "[[ttft=0 say=first]]")
    client.wait()
    assert is_silent(messenger, client, 0.8)
    client.private(person, "[[ttft=0 say=second]]")
    assert text_of(client.wait(2)[-1]) == "second"
