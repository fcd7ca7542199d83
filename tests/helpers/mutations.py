"""Bytes -> bytes with a few things wrong: what the fuzzing of tests and bench has in common. No clock."""

import random

SALT = (
    b"\0", b"\r", b"\n", b"\r\n\r\n", b"\xff", b"\xed\xa0\x80", b"\\ud800", b"\x1b[2J", b"[" * 200, b"{" * 70,
    b"9" * 5000, b"NaN", b"1e999", b"-1", b"null", b"data:", b"event: error\n", b": x\n\n",
    b"HTTP/1.1 100 \r\n\r\n",    b"0\r\n\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n",
    b"\xe2\x80\xae", b"\xef\xbb\xbf",
)  # fmt: skip


def mutate(data: bytes, rng: random.Random) -> bytes:
    """One to six cuts, repetitions, flipped bits and foreign bytes."""
    mutated = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(mutated) + 1)
        end = min(len(mutated), at + rng.randint(0, 40))
        match rng.randrange(5):
            case 0:
                del mutated[at:end]
            case 1:
                mutated[at:at] = mutated[at:end] * rng.randint(1, 4)
            case 2 if at < len(mutated):
                mutated[at] ^= 1 << rng.randrange(8)
            case 3:
                mutated[at:at] = rng.choice(SALT)
            case _:
                mutated[at:end] = rng.choice(SALT)
    return bytes(mutated)


def pieces(data: bytes, rng: random.Random) -> list[bytes]:
    """The same bytes in any chunking."""
    found, at = [], 0
    while at < len(data):
        size = rng.choice((1, 3, 17, 200, 5000))
        found.append(data[at : at + size])
        at += size
    return found
