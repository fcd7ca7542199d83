"""Every row of what comes when it goes wrong, in AstrBot's recorded words: one name each."""

import pytest

from astrometer.api.outcome import Outcome
from astrometer.im.im_outcome import ReplyFacts, classify_replies, count_duplicates, explain_replies
from astrometer.im.reply_content import ReplyContent

NONCE = "am-0011223344"
HELP = "AstrBot v4.29.3(WebUI: None)\n/help - 查看帮助\n/sid - sid"


def reply(text="", **more):
    return ReplyContent(text=text, **more)


def facts(*replies, **more):
    said = [reply(one) if isinstance(one, str) else one for one in replies]
    return ReplyFacts(replies=said, question_id="41", **more)


def outcome(*replies, **more):
    return classify_replies(facts(*replies, **more))


SENTENCES = {
    Outcome.LLM_ERROR: (
        "LLM 响应错误: All chat models failed: BadRequestError: Error code: 400 - {'error': 'bad'}",
        "LLM 响应错误: All chat models failed: EmptyModelOutputError: no text",
    ),
    Outcome.AGENT_ERROR: (
        "Error occurred while processing agent request: <Queue at 0x7f> is bound to a different event loop",
    ),
    Outcome.BLOCKED: (
        "Your message or the model response contains inappropriate content and has been blocked.",
        "你的消息或者大模型的响应中包含不适当的内容，已被屏蔽。",
    ),
    Outcome.NOT_ASKED: (
        "您(ID: 5310)的权限不足以使用此指令。通过 /sid 获取 ID 并请管理员添加。",
        "Reset command requires admin permission in group scenario, you (ID 5) are not admin",
        "aiocqhttp: 无法识别的消息类型: hi，此条消息将被忽略。",
        HELP,
        "✅ Conversation reset successfully.",
        "😕 You are not in a conversation. Use /new to create one.",  # 4.23 to 4.26, the first /reset
        "😕 Cannot find any LLM provider. Configure one first.",
        "✅ The current conversation context has been cleared.",
        "✅ Switched to new conversation: 3f2a.",
        "清除聊天历史成功！",
        "切换到新对话: 新对话(3f2a)。",
        "会话 aiocqhttp:FriendMessage:5001 变量 a 存储成功。使用 /unset 移除。",
        "UMO: 「probe:FriendMessage:5001」\nUID: 「5001」",
    ),
}


@pytest.mark.parametrize("prefix", ["", "» "])
@pytest.mark.parametrize(
    ("text", "expected"), [(text, outcome) for outcome, texts in SENTENCES.items() for text in texts]
)
def test_a_sentence_of_astrbots_is_no_answer_also_behind_a_prefix(text, expected, prefix):
    assert outcome(f"{prefix}{text}") is expected
    assert outcome(f"{prefix}{text}", canary=NONCE) is expected
    assert explain_replies(facts(text), expected).startswith(text[:20])


def test_a_sentence_behind_a_part_of_an_answer_counts():
    assert outcome("w0 w1", "LLM 响应错误: All chat models failed") is Outcome.LLM_ERROR


def test_an_answer_is_ok_and_its_nonce_may_stand_anywhere_in_it():
    assert outcome("w0 w1") is Outcome.OK
    assert outcome(f"» w0 {NONCE}\n<system_reminder>Current datetime: …", canary=NONCE) is Outcome.OK
    assert outcome("w0", f"w1 {NONCE}", "w2", canary=NONCE) is Outcome.OK


def test_words_of_commands_in_an_answer_of_the_model_are_none():
    for text in (
        "Type /reset to begin anew.",
        "See the AstrBot WebUI: it has a page.",
        "UMO means unified origin",
    ):
        assert outcome(text) is Outcome.OK


def test_no_reply_is_silence():
    assert outcome() is Outcome.SILENT
    assert "12.0 s" in explain_replies(facts(waited_s=12.0), Outcome.SILENT)


def test_an_answer_without_its_nonce():
    assert outcome("w0", canary=NONCE) is Outcome.CANARY_MISMATCH
    assert explain_replies(facts("w0", canary=NONCE), Outcome.CANARY_MISMATCH) == f"expected {NONCE}, got: w0"


def test_a_nonce_that_was_only_thought_is_no_answer():
    thought = f"🤔 思考: {NONCE}\n\n────\nw0"
    assert outcome(thought, canary=NONCE) is Outcome.CANARY_MISMATCH
    assert outcome(thought) is Outcome.OK


def test_an_image_is_an_answer_whose_text_cannot_be_checked():
    image = reply(images=1, media_key=5)
    assert outcome(image) is Outcome.OK
    assert outcome(image, canary=NONCE) is Outcome.CANARY_MISMATCH
    assert "t2i" in explain_replies(facts(image, canary=NONCE), Outcome.CANARY_MISMATCH)


def test_a_message_without_content_is_an_empty_answer():
    assert outcome(reply(quoted_id="41")) is Outcome.EMPTY_ANSWER
    assert outcome(reply(" \n", mentions=("5",))) is Outcome.EMPTY_ANSWER


def test_a_reply_too_long_to_be_read():
    assert outcome(reply(oversized=True)) is Outcome.MALFORMED


def test_a_command_that_was_meant_is_ok_with_its_answer():
    assert outcome("✅ Conversation reset successfully.", is_command=True) is Outcome.OK
    assert outcome("您(ID: 5)的权限不足以使用此指令。", is_command=True) is Outcome.NOT_ASKED


def test_somebody_elses_reply_makes_an_unproven_one_misrouted():
    assert outcome(foreign=1) is Outcome.MISROUTED
    assert outcome("w0", foreign=1, sure=False) is Outcome.MISROUTED
    assert outcome("w0", foreign=1, sure=True) is Outcome.OK
    assert outcome("w0", foreign=1, canary=NONCE) is Outcome.MISROUTED


def test_a_reply_that_quotes_another_message_and_lacks_the_nonce_is_misrouted():
    strange = facts(reply("w0", quoted_id="77"), canary=NONCE)
    assert classify_replies(strange) is Outcome.MISROUTED
    assert explain_replies(strange, Outcome.MISROUTED) == "the reply quotes another message: w0"
    assert outcome(reply(NONCE, quoted_id="77"), canary=NONCE) is Outcome.OK
    assert outcome(reply("w0", quoted_id="41"), canary=NONCE) is Outcome.CANARY_MISMATCH


def quoting(text):
    return reply(text, quoted_id="41")


@pytest.mark.parametrize(
    ("replies", "more", "duplicates"),
    [
        ([quoting("w0 w1"), quoting("other words")], {}, 1),
        ([quoting("a"), quoting("b"), quoting("c")], {}, 2),
        (["w0 w1 w2 w3", "w0 w1 w2 w3"], {}, 1),
        (["4", "4"], {}, 1),
        (["one.", "two.", "one.", "two."], {}, 1),
        ([f"it is {NONCE}", f"{NONCE}, as you said"], {"canary": NONCE}, 1),
        ([reply(images=1, media_key=7), reply(images=1, media_key=7)], {}, 1),
        # parts of one answer are none
        (["第一句。", "第二句。"], {}, 0),
        (["好。", "好。"], {}, 0),
        ([quoting("第一句。"), "第二句。", "第三句。"], {}, 0),
        ([f"{NONCE}。", "就这样。", f"{NONCE}？"], {"canary": NONCE}, 0),
        ([reply(images=1, media_key=7), reply(images=1, media_key=8)], {}, 0),
        (["w0"], {}, 0),
    ],
)
def test_two_answers_are_told_from_two_parts_of_one(replies, more, duplicates):
    given = facts(*replies, **more)
    assert count_duplicates(given) == duplicates
    assert (classify_replies(given) is Outcome.DUPLICATED) is (duplicates > 0)
