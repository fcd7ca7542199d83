"""A file that a person names -> its text, before it fills the memory.

Editors on Windows begin a file with a byte order mark; it is not part of the text.
"""

from pathlib import Path

MOST_BYTES = 16_000_000
_PART_BYTES = 1 << 20


class TooLargeError(OSError):
    """A file that goes on and on, such as /dev/zero."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__(0, f"larger than {most_bytes // 1_000_000} MB")


def read_bounded(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """The content. Raises OSError, and TooLargeError, which is one, beyond `most_bytes`."""
    content = bytearray()
    with path.open("rb") as opened:
        while len(content) <= most_bytes and (part := opened.read(_PART_BYTES)):
            content += part
    if len(content) > most_bytes:
        raise TooLargeError(most_bytes)
    return bytes(content)


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, without a byte order mark. Raises OSError and UnicodeDecodeError."""
    return read_bounded(path).decode("utf-8-sig")
