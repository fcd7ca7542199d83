"""A prompt -> the built-in command that AstrBot would take it for, and what it answers.

Unlike `api.commands`, which guards against every version at once, this is what one version does.
"""

from typing import Protocol

from astrometer.targets.simulator.version_traits import Wire

# A command swallows every sentence that begins with its word. The version that brought it:
_SINCE = {
    **dict.fromkeys(("help", "new", "reset", "set", "unset", "sid", "provider"), (4, 18, 0)),
    "stop": (4, 20, 1),
    "stats": (4, 23, 6),
    "name": (4, 25, 6),
}
# Only in 4.18 to 4.20.
_EARLY = frozenset(
    {"history", "model", "key", "persona", "llm", "switch", "rename", "ls", "del", "t2i", "tts", "groupnew"}
)
_EARLY_UNTIL = (4, 21, 0)
_ADMIN = frozenset({"llm", "provider", "key", "model", "name", "persona", "groupnew"})


def command_of(wire: Wire, text: str) -> str | None:
    """The command word, or None for a prompt that the model gets to see."""
    words = text.strip().removeprefix("/").split()
    if not words:
        return None
    first = words[0]  # "Help" with a capital is not a command
    known = first in _SINCE and wire.version >= _SINCE[first]
    return first if known or (first in _EARLY and wire.version < _EARLY_UNTIL) else None


class Asker(Protocol):
    session_id: str
    username: str

    @property
    def umo(self) -> str: ...


def missing_right(wire: Wire, command: str, username: str, *, in_group: bool = False) -> str | None:
    """What a person without rights is told; None when the command is everybody's."""
    if command in _ADMIN or (command == "reset" and in_group and wire.version >= (4, 27, 0)):
        return f"您(ID: {username})的权限不足以使用此指令。通过 /sid 获取 ID 并请管理员添加。"
    return None


def group_reset(wire: Wire, username: str) -> str:
    """Up to 4.26 the command itself refuses, in a group, to begin anew for a person without rights."""
    scene = "群聊+会话隔离关闭"
    if wire.version < (4, 23, 0):
        return f"在{scene}场景下，reset命令需要管理员权限，您 (ID {username}) 不是管理员，无法执行此操作。"
    return (
        f"Reset command requires admin permission in {scene} scenario, you (ID {username}) are not admin, "
        "cannot perform this action."
    )


def command_answer(wire: Wire, command: str, run: Asker, stopped: int) -> str:
    """What the command says. `stopped`: how many running turns `stop` has ended."""
    if refused := missing_right(wire, command, run.username):
        return refused
    match command:
        case "help":
            return f"AstrBot v{wire}(WebUI: v{wire})\n/help\n/new\n/reset\n/sid"
        case "reset":
            if wire.version < (4, 23, 0):
                return "清除聊天历史成功！"
            if wire.version < (4, 28, 0):
                return "✅ Conversation reset successfully."
            return "✅ The current conversation context has been cleared."
        case "new":
            shown = run.session_id[:4]
            return (
                f"✅ Switched to new conversation: {shown}."
                if wire.english
                else f"切换到新对话: 新对话({shown})。"
            )
        case "sid":
            return f"UMO: 「{run.umo}」 此值可用于设置白名单。\nUID: 「{run.username}」"
        case "stop" if stopped:
            return f"✅ Requested to stop {stopped} running tasks."
        case "stop":
            return "✅ No running tasks in the current session."
        case "stats":
            return "❌ You are not in a conversation. Use /new to create one."
        case _:
            return f"{command}: 会话 {run.umo}"
