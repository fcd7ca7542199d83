"""A user of a messenger -> the conversation that AstrBot keeps: found by its mark, deleted, seen to be gone.

A key with the scope `data` may delete everybody's conversations. So only those are touched that hold a
question of ours, or that the same user has at the adapter where such a one was found.
"""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from astrometer.api import management_endpoints as ep
from astrometer.api.outcome import Outcome
from astrometer.config.settings import Key
from astrometer.probing.cleanup.identity import Memory, absent, server_of
from astrometer.probing.exchanges import Exchanges

FRIEND = "FriendMessage"
PAGE_SIZE = 100  # AstrBot's most
MOST_PAGES = 5
# AstrBot writes a question down when it has sent the answer.
LOOKS, LOOK_EVERY_S = 4, 0.25
_REFUSED = (Outcome.UNAUTHORIZED, Outcome.FORBIDDEN)


class CannotDelete(Exception):
    """This server, or this key, deletes no conversations; the text says why."""


class MessengerConversations:
    def __init__(self, asks: Exchanges, memory: Memory) -> None:
        self._asks = asks
        self._adapters = memory.adapters
        messenger = asks.target.messenger
        self._place = (server_of(asks.target), "" if messenger is None else messenger.url)

    async def delete(self, key: Key, user_id: str, mark: str) -> bool:
        """True: this user has none any more. Raises CannotDelete."""
        for _ in range(MOST_PAGES):
            ours = await self._ours(key, user_id, mark)
            if not ours:
                return ours is not None
            body = {"conversations": [{"user_id": row["user_id"], "cid": row["cid"]} for row in ours]}
            if not (await self._asks.call(ep.CONVERSATIONS_DELETE, key, json=body)).outcome.is_ok:
                return False
        return False

    async def _ours(self, key: Key, user_id: str, mark: str) -> list[dict[str, Any]] | None:
        """None: not to be told, or whoever wrote them is not sure. Raises CannotDelete."""
        for look in range(LOOKS):
            rows = await self._rows(key, user_id)
            if not rows:
                return rows
            adapter = _adapter_of(rows, mark) or self._adapters.get(self._place)
            if adapter is not None:
                self._adapters[self._place] = adapter
                return [row for row in rows if _adapter(row) == adapter]
            if not mark or look == LOOKS - 1:
                break
            await asyncio.sleep(LOOK_EVERY_S)
        self._asks.record.say(f"conversation of user {user_id}: whether it is ours cannot be told yet")
        return None

    async def _rows(self, key: Key, user_id: str) -> list[dict[str, Any]] | None:
        """The conversations of users of this number, at any adapter. Raises CannotDelete."""
        params = {"search": user_id, "message_types": FRIEND, "page_size": str(PAGE_SIZE)}
        answer = await self._asks.call(ep.CONVERSATIONS, key, params=params)
        if absent(answer):
            raise CannotDelete("AstrBot before 4.26 deletes no conversation through an API key")
        if answer.outcome in _REFUSED and key.scopes is None:
            raise CannotDelete(f"key {key.name} has not the scope data")
        listed = answer.payload.get("conversations") if isinstance(answer.payload, dict) else None
        if not answer.outcome.is_ok or not isinstance(listed, list):
            return None
        return [row for row in listed if isinstance(row, dict) and row.get("cid") and _is_of(row, user_id)]


def _is_of(row: dict[str, Any], user_id: str) -> bool:
    return str(row.get("user_id")).split(":", 1)[1:] == [f"{FRIEND}:{user_id}"]


def _adapter(row: dict[str, Any]) -> str:
    return str(row["user_id"]).split(":", 1)[0]


def _adapter_of(rows: Sequence[dict[str, Any]], mark: str) -> str | None:
    """Where the conversation with the mark is."""
    written = json.dumps(mark)[1:-1]  # as it stands in a history, which is JSON
    found = [row for row in rows if mark and (written in (text := str(row.get("history"))) or mark in text)]
    return _adapter(found[0]) if found else None
