"""Chat events with their times -> the points of one turn: its first token, its gaps, its text. No clock.

A piece is what one event brings: text or reasoning. Blank pieces before the first visible character are no
token. Pieces that turn out to have been pushed into the chat by somebody else are taken out again, as if they
had never come. The time of `AnswerPieces.first` becomes `t_token1` of `api.timings`, which makes TTFT of it.
"""

from array import array
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from operator import not_, sub

from astrometer.api.chat.events import AgentStats, ChatEvent, EventKind
from astrometer.api.timings import Timings
from astrometer.api.visible import is_visible

MAX_CHARS = 4 * 1024 * 1024  # of one answer; what comes beyond is timed, and its text is not kept
_TEXT, _REASONING = EventKind.TEXT, EventKind.REASONING  # Python 3.11 looks members up by a function


class AnswerPieces:
    """What one answer is made of. Pieces are numbered from 0.

    `first`, `first_text`: the number of the first piece, and of the first piece of text, with a visible
    character; None until it comes.
    """

    __slots__ = (
        "_is_text",
        "_room",
        "_since",
        "_split",
        "_texts",
        "_times",
        "first",
        "first_text",
    )

    def __init__(self) -> None:
        self.first: int | None = None
        self.first_text: int | None = None
        self._times = array("d")
        self._texts: list[str] = []
        self._is_text = bytearray()
        self._since: dict[int, float] = {}  # the earliest that those may have come that are not certain
        self._split: set[int] = set()  # those that have no gap before them
        self._room = MAX_CHARS

    def __len__(self) -> int:
        return len(self._times)

    def add(self, t: float, since: float | None, text: str, *, is_text: bool) -> None:
        number = len(self._times)
        self._times.append(t)
        self._is_text.append(is_text)
        self._room -= len(text)
        self._texts.append(text if self._room >= 0 else "")
        if since is not None:
            self._since[number] = since
        if self.first_text is None:
            self._look(number, text)

    def _look(self, number: int, text: str) -> None:
        if self.first is not None and not self._is_text[number]:
            return
        if is_visible(text):
            self.first = number if self.first is None else self.first
            if self._is_text[number]:
                self.first_text = number

    def split(self) -> None:
        """What comes next is not the continuation of what came last: there is no gap between them."""
        self._split.add(len(self._times))

    @property
    def blank_lead(self) -> int:
        """How many pieces came before the first visible character."""
        return len(self) if self.first is None else self.first

    @property
    def text(self) -> str:
        return self._joined(is_text=True)

    @property
    def reasoning(self) -> str:
        return self._joined(is_text=False)

    def _joined(self, *, is_text: bool) -> str:
        if is_text not in self._is_text:  # most answers have no reasoning
            return ""
        return "".join(compress(self._texts, self._is_text if is_text else map(not_, self._is_text)))

    def at(self, number: int | None) -> tuple[float, float | None] | None:
        """When that piece came: `t`, and since when at the earliest, where it is not certain."""
        return None if number is None else self._point(number)

    def _point(self, number: int) -> tuple[float, float | None]:
        t, since = self._times[number], self._since.get(number)
        return t, since if since is not None and since < t else None

    @property
    def last(self) -> tuple[float, float | None] | None:
        """When the last piece came; None before the first token."""
        return None if self.first is None else self.at(len(self) - 1)

    def gaps(self) -> tuple[tuple[float, ...], Mapping[int, tuple[float, float]]]:
        """The gaps from the first token on; by their place the lowest and highest of those not certain."""
        first = len(self) if self.first is None else self.first
        times = self._times[first:].tolist()
        joined = (
            [number not in self._split for number in range(first + 1, len(self))] if self._split else None
        )
        return _lengths(times, joined), self._gap_bounds(first)

    def _gap_bounds(self, first: int) -> dict[int, tuple[float, float]]:
        """Of the gaps that begin or end with a piece whose time is not certain; few are."""
        times, since = self._times, self._since
        found: dict[int, tuple[float, float]] = {}
        for later in (end for number in since for end in (number, number + 1)):
            if not first < later < len(times) or later in self._split:
                continue
            begin, end = times[later - 1], times[later]
            low = min(end, since.get(later, end)) - begin
            high = end - min(begin, since.get(later - 1, begin))
            if low < end - begin or high > end - begin:
                place = later - first - 1
                if self._split:
                    place -= sum(first < split < later for split in self._split)
                found[place] = (max(0.0, low), high)
        return found

    def withdraw_text(self, text: str) -> None:
        """The last piece of text that says exactly this was somebody else's."""
        for number in reversed(range(len(self))):
            if self._is_text[number] and self._texts[number] == text:
                self._withdraw({number})
                return

    def withdraw_all_text(self) -> None:
        self._withdraw({number for number, is_text in enumerate(self._is_text) if is_text})

    def keep_only(self, whole: str, begin: int = 0) -> None:
        """Of the pieces of text from `begin` on, `whole` is all that the model said; the others were not its.

        Nothing is taken out when the pieces do not make up `whole`.
        """
        at, others = 0, set()
        for number in range(begin, len(self)):
            text = self._texts[number]
            if not self._is_text[number]:
                continue
            if whole.startswith(text, at):
                at += len(text)
            else:
                others.add(number)
        if others and at == len(whole):
            self._withdraw(others)

    def _withdraw(self, numbers: Collection[int]) -> None:
        kept, pending = AnswerPieces(), False
        for number in range(len(self)):
            pending |= number in self._split
            if number in numbers:
                continue
            if pending:
                kept.split()
                pending = False
            t, since = self._point(number)
            kept.add(t, since, self._texts[number], is_text=bool(self._is_text[number]))
        if pending or len(self) in self._split:
            kept.split()
        for name in self.__slots__:
            setattr(self, name, getattr(kept, name))


def _lengths(times: Sequence[float], wanted: list[bool] | None) -> tuple[float, ...]:
    """From each time to the next; None: all are wanted."""
    lengths = map(sub, times[1:], times)
    return tuple(lengths if wanted is None else compress(lengths, wanted))


@dataclass(slots=True, kw_only=True)
class Timeline:
    """Collects the points of one turn as its events come in."""

    t_send: float
    t_intended: float
    streaming: bool
    scheduled: bool = False
    t_headers: float | None = None
    t_close: float | None = None
    t_content: float | None = None  # the last content event so far, none before the first token
    t_terminal: float | None = None  # when `end` came
    stats: AgentStats | None = None
    send_s: float = 0.0
    pieces: AnswerPieces = field(default_factory=AnswerPieces)
    pushed: int = 0  # messages that somebody else pushed into this chat
    _points: dict[str, float] = field(default_factory=dict)
    _since: dict[str, float] = field(default_factory=dict)
    _wholes: list[tuple[float, float | None, ChatEvent]] = field(default_factory=list)
    _completed: int = 0  # how many pieces there were at the last `complete`
    _used_tools: bool = False

    def event(self, t: float, event: ChatEvent, since: float | None = None) -> None:
        """Note `event`, whose last byte arrived at `t`; or at some time since `since`."""
        kind = event.kind
        if self.t_terminal is not None:  # the answer is whole
            if kind is EventKind.STATS:
                self.stats = event.stats or self.stats
            return
        if kind is _TEXT or kind is _REASONING:
            if not self._points:
                self._first("t_event1", t, since)
            if event.text:
                pieces = self.pieces
                pieces.add(t, since, event.text, is_text=kind is _TEXT)
                if pieces.first is not None:
                    self.t_content = t
            return
        if kind is not EventKind.HEARTBEAT:
            self._first("t_event1", t, since)
            self._other(t, since, event)

    def _other(self, t: float, since: float | None, event: ChatEvent) -> None:
        kind = event.kind
        if kind is EventKind.NOTICE:
            if not self.streaming and event.text:
                self._whole_answer(t, since, event)
        elif kind is EventKind.TOOL:
            self._used_tools = True
            self.pieces.split()
        elif kind is EventKind.MEDIA:
            self._whole_answer(t, since, event)
        elif kind is EventKind.COMPLETE:
            self._complete(t, since, event)
        elif kind is EventKind.PUSHED:
            self._withdraw(event.text)
        elif kind is EventKind.RUN_STARTED:
            self._first("t_run_started", t, since)
        elif kind is EventKind.STATS:
            self.stats = event.stats or self.stats
        elif kind is EventKind.END:
            self._end(t, since)

    def _first(self, name: str, t: float, since: float | None) -> None:
        """The point `name`, unless there was one."""
        if name not in self._points:
            self._points[name] = t
            if since is not None:
                self._since[name] = since

    def _complete(self, t: float, since: float | None, event: ChatEvent) -> None:
        if not self.pieces and self.t_content is None and is_visible(event.text):
            self._whole_answer(t, since, event)
        if self.pushed:  # of a push in several parts only the last is certain before this
            self.pieces.keep_only(event.text, self._completed)
            self._note_last()
        self._completed = len(self.pieces)

    def _whole_answer(self, t: float, since: float | None, event: ChatEvent) -> None:
        self._wholes.append((t, since, event))
        self.t_content = t
        self.pieces.split()

    def _withdraw(self, text: str) -> None:
        """Somebody else's message is complete: its last part, text or a file, says `text`."""
        self.pushed += 1
        if self._wholes and self._wholes[-1][2].kind is EventKind.MEDIA and self._wholes[-1][2].text == text:
            self._wholes.pop()
        else:
            self.pieces.withdraw_text(text)
        self._note_last()

    def _end(self, t: float, since: float | None) -> None:
        self.t_terminal = t
        if since is not None:
            self._since["t_terminal"] = since
        if self.pushed and not self.streaming:  # the model's own answer came in one piece
            self.pieces.withdraw_all_text()
            self._note_last()

    def _note_last(self) -> None:
        last = self._last_content()
        self.t_content = None if last is None else last[0]

    def _last_content(self) -> tuple[float, float | None] | None:
        last = self.pieces.last
        if not self._wholes:
            return last
        t, since, _ = self._wholes[-1]
        return (t, since) if last is None or t >= last[0] else last

    @property
    def has_media(self) -> bool:
        """An image, a record, a file or a video."""
        return any(event.kind is EventKind.MEDIA for _, _, event in self._wholes)

    def _was_streamed(self) -> bool:
        """One lone delta of a finished turn counts as streamed only if the server says that it streamed."""
        if len(self.pieces) != 1 or self.t_terminal is None:
            return len(self.pieces) > 0
        return self.stats is not None and self.stats.server_ttft_s is not None

    def timings(self) -> Timings:
        pieces, points, since = self.pieces, dict(self._points), dict(self._since)
        for name, content in (
            ("t_token1", pieces.at(pieces.first)),
            ("t_text1", pieces.at(pieces.first_text)),
            ("t_tokenN", self._last_content()),
        ):
            if content is not None:
                points[name] = content[0]
                if content[1] is not None:
                    since[name] = content[1]
        gaps, gap_bounds = pieces.gaps()
        return Timings(
            t_intended=self.t_intended,
            scheduled=self.scheduled,
            t_send=self.t_send,
            t_headers=self.t_headers,
            t_close=self.t_close,
            t_terminal=self.t_terminal,
            chunk_gaps_s=gaps,
            since=since,
            gap_bounds=gap_bounds,
            send_s=self.send_s,
            server_ttft_s=self.stats.server_ttft_s if self.stats else None,
            server_time_s=self.stats.server_time_s if self.stats else None,
            output_tokens=self.stats.output_tokens if self.stats else None,
            streamed=self._was_streamed(),
            used_tools=self._used_tools,
            **points,
        )
