"""An export of conversations (JSONL, AstrBot's WebUI or API) -> their turns. Texts are measured and dropped.

Messages have no times of their own, but AstrBot tells its model the time with every question (its default):
pauses are known to the minute.
"""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from astrometer.load.workload.traffic import TrafficChat, TrafficTurn
from astrometer.load.workload.workload_file import WorkloadError
from astrometer.outside_text import read_json, shown

SOURCE = "export"
TOKEN_BYTES = 4  # of UTF-8, roughly, in English and in Chinese
MOST_LINE_BYTES = 64_000_000
_REMINDER = re.compile(r"<system_reminder>.*?</system_reminder>", re.DOTALL)
_TIME = re.compile(r"Current datetime: (\d{4}-\d\d-\d\d \d\d:\d\d)")


def chats(path: Path, since_s: float, person_of: Callable[[str], int | None]) -> Iterator[TrafficChat]:
    """`person_of`: a number for whom a chat (its umo) is with; None: left out. Raises WorkloadError."""
    try:
        with path.open("rb") as lines:
            number = 0
            while line := lines.readline(MOST_LINE_BYTES):
                number += 1
                if not line.strip():
                    continue
                umo, told = _conversation(path, number, line)
                turns = [turn for turn in told if turn.start_s > since_s]
                person = person_of(umo) if turns else None
                if person is not None:
                    yield TrafficChat(person=person, is_web=umo.startswith("webchat:"), turns=turns)
    except OSError as exc:
        raise WorkloadError(f"{path}: cannot be read ({exc.strerror})") from exc


def _conversation(path: Path, number: int, line: bytes) -> tuple[str, list[TrafficTurn]]:
    try:
        item: Any = read_json(line)
    except ValueError as exc:
        raise WorkloadError(
            f"{path}:{number}: is neither a database nor JSON ({shown(str(exc))}); name a "
            "copy of data_v4.db, or an export of conversations"
        ) from exc
    content = item.get("content") if isinstance(item, dict) else None
    if not isinstance(content, list) or not isinstance(item.get("user_id"), str):
        raise WorkloadError(f"{path}:{number}: is not a conversation of an export: no user_id or content")
    try:
        return item["user_id"], _turns(content)
    except ValueError as exc:
        raise WorkloadError(f"{path}:{number}: a time cannot be read ({shown(str(exc))})") from exc


def _turns(content: list[Any]) -> list[TrafficTurn]:
    """Those whose time is told, in order."""
    asked: list[tuple[float, float, float]] = []  # the minute, tokens of the question and of its answer
    heard = False  # whether what comes is an answer to a question whose time is known
    for message in content:
        role = message.get("role") if isinstance(message, dict) else None
        text = _text(message)
        if role == "user":
            told = _TIME.search(text)
            heard = told is not None
            if told is not None:
                asked.append((_minute(told[1]), _tokens(_REMINDER.sub("", text)), 0.0))
        elif role == "assistant" and heard:
            minute, question, answer = asked[-1]
            asked[-1] = (minute, question, answer + _tokens(text))
    turns = []
    for minute, group in groupby(asked, key=lambda turn: turn[0]):
        within = list(group)
        for number, (_, question, answer) in enumerate(within, start=1):
            start_s = minute + 60.0 * number / (len(within) + 1)  # as far apart as moments of a minute are
            turns.append(TrafficTurn(start_s=start_s, prompt_tokens=question, output_tokens=answer or None))
    return turns


def _minute(written: str) -> float:
    """As the server wrote it, in whatever time zone. Raises ValueError."""
    return datetime.strptime(written, "%Y-%m-%d %H:%M").timestamp()  # noqa: DTZ007


def _text(message: Any) -> str:
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "\n".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def _tokens(text: str) -> float:
    return len(text.strip().encode()) / TOKEN_BYTES
