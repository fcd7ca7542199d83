"""The messenger: handshake, questions, answers, silence, links."""

import itertools
import time
from contextlib import ExitStack

import httpx
import pytest
from onebot_client import (
    SELF_ID,
    OneBotTestClient,
    headers,
    message_event,
    quoted,
    refused_with,
    text_of,
)

from astrometer.targets.messenger.messenger_profile import MessengerProfile

people = itertools.count(50_001)  # a session of its own for each question


def text(words):
    return {"type": "text", "data": {"text": words}}


def at(person=SELF_ID):
    return {"type": "at", "data": {"qq": str(person)}}


@pytest.fixture
def client(messenger):
    with OneBotTestClient(messenger.url, messenger.token) as client:
        yield client


def is_silent(messenger, client, seconds):
    """No reply for so long; the simulator is quick."""
    return client.is_silent(seconds if messenger.real else min(seconds, 0.25))


def push(messenger, session, kind="FriendMessage"):
    answer = httpx.post(
        f"{messenger.http_url}/api/v1/im/message",
        headers={"X-API-Key": messenger.im_key},
        json={"umo": f"messenger:{kind}:{session}", "message": "pushed"},
        timeout=20,
    )
    return answer.status_code, answer.json()["message"]


def refused(messenger):
    return 400 if messenger.version >= (4, 26, 0) else 200


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


def test_a_message_over_16_mib_ends_the_connection(messenger):
    with OneBotTestClient(messenger.url, messenger.token) as client:
        image = {"type": "image", "data": {"file": "base64://" + "A" * (17 * 1024 * 1024)}}
        client.private(next(people), [text("[[ttft=0 tokens=1]]"), image])
        assert client.wait_closed()[0] == 1009


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


# profiles


def ask(client, prompt, group=False):
    client.seen.clear()
    client.group(next(people), 60_001, f"/{prompt}") if group else client.private(next(people), prompt)
    return client.wait()[0]


def test_an_answer_has_its_prefix_its_mention_and_no_quote(messenger, client):
    messenger.use(MessengerProfile(reply_with_quote=False, reply_with_mention=True, reply_prefix="P:"))
    assert ask(client, "[[ttft=0 tokens=1]]")["params"]["message"] == [text("P:w0")]
    in_group = ask(client, "[[ttft=0 tokens=1]]", group=True)["params"]["message"]
    assert in_group == [at(60_001), text(" "), text("\nP:w0")]


def test_a_segmented_answer_comes_in_parts_and_one_part_waits_too(messenger, client):
    messenger.use(MessengerProfile(segmented_reply=True, segment_pause="0.3,0.4"))
    asked_at = time.perf_counter()
    message_id = client.private(next(people), "[[ttft=0 gap=0 say=One。Two。Three]]")
    replies = client.wait(3)
    assert [text_of(reply) for reply in replies] == ["One。", "Two。", "Three"]
    assert [quoted(reply) for reply in replies] == [message_id, None, None]
    moments = [asked_at, *(t for t, _ in client.seen)]
    assert min(after - before for before, after in itertools.pairwise(moments)) > 0.29
    client.seen.clear()
    asked_at = time.perf_counter()
    client.private(next(people), "[[ttft=0 gap=0 tokens=1]]")
    client.wait()
    assert client.seen[0][0] - asked_at > 0.29


def test_a_streamed_answer_comes_by_sentence_without_a_quote(messenger, client):
    messenger.use(MessengerProfile(streaming="segments"))
    client.private(next(people), "[[ttft=0 gap=0 say=One。Two.+Three]]")
    replies = client.wait(2)
    assert [text_of(reply) for reply in replies] == ["One。", "Two. Three"]
    assert [quoted(reply) for reply in replies] == [None, None]
    assert client.seen[1][0] - client.seen[0][0] > 1.4


def test_a_stream_may_be_gathered_into_one_answer(messenger, client):
    messenger.use(MessengerProfile(streaming="whole"))
    message_id = client.private(next(people), "[[ttft=0 gap=0 say=One。Two]]")
    (reply,) = client.wait()
    assert (text_of(reply), quoted(reply)) == ("One。Two", message_id)


def test_a_long_answer_is_forwarded(messenger, client):
    messenger.use(MessengerProfile(forward_threshold=20))
    person = next(people)
    client.private(person, "[[ttft=0 gap=0 tokens=20]]")
    (reply,) = client.wait()
    assert (reply["action"], reply["params"]["user_id"]) == ("send_private_forward_msg", str(person))
    (node,) = reply["params"]["messages"]
    assert node["type"] == "node"
    assert node["data"]["content"][0]["data"]["text"].startswith("w0 w1")
    in_group = ask(client, "[[ttft=0 gap=0 tokens=20]]", group=True)
    assert in_group["action"] == "send_group_forward_msg"


def test_a_long_answer_may_be_an_image(messenger, client):
    messenger.use(MessengerProfile(text_to_image=True))
    message_id = client.private(next(people), "[[ttft=0 gap=0 tokens=60]]")
    (reply,) = client.wait()
    assert quoted(reply) == message_id
    (image,) = [s for s in reply["params"]["message"] if s["type"] == "image"]
    assert image["data"]["file"].startswith("base64://")
    assert text_of(reply) == ""
    assert text_of(ask(client, "[[ttft=0 gap=0 tokens=2]]")) == "w0 w1"


# commands, gates, failures


def test_words_are_commands_unless_the_profile_says_no(messenger, client):
    help_text = "help me [[ttft=0 tokens=1]]"
    assert text_of(ask(client, help_text)) == "w0"
    messenger.use(MessengerProfile(disable_builtin_commands=False))
    asked = messenger.asked()
    assert text_of(ask(client, help_text)).startswith("AstrBot v")
    assert messenger.asked() == asked
    version = messenger.version
    if version < (4, 23, 0):
        sentence = "清除聊天历史成功！"
    elif version < (4, 28, 0):
        sentence = "✅ Conversation reset successfully."
    else:
        sentence = "✅ The current conversation context has been cleared."
    assert text_of(ask(client, "/reset")) == sentence


def test_who_has_no_right_is_told(messenger, client):
    messenger.use(MessengerProfile(disable_builtin_commands=False))
    sentence = "的权限不足以使用此指令。"
    reply = ask(client, "/provider")
    assert sentence in text_of(reply)
    assert quoted(reply) is None
    reset = ask(client, "reset", group=True)
    if messenger.version >= (4, 27, 0):
        assert f"您(ID: 60001){sentence}" in text_of(reset)
    else:
        assert "60001" in text_of(reset)
        assert quoted(reset) is not None


def test_a_blocked_word_is_answered_with_a_sentence(messenger, client):
    messenger.use(MessengerProfile(blocked_words=("sim-blocked-word",)))
    asked = messenger.asked()
    reply = ask(client, "a sim-blocked-word [[ttft=0 tokens=1]]")
    english = "Your message or the model response contains inappropriate content and has been blocked."
    chinese = "你的消息或者大模型的响应中包含不适当的内容，已被屏蔽。"
    assert text_of(reply) == (english if messenger.version >= (4, 26, 6) else chinese)
    assert messenger.asked() == asked


def test_who_is_not_on_the_list_is_met_with_silence(messenger, client):
    group, friend = next(people), next(people)
    messenger.use(MessengerProfile(whitelist=(str(group), f"messenger:FriendMessage:{friend}")))
    asked = messenger.asked()
    client.private(next(people), "[[ttft=0 tokens=1]]")
    client.group(next(people), friend, "/[[ttft=0 tokens=1]]")
    assert is_silent(messenger, client, 1.0)
    assert messenger.asked() == asked
    client.private(friend, "[[ttft=0 tokens=1]]")
    client.group(group, next(people), "/[[ttft=0 tokens=1]]")
    assert len(client.wait(2)) == 2


@pytest.mark.parametrize("prompt", ["", "   ", "\n"])
def test_an_empty_message_is_met_with_silence(messenger, client, prompt):
    asked = messenger.asked()
    client.private(next(people), prompt)
    assert is_silent(messenger, client, 0.7)
    assert messenger.asked() == asked


def test_a_model_that_is_switched_off_is_silence(messenger, client):
    messenger.use(MessengerProfile(model_enabled=False))
    client.private(next(people), "[[ttft=0 tokens=1]]")
    assert is_silent(messenger, client, 1.0)


def test_reasoning_alone_is_silence(messenger, client):
    asked = messenger.asked()
    client.private(next(people), "[[ttft=0 gap=0 reasoning=3 tokens=0]]")
    assert is_silent(messenger, client, 1.5)
    assert messenger.asked() == asked + 1


def test_a_refused_model_is_a_sentence(client):
    reply = ask(client, "[[fail=400]]")
    assert text_of(reply).startswith("LLM 响应错误: All chat models failed: BadRequestError: Error code: 400")
    assert quoted(reply) is not None


def test_an_empty_completion_is_a_sentence_and_was_silence(messenger, client):
    client.private(next(people), "[[ttft=0 fail=empty]]")
    if messenger.version < (4, 23, 0):
        assert is_silent(messenger, client, 4.0)
    else:
        assert "EmptyModelOutputError" in text_of(client.wait()[0])


def test_the_rate_limit_throws_away_or_waits(messenger, client):
    limit = {"rate_limit_messages": 2, "rate_limit_seconds": 3}
    messenger.use(MessengerProfile(**limit, rate_limit_strategy="discard"))
    person = next(people)
    for _ in range(3):
        client.private(person, "[[ttft=0 gap=0 tokens=1]]")
    client.wait(2)
    assert is_silent(messenger, client, 1.0)
    messenger.use(MessengerProfile(**limit))
    client.seen.clear()
    started = time.perf_counter()
    for _ in range(3):
        client.private(person, "[[ttft=0 gap=0 tokens=1]]")
    client.wait(3)
    waited = sorted(t - started for t, _ in client.seen)
    assert waited[1] < 2.5
    assert waited[2] > 2.9


# pushes: the check of a link


def test_a_push_arrives_and_tells_who_took_it(messenger, client):
    person = next(people)
    assert push(messenger, person) == (200, None)
    (reply,) = client.wait()
    assert (reply["params"]["user_id"], text_of(reply), quoted(reply)) == (person, "pushed", None)
    client.answer = lambda _action: {"status": "failed", "retcode": 100, "wording": "nobody"}
    status, said = push(messenger, person, "GroupMessage")
    echo = client.actions[-1]["echo"]
    assert status == refused(messenger)
    shown = f"<ActionFailed status='failed', retcode=100, wording='nobody', echo={echo}>"
    assert said == f"Failed to send message: {shown}"


def test_a_push_without_a_client_fails_without_a_word(messenger):
    assert push(messenger, 1) == (refused(messenger), "Failed to send message: ")


# links


def until(condition, timeout_s=10.0):
    give_up = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def test_an_answer_finds_the_client_that_came_back_in_time(messenger):
    asked = messenger.asked()
    with OneBotTestClient(messenger.url, messenger.token) as gone:
        gone.private(next(people), "[[ttft=1.5 gap=0 tokens=1]]")
        until(lambda: messenger.asked() == asked + 1)
    with OneBotTestClient(messenger.url, messenger.token) as back:
        assert text_of(back.wait()[0]) == "w0"


def test_an_answer_without_a_client_is_lost_for_ever(messenger):
    asked = messenger.asked()
    with OneBotTestClient(messenger.url, messenger.token) as gone:
        gone.private(next(people), "[[ttft=0.5 gap=0 tokens=1]]")
        until(lambda: messenger.asked() == asked + 1)
    time.sleep(1.0)  # the answer is made, and nobody is there
    with OneBotTestClient(messenger.url, messenger.token) as back:
        assert is_silent(messenger, back, 1.0)
        back.private(next(people), "[[ttft=0 tokens=1]]")
        assert len(back.wait()) == 1


def test_a_second_client_of_one_account_becomes_a_zombie(messenger):
    dead = (refused(messenger), "Failed to send message: ")
    with ExitStack() as later:
        with OneBotTestClient(messenger.url, messenger.token):
            second = later.enter_context(OneBotTestClient(messenger.url, messenger.token))
            assert push(messenger, 1) == (200, None)
            second.wait()  # it has taken the first one's place
        until(lambda: push(messenger, 1) == dead)
        asked = messenger.asked()
        second.private(next(people), "[[ttft=0 tokens=1]]")
        until(lambda: messenger.asked() == asked + 1)  # the model is paid
        assert is_silent(messenger, second, 1.0)
    with OneBotTestClient(messenger.url, messenger.token) as clean:
        clean.private(next(people), "[[ttft=0 tokens=1]]")
        assert len(clean.wait()) == 1


def test_a_second_account_loses_pushes_and_in_old_versions_answers(messenger, client):
    dead = (refused(messenger), "Failed to send message: ")
    with OneBotTestClient(messenger.url, messenger.token, self_id=10002) as other:
        until(lambda: push(messenger, 1) == dead)
        before = len(client.replies)
        client.private(next(people), "[[ttft=0 tokens=1]]")
        if messenger.version >= (4, 26, 0):
            assert len(client.wait(before + 1)) == before + 1
        else:
            assert is_silent(messenger, client, 1.5)
        assert other.replies == []


def test_an_adapter_that_is_switched_off_closes_in_order_and_comes_back(messenger):
    with OneBotTestClient(messenger.url, messenger.token) as client:
        client.private(next(people), "[[ttft=0 tokens=1]]")
        client.wait()
        messenger.switch(on=False)
        assert client.wait_closed() == (1000, "Adapter shutdown")
    with pytest.raises(OSError, match="refused"):
        refused_with(messenger.url, headers(messenger.token))
    said = "Bot not found or not running for platform: messenger"
    assert push(messenger, 1) == (refused(messenger), said)
    messenger.switch(on=True)
    give_up = time.monotonic() + 10
    while True:
        try:
            with OneBotTestClient(messenger.url, messenger.token) as client:
                client.private(next(people), "[[ttft=0 tokens=1]]")
                assert len(client.wait()) == 1
                return
        except ConnectionRefusedError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.05)
