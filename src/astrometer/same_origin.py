"""A request's Host and Origin -> why it is refused, or None. Pure.

A browser lets any web page send requests to a server on the loopback. Two headers, which a page cannot
choose, tell such a request apart: `Origin` is the page's own (cross-site request forgery), and `Host` is the
name that led here (DNS rebinding: evil.example suddenly means 127.0.0.1, and the page may even read the
answers). A client that is not a browser sends no Origin.
"""

from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

_MAX_SHOWN = 80
_DEFAULT_PORTS = {"http": 80, "https": 443}
_EVERYWHERE = ("", "*", "0.0.0.0", "::")


def refusal(
    *,
    host: str | None,
    origin: str | None,
    listens_on: str,
    allowed_hosts: Collection[str] = (),
    option: str = "--allowed-host",
) -> str | None:
    """Why a request with these headers is refused. None: it is not.

    `listens_on`: the address or name that the server was told to listen on. `allowed_hosts`: more names, each
    without a port. `option`: how a person adds one.

    Accepted hosts are what the server listens on, all of the loopback's names where that is the loopback, and
    any address in digits where it listens everywhere (no page can make a name of its own look like one).
    An Origin must be the same scheme-less host and port as Host, or one of `allowed_hosts`.
    """
    allowed = {_plain(name) for name in allowed_hosts}
    asked = _split(host or "")
    if asked is None or not _is_ours(asked[0], listens_on, allowed):
        return f"Host {_shown(host)} is not a name of this server; {option} NAME adds one"
    if origin is None:
        return None
    scheme, _, authority = origin.partition("://")
    page, default = _split(authority), _DEFAULT_PORTS.get(scheme)
    if page is not None and default is not None:
        is_same = (page[0], page[1] or default) == (asked[0], asked[1] or default)
        if is_same or page[0] in allowed:
            return None
    return f"Origin {_shown(origin)} is another site than {_shown(host)}; {option} NAME lets one in"


def _is_ours(name: str, listens_on: str, allowed: Collection[str]) -> bool:
    own = _plain(listens_on.strip("[]"))
    if name in allowed or name == own:
        return True
    address, own_address = _address(name), _address(own)
    is_local = name == "localhost" or name.endswith(".localhost")
    if own in _EVERYWHERE:
        return is_local or address is not None
    if own == "localhost" or (own_address is not None and own_address.is_loopback):
        return is_local or (address is not None and (address.is_loopback or address.is_unspecified))
    return address is not None and address == own_address


def _split(authority: str) -> tuple[str, int | None] | None:
    """`name:port` -> the name as it is compared, and the port. None: not such a thing."""
    if not authority or any(char in authority for char in "/\\@?#, \t"):
        return None
    try:
        parts = urlsplit(f"//{authority}")
        name, port = parts.hostname, parts.port
    except ValueError:
        return None
    return (_plain(name), port) if name else None


def _plain(name: str) -> str:
    """Lower case, without the dot of the root; an address in its one way of writing."""
    name = name.strip().lower().removesuffix(".")
    address = _address(name)
    return name if address is None else str(address)


def _address(name: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(name)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _shown(text: str | None) -> str:
    return "(none)" if text is None else ascii(text[:_MAX_SHOWN])
