"""Standard input, output and error of a process as it was started -> ones that end no run.

What was measured is worth more than what is said of it: a closed pipe, a terminal that is gone, a full disk
or a locale without the letter must not cost a run its results.
"""

import errno
import io
import os
import sys
from contextlib import suppress
from typing import TextIO

MOST_UNSENT = 1 << 16  # characters; the rest has been sent


def make_safe() -> None:
    """Make the three streams usable, whatever the caller did to them. Streams that others put there stay."""
    _open_closed()
    for name, stream in (("stdout", sys.stdout), ("stderr", sys.stderr)):
        if isinstance(stream, io.TextIOWrapper) and stream is getattr(sys, f"__{name}__"):
            stream.reconfigure(errors="backslashreplace")
            kind, by_line = (_Printed, stream.line_buffering) if name == "stdout" else (_Remarks, True)
            setattr(
                sys,
                name,
                kind(stream.buffer, stream.encoding, "backslashreplace", None, line_buffering=by_line),
            )


def give_up(stream: TextIO) -> None:
    """What is still written goes nowhere. Or Python would try again at its end, and exit with 120."""
    with suppress(OSError, ValueError):
        number = os.open(os.devnull, os.O_WRONLY)
        os.dup2(number, stream.fileno())
        os.close(number)


class _Remarks(io.TextIOWrapper):
    """Standard error: nothing that is said there is worth an exception."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError:
            give_up(self)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            give_up(self)


class _Printed(io.TextIOWrapper):
    """Standard output: what it cannot take, and all that follows, is said on standard error."""

    _unsent = ""
    _is_lost = False

    def write(self, text: str, /) -> int:
        if self._is_lost:
            return sys.stderr.write(text)
        self._unsent += text
        try:
            super().write(text)
        except OSError:
            self._lose()
        if len(self._unsent) > MOST_UNSENT:
            self.flush()
        return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            self._lose()
        self._unsent = ""

    def _lose(self) -> None:
        give_up(self)
        self._is_lost = True
        sys.stderr.write(self._unsent)
        self._unsent = ""


def _open_closed() -> None:
    """What is opened next would get the number of a closed one, and our output with it."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError as exc:
            if exc.errno != errno.EBADF:
                raise
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free
            if getattr(sys, name) is None:
                stream = os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False)
                setattr(sys, name, stream)
                setattr(sys, f"__{name}__", stream)
