"""A file name, a size and a seed -> a multipart body made while it is sent, and the hash of its file."""

import hashlib
import random
import secrets
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

_BLOCK_BYTES = 64 * 1024
_BLOCK = random.Random(20260101).randbytes(_BLOCK_BYTES)  # noqa: S311 (filler, no secret)


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PIXEL = (
    b"\x89PNG\r\n\x1a\n"
    + _png_chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    + _png_chunk(b"IDAT", zlib.compress(b"\0\x33\x66\x99"))
    + _png_chunk(b"IEND", b"")
)


@dataclass(frozen=True, kw_only=True)
class SampleFile:
    """A file of `size` bytes that exists nowhere: a unique head, then filler. Names must be unique, too:
    AstrBot up to 4.28 overwrites an older upload of the same name."""

    name: str
    content_type: str
    size: int

    @classmethod
    def make(cls, suffix: str, content_type: str, size: int) -> "SampleFile":
        return cls(name=f"astrometer-{secrets.token_hex(8)}{suffix}", content_type=content_type, size=size)

    def blocks(self) -> Iterator[bytes]:
        head = (self._header() + self.name.encode("ascii"))[: self.size]
        if head:
            yield head
        left = self.size - len(head)
        while left > 0:
            block = _BLOCK if left >= _BLOCK_BYTES else _BLOCK[:left]
            left -= len(block)
            yield block

    def _header(self) -> bytes:
        """What AstrBot opens must be real: a sound that needs converting where ffmpeg is missing leaves a
        chat that never ends (4.29.3), and an image that is none is left out of the question."""
        if self.content_type == "image/png":
            return PIXEL  # readers stop at its end; the rest is ballast
        if self.content_type != "audio/wav":
            return b""
        audio = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16_000, 32_000, 2, 16)
        data = struct.pack("<4sI", b"data", max(0, self.size - 44))
        return struct.pack("<4sI4s", b"RIFF", max(0, self.size - 8), b"WAVE") + audio + data

    @cached_property
    def sha256(self) -> str:
        digest = hashlib.sha256()
        for block in self.blocks():
            digest.update(block)
        return digest.hexdigest()


class Multipart:
    """The body of `POST /file` for one file."""

    def __init__(self, file: SampleFile) -> None:
        boundary = f"astrometer-{secrets.token_hex(12)}"
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self._file = file
        self.file_bytes = file.size
        self._head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{file.name}"\r\n'
            f"Content-Type: {file.content_type}\r\n\r\n"
        ).encode("ascii")
        self._tail = f"\r\n--{boundary}--\r\n".encode("ascii")

    @property
    def length(self) -> int:
        return len(self._head) + self._file.size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        yield from self._file.blocks()
        yield self._tail
