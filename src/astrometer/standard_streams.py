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


def make_safe() -> None:
    """Make the three streams usable, whatever the caller did to them. Streams that others put there stay."""
    _open_closed()
    for name, stream in (("stdout", sys.stdout), ("stderr", sys.stderr)):
        if isinstance(stream, io.TextIOWrapper) and stream is getattr(sys, f"__{name}__"):
            stream.reconfigure(errors="backslashreplace")
            if name == "stderr":
                sys.stderr = _Remarks(
                    stream.buffer, stream.encoding, "backslashreplace", None, line_buffering=True
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
