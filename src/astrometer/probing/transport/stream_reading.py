"""The body of a stream -> httpx-sse -> the exchange: each event with the times of the read that completed it.

Everything here is pulled: httpcore reads again only when all that it read before was decoded. So the events
of one read are handed over together, just before the next one; then it is known which of them was the last.
"""

from collections.abc import AsyncIterator, Callable
from typing import Protocol

import httpx
from httpx_sse import EventSource

from astrometer.api.chat.chat_exchange import ChatExchange
from astrometer.api.chat.events import ChatEvent
from astrometer.api.chat.sse import BOM, Comment, Item, ServerEvent

Observer = Callable[[float, ChatEvent], None]
# Without what a server says of its body: a stream is never unpacked, it is UTF-8, and may begin with a BOM
# (WHATWG HTML, 9.2.5).
_HEAD, _ENCODING = {"Content-Type": "text/event-stream"}, "utf-8-sig"
_COMMENT = Comment("")  # what it says is nobody's business

_SHOWS = len(BOM) + 1  # so much of a line's beginning tells whether it is a comment


class ReadTimes(Protocol):
    """When what was read last had arrived: at `t`, and nothing of it before `since`."""

    @property
    def t(self) -> float: ...
    @property
    def since(self) -> float | None: ...
    def ends_with(self, chunk: bytes) -> bool:
        """Whether its last byte is that of `chunk`, a piece of the body."""
        ...


class StreamReading(httpx.AsyncByteStream):
    """One stream on its way to `exchange`. `run` reads it; `hand_over` is called before each read."""

    def __init__(
        self, body: AsyncIterator[bytes], times: ReadTimes, exchange: ChatExchange, observe: Observer
    ) -> None:
        self._body = body
        self._times = times
        self._exchange = exchange
        self._observe = observe
        self._lines = EventLines()
        self._events: list[ServerEvent] = []
        self._chunk = b""  # the last one

    async def run(self) -> None:
        """To the end of the body, or until the exchange saw enough."""
        source = EventSource(httpx.Response(200, headers=_HEAD, stream=self, default_encoding=_ENCODING))
        try:
            async for event in source.aiter_sse():
                # With an id it makes an event of every empty line, which WHATWG does not.
                if event.data or not event.id:
                    self._events.append(ServerEvent(event.data, event.event, event.id))
        finally:
            self.hand_over()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._body:
            self._exchange.arrived(self._times.t, len(chunk))
            if self._exchange.done:
                return
            self._chunk = chunk
            yield self._lines.feed(chunk)

    def hand_over(self) -> None:
        """All that was read is decoded."""
        t = self._times.t
        items: list[Item] = [*[_COMMENT] * self._lines.take_comments(), *self._events]
        is_last = bool(self._events) and self._lines.whole and self._times.ends_with(self._chunk)
        self._events = []
        for event in self._exchange.take(t, items, self._times.since, is_last=is_last):
            self._observe(t, event)


class EventLines:
    """Body bytes -> the same with LF at each line's end, and what httpx-sse does not tell.

    `feed` chunks. After it: `comments` that ended since `take_comments`, and whether all is `whole`.
    """

    def __init__(self) -> None:
        self._begun = b""  # the beginning of a line whose end is not here yet
        self._at_start = True
        self._after_cr = False
        self._fields_seen = False
        self._ended = False
        self._comments = 0

    @property
    def whole(self) -> bool:
        """The last byte so far is that of an event."""
        return self._ended and not self._begun

    def take_comments(self) -> int:
        """How many comments ended since this was asked last."""
        count, self._comments = self._comments, 0
        return count

    def feed(self, chunk: bytes) -> bytes:
        """`chunk` with LF for CRLF and CR; an LF after a CR of the chunk before is part of that one."""
        if not chunk:
            return b""
        if self._after_cr:
            chunk = chunk.removeprefix(b"\n")
        self._after_cr = chunk.endswith(b"\r")
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            self._line(self._begun + line)
            self._begun = b""
        self._begun = (self._begun + rest[:_SHOWS])[:_SHOWS]
        return chunk

    def _line(self, line: bytes) -> None:
        if self._at_start:
            line = line.removeprefix(BOM)
            self._at_start = False
        self._ended = not line and self._fields_seen
        if line[:1] == b":":
            self._comments += 1
        else:
            self._fields_seen = bool(line)
