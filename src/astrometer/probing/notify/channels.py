"""A message -> a webhook, a push monitor of Uptime Kuma, or a chat tool. No URL is in any error."""

import asyncio
import json
import logging
import re
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

import httpx

from astrometer.config.notify_settings import PLACEHOLDER, Receiver, ReceiverKind
from astrometer.masking import mask
from astrometer.outside_text import read_json, shown
from astrometer.probing.notify.incident import Note
from astrometer.wire import tls

SEND_S = 10.0
MOST_ANSWER = 65536
BEAT_S = 30.0  # Uptime Kuma expects a push a minute unless told otherwise
KUMA_CHARS = 250
MISSING = "apprise is not installed: pip install apprise"
# In a 200, as WeCom, DingTalk, Feishu and others refuse a message.
_CODES = ("errcode", "code", "StatusCode")
_FINE = (0, 200)


class NotDelivered(Exception):
    """Why, without the URL."""


class MessageChannel(Protocol):
    """One way to a receiver. `beat_s`: how often it wants to hear what holds; None: never."""

    beat_s: float | None

    async def send(self, note: Note, ttft_s: float | None = None) -> None:
        """Raises NotDelivered."""


class Webhook:
    """POSTs the template with the message in it."""

    beat_s: float | None = None

    def __init__(self, receiver: Receiver) -> None:
        self._url = receiver.url.reveal()
        self._template = receiver.template
        self._is_json = _is_json(_filled(receiver.template, {}, in_json=True))

    async def send(self, note: Note, ttft_s: float | None = None) -> None:  # noqa: ARG002
        body = _filled(self._template, note.fields(), in_json=self._is_json)
        kind = "application/json" if self._is_json else "text/plain; charset=utf-8"
        await _ask("POST", self._url, content=body.encode(), headers={"Content-Type": kind})


class Kuma:
    """GETs the push URL with `status` (up, down), `msg`, and `ping`: the time to first token in ms.

    Kuma alarms by itself when the pushes stop.
    """

    beat_s: float | None = BEAT_S

    def __init__(self, receiver: Receiver) -> None:
        # Kuma shows it with parameters of its own.
        self._url = urlunsplit(urlsplit(receiver.url.reveal())._replace(query="", fragment=""))

    async def send(self, note: Note, ttft_s: float | None = None) -> None:
        down = note.status in ("problem", "reminder") or bool(note.still)
        said = " ".join(filter(None, (note.title, note.text, note.still and f"Still: {note.still}")))
        params = {"status": "down" if down else "up", "msg": shown(said, KUMA_CHARS)}
        if ttft_s is not None:
            params["ping"] = str(round(ttft_s * 1000))
        await _ask("GET", self._url, params=params)


class Chat:
    """Any of the services that apprise knows."""

    beat_s: float | None = None

    def __init__(self, receiver: Receiver) -> None:
        self._url = receiver.url.reveal()

    async def send(self, note: Note, ttft_s: float | None = None) -> None:  # noqa: ARG002
        await asyncio.to_thread(self._send, note)

    def _send(self, note: Note) -> None:
        try:
            import apprise  # noqa: PLC0415 (an optional extra)
        except ImportError:
            raise NotDelivered(MISSING) from None
        logger = logging.getLogger("apprise")
        logger.propagate = False  # its words may hold the URL
        chat = apprise.Apprise()
        # Its own names of kinds: they choose the colour.
        kind = {"problem": "failure", "reminder": "warning", "resolved": "success"}.get(note.status, "info")
        capture: Any = apprise.LogCapture
        with capture(level=logging.WARNING, fmt="%(message)s") as said:
            if not chat.add(self._url):
                raise NotDelivered("apprise knows no such URL")
            if not chat.notify(title=note.title, body=note.text, notify_type=kind):
                why = shown(mask(said.getvalue(), _parts(self._url)))
                raise NotDelivered(f"apprise: {why or 'not delivered'}")


def channel_of(receiver: Receiver) -> MessageChannel:
    kinds: dict[ReceiverKind, Callable[[Receiver], MessageChannel]]
    kinds = {ReceiverKind.WEBHOOK: Webhook, ReceiverKind.KUMA: Kuma, ReceiverKind.APPRISE: Chat}
    return kinds[receiver.kind](receiver)


async def _ask(method: str, url: str, **request: Any) -> None:
    try:
        async with (
            asyncio.timeout(SEND_S),
            # Unlike a probe's, this way may lead through the proxy of the environment.
            httpx.AsyncClient(timeout=SEND_S, verify=tls.context_of()) as client,
            client.stream(method, url, **request) as answer,
        ):
            body = b""
            async for piece in answer.aiter_bytes():
                body += piece
                if len(body) > MOST_ANSWER:
                    break
    except TimeoutError:
        raise NotDelivered(f"no answer in {SEND_S:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        slow = isinstance(exc, httpx.TimeoutException)
        why = f"no answer in {SEND_S:g} s" if slow else f"no connection ({type(exc).__name__})"
        raise NotDelivered(why) from None  # the cause may name the URL
    if not answer.is_success:
        raise NotDelivered(f"HTTP {answer.status_code}")
    refused = _refusal(body)
    if refused is not None:
        raise NotDelivered(refused)


def _refusal(body: bytes) -> str | None:
    """Why an answer with status 200 is not a success."""
    try:
        value = read_json(body)
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    for name in _CODES:
        if isinstance(code := value.get(name), int) and code not in _FINE:
            return f"refused: {name} {code}"
    return "refused: ok is false" if value.get("ok") is False else None


def _filled(template: str, fields: dict[str, str], *, in_json: bool) -> str:
    def value(found: re.Match[str]) -> str:
        text = fields.get(found[1], "")
        return json.dumps(text, ensure_ascii=False)[1:-1] if in_json else text

    return PLACEHOLDER.sub(value, template)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _parts(url: str) -> list[str]:
    """What may be a token in it, the whole first."""
    return [url, *(part for part in re.split(r"[/:@?&=]+", url) if len(part) > 3)]
