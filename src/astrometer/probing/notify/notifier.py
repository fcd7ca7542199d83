"""States -> messages in queues -> receivers. Only a receiver's own worker waits for it.

An undelivered message is tried again and survives a restart in the state folder. The queue is bounded and
reports what it dropped.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astrometer.config.notify_settings import Receiver
from astrometer.probing.cleanup.state_file import Say, StateFile
from astrometer.probing.notify.channels import MessageChannel, NotDelivered, channel_of
from astrometer.probing.notify.incident import ALL_WELL, Detail, Incidents, Note
from astrometer.probing.status.layer_evidence import Blamers
from astrometer.probing.status.state_by_layer import TargetState

FILE = "notify.json"
MOST_WAITING = 50
RETRY_S = 5.0
MOST_RETRY_S = 300.0


@dataclass(slots=True, kw_only=True)
class DeliveryCount:
    sent: int = 0
    failed: int = 0  # attempts
    dropped: int = 0  # messages
    why: str = ""  # of the last attempt, if it failed


class Post:
    """One receiver: what it was told, and what waits for it."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.incidents = Incidents(receiver)
        self.channel: MessageChannel = channel_of(receiver)
        self.waiting: deque[Note] = deque()
        self.delivery = DeliveryCount()
        self.now: Note | None = None  # what holds, for a channel that is told again and again
        self.wake = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def put(self, note: Note) -> None:
        if len(self.waiting) >= MOST_WAITING:
            self.waiting.popleft()
            self.delivery.dropped += 1
        self.waiting.append(note)
        if not self.incidents.open:
            self.now = None
        elif note.status != "resolved":
            self.now = note
        self.wake.set()

    async def deliver(self, note: Note | None, ttft_s: float | None) -> bool:
        """`note` None: say again what holds. Whether it went well."""
        try:
            await self.channel.send(note or self.now or ALL_WELL, ttft_s)
        except NotDelivered as exc:
            self.delivery.failed += 1
            self.delivery.why = str(exc)
            return False
        self.delivery.why = ""
        self.delivery.sent += note is not None
        return True


class Notifier:
    """Tells the receivers of the config in force."""

    def __init__(
        self,
        receivers: Iterable[Receiver] = (),
        folder: Path | None = None,
        *,
        say: Say = lambda _: None,
        clock: Callable[[], float] = time.time,
        retry_s: float = RETRY_S,
    ) -> None:
        self._file = StateFile(folder / FILE, say) if folder is not None else None
        self._say = say
        self._clock = clock
        self._retry_s = retry_s
        self._running = False
        self.ttft_s: float | None = None  # the newest, of any target
        self.posts: dict[str, Post] = {}
        self.take(receivers)

    def take(self, receivers: Iterable[Receiver]) -> None:
        """The receivers from now on. One that did not change keeps its queue and its worker."""
        before, self.posts = self.posts, {}
        book = self._file.read() if self._file is not None else {}
        for receiver in receivers:
            same = before.pop(receiver.name, None)
            if same is None or same.receiver != receiver:
                post = Post(receiver)
                _read_back(post, book.get(receiver.name))
                if same is not None:
                    before[receiver.name] = same
            else:
                post = same
            self.posts[receiver.name] = post
        for gone in before.values():
            if gone.task is not None:
                gone.task.cancel()
        if self._running:
            self.start()

    def look(self, states: Mapping[str, TargetState], detail: Detail, blamers: Blamers | None = None) -> None:
        """Queue what is to be told now. Never waits for a receiver."""
        now = self._clock()
        for post in self.posts.values():
            before = post.incidents.as_json()["open"]
            note = post.incidents.look(states, now, detail, blamers)
            if note is None:
                continue
            if self._file is None:
                post.put(note)
                continue
            with self._file.changing() as book:
                kept = book.get(post.receiver.name)
                if isinstance(kept, dict) and kept.get("told", {}).get("open", {}) != before:
                    # Another exporter of this state folder may have told it already.
                    post.incidents.take_json(kept["told"])
                    note = post.incidents.look(states, now, detail, blamers)
                if note is not None:
                    post.put(note)
                    book[post.receiver.name] = _written(post)

    def start(self) -> None:
        """A worker for each receiver, in the running event loop."""
        self._running = True
        for post in self.posts.values():
            if post.task is None:
                post.task = asyncio.create_task(self._work(post), name=f"notify {post.receiver.name}")

    async def stop(self) -> None:
        """What waits stays in the state folder."""
        self._running = False
        tasks = [post.task for post in self.posts.values() if post.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def flush(self, attempts: int) -> None:
        """Deliver what waits now, with so many attempts each."""
        await asyncio.gather(*(self._flush(post, attempts) for post in self.posts.values()))

    async def _flush(self, post: Post, attempts: int) -> None:
        for attempt in range(attempts):
            if attempt:
                await asyncio.sleep(self._retry_s)
            while post.waiting and await self._try(post):
                pass
            if not post.waiting:
                return

    async def _work(self, post: Post) -> None:
        wait_s = self._retry_s
        while True:
            if not post.waiting:
                post.wake.clear()
                try:
                    async with asyncio.timeout(post.channel.beat_s):
                        await post.wake.wait()
                except TimeoutError:
                    await post.deliver(None, self.ttft_s)
            elif await self._try(post):
                wait_s = self._retry_s
            else:
                await asyncio.sleep(wait_s)
                wait_s = min(MOST_RETRY_S, 2 * wait_s)

    async def _try(self, post: Post) -> bool:
        note = post.waiting[0]
        why = post.delivery.why
        if not await post.deliver(note, self.ttft_s):
            if post.delivery.why != why:
                self._say(f"notify {post.receiver.name}: not delivered ({post.delivery.why}); tried again")
            return False
        if post.waiting and post.waiting[0] is note:
            post.waiting.popleft()
        if self._file is not None:
            with self._file.changing() as book:
                book[post.receiver.name] = _written(post)
        return True


def _written(post: Post) -> dict[str, Any]:
    return {
        "told": post.incidents.as_json(),
        "waiting": [note.fields() for note in post.waiting],
        "now": None if post.now is None else post.now.fields(),
    }


def _read_back(post: Post, kept: Any) -> None:
    if not isinstance(kept, dict):
        return
    post.incidents.take_json(kept.get("told"))
    waiting = kept.get("waiting")
    try:
        post.waiting.extend(Note(**fields) for fields in waiting or ())
        post.now = None if kept.get("now") is None else Note(**kept["now"])
    except TypeError:
        return
