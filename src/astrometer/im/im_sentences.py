"""What AstrBot says in a messenger in the place of an answer, beyond what it says everywhere. Data.

From 4.18.0, 4.23.6, 4.26.8 and 4.29.3. Over HTTP the missing `agent_stats` tell a command from an answer; in
a messenger only the words do. They may stand behind a `reply_prefix`, so they are searched anywhere.
"""

import re

from astrometer.api.sentences import SENTENCES, Sentence, find_sentence

IM_SENTENCES = (
    *SENTENCES,
    Sentence(
        "aiocqhttp: 无法识别的消息类型", "not_asked"
    ),  # the adapter's, about an event that it cannot read
    Sentence("不是管理员，无法执行此操作", "not_asked"),
    Sentence("Reset command requires admin permission", "not_asked"),
    Sentence("未找到任何 LLM 提供商", "not_asked"),
    Sentence("😕 Cannot find any LLM provider", "not_asked"),
)
_ASCII_SENTENCES = tuple(sentence for sentence in IM_SENTENCES if sentence.text.isascii())

# What commands answer when they are done. A model does not write these lines.
_COMMAND_LINES = (
    r"AstrBot v\d[\w.+-]*\(WebUI: ",  # help
    r"✅ Conversation reset successfully\.",
    r"✅ The current conversation context has been cleared\.",
    r"重置对话成功。",
    r"清除聊天历史成功！",
    r"✅ Switched to new conversation: ",
    r"✅ New conversation created\.",
    r"切换到新对话: 新对话\(",
    r"已创建新对话。",
    r"[❌😕] You are not in a conversation\. Use /new to create one\.",
    r"当前未处于对话状态，请 /",
    r"✅ No running tasks in the current session\.",
    r"✅ Requested to stop \d+ running tasks\.",
    r"📊 No stats available for this conversation yet\.",
    r"当前对话历史记录：",
    r"会话 \S+ 变量 .+ (?:存储成功。使用 /unset 移除|移除成功)。",
    r"没有那个变量名。格式 /unset 变量名。",
    r"UMO: 「[^」]+:[^」]+:[^」]+」",  # sid
    r"## 载入的 LLM 提供商",
    r"## LLM Providers\n",
)
_COMMAND_MARKS = ("AstrBot v", "✅ ", "❌ ", "😕 ", "📊 ", "UMO: 「", "## ", "对话", "聊天历史", "变量")
_COMMAND_ANSWERS = re.compile("|".join(_COMMAND_LINES))


def find_im_sentence(text: str) -> Sentence | None:
    """The first sentence of the table that `text` contains."""
    return find_sentence(text, _ASCII_SENTENCES if text.isascii() else IM_SENTENCES)


def is_command_answer(text: str) -> bool:
    """Whether a command answered, and no model."""
    # Each of the patterns holds one of these, and a search for a plain text is 50 times as fast.
    for mark in _COMMAND_MARKS:
        if mark in text:
            return _COMMAND_ANSWERS.search(text) is not None
    return False
