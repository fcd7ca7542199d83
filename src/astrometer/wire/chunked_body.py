"""Bytes of an HTTP/1.1 answer -> whether they end with a piece of its body."""


def ends_with(data: bytes, piece: bytes) -> bool:
    """Whether nothing of HTTP's own came after `piece`, but the end of its line in a chunked body."""
    tail = piece[-4:]
    return data.endswith((tail, tail + b"\r\n"))
