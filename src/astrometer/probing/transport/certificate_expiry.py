"""A TLS connection -> when the first certificate of the chain it was given expires."""

import ssl

from cryptography import x509

DER = 2  # _ssl.ENCODING_DER


def earliest_expiry(connection: ssl.SSLObject | ssl.SSLSocket | None) -> float | None:
    """Epoch seconds; None without TLS or without a certificate that can be read."""
    if connection is None:
        return None
    found = []
    for certificate in _chain(connection):
        try:
            found.append(x509.load_der_x509_certificate(certificate).not_valid_after_utc.timestamp())
        except (ValueError, OverflowError):
            continue
    return min(found, default=None)


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
