"""Bytes of an HTTP/1.1 answer -> where its body's chunks begin and end. Pure."""

from functools import lru_cache


def ends_with(data: bytes, piece: bytes) -> bool:
    """Whether nothing of HTTP's own came after `piece`, but the end of its line in a chunked body."""
    tail = piece[-4:]
    return data.endswith((tail, tail + b"\r\n"))


class WholeChunks:
    """Finds reads that are whole chunks of data and nothing else: a parser that skips them misses nothing.

    Only the common form counts: hexadecimal as printf writes it, no extension. At anything else, such as the
    last chunk, it gives up for the rest of the answer.
    """

    def __init__(self, head: bytes) -> None:
        """`head`: the first that came of an answer, with the whole head."""
        _, end, begun = head.partition(b"\r\n\r\n")
        self._left: int | None = 0 if end else None  # bytes until the next chunk begins
        if begun:
            self.only(begun)

    def only(self, data: bytes) -> bytes | None:
        """What came next -> the data of its chunks, where it is whole chunks. None: a parser must tell."""
        at = self._left
        if at is None:
            return None
        if at == 0:  # nearly always, and then it is one chunk
            end = data.find(b"\r\n", 0, _LONGEST_SIZE)
            size = _size(data[:end]) if end > 0 else 0
            if size and end + size + 4 == len(data) and data.endswith(b"\r\n"):
                return data[end + 2 : -2]
        is_whole, pieces = at == 0, []
        while at < len(data):
            end = data.find(b"\r\n", at, at + _LONGEST_SIZE)
            size = _size(data[at:end]) if end > 0 else 0
            at = end + size + 4
            if not size or data[at - 2 : at] not in _LINE_ENDS:
                self._left = None
                return None
            pieces.append(data[end + 2 : at - 2])
        self._left = at - len(data)
        return b"".join(pieces) if is_whole and pieces and not self._left else None


_LONGEST_SIZE = 8 + len(b"\r\n")
_LINE_ENDS = (b"\r\n", b"\r", b"")  # as far as it is here


@lru_cache(4096)
def _size(digits: bytes) -> int:
    """0: this is not the size of a chunk of data, or it is written in another way."""
    try:
        size = int(digits, 16)
    except ValueError:
        return 0
    return size if digits == b"%x" % size else 0
