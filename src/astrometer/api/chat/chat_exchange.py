"""One chat, sans-IO: chunks with the time each arrived -> events, deadlines, one `ChatTurn`.

Both transports drive this: geventhttpclient's parser under Locust, httpx in the probes. A transport calls
`sent`, `headers`, `feed` for each chunk (where another library decodes: `arrived`, and `take`) and `eof` or
`lost`. It waits no longer than `deadline` says and calls `expire` when that passes. `result` can be asked for
at any time after the exchange is done: a load run counts the turn in `load.run.recorder`, a probe keeps it in
its `ProbeRun`. `api.timings` says what its metrics are, and the whole way of a TTFT.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from astrometer.api.chat.chat_turn import ChatTurn
from astrometer.api.chat.events import ChatEvent, EventKind, EventParser, message_id_of, parse_event
from astrometer.api.chat.sse import MAX_LINE_BYTES, Item, LineTooLong, SSEDecoder
from astrometer.api.chat.turn_timeline import MAX_CHARS, Timeline
from astrometer.api.network_stats import NO_NETWORK_STATS, NetworkStats
from astrometer.api.outcome import (
    Outcome,
    StreamFacts,
    classify_encoding,
    classify_stream,
    classify_unstreamed,
    explain_stream,
    is_event_stream,
)
from astrometer.api.sentences import split_reasoning
from astrometer.outside_text import shown

MAX_ERROR_BODY_BYTES = 64 * 1024
# No answer is that long: a server that sends and sends would fill the memory with what is counted of it.
MAX_STREAM_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long an exchange may take, in seconds. A heartbeat satisfies none of them.

    `first_token_s` and `total_s` run from the send, `idle_s` from the last content event.
    """

    connect_s: float = 10.0
    first_token_s: float = 60.0
    idle_s: float = 30.0
    total_s: float = 300.0


DEADLINES = Deadlines()  # where nothing else is said


_TEXT = EventKind.TEXT  # Python 3.11 looks members up by a function
_TIMEOUT_TOTAL, _STALLED = Outcome.TIMEOUT_TOTAL, Outcome.STALLED


class ChatExchange:
    """The state of one chat in flight. Times are absolute `time.perf_counter` seconds."""

    def __init__(
        self,
        *,
        streaming: bool,
        deadlines: Deadlines,
        canary: str | None = None,
        t_intended: float | None = None,
    ) -> None:
        self._streaming = streaming
        self._deadlines = deadlines
        self._canary = canary
        self._t_intended = t_intended
        self._timeline: Timeline | None = None
        self._decoder = SSEDecoder()
        self._parser = EventParser()
        self._status: int | None = None
        self._content_type = ""
        self._location = ""
        self._resent = 0
        self._connected_at: float | None = None
        self._network = NO_NETWORK_STATS
        self._stream = False
        self._body = bytearray()
        self._counts: dict[str, int] = {}
        self._notices: list[str] = []
        self._notice_chars = 0
        self._thoughts: list[str] = []  # reasoning in front of a whole answer
        self._complete = ""
        self._kinds: set[EventKind] = set()
        self._ended = False
        self._error_texts: dict[EventKind, str] = {}  # by the first event of a kind that spoils the answer
        self._session_id: str | None = None
        self._run_id: str | None = None
        self._message_id: str | None = None
        self._bytes = 0
        self._undecoded = 0  # bytes since the last item, where another library decodes
        self._outcome: Outcome | None = None
        self._detail = ""

    def sent(self, t: float) -> None:
        """The client call starts: connecting is included in every time from here."""
        scheduled = self._t_intended is not None
        intended = t if self._t_intended is None else self._t_intended
        self._timeline = Timeline(
            t_send=t, t_intended=intended, streaming=self._streaming, scheduled=scheduled
        )

    def sending(self, began: float, ended: float) -> None:
        """The question left this process at some time between the two; until `began` it connected."""
        self._connected_at = began
        self._points.send_s = ended - began

    @property
    def connecting(self) -> tuple[float, float]:
        """From when until when it waited for a connection; nearly nothing on one that was kept."""
        t_send = self._points.t_send
        return t_send, t_send if self._connected_at is None else self._connected_at

    def was_late(self, seconds: float) -> None:
        """So much of the time in which it connected, this process was held up: that is not the server's."""
        self._points.send_s += seconds

    def body_began(self, t: float) -> None:
        """Chats ignore it: a question is one packet. Uploads use it."""

    def body_sent(self, t: float) -> None:
        """Chats ignore it. Uploads use it."""

    def sent_again(self) -> None:
        """The server had closed the kept connection; the times run on from the first send."""
        self._resent += 1

    def network(self, stats: NetworkStats) -> None:
        """What the kernel says of the connection, when this exchange is over on it."""
        self._network = stats.after(self._network)

    def headers(
        self, t: float, status: int, content_type: str, location: str = "", encoding: str = ""
    ) -> None:
        """The response head is complete. Status before stream: any other body is kept, up to a limit."""
        self._points.t_headers = t
        self._status = status
        self._content_type = content_type
        self._location = location
        if (encoded := classify_encoding(status, encoding)) is not None:
            self._finish(t, encoded.outcome, encoded.message)
            return
        self._stream = 200 <= status < 300 and is_event_stream(content_type)

    def feed(
        self, t: float, chunk: bytes, since: float | None = None, *, is_last: bool = True
    ) -> list[ChatEvent]:
        """Body bytes, the last of which arrived at `t`, and none before `since` (None: all at `t`).

        `is_last` False: at `t` came something else, after them. Returns the events that they completed.
        """
        self._bytes += len(chunk)
        if self._outcome is not None:
            return []
        if not self._stream:
            room = MAX_ERROR_BODY_BYTES - len(self._body)
            self._body += chunk[: max(0, room)]
            if len(chunk) > room:  # more would change nothing, and may never end
                self.eof(t)
            return []
        if self._bytes > MAX_STREAM_BYTES:
            self._finish(t, Outcome.MALFORMED, f"a stream of more than {MAX_STREAM_BYTES} bytes")
            return []
        if (data := self._decoder.lone(chunk)) is not None:
            event = self._parser.parse(data)
            self._note(t, event, None if is_last or since is None or since >= t else since)
            return [event]
        try:
            items = self._decoder.feed(chunk)
        except LineTooLong as exc:
            self._finish(t, Outcome.MALFORMED, str(exc))
            return []
        return self.take(t, items, since, is_last=is_last and not self._decoder.unfinished)

    def arrived(self, t: float, count: int) -> None:
        """So many bytes of a stream, whose items come by `take`. One that has no end is ended here."""
        self._bytes += count
        self._undecoded += count
        if self._bytes > MAX_STREAM_BYTES:
            self._finish(t, Outcome.MALFORMED, f"a stream of more than {MAX_STREAM_BYTES} bytes")
        elif self._undecoded > MAX_LINE_BYTES:
            self._finish(t, Outcome.MALFORMED, f"an event of more than {MAX_LINE_BYTES} bytes without an end")

    def take(
        self, t: float, items: Sequence[Item], since: float | None = None, *, is_last: bool = True
    ) -> list[ChatEvent]:
        """Decoded items that arrived between `since` and `t` (None: all at `t`).

        `is_last`: the last of them ended with the last byte that came, which is certain to have come at `t`.
        """
        uncertain = 0 if since is None or since >= t else len(items) - is_last
        events = [parse_event(item) for item in items]
        for number, event in enumerate(events):
            self._note(t, event, since if number < uncertain else None)
        if events:
            self._undecoded = 0
        return events

    def _note(self, t: float, event: ChatEvent, since: float | None) -> None:
        (self._timeline or self._points).event(t, event, since)  # a property costs a call
        self._counts[event.type] = self._counts.get(event.type, 0) + 1
        if event.kind is not _TEXT:  # most events are, and the timeline keeps what they say
            self._look_at(event)

    def eof(self, t: float) -> None:
        """The response body is complete."""
        if self._stream:
            facts = self._facts()
            outcome = classify_stream(facts)
            self._finish(t, outcome, explain_stream(facts, outcome))
        else:
            verdict = classify_unstreamed(
                self._status or 0, self._content_type, bytes(self._body), self._location
            )
            self._finish(t, verdict.outcome, verdict.message)

    def lost(self, t: float, outcome: Outcome, detail: str = "") -> None:
        """The connection failed or broke. After `end` the answer was whole, so that spoils nothing."""
        if self._ended:
            self.eof(t)
            return
        self._finish(t, outcome, detail)

    def abort(self, t: float, outcome: Outcome) -> None:
        """The client gives up by itself: `cutoff` or `client_cancel`."""
        self.lost(t, outcome)

    def expire(self, t: float) -> None:
        """The deadline passed."""
        _, outcome = self.deadline()
        self.lost(t, outcome, f"after {t - self._points.t_send:.1f} s")

    def deadline(self) -> tuple[float, Outcome]:
        """The next deadline (absolute) and the outcome that it would be."""
        points, limits = self._timeline or self._points, self._deadlines  # asked for each event
        total_at = points.t_send + limits.total_s
        if points.t_terminal is not None:
            # The answer is whole; a server that keeps the body open holds nobody for long.
            return min(total_at, points.t_terminal + limits.idle_s), _TIMEOUT_TOTAL
        if points.t_content is not None:
            stalled_at = points.t_content + limits.idle_s
            return (stalled_at, _STALLED) if stalled_at <= total_at else (total_at, _TIMEOUT_TOTAL)
        total = total_at, _TIMEOUT_TOTAL
        # An answer that is not streamed comes whole: only the total deadline can judge it.
        if not self._streaming:
            return total
        return min(total, (points.t_send + limits.first_token_s, Outcome.TIMEOUT_FIRST_TOKEN))

    @property
    def done(self) -> bool:
        return self._outcome is not None

    @property
    def is_stream(self) -> bool:
        """Whether the head announced events, and not a whole body."""
        return self._stream

    @property
    def session_id(self) -> str | None:
        """Known from the first event on; what to stop when the exchange is given up."""
        return self._session_id

    @property
    def run_id(self) -> str | None:
        return self._run_id

    def result(self) -> ChatTurn:
        """Return the finished turn. Raises RuntimeError while it is in flight."""
        if self._outcome is None:
            raise RuntimeError("the exchange is not finished")
        points = self._points
        return ChatTurn(
            outcome=self._outcome,
            timings=points.timings(),
            text=self._answer(),
            reasoning=points.pieces.reasoning + "".join(self._thoughts),
            session_id=self._session_id,
            run_id=self._run_id,
            status=self._status,
            stats=points.stats,
            events=dict(self._counts),
            bytes_received=self._bytes,
            detail=self._detail,
            streaming=self._streaming,
            resent=self._resent,
            network=self._network,
            echoed=self._canary is not None and self._outcome is Outcome.OK,
            blank_lead=points.pieces.blank_lead,
            pushed=points.pushed,
            connect_s=None if self._connected_at is None else self._connected_at - points.t_send,
            message_id=self._message_id,
        )

    @property
    def _points(self) -> Timeline:
        if self._timeline is None:
            raise RuntimeError("`sent` comes first")
        return self._timeline

    def _look_at(self, event: ChatEvent) -> None:
        if self._ended:
            return  # the answer is whole: what follows is none of it, and breaks none
        self._kinds.add(event.kind)
        self._ended = event.kind is EventKind.END
        if event.kind in (EventKind.ERROR, EventKind.MALFORMED):
            self._error_texts.setdefault(event.kind, event.text)
        self._session_id = event.session_id or self._session_id
        self._run_id = event.run_id or self._run_id
        self._message_id = message_id_of(event) or self._message_id
        if event.kind is EventKind.COMPLETE:
            self._complete = event.text
        if event.kind is EventKind.NOTICE and self._notice_chars < MAX_CHARS:
            self._notice_chars += len(event.text)
            thoughts, answer = split_reasoning(event.text)
            self._thoughts += [thoughts] if thoughts else []
            self._notices.append(answer)

    def _answer(self) -> str:
        return self._points.pieces.text or "".join(self._notices) or self._complete

    def _facts(self) -> StreamFacts:
        stats = self._points.stats
        return StreamFacts(
            streaming=self._streaming,
            ended=self._ended,
            text=self._points.pieces.text or self._complete,
            notices="".join(self._notices),
            stats_seen=stats is not None or EventKind.STATS in self._kinds,
            tokens_counted=stats is not None and not stats.asked_nothing,
            follow_up=EventKind.FOLLOW_UP in self._kinds,
            error_event=EventKind.ERROR in self._kinds,
            malformed=EventKind.MALFORMED in self._kinds,
            media=self._points.has_media,
            canary=self._canary,
            error_text=self._error_texts.get(EventKind.ERROR, ""),
            malformed_text=self._error_texts.get(EventKind.MALFORMED, ""),
        )

    def _finish(self, t: float, outcome: Outcome, detail: str) -> None:
        if self._outcome is not None:
            return
        self._points.t_close = t
        self._outcome = outcome
        self._detail = shown(detail)
