"""Requests -> those that may pass: TLS and basic auth of a web config, which a reload exchanges, and no other
site's pages.

A scrape must cost nothing, and bcrypt is meant to be dear: what was checked once is remembered, by a keyed
digest, and what was not is checked in a thread, one at a time.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
import ssl
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

import bcrypt
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from astrometer.config.settings import ConfigError
from astrometer.probing.exporter.web_config import WebConfig

REMEMBERED = 100
# Of these even a stranger learns only that the process runs: what asks them has no password.
OPEN_PATHS = frozenset({"/-/healthy", "/-/ready"})
MOST_SAID = 20  # refusals that are said once each
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"),
)


# Why a request with these headers, Host and Origin, is refused; None: it is not.
Refuse = Callable[[str | None, str | None], str | None]


class WebAccess:
    def __init__(
        self,
        web: WebConfig | None = None,
        *,
        refuse: Refuse = lambda _host, _origin: None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._refuse = refuse
        self._say = say
        self._said: set[str] = set()
        self._web = web or WebConfig()
        self.tls = None if self._web.tls is None else _CurrentContext.of(self._web.tls)
        self._digest_key = secrets.token_bytes(32)
        self._remembered: OrderedDict[bytes, bool] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()

    def check(self, web: WebConfig) -> None:
        """Whether `web` can be taken over while running. Raises ConfigError."""
        if (web.tls is None) != (self.tls is None):
            raise ConfigError("web config: TLS cannot be switched on or off by a reload: restart")

    def take(self, web: WebConfig) -> None:
        """Certificates and users from now on; connections that stand keep theirs."""
        self._web = web
        self._remembered.clear()
        if self.tls is not None and web.tls is not None:
            self.tls.current = web.tls

    def refusal(self, host: str | None, origin: str | None) -> str | None:
        """Why a request with these headers is refused; told once each, since a scraper shows no reason."""
        why = self._refuse(host, origin)
        if why is not None and why not in self._said and len(self._said) < MOST_SAID:
            self._said.add(why)
            self._say(f"refused: {why}")
        return why

    async def lets_in(self, header: str | None) -> bool:
        """Whether an `Authorization` header is that of a user."""
        if not self._web.users:
            return True
        given = _basic(header)
        if given is None:
            return False
        user, password = given
        known = user in self._web.users
        hashed = self._web.users.get(user) or _nobody(self._web.users.values())
        place = hmac.digest(self._digest_key, b"\0".join((user.encode(), hashed, password)), hashlib.sha256)
        if place in self._remembered:
            self._remembered.move_to_end(place)
            return self._remembered[place]
        async with self._one_at_a_time:
            matches = await asyncio.to_thread(_matches, password, hashed)
        self._remembered[place] = known and matches
        if len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)
        return known and matches


class AccessCheck:
    """ASGI: only who is let in gets further; every answer tells the browser to be careful."""

    def __init__(self, app: ASGIApp, guard: WebAccess) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def careful(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *SECURITY_HEADERS]}
            await send(message)

        if scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, careful)
            return
        why = _cross_site(scope) or self._guard.refusal(_header(scope, b"host"), _header(scope, b"origin"))
        if why is not None:
            answer = PlainTextResponse(f"{why}\n", 403)
        elif await self._guard.lets_in(_header(scope, b"authorization")):
            await self._app(scope, receive, careful)
            return
        else:
            realm = {"WWW-Authenticate": 'Basic realm="astrometer"'}
            answer = PlainTextResponse("Unauthorized\n", 401, headers=realm)
        await answer(scope, receive, careful)


def _cross_site(scope: Scope) -> str | None:
    """Why a request is refused that a page of another site makes without an Origin, such as for an image.

    To follow a link here is fine, but for one that starts a probe. Only browsers send these headers.
    """
    if _header(scope, b"sec-fetch-site") != "cross-site":
        return None
    follows = (
        _header(scope, b"sec-fetch-mode") == "navigate" and _header(scope, b"sec-fetch-dest") == "document"
    )
    if follows and scope["method"] == "GET" and scope["path"] != "/probe":
        return None
    return "another site's page asks for this"


def _header(scope: Scope, wanted: bytes) -> str | None:
    found = next((value for name, value in scope["headers"] if name == wanted), None)
    return None if found is None else found.decode("latin-1")


class _CurrentContext(ssl.SSLContext):
    """A server's context that makes each connection with the one in force: a listener keeps its own."""

    current: ssl.SSLContext

    @classmethod
    def of(cls, current: ssl.SSLContext) -> "_CurrentContext":
        context = cls(ssl.PROTOCOL_TLS_SERVER)
        context.current = current
        return context

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        return self.current.wrap_bio(*args, **kwargs)


def _basic(header: str | None) -> tuple[str, bytes] | None:
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (user.decode("utf-8"), password) if colon else None
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None


def _nobody(users: Iterable[bytes]) -> bytes:
    """The hash of a user who does not exist, as dear as the dearest: the answer must not come sooner."""
    cost = max(hashed[4:6] for hashed in users)
    return b"$2b$" + cost + b"$" + b"abcdefghijklmnopqrstuu" + b"." * 31


def _matches(password: bytes, hashed: bytes) -> bool:
    try:
        # bcrypt reads 72 bytes; the library refuses more, others cut.
        return bcrypt.checkpw(password[:72], hashed)
    except ValueError:
        return False
