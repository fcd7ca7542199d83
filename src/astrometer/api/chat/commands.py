"""A prompt -> would AstrBot take it for a command? And the guard that keeps it from doing so.

AstrBot reads built-in commands without a slash: "help me write a poem" never reaches the model, and
"reset my expectations" wipes the session's context. Measured on 4.18 to 4.29.
"""

# Taken for a command when it is the first word of any sentence.
FIRST_WORD_COMMANDS = frozenset({"help", "new", "reset", "set", "unset"})
# Taken for a command when it stands alone (`sid`, `provider`: every version; the rest: some versions).
LONE_WORD_COMMANDS = frozenset(
    {"sid", "provider", "stop", "stats", "name", "history", "model", "key", "persona", "llm", "switch"}
    | {
        "rename",
        "ls",
        "del",
        "groupnew",
        "t2i",
        "tts",
        "op",
        "deop",
        "wl",
        "dwl",
        "plugin",
        "dashboard_update",
    }
    | {"alter_cmd", "update", "reboot", "websearch", "webchat", "tool", "gewe_logout", "alter", "wake"}
)
DEFAULT_TAG = "[q]"


def is_command(prompt: str) -> bool:
    """Whether any AstrBot of 4.18 to 4.29 might run `prompt` as a command instead of asking the model."""
    text = prompt.strip()
    if text.startswith("/"):
        return True
    words = text.split(maxsplit=1)
    if not words:
        return False
    first = words[0].lower()
    # 4.18-4.20 give some lone-word commands arguments ("model 2"), so short sentences count as well.
    return first in FIRST_WORD_COMMANDS or first in LONE_WORD_COMMANDS


def guard(prompt: str, tag: str = DEFAULT_TAG) -> str:
    """Return `prompt` behind a bracketed tag when it might be a command, else unchanged."""
    return f"{tag} {prompt}" if is_command(prompt) else prompt
