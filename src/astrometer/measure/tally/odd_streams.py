"""A finished chat -> what was odd about its stream, counted; the counts -> `streams` of `results.json`. Pure.

Each sign is counted by chats, and beside it how many chats could have shown it.
"""

from collections.abc import Mapping
from typing import Any

from astrometer.api.chat.chat_turn import ChatTurn
from astrometer.api.outcome import Outcome

# Each sign -> those that it is a share of.
SIGNS = {
    "blank_lead": "streams",  # the answer began with blanks
    "impossible_ttft": "streams",  # the first token came sooner than the server says that it had it
    "buffered": "judged",  # something between the server and here held the stream back
    "pushed": "chats",  # somebody else's messages came in between
}


def signs_of(turn: ChatTurn) -> list[str]:
    streamed, held = turn.timings.streamed, turn.was_held
    found = (
        ("chats", turn.outcome is not Outcome.DROPPED),
        ("streams", streamed),
        ("blank_lead", streamed and turn.blank_lead > 0),
        ("impossible_ttft", turn.timings.is_impossible),
        ("judged", held is not None),
        ("buffered", held is True),
        ("pushed", turn.pushed > 0),
    )
    return [name for name, is_so in found if is_so]


def streams_json(counts: Mapping[str, int]) -> dict[str, Any]:
    """Only what happened."""
    return {
        name: {"chats": counts[name], "of": counts[whole], "share": counts[name] / counts[whole]}
        for name, whole in SIGNS.items()
        if counts.get(name)
    }
