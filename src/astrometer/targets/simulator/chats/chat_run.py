"""One chat's events, in the order and with the saving rules of an AstrBot version. No sockets.

A run belongs to the server, not to the client that asked: it goes on, and its answer is saved, when the
client has left. What it publishes waits in a channel that the response (`stream.py`) reads.
"""

import asyncio
import json
import uuid
from collections import deque
from collections.abc import Sequence
from typing import Any

from astrometer.targets.simulator.store import Store, webchat_umo

Payload = dict[str, Any]


class Item:
    """One event as bytes without its closing brace, so that a time stamp can still be added."""

    __slots__ = ("head", "is_content", "paced", "type")

    def __init__(self, payload: Payload, *, paced: bool) -> None:
        self.type: str = payload["type"]
        self.head = b"data: " + json.dumps(payload, ensure_ascii=False).encode()[:-1]
        self.paced = paced
        self.is_content = self.type == "plain"


class Channel:
    """A queue with one reader, who may leave; `limit` items may wait before the reader is dropped."""

    def __init__(self, limit: int | None) -> None:
        self._items: deque[Item] = deque()
        self._limit = limit
        self._waiter: asyncio.Future[None] | None = None
        self.closed = False
        self.left = asyncio.Event()

    @property
    def abandoned(self) -> bool:
        return self.left.is_set()

    def put(self, item: Item) -> None:
        if self.closed or self.abandoned:
            return
        if self._limit is not None and len(self._items) >= self._limit:
            self._items.clear()
            self.closed = True
        else:
            self._items.append(item)
        self._wake()

    def close(self) -> None:
        self.closed = True
        self._wake()

    def abandon(self) -> None:
        """The reader left: keep nothing for it."""
        self.left.set()
        self._items.clear()
        self._wake()

    async def get(self, patience_s: float) -> Item | None:
        """The next item, None when nothing came in time. Raises EOFError at the end."""
        while not self._items:
            if self.closed or self.abandoned:
                raise EOFError
            loop = asyncio.get_running_loop()
            waiter = self._waiter = loop.create_future()
            alarm = loop.call_later(patience_s, self._wake)
            try:
                await waiter
            finally:
                alarm.cancel()
                self._waiter = None
            if not self._items and not self.closed and not self.abandoned:
                return None
        return self._items.popleft()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class SimulatedRun:
    """One chat being answered."""

    def __init__(self, store: Store, *, session_id: str, username: str, streaming: bool) -> None:
        self.store = store
        self.wire = store.wire
        self.session_id = session_id
        self.username = username
        self.streaming = streaming
        self.message_id = str(uuid.uuid4())
        self.checkpoint_id = str(uuid.uuid4())
        self.channel = Channel(self.wire.subscriber_limit)
        self.task: asyncio.Task[None] | None = None
        self.stopping = False
        self._text = ""  # what is still to be saved
        self._answer = ""  # what the model said
        self._reasoning = ""
        self._stats: Payload | None = None

    @property
    def umo(self) -> str:
        return webchat_umo(self.username, self.session_id)

    @property
    def shows_reasoning(self) -> bool:
        return self.wire.reasoning_shown

    def stop(self) -> None:
        """End the generation early; what was said so far is kept."""
        if self.task is not None and not self.task.done():
            self.stopping = True
            self.task.cancel()

    # --- what the client gets to see before anything is decided

    def open(self, parts: list[Payload]) -> None:
        """Save the user's message and publish the first events."""
        saved = self.store.save_message(
            self.session_id, "user", parts, self.username, checkpoint_id=self.checkpoint_id
        )
        self._put({"type": "session_id", "data": None, "session_id": self.session_id}, paced=False)
        if self.wire.user_message_saved:
            row = {"id": saved.id, "created_at": self.wire.timestamp(saved.created_at)}
            data = {**row, "llm_checkpoint_id": self.checkpoint_id}
            self._put({"type": "user_message_saved", "data": data}, paced=False)

    # --- events of the pipeline

    def run_started(self) -> None:
        if self.wire.run_started:
            self._publish("run_started", {"run_id": self.message_id}, streaming=False)

    def text(self, text: str) -> None:
        """One delta of a streamed answer."""
        self._text += text
        self._answer += text
        self._publish("plain", text, streaming=True, chain_type=None)

    def reasoning(self, text: str) -> None:
        self._reasoning += text
        if self.wire.reasoning_shown:
            self._publish("plain", text, streaming=True, chain_type="reasoning")

    def whole(self, text: str) -> None:
        """A text that is not streamed: an answer, a command's output, a refusal."""
        self._text = text
        self._publish("plain", text, streaming=False, chain_type=None)

    def stats(self, data: Payload) -> None:
        self._stats = data
        self._put({"type": "agent_stats", "data": data}, paced=False)

    def complete(self) -> None:
        shown = self._reasoning if self.wire.reasoning_shown else ""
        self._publish("complete", self._answer, reasoning=shown, streaming=True)

    def push(self, texts: Sequence[str]) -> None:
        """An IM push to this chat while it streams: AstrBot mixes it into the stream, part by part.

        The `complete` that follows repeats the last part alone, and has `chain_type` in the place of
        `reasoning`.
        """
        for text in texts:
            self._text += text
            self._publish("plain", text, streaming=True, chain_type=None)
        self._publish("complete", texts[-1] if texts else "", streaming=True, chain_type=None)

    def follow_up_captured(self) -> None:
        self._publish("follow_up_captured", {"run_id": self.message_id}, streaming=False)

    def end(self) -> None:
        self._publish("end", "", streaming=False)

    def close(self) -> None:
        """No more events; what was said and not yet saved (a stopped run) is saved."""
        if self.wire.stats_before_plain:
            self._save()
        self.channel.close()

    # ---

    def _publish(self, type_: str, data: Any, **more: Any) -> None:
        self._put({"type": type_, "data": data, **more, "message_id": self.message_id}, paced=True)
        if type_ == "end" and not self.wire.saves_at_end:
            return
        if type_ == "complete" or not more["streaming"]:
            self._save(always=not self.wire.saves_at_end)

    def _save(self, *, always: bool = False) -> None:
        if not (always or self._text or self._reasoning or self._stats):
            return
        parts: list[Payload] = [{"type": "plain", "text": self._text}] if self._text else []
        if self._reasoning:
            parts.insert(0, {"type": "think", "think": self._reasoning})
        stats = self._stats
        self._text, self._reasoning, self._stats = "", "", None
        saved = self.store.save_message(
            self.session_id, "bot", parts, "bot", checkpoint_id=self.checkpoint_id, agent_stats=stats
        )
        data = {"id": saved.id, "created_at": self.wire.timestamp(saved.created_at)}
        if self.wire.saves_at_end:
            data["llm_checkpoint_id"] = self.checkpoint_id
        self._put({"type": "message_saved", "data": data}, paced=False)

    def _put(self, payload: Payload, *, paced: bool) -> None:
        self.channel.put(Item(payload, paced=paced))
