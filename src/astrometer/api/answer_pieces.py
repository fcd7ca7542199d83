"""Pieces of model output with their times -> where the first token is, the gaps, the text. No clock.

A piece is what one event brings: text or reasoning. Blank pieces before the first visible character are no
token. Pieces that turn out to have been pushed into the chat by somebody else are taken out again, as if they
had never come.
"""

from array import array
from collections.abc import Collection, Mapping

from astrometer.api.visible import is_visible

MAX_CHARS = 4 * 1024 * 1024  # of one answer; what comes beyond is timed, and its text is not kept


class AnswerPieces:
    """What one answer is made of. Pieces are numbered from 0.

    `first`, `first_text`: the number of the first piece, and of the first piece of text, with a visible
    character; None until it comes.
    """

    __slots__ = ("_is_text", "_room", "_since", "_split", "_texts", "_times", "first", "first_text")

    def __init__(self) -> None:
        self.first: int | None = None
        self.first_text: int | None = None
        self._times = array("d")
        self._texts: list[str] = []
        self._is_text = bytearray()
        self._since: dict[int, float] = {}  # of those whose time is not certain: the earliest that it may be
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
        return "".join(
            text for text, kind in zip(self._texts, self._is_text, strict=True) if bool(kind) is is_text
        )

    def at(self, number: int | None) -> tuple[float, float | None] | None:
        """When that piece came: `t`, and since when at the earliest, where it is not certain."""
        return None if number is None else (self._times[number], self._since.get(number))

    @property
    def last(self) -> tuple[float, float | None] | None:
        """When the last piece came; None before the first token."""
        return None if self.first is None else self.at(len(self) - 1)

    def gaps(self) -> tuple[tuple[float, ...], Mapping[int, tuple[float, float]]]:
        """The gaps from the first token on; by their place the lowest and highest of those not certain."""
        gaps: list[float] = []
        bounds: dict[int, tuple[float, float]] = {}
        times, since, split = self._times, self._since, self._split
        for number in range((len(self) if self.first is None else self.first) + 1, len(self)):
            if number in split:
                continue
            t, before = times[number], times[number - 1]
            if since and (number in since or number - 1 in since):
                low_s = since.get(number, t) - before
                bounds[len(gaps)] = max(0.0, low_s), t - since.get(number - 1, before)
            gaps.append(t - before)
        return tuple(gaps), bounds

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
            kept.add(
                self._times[number],
                self._since.get(number),
                self._texts[number],
                is_text=bool(self._is_text[number]),
            )
        if pending or len(self) in self._split:
            kept.split()
        for name in self.__slots__:
            setattr(self, name, getattr(kept, name))
