"""Where a messenger connects to, and as whom -> a checked address. The token is never part of a repr."""

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from astrometer.im.onebot_events import MAX_ID
from astrometer.outside_text import shown
from astrometer.user_error import UserError

DEFAULT_PATH = "/ws"
_TOKEN = re.compile(r"[\x21-\x7e]+")
_TARGET = re.compile(r"[\x21-\x7e]+")


class LinkAddressError(UserError):
    """A messenger that cannot be connected to; the text says what to change, and shows no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkAddress:
    """AstrBot's OneBot adapter. `self_id` is the account that the messenger plays: one client each.

    Without `is_named` no account is named: AstrBot refuses that with 400 after it has found the token right,
    so a token can be tried without becoming a client.
    """

    host: str
    port: int
    self_id: int
    target: str = DEFAULT_PATH  # path and query
    secure: bool = False
    token: str = field(default="", repr=False)
    is_named: bool = True

    @classmethod
    def parse(cls, url: str, *, self_id: int, token: str = "") -> "LinkAddress":
        """`ws://HOST:PORT/ws`. Raises LinkAddressError."""
        try:
            parts = urlsplit(url.strip())
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise LinkAddressError("the messenger's URL cannot be read: expected ws://HOST:PORT/ws") from None
        if parts.username is not None or parts.password is not None:
            raise LinkAddressError("no token in the messenger's URL: set ASTRBOT_MESSENGER_TOKEN")
        if parts.scheme not in ("ws", "wss") or not host:
            where = shown(f"{parts.scheme}://{host}", 80)
            raise LinkAddressError(f"the messenger's URL is ws://HOST:PORT/ws or wss://..., not {where}")
        if "access_token" in parts.query:
            raise LinkAddressError("AstrBot reads no token in the URL: set ASTRBOT_MESSENGER_TOKEN")
        path = parts.path if parts.path not in ("", "/") else DEFAULT_PATH
        target = f"{path}?{parts.query}" if parts.query else path
        if not _TARGET.fullmatch(target):
            raise LinkAddressError("the path of the messenger's URL holds characters that must be %-encoded")
        if not 0 < self_id <= MAX_ID:
            raise LinkAddressError(f"the messenger's id is a whole number from 1 to {MAX_ID}")
        if token and not _TOKEN.fullmatch(token):
            raise LinkAddressError("the messenger's token holds blanks or characters that are not ASCII")
        secure = parts.scheme == "wss"
        default_port = 443 if secure else 80
        try:
            host.encode("idna" if not host.isascii() else "ascii")
        except UnicodeError:
            raise LinkAddressError("the host of the messenger's URL is not a host name") from None
        return cls(
            host=host,
            port=default_port if port is None else port,
            self_id=self_id,
            target=target,
            secure=secure,
            token=token,
        )

    @property
    def netloc(self) -> str:
        """As the Host header says it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Who the client is; AstrBot takes the token from the header only."""
        found: list[tuple[bytes, bytes]] = []
        if self.is_named:
            found += [(b"X-Self-ID", str(self.self_id).encode()), (b"X-Client-Role", b"Universal")]
        if self.token:
            found.append((b"Authorization", b"Bearer " + self.token.encode()))
        return found
