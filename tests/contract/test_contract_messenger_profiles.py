"""How a profile changes answers; commands, gates, failures."""

import itertools
import time

import pytest
from messenger_contract import at, is_silent, people, text
from onebot_client import quoted, text_of

from astrometer.targets.messenger.messenger_profile import MessengerProfile

# profiles


def ask(client, prompt, group=False):
    client.seen.clear()
    client.group(next(people), 60_001, f"/{prompt}") if group else client.private(next(people), prompt)
    return client.wait()[0]


def test_an_answer_has_its_prefix_its_mention_and_no_quote(messenger, client):
    messenger.use(MessengerProfile(reply_with_quote=False, reply_with_mention=True, reply_prefix="P:"))
    assert ask(client, "[[ttft=0 tokens=1]]")["params"]["message"] == [text("P:w0")]
    in_group = ask(client, "[[ttft=0 tokens=1]]", group=True)["params"]["message"]
    new = messenger.version >= (4, 23, 0)
    assert in_group == [at(60_001), *([text(" "), text("\nP:w0")] if new else [text("P:w0")])]


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
    assert quoted(reply) == (message_id if messenger.version >= (4, 23, 0) else None)
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
    person = next(people)
    client.private(person, "[[ttft=0 tokens=1]]")  # a conversation that can be begun anew
    client.wait(len(client.replies) + 1)
    client.private(person, "/reset")
    assert text_of(client.wait(len(client.replies) + 1)[-1]) == sentence


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
