"""A TLS connection -> when the first certificate of the chain it was given expires. DER, no sockets."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime

SEQUENCE, UTC_TIME, GENERALIZED_TIME, VERSION = 0x30, 0x17, 0x18, 0xA0
DER = 2  # _ssl.ENCODING_DER


class BadCertificate(ValueError):
    """Bytes that are no X.509 certificate."""


def earliest_expiry(connection: ssl.SSLObject | ssl.SSLSocket | None) -> float | None:
    """Epoch seconds; None without TLS or without a certificate that can be read."""
    if connection is None:
        return None
    found = []
    for certificate in _chain(connection):
        try:
            found.append(not_after(certificate))
        except BadCertificate:
            continue
    return min(found, default=None)


def not_after(certificate: bytes) -> float:
    """`notAfter` of a DER certificate in epoch seconds (RFC 5280, 4.1). Raises BadCertificate."""
    try:
        _, body = next(_items(certificate))
        _, to_be_signed = next(_items(body))
        fields = [item for item in _items(to_be_signed) if item[0] != VERSION]
        # serialNumber, signature, issuer, validity
        times = list(_items(fields[3][1]))
        return _time(*times[1])
    except (IndexError, StopIteration, UnicodeDecodeError, ValueError) as exc:
        raise BadCertificate("not an X.509 certificate") from exc


def _chain(connection: ssl.SSLObject | ssl.SSLSocket) -> list[bytes]:
    """What the server sent, leaf first."""
    if hasattr(connection, "get_unverified_chain"):  # Python 3.13
        return [bytes(certificate) for certificate in connection.get_unverified_chain()]
    inner = getattr(connection, "_sslobj", None)
    # Before 3.13 only the inside of `ssl` tells more than the leaf.
    for owner in (inner, getattr(inner, "_sslobj", None)):
        ask = getattr(owner, "get_unverified_chain", None)
        if ask is not None:
            return [certificate.public_bytes(DER) for certificate in ask() or ()]
    leaf = connection.getpeercert(binary_form=True)
    return [leaf] if leaf else []


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each DER element in a row."""
    at = 0
    while at < len(data):
        tag, size = data[at], data[at + 1]
        at += 2
        if size & 0x80:
            count = size & 0x7F
            size = int.from_bytes(data[at : at + count], "big")
            at += count
        if at + size > len(data):
            raise BadCertificate("cut off")
        yield tag, data[at : at + size]
        at += size


def _time(tag: int, raw: bytes) -> float:
    text = raw.decode("ascii")
    if tag == UTC_TIME:  # two digits: 50 to 99 are the last century's
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    elif tag != GENERALIZED_TIME:
        raise BadCertificate("no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()
