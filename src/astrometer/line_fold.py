"""A line that is longer than a terminal -> lines that break between words."""

import shutil
import textwrap
from collections.abc import Sequence
from typing import TextIO


def folded(line: str, out: TextIO) -> str:
    """For `out`; unchanged where that is not a terminal, so that programs find one line."""
    if not out.isatty():
        return line
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return textwrap.fill(
        line,
        shutil.get_terminal_size().columns - 1,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def fitted(parts: Sequence[str], width: int, expendable: Sequence[str] = ()) -> str:
    """As many whole `parts` as fit into one line: the `expendable` ones go first, then the last.

    Never more than `width`: a longer line could not be rewritten.
    """
    kept = list(parts)
    order = [*expendable, *reversed(parts[1:])]
    while len("  ".join(kept)) > width and len(kept) > 1:
        kept.remove(next(part for part in order if part in kept))
    return "  ".join(kept)[:width]
