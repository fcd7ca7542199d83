"""The conversations of an adapter that astrometer made -> deleted, where a key may.

An adapter of the same name may have been there before, with people in it: only conversations that began after
ours was made are ours, or where nobody knows when that was, those of the probe's own users.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from astrometer.api import management_endpoints as manage
from astrometer.api.outcome import Outcome
from astrometer.probing.messenger_setup.management import Management
from astrometer.probing.verdict import ProbeFailed

PAGE = 100
MOST_PAGES = 1000
OUR_USERS = "91000000"  # the first digits of the users who ask in the probe `im_chat`


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """`umo` is who and where; `began` in epoch seconds, None where the server does not say."""

    umo: str
    cid: str
    began: float | None

    @classmethod
    def read(cls, item: Mapping[str, Any]) -> "Conversation":
        created = item.get("created_at")
        return cls(
            umo=str(item.get("user_id", "")),
            cid=str(item.get("cid", "")),
            began=float(created) if isinstance(created, int | float) else None,
        )

    def is_ours(self, adapter_id: str, since: float | None) -> bool:
        platform, _, rest = self.umo.partition(":")
        if platform != adapter_id:
            return False
        if rest.startswith(f"FriendMessage:{OUR_USERS}"):
            return True
        return since is not None and self.began is not None and self.began >= since


def since_of(made_at: str) -> float | None:
    """The mark of an adapter as epoch seconds; None for one that cannot be read."""
    try:
        return datetime.fromisoformat(made_at).timestamp()
    except ValueError:
        return None


async def conversations_of(management: Management, adapter_id: str) -> list[Conversation]:
    """All of that platform. Raises ProbeFailed."""
    found: list[Conversation] = []
    for page in range(1, MOST_PAGES + 1):
        params = {
            "platforms": adapter_id,
            "page": str(page),
            "page_size": str(PAGE),
            "include_history": "false",
        }
        payload = await management.ask(manage.CONVERSATIONS, params=params)
        items = payload.get("conversations") if isinstance(payload, Mapping) else None
        rows = [item for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []
        found += [Conversation.read(item) for item in rows]
        if len(rows) < PAGE:
            break
    return found


async def delete_conversations(management: Management, ours: list[Conversation]) -> None:
    """Raises ProbeFailed, also when AstrBot says ok and kept one."""
    for batch in _batches(ours):
        wanted = [{"user_id": one.umo, "cid": one.cid} for one in batch]
        payload = await management.ask(manage.CONVERSATIONS_DELETE, body={"conversations": wanted})
        failed = payload.get("failed_count", 0) if isinstance(payload, Mapping) else len(wanted)
        if failed:
            raise ProbeFailed(
                Outcome.API_ERROR, f"AstrBot did not delete {failed} of {len(wanted)} conversations"
            )


def _batches(ours: list[Conversation]) -> Iterator[list[Conversation]]:
    for start in range(0, len(ours), PAGE):
        yield ours[start : start + PAGE]
