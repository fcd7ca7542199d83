"""Text from outside (a server, a file, the environment) -> valid Unicode, and what may be shown of it. No IO.

`read_json` is the border: what comes out of it is valid and not deep. `shown` belongs where a text is shown.
"""

import json
import re
import unicodedata
from collections.abc import Callable
from typing import Any

SHOWN_CHARS = 200
MAX_JSON_DEPTH = 64
_HALF_PAIR = re.compile("[\ud800-\udfff]")
# Control and format characters, half pairs, private and unassigned ones, and what breaks lines.
_UNSHOWN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_JOINERS = frozenset("\u200c\u200d")  # parts of words and of emoji
_BREAKS = re.compile(r"[\t\r\n\v\f\u0085\u2028\u2029]+")
_scan: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder().scan_once  # type: ignore[attr-defined]


def valid(text: str) -> str:
    """`text` with U+FFFD for each half of a surrogate pair, which no encoding and no output can take."""
    return text if text.isascii() else _HALF_PAIR.sub("\ufffd", text)


def shown(text: str, limit: int = SHOWN_CHARS) -> str:
    """One line of at most `limit` characters that changes nothing around it on a terminal or a page.

    Line breaks and tabs become blanks; other control characters, and those that change the direction of text,
    are written out (`\\x1b`, `\\u202e`).
    """
    # Far more than is shown needs no looking at.
    line = _BREAKS.sub(" ", text[: 4 * limit + 64])
    if not (line.isascii() and line.isprintable()):
        line = "".join(char if _is_shown(char) else _written_out(char) for char in line)
    return line if len(line) <= limit and len(text) <= 4 * limit + 64 else f"{line[: limit - 1]}…"


def read_json(text: str | bytes) -> Any:
    """`json.loads` of UTF-8 from outside: strings are valid, nothing is deeper than MAX_JSON_DEPTH.

    Raises ValueError for everything else, and for numbers that Python refuses to read.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig", "replace")
    try:
        # What `json.loads` calls, which spends half of its time looking for white space around the value.
        value, end = _scan(text, 0)
        if end != len(text):
            value = json.loads(text)
    except (ValueError, StopIteration):
        value = _loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    # Two characters a level: a short text cannot be deep. And in UTF-8 only an escape makes half a pair.
    deep = len(text) > 2 * MAX_JSON_DEPTH and text.count("[") + text.count("{") > MAX_JSON_DEPTH
    half = "\\" in text and ("\\ud" in text or "\\uD" in text)
    return _checked(value, MAX_JSON_DEPTH) if deep or half else value


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _checked(value: Any, levels: int) -> Any:
    if isinstance(value, str):
        return valid(value)
    if not isinstance(value, dict | list):
        return value
    if not levels:
        raise ValueError("nested too deeply")
    if isinstance(value, list):
        return [_checked(item, levels - 1) for item in value]
    return {valid(name): _checked(item, levels - 1) for name, item in value.items()}


def _is_shown(char: str) -> bool:
    return char in _JOINERS or unicodedata.category(char) not in _UNSHOWN


def _written_out(char: str) -> str:
    return char.encode("ascii", "backslashreplace").decode() if ord(char) > 0x7F else f"\\x{ord(char):02x}"
