"""What the model is told of each session: rows that a key with the scope `data` lists and deletes."""

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


def _second() -> int:
    return int(time.time())


@dataclass(slots=True, kw_only=True)
class StoredConversation:
    """One row. `umo` is whose: adapter, kind of chat, and user or group."""

    umo: str
    cid: str = field(default_factory=lambda: str(uuid.uuid4()))
    history: list[dict[str, Any]] = field(default_factory=list)
    tokens: int = 0
    created_at: int = field(default_factory=_second)
    updated_at: int = field(default_factory=_second)

    @property
    def platform(self) -> str:
        return self.umo.split(":", 1)[0]

    def holds(self, words: str) -> bool:
        return any(words.lower() in text.lower() for text in (self.umo, self.cid, json.dumps(self.history)))

    def row(self, *, with_history: bool) -> dict[str, Any]:
        row = {
            "platform_id": self.platform,
            "user_id": self.umo,
            "cid": self.cid,
            "title": None,
            "persona_id": None,
            "token_usage": self.tokens,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        }
        return row | ({"history": json.dumps(self.history)} if with_history else {})


class StoredConversations:
    """Every session's; the last one of a session is the one that goes on."""

    def __init__(self) -> None:
        self._rows: dict[str, StoredConversation] = {}  # by cid, the oldest first
        self._of: dict[str, list[StoredConversation]] = {}  # by umo, likewise

    @property
    def rows(self) -> list[StoredConversation]:
        return list(self._rows.values())

    def current(self, umo: str) -> StoredConversation:
        """Made when the model is asked for the first time."""
        return self._of[umo][-1] if umo in self._of else self.begin(umo)

    def said(self, umo: str, prompt: str, answer: str, tokens: int) -> None:
        """A question that was answered; one that was not is not written down."""
        if umo not in self._of:
            return  # deleted meanwhile
        row = self._of[umo][-1]
        asked = [{"type": "text", "text": prompt}]
        row.history += [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
        row.tokens, row.updated_at = tokens, _second()

    def begin(self, umo: str) -> StoredConversation:
        """`/new`."""
        row = StoredConversation(umo=umo)
        self._rows[row.cid] = row
        self._of.setdefault(umo, []).append(row)
        return row

    def empty(self, umo: str) -> None:
        """`/reset`."""
        for row in self._of.get(umo, ()):
            row.history = []

    def delete(self, cid: str) -> None:
        row = self._rows.pop(cid, None)
        if row is not None:
            self._of[row.umo].remove(row)
            if not self._of[row.umo]:
                del self._of[row.umo]

    def delete_of(self, umo: str) -> None:
        for row in self._of.pop(umo, ()):
            del self._rows[row.cid]

    def listed(self, query: Mapping[str, str]) -> dict[str, Any]:
        platforms, kinds = (
            [name.strip() for name in query.get(field, "").split(",") if name.strip()]
            for field in ("platforms", "message_types")
        )
        found = [
            row
            for row in reversed(self.rows)
            if (not platforms or row.platform in platforms)
            and (not kinds or row.umo.split(":", 2)[1] in kinds)
            and row.holds(query.get("search", ""))
        ]
        page, size = max(int(query.get("page", 1)), 1), int(query.get("page_size", 20))
        size = min(size if size >= 1 else 20, 100)
        with_history = query.get("include_history", "true").lower() in ("true", "1", "yes", "on")
        shown = found[(page - 1) * size : page * size]
        pages = max(1, -(-len(found) // size))
        pagination = {"page": page, "page_size": size, "total": len(found), "total_pages": pages}
        return {
            "conversations": [row.row(with_history=with_history) for row in shown],
            "pagination": pagination,
        }
